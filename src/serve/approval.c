/* What an acquire has to do with approvals.
 *
 * Happy path: the policy asks for an approval → none stands → POST, or a GET that waits, makes a
 * request (request/), or finds the one that there is → it is on record → 202, or the caller waits →
 * approved → acquire_again, and this time it stands → the grant is put on record together with its
 * use. Breaking the glass is the same without anybody to wait for.
 *
 * Failure paths: a mere read asks for nothing, and is told what there is. Denied, withdrawn, out of
 * time, or stale: told so. The client goes away: the request stays. The grant comes to nothing: the
 * approval is given back. */
#include "serve/approval.h"

#include "base/log.h"
#include "serve/acquire.h"
#include "serve/decide.h"

#include <stdio.h>
#include <string.h>

#define REQUESTS_PATH "/leased/v1/requests/"

static_assert(REQUEST_ID_BYTES == LEASE_ID_BYTES, "one form of ids");
static_assert(REQUEST_REASON_MAX_BYTES == LEASE_REASON_MAX_BYTES, "what is asked is kept whole");
static_assert(REQUEST_TICKET_MAX_BYTES == LEASE_TICKET_MAX_BYTES, "what is asked is kept whole");
static_assert(REQUEST_APPROVALS_MAX == LEASE_APPROVERS_MAX, "each approver is named");

static const struct exchange_failure request_failures[] = {
    {ERR_DENIED, 403, "denied", NULL},
    {ERR_EXISTS, 409, "invalid", NULL},
    {ERR_GONE, 409, "invalid", "ask for it again"},
    {ERR_LIMIT, 429, "limit_exceeded", "withdraw what isn't needed any more (lease requests)"},
    {ERR_BUSY, 503, "busy", NULL},
    {ERR_NOMEM, 503, "busy", NULL},
    {0, 503, "degraded", "no record, no request: the ledger, or a required audit sink, fails"},
};

void approval_fail(struct exchange *x, int status, const struct err *why)
{
    exchange_fail_status(x, request_failures, status, why, 0);
}

/* --- what stands ------------------------------------------------------------------------------ */

void approval_ask(const struct exchange *x, const struct lease_role *role,
                  struct request_ask *ret_ask)
{
    *ret_ask = (struct request_ask){
        .identity = &x->identity,
        .role = role->name,
        .role_binding = role->binding,
        .duration_ms = x->params.duration_ms,
        .reason = str_or_null(x->params.reason),
        .ticket = str_or_null(x->params.ticket),
        .binding_count = x->params.binding_count,
        .is_break_glass = x->params.is_break_glass,
    };
    memcpy(ret_ask->bindings, x->params.bindings, sizeof(ret_ask->bindings));
}

static struct request *find(const struct exchange *x, const struct lease_role *role)
{
    struct requests *requests = x->serve->options.requests;
    struct request_ask ask;

    if (requests == NULL) {
        return NULL;
    }
    approval_ask(x, role, &ask);
    return requests_find(requests, &ask);
}

/* Is the grant that has used it the one that the caller would get? */
static bool is_held_by(struct exchange *x, const struct lease_role *role, const char *grant_id)
{
    const struct lease_ask ask = {.role = role,
                                  .identity = &x->identity,
                                  .decision = &x->decision,
                                  .request = x->request,
                                  .named = x->named};
    const struct grant *grant = lease_core_held(x->serve->options.core, &ask);
    struct grant_view view;

    if (grant == NULL) {
        return false;
    }
    grant_view(grant, &view);
    return strcmp(view.id, grant_id) == 0;
}

/* The caller asks for what the request asks for, in all that it leaves unsaid. */
static void take_asked(struct exchange *x, const struct request_view *view)
{
    struct serve_params *params = &x->params;

    params->duration_ms = view->duration_ms;
    params->is_break_glass = view->is_break_glass;
    (void)snprintf(params->reason, sizeof(params->reason), "%s", view->reason);
    (void)snprintf(params->ticket, sizeof(params->ticket), "%s", view->ticket);
}

static int use(struct lease_approval *approval, const char *grant)
{
    struct exchange *x = OBJ_CAST(approval->user, struct exchange, EXCHANGE_MAGIC);
    struct request *request = requests_get(x->serve->options.requests, str_of(approval->id));
    int r = request != NULL ? request_use(request, grant) : ERR_GONE;

    if (r == 0) {
        approval->approver_count = request_approvers(request, approval->approvers);
        (void)snprintf(x->used_by, sizeof(x->used_by), "%s", grant);
    }
    return r;
}

static void stand_on(struct exchange *x, const struct request_view *view)
{
    x->approval =
        (struct lease_approval){.is_break_glass = view->is_break_glass, .use = use, .user = x};
    (void)snprintf(x->approval.id, sizeof(x->approval.id), "%s", view->id);
    (void)snprintf(x->approval.rule_digest, sizeof(x->approval.rule_digest), "%s",
                   view->rule_digest);
    x->is_approved = true;
    x->is_approval_used = view->state == REQUEST_USED;
}

/* Decides by what was approved. */
static void decide_approved(struct exchange *x, const struct lease_role *role,
                            const struct request_view *view, uint32_t live_count)
{
    take_asked(x, view);
    stand_on(x, view);
    decide_exchange(x, role, live_count, &x->decision);
}

/* The same of one that a grant has used, if it is that grant that the caller would get: what it
 * hangs on is part of what is decided. Else it is as if there were none. */
static void decide_held(struct exchange *x, const struct lease_role *role,
                        const struct request_view *view, uint32_t live_count)
{
    const struct serve_params asked = x->params;
    const struct access_decision decision = x->decision;

    decide_approved(x, role, view, live_count);
    if (!is_held_by(x, role, view->grant)) {
        x->params = asked;
        x->decision = decision;
        x->is_approved = false;
    }
}

/* The same of one that waits for its approval. If it isn't that what is missing, it is as if there
 * were none. */
static void decide_pending(struct exchange *x, const struct lease_role *role,
                           const struct request_view *view, uint32_t live_count)
{
    const struct serve_params asked = x->params;
    const struct access_decision decision = x->decision;

    take_asked(x, view);
    decide_exchange(x, role, live_count, &x->decision);
    if (x->decision.outcome != ACCESS_APPROVAL_REQUIRED) {
        x->params = asked;
        x->decision = decision;
    }
}

void approval_decide(struct exchange *x, const struct lease_role *role, uint32_t live_count)
{
    const struct request *request = NULL;
    struct request_view view;

    x->is_approved = x->is_approval_used = false;
    x->used_by[0] = '\0';
    decide_exchange(x, role, live_count, &x->decision);
    if (x->decision.outcome != ACCESS_ALLOW || x->decision.is_break_glass) {
        request = find(x, role);
    }
    if (request == NULL) {
        return;
    }
    request_view(request, &view);
    if (view.is_writing) {
        return;
    }
    if (view.state == REQUEST_PENDING) {
        decide_pending(x, role, &view, live_count);
    } else if (view.state == REQUEST_USED) {
        decide_held(x, role, &view, live_count);
    } else {
        decide_approved(x, role, &view, live_count);
    }
}

bool approval_is_used(const struct exchange *x)
{
    return x->is_approved && x->is_approval_used;
}

bool approval_is_missing(const struct exchange *x)
{
    return x->decision.outcome == ACCESS_APPROVAL_REQUIRED ||
           (x->decision.outcome == ACCESS_ALLOW && x->decision.is_break_glass && !x->is_approved);
}

struct lease_approval *approval_of(struct exchange *x)
{
    return x->is_approved ? &x->approval : NULL;
}

void approval_settle(struct exchange *x)
{
    const struct serve_options *options = &x->serve->options;
    struct request *request;
    struct grant *grant;
    struct grant_view view;

    if (!x->is_approved || x->used_by[0] == '\0') {
        return;
    }
    grant = lease_core_find_grant(options->core, str_of(x->used_by));
    if (grant != NULL) {
        grant_view(grant, &view);
    }
    request = requests_get(options->requests, str_of(x->approval.id));
    if (request != NULL && (grant == NULL || view.state == GRANT_STATE_ENDED)) {
        request_give_back(request, x->used_by);
    }
    x->is_approved = false;
}

/* --- waiting ---------------------------------------------------------------------------------- */

static void wait_end(struct exchange *x)
{
    x->is_deciding = false;
    request_wait_stop(&x->request_wait);
    env_timer_disarm(x->serve->options.env, &x->wait_timer);
}

static void wait_gone(struct env_request *request, bool delivered)
{
    struct exchange *x = OBJ_CAST(request->user, struct exchange, EXCHANGE_MAGIC);

    (void)delivered;
    wait_end(x);
    exchange_release(x);
}

static void decided(struct exchange *x, int status)
{
    wait_end(x);
    x->request->finished = NULL;
    x->decided(x, status);
}

static void wait_over(struct request_wait *wait, int status)
{
    decided(OBJ_CAST(wait->user, struct exchange, EXCHANGE_MAGIC), status);
}

static void wait_timed_out(struct env_timer *timer)
{
    decided(OBJ_CAST(timer->user, struct exchange, EXCHANGE_MAGIC), ERR_TIMEOUT);
}

void approval_wait(struct exchange *x, struct request *request,
                   void (*decided_fn)(struct exchange *x, int status))
{
    struct env *env = x->serve->options.env;
    struct request_view view;

    request_view(request, &view);
    (void)snprintf(x->id, sizeof(x->id), "%s", view.id);
    x->decided = decided_fn;
    x->request_wait.fn = wait_over;
    x->request_wait.user = x;
    if (!request_wait_start(request, &x->request_wait)) {
        decided_fn(x, 0);
        return;
    }
    x->wait_timer = (struct env_timer){.fn = wait_timed_out, .user = x};
    x->is_deciding = true;
    if (x->decide_until_ms != 0) {
        env_timer_arm(env, &x->wait_timer, x->decide_until_ms);
    }
    exchange_keep(x, wait_gone);
}

/* --- answers ---------------------------------------------------------------------------------- */

void approval_reply(struct exchange *x, uint32_t status, const struct request *request,
                    const char *state)
{
    char location[sizeof(REQUESTS_PATH) + REQUEST_ID_BYTES];
    struct env_reply reply = {.status = status, .content_type = "application/json"};
    struct request_view view;
    struct json_out json;

    request_view(request, &view);
    (void)snprintf(location, sizeof(location), REQUESTS_PATH "%s", view.id);
    if (status == 202) {
        reply.headers[reply.header_count++] =
            (struct env_request_header){.name = STR("Location"), .value = str_of(location)};
    }
    exchange_json(x, &json);
    view_write_request(x, &json, request, state);
    buf_add_char(&x->serve->body, '\n');
    exchange_send(x, &reply);
    exchange_release(x);
}

/* By what the request says: the caller may have waited, and the policy that its decision borrows
 * from may be gone. */
static void fail_pending(struct exchange *x, const struct request_view *view)
{
    char detail[ACCESS_DETAIL_MAX_BYTES + REQUEST_ID_BYTES];

    (void)snprintf(detail, sizeof(detail), "the request %s waits for an approval", view->id);
    exchange_fail(
        x,
        &(struct exchange_problem){
            .status = 403,
            .code = "approval_pending",
            .detail = detail,
            .rule = view->rule,
            .approval = view->id,
            .hint =
                "ask again when it is approved, or wait for it (lease get --wait); lease requests "
                "shows it"});
}

/* Why nothing is given by it any more. */
static void fail_over(struct exchange *x, const struct request_view *view)
{
    char detail[ACCESS_DETAIL_MAX_BYTES];

    (void)snprintf(detail, sizeof(detail), "the request for it is %s%s%s",
                   request_state_str(view->state), view->why[0] != '\0' ? ": " : "", view->why);
    exchange_fail(x, &(struct exchange_problem){.status = 403,
                                                .code = "denied",
                                                .detail = detail,
                                                .rule = view->rule,
                                                .approval = view->id});
}

static void again(struct exchange *x)
{
    const struct lease_role *role = lease_core_role(x->serve->options.core, str_of(x->role));

    x->named = NULL;
    if (role == NULL) {
        serve_role_unknown(x, str_of(x->role));
    } else {
        acquire_start(x, role, x->wants_new_grant);
    }
}

static void request_decided(struct exchange *x, int status)
{
    static const struct err lost = {.code = 0};
    const struct request *request = requests_get(x->serve->options.requests, str_of(x->id));
    struct request_view view;

    if (request == NULL || (status != 0 && status != ERR_TIMEOUT)) {
        approval_fail(x, status != 0 ? status : ERR_GONE, &lost);
        return;
    }
    request_view(request, &view);
    if (view.state == REQUEST_APPROVED || view.state == REQUEST_USED) {
        again(x);
    } else if (view.state != REQUEST_PENDING) {
        fail_over(x, &view);
    } else if (x->wants_new_grant) {
        approval_reply(x, 202, request, "approval_pending");
    } else {
        fail_pending(x, &view);
    }
}

/* --- asking for one --------------------------------------------------------------------------- */

static void glass_log(const struct exchange *x, const struct lease_role *role)
{
    char uid[ACCESS_UID_TEXT_MAX_BYTES];

    log_event(LOG_LEVEL_WARN, "request.break_glass", "role", role->name, "peer",
              access_identity_name(&x->identity, uid), "detail", x->params.reason, "hint",
              "lease requests --review", NULL);
}

bool approval_make(struct exchange *x, const struct lease_role *role, struct request **ret_request)
{
    const struct serve_options *options = &x->serve->options;
    struct request_ask ask;
    const struct request_making making = {
        .ask = &ask,
        .backend = role->issuer->name,
        .decision = &x->decision,
        .policy_digest = access_policy_digest(options->policy),
        .listener = x->listener->name,
        .api = x->form->api,
    };
    uint64_t retry_after_ms = 0;
    struct err e = {.code = 0};
    int r = lease_core_charge(options->core, &x->identity, &retry_after_ms, &e);

    if (r != 0) {
        exchange_fail_status(x, exchange_rate_failures, r, &e, retry_after_ms);
        return false;
    }
    approval_ask(x, role, &ask);
    r = requests_make(options->requests, &making, ret_request, &e);
    if (r != 0) {
        approval_fail(x, r, &e);
        return false;
    }
    if (x->decision.is_break_glass) {
        glass_log(x, role);
    }
    return true;
}

void approval_request(struct exchange *x, const struct lease_role *role, bool is_new_grant)
{
    struct env *env = x->serve->options.env;
    struct request *request = find(x, role);
    struct request_view view = {.state = REQUEST_USED};

    if (request != NULL) {
        request_view(request, &view);
    }
    if (view.state == REQUEST_USED) {
        request = NULL; /* by a grant of another binding */
    }
    (void)snprintf(x->role, sizeof(x->role), "%s", role->name);
    x->wants_new_grant = is_new_grant;
    x->request_wait = (struct request_wait){.is_for_decision = x->params.wait_ms > 0};
    if (x->decide_until_ms == 0 && x->params.wait_ms > 0) {
        x->decide_until_ms = env_now_ms(env) + x->params.wait_ms;
    }
    if (x->api != SERVE_API_NATIVE || x->serve->options.requests == NULL ||
        !(is_new_grant || x->params.wait_ms > 0 || x->decision.is_break_glass)) {
        if (request != NULL) {
            fail_pending(x, &view);
        } else {
            acquire_deny(x, role);
        }
        return;
    }
    if (request != NULL || approval_make(x, role, &request)) {
        approval_wait(x, request, request_decided);
    }
}
