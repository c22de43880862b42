/* Requests for approvals: ask, list, show, approve, deny, withdraw.
 *
 * A caller sees its own, and those that it may approve; an admin that may read sees all. What is
 * said to a request is answered when it is on disk. */
#include "serve/approval.h"
#include "serve/page.h"

#include "serve/acquire.h"

#include <stdio.h>
#include <string.h>

/* --- who sees what ---------------------------------------------------------------------------- */

static bool may_see(const struct exchange *x, const struct request *request)
{
    struct request_view view;

    request_view(request, &view);
    return !view.is_writing &&
           ((x->admin & ACCESS_ADMIN_READ) != 0 || request_is_own(request, &x->identity) ||
            access_policy_may_approve(x->serve->options.policy, view.rule_digest, &x->identity));
}

static void not_found(struct exchange *x)
{
    exchange_fail(x, &(struct exchange_problem){.status = 404,
                                                .code = "not_found",
                                                .detail = "there is no such request, or it is "
                                                          "neither yours nor for you to approve"});
}

/* The request of the path; NULL: there is none. */
static struct request *request_of_path(const struct exchange *x)
{
    struct requests *requests = x->serve->options.requests;

    return requests != NULL ? requests_get(requests, x->path_arg) : NULL;
}

/* --- what they look like ---------------------------------------------------------------------- */

static void requester_write(struct json_out *json, const struct request_view *view)
{
    const struct access_identity *identity = view->identity;

    json_out_object_open(json, "requester");
    if (identity->uid != ENV_NO_ID) {
        json_out_u64(json, "uid", identity->uid);
    }
    json_out_string_c(json, "user", str_or_null(identity->user));
    json_out_string_c(json, "unit", str_or_null(identity->unit));
    if (identity->sans[0] != '\0') {
        json_out_string_c(json, "san", identity->sans);
    }
    if (identity->claims != NULL) {
        json_out_string_c(json, "iss", identity->claims->iss);
        json_out_string_c(json, "sub", identity->claims->sub);
        json_out_string_c(json, "session", str_or_null(identity->claims->session));
    }
    json_out_string_c(json, "person", view->person);
    json_out_object_close(json);
}

static void approvals_write(struct json_out *json, const struct request_view *view)
{
    size_t i;

    json_out_u64(json, "needed", view->needed_count);
    json_out_array_open(json, "approvals");
    for (i = 0; i < view->approval_count; i++) {
        json_out_object_open(json, NULL);
        json_out_string_c(json, "who", view->approvals[i].who);
        json_out_time(json, "at", view->approvals[i].at_wall_ms);
        json_out_string_c(json, "comment", str_or_null(view->approvals[i].comment));
        json_out_object_close(json);
    }
    json_out_array_close(json);
}

static void times_write(struct json_out *json, const struct request_view *view)
{
    json_out_time(json, "created_at", view->created_wall_ms);
    json_out_time(json, "decide_by", view->decide_by_wall_ms);
    json_out_time(json, "use_by", view->use_by_wall_ms);
    json_out_time(json, "ended_at", view->ended_wall_ms);
}

void view_write_request(const struct exchange *x, struct json_out *json,
                        const struct request *request, const char *state)
{
    struct request_view view;

    request_view(request, &view);
    json_out_object_open(json, NULL);
    json_out_string_c(json, "id", view.id);
    json_out_string_c(json, "state", state != NULL ? state : request_state_str(view.state));
    json_out_string_c(json, "why", str_or_null(view.why));
    json_out_string_c(json, "role", view.role);
    requester_write(json, &view);
    if (view.duration_ms > 0) {
        json_out_u64(json, "duration", view.duration_ms / 1000);
    } else {
        json_out_string_c(json, "duration", NULL);
    }
    json_out_string_c(json, "reason", str_or_null(view.reason));
    json_out_string_c(json, "ticket", str_or_null(view.ticket));
    json_out_string_c(json, "binding", str_or_null(view.bindings));
    json_out_string_c(json, "rule", view.rule);
    json_out_string_c(json, "rule_digest", view.rule_digest);
    json_out_bool(json, "break_glass", view.is_break_glass);
    json_out_string_c(json, "review", str_or_null(request_review_str(view.review)));
    approvals_write(json, &view);
    times_write(json, &view);
    json_out_string_c(json, "grant", str_or_null(view.grant));
    json_out_bool(json, "own", request_is_own(request, &x->identity));
    json_out_bool(json, "may_approve", request_may_decide(request, &x->identity, NULL) == 0);
    json_out_object_close(json);
}

/* --- looking ---------------------------------------------------------------------------------- */

static bool is_wanted(const struct exchange *x, const struct request *request)
{
    struct request_view view;

    request_view(request, &view);
    return may_see(x, request) && (!x->params.is_review || view.review == REQUEST_REVIEW_PENDING) &&
           (x->params.state[0] == '\0' ||
            strcmp(x->params.state, request_state_str(view.state)) == 0);
}

static void list_write(struct exchange *x, const struct request *after)
{
    struct requests *requests = x->serve->options.requests;
    const struct request *request = after;
    struct request_view view;
    struct json_out json;
    const char *next = NULL;
    uint32_t count = 0;

    page_begin(x, &json);
    while (requests != NULL && (request = requests_next(requests, request)) != NULL) {
        if (!is_wanted(x, request)) {
            continue;
        }
        if (page_is_full(x, count++)) {
            next = x->id;
            break;
        }
        view_write_request(x, &json, request, NULL);
        request_view(request, &view);
        (void)snprintf(x->id, sizeof(x->id), "%s", view.id);
    }
    page_end(x, &json, next);
}

void serve_requests_list(struct exchange *x)
{
    struct requests *requests = x->serve->options.requests;
    struct str cursor = str_of(x->params.cursor);
    const struct request *after = NULL;

    if (cursor.len > 0) {
        after = requests != NULL ? requests_get(requests, cursor) : NULL;
        if (after == NULL || !may_see(x, after)) {
            page_fail(x);
            return;
        }
    }
    list_write(x, after);
}

/* As it is now, whatever came of the wait. */
static void shown(struct exchange *x, int status)
{
    const struct request *request = requests_get(x->serve->options.requests, str_of(x->id));

    (void)status;
    if (request == NULL) {
        not_found(x);
    } else {
        approval_reply(x, 200, request, NULL);
    }
}

static void wait_prepare(struct exchange *x, bool is_for_decision)
{
    x->request_wait = (struct request_wait){.is_for_decision = is_for_decision};
    x->decide_until_ms =
        x->params.wait_ms > 0 ? env_now_ms(x->serve->options.env) + x->params.wait_ms : 0;
}

void serve_requests_show(struct exchange *x)
{
    struct request *request = request_of_path(x);

    if (request == NULL || !may_see(x, request)) {
        not_found(x);
        return;
    }
    if (x->params.wait_ms == 0) {
        approval_reply(x, 200, request, NULL);
        return;
    }
    wait_prepare(x, true);
    approval_wait(x, request, shown);
}

/* --- saying something to it ------------------------------------------------------------------- */

static void said(struct exchange *x, int status)
{
    static const struct err none = {.code = 0};

    if (status != 0) {
        approval_fail(x, status, &none);
    } else {
        shown(x, 0);
    }
}

/* Whoever tries what he may not is on record, also if he wouldn't be shown the request. */
static void refuse(struct exchange *x, const struct request *request, const struct err *why)
{
    struct request_view view;
    struct audit_record record;

    request_view(request, &view);
    exchange_record(x, "request.refused", "denied", &record);
    record.request = view.id;
    record.role = view.role;
    record.backend = view.backend;
    record.policy_rule = view.rule;
    record.error = why->text;
    denied_note(&x->serve->denied, x->key, &record);
    approval_fail(x, ERR_DENIED, why);
}

/* Who gets nothing of a role lets nobody else have it either: it may be somebody in his name. */
static int check_block(const struct exchange *x, const struct request *request, struct err *e)
{
    struct access_decision decision;
    struct request_view view;
    const struct block *block;

    request_view(request, &view);
    block = blocks_find(&x->serve->blocks, &x->identity, view.role, view.backend);
    if (block == NULL) {
        return 0;
    }
    block_decide(block, &decision);
    return err_set(e, ERR_DENIED, "you are %s", decision.detail);
}

static void say(struct exchange *x, enum request_verb verb)
{
    struct request *request = request_of_path(x);
    const struct request_voice voice = {.verb = verb,
                                        .identity = &x->identity,
                                        .comment = str_or_null(x->params.comment),
                                        .listener = x->listener->name,
                                        .api = x->form->api};
    struct err e = {.code = 0};
    int r;

    if (request == NULL) {
        not_found(x);
        return;
    }
    r = verb == REQUEST_APPROVE ? check_block(x, request, &e) : 0;
    if (r == 0) {
        r = request_say(request, &voice, &e);
    }
    if (r == ERR_DENIED) {
        refuse(x, request, &e);
    } else if (r != 0) {
        approval_fail(x, r, &e);
    } else {
        wait_prepare(x, false);
        approval_wait(x, request, said);
    }
}

void serve_requests_approve(struct exchange *x)
{
    say(x, REQUEST_APPROVE);
}

void serve_requests_deny(struct exchange *x)
{
    say(x, REQUEST_DENY);
}

void serve_requests_withdraw(struct exchange *x)
{
    say(x, REQUEST_WITHDRAW);
}

/* --- asking ----------------------------------------------------------------------------------- */

static void created(struct exchange *x, int status)
{
    static const struct err none = {.code = 0};
    const struct request *request = requests_get(x->serve->options.requests, str_of(x->id));
    struct request_view view;

    if (request == NULL || (status != 0 && status != ERR_TIMEOUT)) {
        approval_fail(x, status != 0 ? status : ERR_GONE, &none);
        return;
    }
    request_view(request, &view);
    approval_reply(x, view.state == REQUEST_PENDING ? 202 : 200, request,
                   view.state == REQUEST_PENDING ? "approval_pending" : NULL);
}

static void not_needed(struct exchange *x, const struct lease_role *role)
{
    struct json_out json;

    exchange_json(x, &json);
    json_out_object_open(&json, NULL);
    json_out_string_c(&json, "state", "not_needed");
    json_out_string_c(&json, "role", role->name);
    json_out_string_c(&json, "rule", x->decision.rule);
    json_out_object_close(&json);
    exchange_reply(x, 200);
}

/* The one that there is for it, if it still stands for something new. NULL: none. */
static struct request *standing(struct exchange *x, const struct request_ask *ask)
{
    struct requests *requests = x->serve->options.requests;
    struct request *request = x->is_approved ? requests_get(requests, str_of(x->approval.id))
                                             : requests_find(requests, ask);
    struct request_view view;

    if (request == NULL) {
        return NULL;
    }
    request_view(request, &view);
    return view.state != REQUEST_USED || x->is_approved ? request : NULL;
}

/* Asks for nothing but the approval. */
void serve_requests_create(struct exchange *x)
{
    struct requests *requests = x->serve->options.requests;
    const struct lease_role *role = serve_role_of_body(x);
    struct request_ask ask;
    struct request *request;

    if (role == NULL) {
        return;
    }
    approval_ask(x, role, &ask);
    approval_decide(x, role, 0);
    if (x->decision.outcome == ACCESS_ALLOW && !x->is_approved && !x->decision.is_break_glass) {
        not_needed(x, role);
        return;
    }
    if (requests == NULL || (!x->is_approved && !approval_is_missing(x))) {
        acquire_deny(x, role);
        return;
    }
    wait_prepare(x, x->params.wait_ms > 0);
    request = standing(x, &ask);
    if (request != NULL || approval_make(x, role, &request)) {
        approval_wait(x, request, created);
    }
}
