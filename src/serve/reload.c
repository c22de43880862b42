/* POST /reload: the configuration is read anew. The daemon does it; here is who may ask, and the
 * answer: what has changed, or all mistakes with their places. */
#include "serve/admin.h"

#include <stdio.h>

#define CHANGES_MAX_BYTES (1024U * 1024U)

static void refused(struct exchange *x, const struct yaml_errors *mistakes)
{
    char detail[128];

    (void)snprintf(detail, sizeof(detail),
                   "the configuration has %zu mistake%s; leased goes on with the one before",
                   mistakes->count, mistakes->count == 1 ? "" : "s");
    exchange_fail(x, &(struct exchange_problem){.status = 422,
                                                .code = "invalid",
                                                .detail = detail,
                                                .errors = buf_str(&mistakes->text)});
}

static void reloaded(struct exchange *x, const struct buf *changes)
{
    struct json_out json;

    exchange_json(x, &json);
    json_out_text_at(&json, (struct str){.ptr = NULL, .len = 0}, buf_str(changes));
    exchange_reply(x, 200);
}

static void reload(struct exchange *x)
{
    const struct serve_options *options = &x->serve->options;
    struct yaml_errors mistakes;
    BUF_AUTO changes;
    struct serve_reload it = {.identity = &x->identity,
                              .request_id = x->request_id,
                              .changes = &changes,
                              .mistakes = &mistakes};
    int r;

    buf_init(&changes, CHANGES_MAX_BYTES);
    yaml_errors_init(&mistakes);
    r = options->reload != NULL ? options->reload(options->user, &it) : ERR_CLOSED;
    if (r == 0) {
        reloaded(x, &changes);
    } else if (r == ERR_BUSY) {
        exchange_fail(x, &(struct exchange_problem){.status = 503,
                                                    .code = "busy",
                                                    .detail = "a policy is being applied",
                                                    .retry_after_ms = 1000});
    } else if (r == ERR_CLOSED) {
        exchange_fail(x, &(struct exchange_problem){.status = 503,
                                                    .code = "degraded",
                                                    .detail = "leased is starting or stopping",
                                                    .retry_after_ms = 1000});
    } else if (mistakes.count > 0) {
        refused(x, &mistakes);
    } else {
        exchange_fail_nomem(x);
    }
    yaml_errors_fini(&mistakes);
}

void serve_reload(struct exchange *x)
{
    if (admin_may(x, ACCESS_ADMIN_RELOAD, "reload", "[reload]")) {
        reload(x);
    }
}
