/* Happy path: read the own token (each time: the kubelet replaces it) → send → the answer.
 *
 * A work that has made something at the API server names it at its end, whatever that is. */
#include "server.h"

#include "common/dump.h"
#include "common/form.h"

#include <string.h>

#define ADDRESS "https://kubernetes.default.svc"

static void work_fini(struct plugin_work *base)
{
    struct kubernetes_work *work = (struct kubernetes_work *)base;

    kubernetes_params_fini(&work->params);
    json_decref(work->annotations);
}

struct kubernetes_work *kubernetes_work_new(struct leased_instance *kubernetes, leased_op *op)
{
    struct kubernetes_work *work = plugin_work_new(&kubernetes->works, sizeof(*work), op);

    if (work != NULL) {
        work->kubernetes = kubernetes;
        work->work.fini = work_fini;
    }
    return work;
}

void kubernetes_fail(struct kubernetes_work *work, int32_t status, uint64_t retry_after_ms,
                     const char *detail)
{
#if defined(MUTANT) && MUTANT == 27 /* see src/base/mutant.h */
    work->is_left = false;
#endif
    const struct leased_result result = {.size = sizeof(result),
                                         .retry_after_ms = retry_after_ms,
                                         .issuer_ref = plugin_str(work->is_left ? work->ref : ""),
                                         .detail = plugin_str(detail)};

    plugin_work_end(&work->work, status, &result);
}

/* --- answers ---------------------------------------------------------------------------------- */

static void unanswered(struct kubernetes_work *work, const struct leased_http_reply *reply)
{
    struct plugin_text detail;
    int32_t status = LEASED_RETRY;

    plugin_text_set(&detail, "%.*s", (int)reply->detail.len,
                    reply->detail.len > 0 ? reply->detail.ptr : "");
    if (reply->transport == LEASED_HTTP_CANCELED) {
        status = LEASED_CANCELED;
    } else if (reply->transport != LEASED_HTTP_NOT_SENT && work->work.is_creating) {
        status = LEASED_LOST;
    }
    kubernetes_fail(work, status, 0, detail.bytes);
}

static void replied(struct plugin_work *base, const struct leased_http_reply *reply)
{
    struct kubernetes_work *work = (struct kubernetes_work *)base;

    if (base->is_creating && reply->transport != LEASED_HTTP_NOT_SENT) {
        work->is_left = true;
    }
    if (reply->transport != LEASED_HTTP_OK) {
        unanswered(work, reply);
    } else if (base->is_given_up) {
        kubernetes_fail(work, LEASED_CANCELED, 0, "");
    } else {
        work->heard(work, reply); /* the work may be gone */
    }
}

/* --- requests --------------------------------------------------------------------------------- */

static bool is_token(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (text[i] <= ' ' || text[i] > '~') {
            return false;
        }
    }
    return len > 0;
}

/* What stands behind "Authorization:"; nothing with a certificate. 0, or -1 with the reason. */
static int add_authorization(const struct leased_instance *kubernetes, struct plugin_form *out,
                             struct plugin_text *detail)
{
    const struct leased_host *host = kubernetes->works.host;
    struct leased_str source = plugin_str(kubernetes->config.token.text);
    struct leased_str problem = {0};
    char *token = NULL;
    int64_t len;
    int rc = -1;

    if (kubernetes->config.is_certificate) {
        return 0;
    }
    len = host->secret_read(kubernetes->works.context, source, &token, &problem);
    if (len < 0) {
        plugin_text_set(detail, "the token for the API server can't be read: %.*s",
                        (int)problem.len, problem.len > 0 ? problem.ptr : "");
        return -1;
    }
    if (is_token(token, (size_t)len)) {
        plugin_form_add(out, PLUGIN_STR("Bearer "));
        plugin_form_add(out, (struct leased_str){token, (size_t)len});
        plugin_text_set(detail, "out of memory");
        rc = out->is_failed ? -1 : 0;
    } else {
        plugin_text_set(detail, "%.200s: it holds no token", source.ptr);
    }
    host->secret_free(token);
    return rc;
}

static int start(struct kubernetes_work *work, const struct kubernetes_request *request,
                 struct leased_str authorization, struct leased_str body)
{
    struct leased_http_header headers[4] = {
        {PLUGIN_STR("Accept"), PLUGIN_STR("application/json")},
        {PLUGIN_STR("User-Agent"), PLUGIN_STR("leased")},
    };
    struct leased_http_request http = {
        .size = sizeof(http),
        .flags = LEASED_HTTP_DEFAULT | (request->is_creating ? LEASED_HTTP_CREATES : 0),
        .method = plugin_str(request->method),
        .path = plugin_str(request->path),
        .headers = headers,
        .header_count = 2,
        .body = body,
        .address = PLUGIN_STR(ADDRESS),
    };

    if (authorization.len > 0) {
        headers[http.header_count++] =
            (struct leased_http_header){PLUGIN_STR("Authorization"), authorization};
    }
    if (body.len > 0) {
        headers[http.header_count++] =
            (struct leased_http_header){PLUGIN_STR("Content-Type"), PLUGIN_STR("application/json")};
    }
    work->heard = request->heard;
    work->work.is_creating = request->is_creating;
    return plugin_work_send(&work->work, &http, replied);
}

int32_t kubernetes_send(struct kubernetes_work *work, const struct kubernetes_request *request,
                        struct plugin_text *ret_detail)
{
    const struct leased_host *host = work->kubernetes->works.host;
    struct plugin_form authorization = {.host = host};
    size_t body_len = 0;
    char *body = NULL;
    int32_t status = LEASED_INVALID;

    if (add_authorization(work->kubernetes, &authorization, ret_detail) == 0) {
        body = request->body != NULL ? plugin_dump(host, request->body, &body_len) : NULL;
        plugin_text_set(ret_detail, "the request could not be sent");
        status = LEASED_RETRY;
        if ((request->body == NULL || body != NULL) &&
            start(work, request, plugin_form_str(&authorization),
                  (struct leased_str){body, body_len}) == 0) {
            status = 0;
        }
    }
    plugin_form_fini(&authorization);
    host->secret_free(body);
    return status;
}

void kubernetes_ask(struct kubernetes_work *work, const struct kubernetes_request *request)
{
    struct plugin_text detail = {{0}};
    int32_t status = kubernetes_send(work, request, &detail);

    if (status != 0) {
        kubernetes_fail(work, status, 0, detail.bytes);
    }
}
