/* Logins, and a token's own affairs: answered for the caller, without the issuer. The token stands
 * for nothing, so nothing that is done with it can go wrong; but whoever revokes it is done with
 * what he has. */
#include "serve/vault.h"

#include "serve/job_token.h"

/* What a client shows as its token: the job token, as long as that is good, else the word that
 * means nothing. `token`: of the caller's; ptr NULL: none. */
static struct vault_auth auth_of(const struct exchange *x, struct str token)
{
    int64_t now_s = env_wall_ms(x->serve->options.env) / 1000;
    double end_s;

    if (token.ptr == NULL || x->claims == NULL) {
        return (struct vault_auth){STR(VAULT_TOKEN), VAULT_TOKEN_TTL_S, true};
    }
    end_s = json_number_value(json_object_get(x->claims->all, "exp"));
    /* It may have ended within its issuer's leeway. */
    return (struct vault_auth){
        .token = token,
        .ttl_s = end_s > (double)now_s + 1 ? (uint64_t)(end_s - (double)now_s) : 1,
    };
}

static void reply_auth(struct exchange *x, struct str token)
{
    static const struct vault_head none = {.lease_id = NULL};
    const struct vault_auth auth = auth_of(x, token);
    struct json_out json;

    exchange_json(x, &json);
    serve_vault_reply_open(x, &json, &none);
    serve_vault_reply_close_auth(&json, &auth);
    exchange_reply(x, 200);
}

/* {"role": …, "jwt": …}: a job token is checked here already, and is what the client is to send
 * from now on. Where nobody may vouch for callers it says as little as a password does. */
void serve_vault_login(struct vault_request *v)
{
    struct exchange *x = v->x;
    json_t *body = serve_vault_body(x);
    const json_t *jwt = json_object_get(body, "jwt");
    struct str token = {.ptr = NULL};

    if (body == NULL) {
        return; /* answered */
    }
    if (json_is_string(jwt) && access_issuers_count(x->serve->issuers) > 0) {
        token = (struct str){json_string_value(jwt), json_string_length(jwt)};
    }
    if (token.ptr == NULL || job_token_check(x, token)) {
        reply_auth(x, token);
    }
    json_decref(body);
}

void serve_vault_token_renew(struct vault_request *v)
{
    reply_auth(v->x, job_token_of(v->x));
}

static void meta_write(struct json_out *json, const struct access_identity *identity)
{
    char uid[ACCESS_UID_TEXT_MAX_BYTES];

    json_out_object_open(json, "meta");
    json_out_string_c(json, "caller", access_identity_name(identity, uid));
    if (identity->claims != NULL) {
        json_out_string_c(json, "issuer", identity->claims->issuer);
        json_out_string_c(json, "sub", identity->claims->sub);
        json_out_string_c(json, "session", identity->claims->session);
        json_out_string_c(json, "person", identity->claims->person);
    }
    json_out_object_close(json);
}

void serve_vault_token_lookup(struct vault_request *v)
{
    static const struct vault_head none = {.lease_id = NULL};
    struct exchange *x = v->x;
    int64_t now_ms = env_wall_ms(x->serve->options.env);
    const struct vault_auth auth = auth_of(x, job_token_of(x));
    int64_t end_ms = now_ms + (int64_t)auth.ttl_s * 1000;
    struct json_out json;

    exchange_json(x, &json);
    serve_vault_reply_open(x, &json, &none);
    json_out_object_open(&json, "data");
    json_out_string_c(&json, "accessor", "");
    json_out_i64(&json, "creation_time", now_ms / 1000);
    json_out_u64(&json, "creation_ttl", auth.ttl_s);
    json_out_string_c(&json, "display_name", "leased");
    json_out_string_c(&json, "entity_id", "");
    json_out_time(&json, "expire_time", end_ms);
    json_out_u64(&json, "explicit_max_ttl", 0);
    json_out_string(&json, "id", auth.token);
    json_out_time(&json, "issue_time", now_ms);
    meta_write(&json, &x->identity);
    json_out_u64(&json, "num_uses", 0);
    json_out_bool(&json, "orphan", true);
    json_out_string_c(&json, "path", "auth/leased/login");
    json_out_array_open(&json, "policies");
    json_out_string_c(&json, NULL, "leased");
    json_out_array_close(&json);
    json_out_bool(&json, "renewable", auth.is_renewable);
    json_out_u64(&json, "ttl", auth.ttl_s);
    json_out_string_c(&json, "type", "service");
    json_out_object_close(&json);
    serve_vault_reply_close(&json, NULL);
    exchange_reply(x, 200);
}

/* Is it a grant of the very process that asks, or the one that its token names? Others of the same
 * user go on. */
static bool is_of_caller(const struct exchange *x, const struct grant *grant)
{
    struct grant_view view;

    grant_view(grant, &view);
    return view.state == GRANT_STATE_HELD &&
           (grant == x->named || (x->identity.pid > 0 && view.pid == x->identity.pid));
}

/* With its token Vault takes the leases of a client. Those that hang on the connection of a caller
 * without a process end with that. */
void serve_vault_token_revoke(struct vault_request *v)
{
    struct exchange *x = v->x;
    struct lease_core *core = x->serve->options.core;
    struct grant *grant = lease_core_next_own_grant(core, &x->identity, NULL);
    struct grant *next;

    for (; grant != NULL; grant = next) {
        next = lease_core_next_own_grant(core, &x->identity, grant);
        if (is_of_caller(x, grant)) {
            lease_end_grant(core, grant, GRANT_END_RELEASED, NULL);
        }
    }
    serve_vault_reply_empty(x, 204);
}
