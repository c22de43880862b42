/* What the caller can do where it is denied, beyond what is true for everybody: a request of its
 * own that asks for something else, or a break-glass rule that is about it. Nothing is said of
 * requests of others, nor of rules that aren't about the caller. */
#include "serve/approval.h"

#include "base/units.h"

#define HINT_MAX_BYTES 1024U

/* What the request asks for where the caller asks for something else, as options. */
static void options_write(struct buf *out, const struct lease_role *role,
                          const struct request_view *view, uint32_t parts)
{
    const struct access_binding_spec own = {.kind = role->binding};
    char duration[UNITS_DURATION_MAX_BYTES];
    char text[ACCESS_BINDING_TEXT_MAX_BYTES];
    struct str bindings =
        str_of(view->bindings[0] != '\0' ? view->bindings : access_binding_format(&own, text));

    if ((parts & REQUEST_PART_DURATION) != 0) {
        buf_printf(out, " --for %s", units_format_duration(view->duration_ms, duration));
    }
    if ((parts & REQUEST_PART_REASON) != 0) {
        buf_printf(out, " --reason \"%s\"", view->reason);
    }
    if ((parts & REQUEST_PART_TICKET) != 0) {
        buf_printf(out, " --ticket \"%s\"", view->ticket);
    }
    while ((parts & REQUEST_PART_BINDINGS) != 0 && bindings.len > 0) {
        buf_printf(out, " --bind %.*s", STR_ARG(str_cut(&bindings, ',')));
    }
}

void approval_hint_init(struct approval_hint *hint)
{
    buf_init(&hint->text, HINT_MAX_BYTES);
    hint->request = NULL;
}

void approval_hint_fini(struct approval_hint *hint)
{
    buf_fini(&hint->text);
}

static void other_write(const struct exchange *x, const struct lease_role *role,
                        struct approval_hint *hint)
{
    struct requests *requests = x->serve->options.requests;
    const struct request *request;
    struct request_view view;
    struct request_ask ask;
    uint32_t parts = 0;

    if (requests == NULL) {
        return;
    }
    approval_ask(x, role, &ask);
    request = requests_find_other(requests, &ask, &parts);
    if (request == NULL) {
        return;
    }
    request_view(request, &view);
    hint->request = view.id;
    buf_printf(&hint->text,
               "your request %s for it %s, for something else than this (lease requests): ask with",
               view.id, view.state == REQUEST_PENDING ? "waits for an approval" : "is approved");
    options_write(&hint->text, role, &view, parts);
}

void approval_hint_write(const struct exchange *x, const struct lease_role *role,
                         const struct access_decision *decision, struct approval_hint *hint)
{
    if (decision->outcome == ACCESS_REASON_REQUIRED ||
        decision->outcome == ACCESS_APPROVAL_REQUIRED) {
        other_write(x, role, hint);
    } else if (decision->glass_rule != NULL) {
        buf_printf(&hint->text,
                   "rule %s allows it in an emergency, at once, loudly, and to be reviewed: "
                   "lease get %s --break-glass",
                   decision->glass_rule, role->name);
    }
}
