/* Asking for a credential, whatever API it is asked for by.
 *
 * The way of one: policy decides → the caller's own grant, if its credential will do (one look-up,
 * answered at once) → else the core finds, shares or issues, and the answer follows when everything
 * is on record. A grant token of the role's own grant stands for that grant: what was decided for
 * it holds, and a changed policy ends it. Failures: denied (on record, nothing reaches the issuer),
 * over a limit, the issuer can't serve, no durable audit record. The client may go away while it
 * waits: then the grant ends as undelivered. */
#include "serve/acquire.h"

#include "lease/token.h"
#include "serve/approval.h"
#include "serve/decide.h"

#include <stdio.h>
#include <string.h>

static const struct exchange_failure acquire_failures[] = {
    {ERR_DENIED, 502, "issuer_unavailable",
     "the issuer refuses leased itself: its policy there must allow the role's path"},
    {ERR_POLICY, 403, "denied", "ask an operator for a rule that allows it"},
    {ERR_INVALID, 500, "invalid", "the role's configuration must be mended"},
    {ERR_LIMIT, 429, "limit_exceeded",
     "try again later, or end what isn't needed any more (lease ls, lease revoke)"},
    {ERR_BUSY, 503, "busy", "many wait for the same credential"},
    {ERR_NOMEM, 503, "busy", NULL},
    {ERR_IO, 503, "degraded",
     "no record, no credential: the ledger, or a required audit sink, fails"},
    {ERR_GONE, 409, "binding_unavailable", "what the grant was to be bound to has ended"},
    {ERR_NOT_FOUND, 409, "binding_unavailable",
     "a grant binds to the caller, its ancestors of the same user, its session or its cgroup"},
    {ERR_UNSUPPORTED, 409, "binding_unavailable",
     "another binding may do: over TCP a grant binds to its connection (binding=connection), to none "
     "where its rule lists that, or, with a grant token of lease exec, to what that grant is bound to"},
    {ERR_CANCELED, 503, "degraded", "leased is stopping"},
    {ERR_CLOSED, 503, "degraded", "leased is stopping"},
    {0, 503, "issuer_unavailable", "try again later"},
};

/* For ERR_UNAVAILABLE while the backend has no login. */
static const struct exchange_failure login_failures[] = {
    {0, 503, "issuer_unavailable", "try again later; leased keeps trying to log in"},
};

/* Has the backend of the role that was asked for no login? The role is looked up again, because it
 * may have gone while the caller waited. */
static bool is_logged_out(const struct exchange *x)
{
    const struct serve_options *options = &x->serve->options;
    const struct lease_role *role = lease_core_role(options->core, str_of(x->role));
    struct backend_status status;
    size_t i;

    for (i = 0; role != NULL && i < options->backend_count; i++) {
        backend_status(options->backends[i], &status);
        if (strcmp(status.name, role->issuer->name) == 0) {
            return status.login_expires_ms == 0;
        }
    }
    return false;
}

static void acquire_fail(struct exchange *x, int status)
{
    const struct exchange_failure *table = acquire_failures;

    if (status == ERR_LIMIT && x->acquire.retry_after_ms > 0) {
        table = exchange_rate_failures;
    } else if (status == ERR_UNAVAILABLE && is_logged_out(x)) {
        table = login_failures;
    }
    exchange_fail_status(x, table, status, &x->acquire.error, x->acquire.retry_after_ms);
}

/* The answer was written whole, or the client has gone before. */
static void acquire_answered(struct env_request *request, bool delivered)
{
    struct exchange *x = OBJ_CAST(request->user, struct exchange, EXCHANGE_MAGIC);
    struct lease_core *core = x->serve->options.core;
    struct grant *grant;

    x->request = NULL;
    if (x->is_acquiring) {
        lease_acquire_cancel(core, &x->acquire);
        return; /* acquire_done gives the exchange back */
    }
    grant = lease_core_find_grant(core, str_of(x->id));
    if (grant != NULL) {
        lease_core_delivered(core, grant, delivered);
    }
    if (!delivered) {
        approval_settle(x);
    }
    exchange_release(x);
}

static void send_fail(struct exchange *x, int status)
{
    if (status != ERR_UNSUPPORTED) {
        exchange_fail_nomem(x);
        return;
    }
    exchange_fail(x, &(struct exchange_problem){
                         .status = 422,
                         .code = "invalid",
                         .detail = "the role's credential isn't one that this API gives",
                         .hint = "ask for it by the native API (lease get), or for another role"});
}

/* Answers, and keeps the exchange until the answer was delivered. Always in full: whatever
 * If-None-Match says ("*" says all), the caller can't have read what is handed out for the first
 * time, and what it hasn't read mustn't count as delivered. */
static void deliver(struct exchange *x, uint32_t status, struct grant *grant)
{
    struct grant_view view;
    int r;

    grant_view(grant, &view);
    (void)snprintf(x->id, sizeof(x->id), "%s", view.id);
    r = x->form->send(x, status, grant);
    if (r != 0) {
        x->request->finished = NULL;
        lease_core_delivered(x->serve->options.core, grant, false);
        approval_settle(x);
        send_fail(x, r);
    }
}

static void acquire_done(struct lease_acquire *acquire, int status, struct grant *grant)
{
    struct exchange *x = OBJ_CAST(acquire->user, struct exchange, EXCHANGE_MAGIC);

    x->is_acquiring = false;
    if (x->request == NULL) {
        if (status == 0) {
            lease_core_delivered(x->serve->options.core, grant, false);
        }
        approval_settle(x);
        exchange_release(x);
    } else if (status == 0) {
        deliver(x, acquire->ask.is_new_grant || x->is_repeated ? 201 : 200, grant);
    } else {
        x->request->finished = NULL;
        approval_settle(x);
        acquire_fail(x, status);
    }
}

/* NULL: the limit says it all. */
static const char *limit_hint(const char *limit)
{
    static const struct {
        const char *limit;
        const char *hint;
    } hints[] = {
        {"duration", "ask for less, with ?duration= or --for"},
        {"live", "end grants that aren't needed any more (lease ls --grants, lease revoke)"},
        {"binding", "ask for the role's own binding, or an operator to list this one in the rule"},
    };
    size_t i;

    for (i = 0; limit != NULL && i < ARRAY_LEN(hints); i++) {
        if (strcmp(limit, hints[i].limit) == 0) {
            return hints[i].hint;
        }
    }
    return NULL;
}

static void denied_record(const struct exchange *x, const char *why,
                          struct audit_record *ret_record)
{
    struct grant_view named = {.id = NULL};

    if (x->named != NULL) {
        grant_view(x->named, &named);
    }
    exchange_record(x, "grant.denied", "denied", ret_record);
    ret_record->grant = named.id;
    ret_record->reason = str_or_null(x->params.reason);
    ret_record->ticket = str_or_null(x->params.ticket);
    ret_record->error = why;
}

/* Until the window opens or the block ends; 0: waiting helps nobody. */
static uint64_t denial_ms(const struct exchange *x)
{
    const struct access_decision *decision = &x->decision;
    int64_t until_ms = decision->outcome == ACCESS_BLOCKED ? decision->block_until_wall_ms
                                                           : decision->opens_wall_ms;
    int64_t now_ms = env_wall_ms(x->serve->options.env);

    return until_ms > now_ms ? (uint64_t)(until_ms - now_ms) : 0;
}

void acquire_deny(struct exchange *x, const struct lease_role *role)
{
    const struct access_decision *decision = &x->decision;
    const struct {
        uint32_t status;
        const char *code;
        const char *hint;
    } outcomes[] = {
        [ACCESS_ALLOW] = {500, "denied", NULL},
        [ACCESS_DENY] = {403, "denied",
                         decision->opens_wall_ms != 0
                             ? "come back when it opens, or ask an operator for another rule"
                             : "ask an operator for a rule that allows it"},
        [ACCESS_LIMIT_EXCEEDED] = {403, "limit_exceeded", limit_hint(x->decision.limit)},
        [ACCESS_REASON_REQUIRED] = {403, "reason_required",
                                    decision->limit != NULL ? "give one with ?ticket= or --ticket"
                                                            : "give one with ?reason= or --reason"},
        [ACCESS_APPROVAL_REQUIRED] = {403, "approval_pending",
                                      "ask for an approval: lease request, or POST /leases"},
        [ACCESS_BLOCKED] = {403, "blocked", EXCHANGE_BLOCKED_HINT},
    };
    const char *hint = outcomes[decision->outcome].hint;
    struct approval_hint own;
    struct audit_record record;

    denied_record(x, decision->block[0] != '\0' ? decision->block : decision->detail, &record);
    record.role = role->name;
    record.backend = role->issuer->name;
    record.policy_rule = decision->rule;
    denied_note(&x->serve->denied, x->key, &record);
    metrics_count_denial(x->serve, decision->rule);
    approval_hint_init(&own);
    approval_hint_write(x, role, decision, &own);
    exchange_fail(x, &(struct exchange_problem){.status = outcomes[decision->outcome].status,
                                                .code = outcomes[decision->outcome].code,
                                                .detail = decision->detail,
                                                .rule = decision->rule,
                                                .limit = decision->limit,
                                                .hint = own.text.len > 0 ? own.text.bytes : hint,
                                                .approval = own.request,
                                                .until_wall_ms = decision->block_until_wall_ms,
                                                .retry_after_ms = denial_ms(x)});
    approval_hint_fini(&own);
}

static void role_decide(struct exchange *x, const struct lease_role *role, uint32_t live_count)
{
    approval_decide(x, role, live_count);
    if (x->form->is_file) {
        x->decision.bindings[0] = (struct access_binding_spec){.kind = ACCESS_BINDING_FILE};
        x->decision.binding_count = 1;
    }
}

static struct lease_ask ask_of(const struct exchange *x, const struct lease_role *role,
                               bool is_new_grant)
{
    return (struct lease_ask){
        .role = role,
        .identity = &x->identity,
        .decision = &x->decision,
        .request = x->request,
        .min_remaining_ms = x->params.min_remaining_ms,
        .named = x->named,
        .is_new_grant = is_new_grant,
    };
}

static void acquire_prepare(struct exchange *x, const struct lease_ask *ask)
{
    x->acquire = (struct lease_acquire){
        .ask = *ask,
        .policy_digest = access_policy_digest(x->serve->options.policy),
        .request_id = x->request_id,
        .api = x->form->api,
        .reason = str_or_null(x->params.reason),
        .ticket = str_or_null(x->params.ticket),
        .approval = approval_of(x),
        .fn = acquire_done,
        .user = x,
    };
}

/* The policy may be gone before the issuer has answered. */
static void policy_keep(struct exchange *x)
{
    (void)snprintf(x->rule, sizeof(x->rule), "%s", x->decision.rule);
    (void)snprintf(x->policy_digest, sizeof(x->policy_digest), "%s", x->acquire.policy_digest);
    x->decision.rule = x->rule;
    x->acquire.policy_digest = x->policy_digest;
}

/* True: the caller may have it. Else it has been answered. */
static bool may_have(struct exchange *x, const struct lease_role *role, uint32_t live_count,
                     bool is_new_grant)
{
    role_decide(x, role, live_count);
    decide_remember(x, role);
    decide_observe(x, role, live_count, &x->decision);
    if (approval_is_missing(x)) {
        approval_request(x, role, is_new_grant);
        return false;
    }
    if (x->decision.outcome != ACCESS_ALLOW) {
        acquire_deny(x, role);
        return false;
    }
    return true;
}

/* Is it the grant that the caller's token names that is asked for? Then what was decided for it is
 * what is decided, unless the caller is blocked. */
static bool is_decided(struct exchange *x, const struct lease_role *role, bool is_new_grant)
{
    struct grant_view named;

    if (x->named == NULL || is_new_grant) {
        return false;
    }
    grant_view(x->named, &named);
    if (named.role != role || decide_is_blocked(x, role)) {
        return false;
    }
    x->decision = (struct access_decision){.outcome = ACCESS_ALLOW, .rule = named.rule};
    return true;
}

static void send_again(struct exchange *x, const struct grant *grant)
{
    int r = x->form->send_again(x, grant);

    if (r != 0) {
        send_fail(x, r);
    } else {
        exchange_release(x);
    }
}

void acquire_start(struct exchange *x, const struct lease_role *role, bool is_new_grant)
{
    struct lease_core *core = x->serve->options.core;
    bool is_own = is_decided(x, role, is_new_grant);
    struct lease_ask ask;
    const struct grant *grant;
    uint32_t live_count;
    int r;

    if (!is_own && !may_have(x, role, 0, is_new_grant)) {
        return;
    }
    ask = ask_of(x, role, is_new_grant && !approval_is_used(x));
    grant = lease_core_cached(core, &ask);
    if (grant != NULL) {
        send_again(x, grant);
        return;
    }
    live_count = is_own ? 0 : lease_core_live_count(core, &ask);
    if (live_count > 0 && !may_have(x, role, live_count, is_new_grant)) {
        return;
    }
    (void)snprintf(x->role, sizeof(x->role), "%s", role->name);
    acquire_prepare(x, &ask);
    policy_keep(x);
    r = lease_acquire_start(core, &x->acquire);
    if (r != 0) {
        acquire_fail(x, r);
        return;
    }
    x->is_acquiring = true;
    exchange_keep(x, acquire_answered);
}

void acquire_note_refusal(struct exchange *x, const char *why)
{
    struct audit_record record;

    denied_record(x, why, &record);
    denied_note(&x->serve->denied, x->key, &record);
}

void acquire_refuse(struct exchange *x, const char *why, const char *hint)
{
    acquire_note_refusal(x, why);
    metrics_count_denial(x->serve, NULL);
    exchange_fail(x, &(struct exchange_problem){
                         .status = 403, .code = "denied", .detail = why, .hint = hint});
}

bool acquire_name_grant(struct exchange *x, struct str token)
{
    struct err e = {.code = 0};
    int r = lease_token_find(x->serve->options.core, token, &x->identity, &x->named, &e);

    if (r == 0) {
        return true;
    }
    if (r == ERR_NOMEM) {
        exchange_fail_nomem(x);
        return false;
    }
    acquire_refuse(x, e.text,
                   "a grant token is good for the user that its grant is of, and as long as that "
                   "lives: start the program anew with lease exec");
    return false;
}
