/* Asking for a credential: GET /credentials/{role} and POST /leases.
 *
 * The way of one: role → policy decides → the caller's own grant, if its credential will do (one
 * look-up, answered at once) → else the core finds, shares or issues, and the answer follows when
 * everything is on record. Failures: unknown role, denied (on record, nothing reaches the issuer),
 * over a limit, the issuer can't serve, no durable audit record. The client may go away while it
 * waits: then the grant ends as undelivered. */
#include "serve/exchange.h"

#include "serve/etag.h"

#include <stdio.h>
#include <string.h>

static void fields_write(struct json_out *json, const char *key, const struct lease_field *fields,
                         size_t count)
{
    size_t i;

    json_out_object_open(json, key);
    for (i = 0; i < count; i++) {
        json_out_member(json, fields[i].name, fields[i].value);
    }
    json_out_object_close(json);
}

/* Writes the object that a credential is for its consumer. */
static int credential_write(struct exchange *x, struct json_out *json, const struct grant *grant,
                            const struct lease_view *lease)
{
    struct lease_credential credential;
    struct grant_view view;
    int r = lease_credential_open(x->serve->options.core, grant_lease(grant), &credential);

    if (r != 0) {
        return r;
    }
    grant_view(grant, &view);
    json_out_object_open(json, NULL);
    json_out_string_c(json, "role", lease->role->name);
    json_out_string_c(json, "lease", lease->id);
    json_out_string_c(json, "grant", view.id);
    json_out_u64(json, "version", lease->version);
    json_out_time(json, "issued_at", lease->issued_wall_ms);
    json_out_time(json, "expires_at", lease->expires_wall_ms);
    json_out_time(json, "until", view.until_wall_ms);
    json_out_bool(json, "renewable", lease->is_renewable);
    json_out_bool(json, "revocable", lease->is_revocable);
    fields_write(json, "credential", credential.fields, credential.field_count);
    if (lease->role->env_name_count > 0) {
        fields_write(json, "env", lease->role->env_names, lease->role->env_name_count);
    }
    json_out_object_close(json);
    buf_add_char(json->out, '\n');
    lease_credential_close(&credential);
    return buf_status(json->out);
}

#define ETAG_MAX_BYTES (LEASE_ID_BYTES + STR_U64_MAX_BYTES + 4)

/* The credential's version, in quotes as the header has it. */
static struct str etag_write(const struct lease_view *lease, char text[ETAG_MAX_BYTES])
{
    char *at = text;

    *at++ = '"';
    at = str_put(at, str_of(lease->id));
    *at++ = '.';
    at = str_put_u64(at, lease->version);
    *at++ = '"';
    return (struct str){.ptr = text, .len = (size_t)(at - text)};
}

/* What to answer with beside grant and status. */
struct credential_options {
    const struct answer_key *key; /* the answer may be kept under it; NULL: it may not */
    bool may_be_short; /* 304 where the caller names this version: it was delivered before */
};

/* Sends the answer; the exchange lives on. On failure nothing was sent. */
static int credential_send(struct exchange *x, uint32_t status, const struct grant *grant,
                           const struct credential_options *options)
{
    struct env_reply reply = {.status = status, .content_type = "application/json"};
    const struct answer_key *key = options->key;
    struct lease_view lease;
    struct json_out json;
    char text[ETAG_MAX_BYTES];
    struct str etag;
    int r = 0;

    lease_view(grant_lease(grant), &lease);
    etag = etag_write(&lease, text);
    reply.headers[reply.header_count++] =
        (struct env_request_header){.name = STR("ETag"), .value = etag};
    exchange_json(x, &json);
    if (options->may_be_short &&
        etag_is_named(env_request_header(x->request, "if-none-match"), etag)) {
        reply.status = 304;
    } else {
        r = credential_write(x, &json, grant, &lease);
        if (r == 0 && key != NULL) {
            reply.body = buf_str(&x->serve->body);
            answers_note(&x->serve->answers, key, x->request, &reply);
        }
    }
    if (r == 0) {
        exchange_send(x, &reply);
    }
    return r;
}

/* The same for a credential that its holder has read before. */
static int credential_send_again(struct exchange *x, const struct grant *grant)
{
    struct answer_key key;
    const struct credential_options in_full = {.key = &key};
    const struct credential_options conditional = {.may_be_short = true};
    struct lease_view lease;
    struct grant_view view;

    if (env_request_header(x->request, "if-none-match").ptr != NULL) {
        return credential_send(x, 200, grant, &conditional);
    }
    lease_view(grant_lease(grant), &lease);
    grant_view(grant, &view);
    answer_key_fill(&key, &lease, view.id);
    if (answers_send(&x->serve->answers, &key, x->request)) {
        exchange_count(x, 200);
        return 0;
    }
    return credential_send(x, 200, grant, &in_full);
}

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
     "a grant binds to the caller or its ancestors of the same user"},
    {ERR_UNSUPPORTED, 409, "binding_unavailable",
     "over TCP a grant binds to its connection (binding=connection), or to none where its rule "
     "lists that"},
    {ERR_CANCELED, 503, "degraded", "leased is stopping"},
    {ERR_CLOSED, 503, "degraded", "leased is stopping"},
    {0, 503, "issuer_unavailable", "try again later"},
};

/* For ERR_LIMIT where nothing but time is missing. */
static const struct exchange_failure rate_failures[] = {
    {0, 429, "limit_exceeded", "it fills up again with time: try again later"},
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
    const struct lease_role *role =
        lease_core_role(options->core,
                        x->acquire.ask.is_new_grant ? str_of(x->params.role) : x->path_arg);
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
        table = rate_failures;
    } else if (status == ERR_UNAVAILABLE && is_logged_out(x)) {
        table = login_failures;
    }
    exchange_fail_status(x, table, status, &x->acquire.error, x->acquire.retry_after_ms);
}

/* The answer was written whole, or the client has gone before. */
static void credential_finished(struct env_request *request, bool delivered)
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
    exchange_release(x);
}

/* Answers, and keeps the exchange until the answer was delivered. Always in full: whatever
 * If-None-Match says ("*" says all), the caller can't have read what is handed out for the first
 * time, and what it hasn't read mustn't count as delivered. */
static void credential_deliver(struct exchange *x, uint32_t status, struct grant *grant)
{
    const struct credential_options in_full = {.key = NULL};
    struct grant_view view;

    grant_view(grant, &view);
    (void)snprintf(x->id, sizeof(x->id), "%s", view.id);
    if (credential_send(x, status, grant, &in_full) != 0) {
        x->request->finished = NULL;
        lease_core_delivered(x->serve->options.core, grant, false);
        exchange_fail_nomem(x);
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
        exchange_release(x);
    } else if (status == 0) {
        credential_deliver(x, acquire->ask.is_new_grant ? 201 : 200, grant);
    } else {
        x->request->finished = NULL;
        acquire_fail(x, status);
    }
}

/* What the layers below call "not given" is NULL. */
static const char *text_or_null(const char *text)
{
    return text[0] != '\0' ? text : NULL;
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

static void deny(struct exchange *x, const struct lease_role *role)
{
    const struct {
        uint32_t status;
        const char *code;
        const char *hint;
    } outcomes[] = {
        [ACCESS_ALLOW] = {500, "denied", NULL},
        [ACCESS_DENY] = {403, "denied", "ask an operator for a rule that allows it"},
        [ACCESS_LIMIT_EXCEEDED] = {403, "limit_exceeded", limit_hint(x->decision.limit)},
        [ACCESS_REASON_REQUIRED] = {403, "reason_required", "give one with ?reason= or --reason"},
    };
    const struct access_decision *decision = &x->decision;
    const struct access_identity *identity = &x->identity;
    struct audit_record record = {
        .event = "grant.denied",
        .outcome = "denied",
        .listener = x->listener->name,
        .api = "native",
        .request = x->request_id,
        .has_identity = true,
        .uid = identity->uid,
        .user = identity->user,
        .pid = identity->pid,
        .unit = identity->unit,
        .container = identity->container,
        .san = identity->sans,
        .role = role->name,
        .backend = role->issuer->name,
        .reason = text_or_null(x->params.reason),
        .ticket = text_or_null(x->params.ticket),
        .policy_digest = access_policy_digest(x->serve->options.policy),
        .policy_rule = decision->rule,
        .error = decision->detail,
    };

    denied_note(&x->serve->denied, x->key, &record);
    metrics_count_denial(x->serve, decision->rule);
    exchange_fail(x, &(struct exchange_problem){.status = outcomes[decision->outcome].status,
                                                .code = outcomes[decision->outcome].code,
                                                .detail = decision->detail,
                                                .rule = decision->rule,
                                                .limit = decision->limit,
                                                .hint = outcomes[decision->outcome].hint});
}

void serve_access_request(const struct exchange *x, const struct lease_role *role,
                          uint32_t live_count, struct access_request *ret_request)
{
    *ret_request = (struct access_request){
        .role = role->name,
        .role_binding = role->binding,
        .role_max_ttl_ms = role->max_ttl_ms,
        .duration_ms = x->params.duration_ms,
        .binding_count = x->params.binding_count,
        .reason = text_or_null(x->params.reason),
        .live_count = live_count,
    };
    memcpy(ret_request->bindings, x->params.bindings, sizeof(ret_request->bindings));
}

static void decide(struct exchange *x, const struct lease_role *role, uint32_t live_count)
{
    struct access_request request;

    serve_access_request(x, role, live_count, &request);
    access_policy_decide(x->serve->options.policy, &x->identity, &request, &x->decision);
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
        .is_new_grant = is_new_grant,
    };
}

static void acquire_prepare(struct exchange *x, const struct lease_ask *ask)
{
    x->acquire = (struct lease_acquire){
        .ask = *ask,
        .policy_digest = access_policy_digest(x->serve->options.policy),
        .request_id = x->request_id,
        .reason = text_or_null(x->params.reason),
        .ticket = text_or_null(x->params.ticket),
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

static void acquire(struct exchange *x, const struct lease_role *role, bool is_new_grant)
{
    struct lease_core *core = x->serve->options.core;
    const struct lease_ask ask = ask_of(x, role, is_new_grant);
    struct grant *grant;
    uint32_t live_count;
    int r;

    decide(x, role, 0);
    if (x->decision.outcome != ACCESS_ALLOW) {
        deny(x, role);
        return;
    }
    grant = lease_core_cached(core, &ask);
    if (grant != NULL) {
        if (credential_send_again(x, grant) != 0) {
            exchange_fail_nomem(x);
        } else {
            exchange_release(x);
        }
        return;
    }
    live_count = lease_core_live_count(core, &ask);
    if (live_count > 0) {
        decide(x, role, live_count);
        if (x->decision.outcome != ACCESS_ALLOW) {
            deny(x, role);
            return;
        }
    }
    acquire_prepare(x, &ask);
    policy_keep(x);
    r = lease_acquire_start(core, &x->acquire);
    if (r != 0) {
        acquire_fail(x, r);
        return;
    }
    x->is_acquiring = true;
    exchange_keep(x, credential_finished);
}

/* A path is taken as it is sent, since no role has a name that needs encoding; whoever encodes one
 * all the same is told. */
void serve_role_unknown(struct exchange *x, struct str name)
{
    bool is_encoded = memchr(name.ptr, '%', name.len) != NULL;
    char detail[PARAMS_ROLE_MAX_BYTES + 64];

    (void)snprintf(detail, sizeof(detail), "there is no role \"%.*s\"",
                   (int)(name.len < PARAMS_ROLE_MAX_BYTES ? name.len : PARAMS_ROLE_MAX_BYTES),
                   name.ptr);
    exchange_fail(
        x, &(struct exchange_problem){.status = 404,
                                      .code = "unknown_role",
                                      .detail = detail,
                                      .hint = is_encoded ? "names of roles aren't percent-encoded"
                                                         : "roles stand in the configuration of "
                                                           "leased"});
}

const struct lease_role *serve_role_of_body(struct exchange *x)
{
    struct str name = str_of(x->params.role);
    const struct lease_role *role = NULL;

    if (name.len == 0) {
        exchange_fail(x, &(struct exchange_problem){
                             .status = 400, .code = "invalid", .detail = "the body names no role"});
        return NULL;
    }
    role = lease_core_role(x->serve->options.core, name);
    if (role == NULL) {
        serve_role_unknown(x, name);
    }
    return role;
}

void serve_credentials_get(struct exchange *x)
{
    const struct lease_role *role = lease_core_role(x->serve->options.core, x->path_arg);

    if (role == NULL) {
        serve_role_unknown(x, x->path_arg);
    } else {
        acquire(x, role, false);
    }
}

void serve_leases_create(struct exchange *x)
{
    const struct lease_role *role = serve_role_of_body(x);

    if (role != NULL) {
        acquire(x, role, true);
    }
}
