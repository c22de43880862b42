/* The exchanges of the login, one at a time, and those that look after a token.
 *
 * Happy path: renew the token, look it up when an operation was answered with 403, revoke it at the
 * end. Logging in is in login.c and unwrap.c.
 *
 * Failure paths: a renewal that fails is tried again until the token ends; one that is refused
 * makes the token a bounded one. A look-up that is refused as well means that the token is dead,
 * if it is Vault that refuses.
 * Nobody waits for a token's revocation: it ends by itself in the end. */
#include "own.h"

#include "login.h"
#include "op.h"
#include "reply.h"
#include "token.h"
#include "unwrap.h"

static void answered(void *user, const struct leased_http_reply *http);

bool vault_own_send(struct leased_instance *vault, enum vault_own own,
                    struct vault_request *request, const char *token)
{
    bool is_movable = vault_request_is_movable(vault, request);

    vault->own_http = vault_request_send(vault, request, token, answered, vault);
    vault_request_fini(vault->host, request);
    if (vault->own_http == NULL) {
        return false;
    }
    vault->own = own;
    vault->is_own_movable = is_movable;
    vault->own_sent_ms = vault->host->now_ms(vault->context);
    return true;
}

/* --- renewal ---------------------------------------------------------------------------------- */

static void renew_later(struct leased_instance *vault, const char *detail)
{
    vault->renew_at_ms =
        vault->host->now_ms(vault->context) + vault_backoff_ms(vault, vault->renew_failures);
    vault->renew_failures++;
    vault->host->metric_add(vault->context, PLUGIN_STR("token_renewal_failures"), 1);
    vault_log(vault, LEASED_LOG_WARN, "vault.token.renew.failed", detail);
}

void vault_own_renew(struct leased_instance *vault)
{
    struct vault_request request;
    json_t *body = json_pack("{s:I}", "increment", (json_int_t)vault->token.life_s);

    vault->renew_at_ms = VAULT_NEVER;
    if (body == NULL ||
        vault_request_init(vault->host, "auth/token/renew-self", body, &request) != 0 ||
        !vault_own_send(vault, VAULT_OWN_RENEW, &request, vault->token.bytes)) {
        renew_later(vault, "the request could not be started");
    }
}

static void renew_failed(struct leased_instance *vault, const struct leased_http_reply *http)
{
    struct vault_failure failure;

    vault_status_classify(VAULT_CALL_RENEW, http, &failure);
    if (failure.status == VAULT_STATUS_CHECK_TOKEN) {
        /* Dead, or not allowed to renew itself. */
        vault->is_renew_denied = true;
        vault->is_verify_wanted = true;
        renew_later(vault, failure.detail.bytes);
    } else if (failure.status == LEASED_INVALID || failure.status == LEASED_DENIED ||
               failure.status == LEASED_GONE) {
        vault_token_not_renewable(vault);
    } else {
        renew_later(vault, failure.detail.bytes);
    }
}

static void renew_answered(struct leased_instance *vault, const struct leased_http_reply *http)
{
    struct vault_reply reply = {0};
    struct plugin_text detail = {{0}};
    int64_t ttl_s = 0;

    if (vault->token.bytes == NULL) {
        return; /* it expired meanwhile */
    }
    if (!vault_status_is_success(http)) {
        renew_failed(vault, http);
        return;
    }
    if (vault_reply_parse(http, &reply, &detail) != 0) {
        renew_later(vault, detail.bytes);
        return;
    }
    if (vault_reply_seconds(reply.auth, "lease_duration", &ttl_s) <= 0) {
        renew_later(vault, "the renewal gives no lease_duration");
    } else if (ttl_s > 0 && ttl_s <= vault_header_age_s(http)) {
        renew_later(vault, "the renewal's answer is an old one");
    } else {
        ttl_s = vault_aged_s(ttl_s, vault_header_age_s(http));
        vault_token_renewed(vault, ttl_s, json_is_true(json_object_get(reply.auth, "renewable")),
                            vault_reply_is_capped(&reply));
    }
    vault_reply_fini(&reply);
}

/* --- is it alive? ----------------------------------------------------------------------------- */

void vault_own_verify(struct leased_instance *vault)
{
    struct vault_request request;

    vault->is_verify_wanted = false;
    if (vault->token.bytes == NULL) {
        vault_ops_verified(vault, VAULT_TOKEN_DEAD);
        return;
    }
    if (vault_request_init(vault->host, "auth/token/lookup-self", NULL, &request) != 0 ||
        !vault_own_send(vault, VAULT_OWN_VERIFY, &request, vault->token.bytes)) {
        vault_ops_verified(vault, VAULT_TOKEN_UNKNOWN);
    }
}

/* Has Vault itself answered as it does to a token that lives? */
static bool is_sign_of_life(const struct leased_http_reply *http)
{
    struct vault_reply reply = {0};
    struct plugin_text unused = {{0}};
    bool is_alive;

    if (!vault_status_is_success(http)) {
        return http->transport == LEASED_HTTP_OK && http->status == 403 &&
               vault_status_is_own(http);
    }
    is_alive = vault_reply_parse(http, &reply, &unused) == 0 && reply.data != NULL;
    vault_reply_fini(&reply);
    return is_alive;
}

/* What is known of a token from an earlier run is as old as that; its look-up is fresh. */
static void prove_kept(struct leased_instance *vault, const struct leased_http_reply *http)
{
    struct vault_reply reply = {0};
    struct plugin_text unused = {{0}};
    struct vault_token_facts facts = {0};
    int64_t life_s = vault->token.life_s;

    if (vault_status_is_success(http) && vault_reply_parse(http, &reply, &unused) == 0 &&
        vault_login_read_lookup(reply.data, &facts) == NULL) {
        facts.life_s = life_s > facts.life_s ? life_s : facts.life_s;
        (void)vault_token_install(vault, plugin_str(vault->token.bytes), &facts);
    }
    vault->is_kept_unproved = false;
    vault_reply_fini(&reply);
}

static void verify_answered(struct leased_instance *vault, const struct leased_http_reply *http)
{
    bool was_denied = vault->is_renew_denied;

    vault->is_renew_denied = false;
    if (vault->token.bytes == NULL || vault_status_is_dead_token(http)) {
        if (vault->token.bytes != NULL) {
            vault_token_lost(vault, "the token that it hangs on was revoked");
        }
        vault_ops_verified(vault, VAULT_TOKEN_DEAD);
    } else if (is_sign_of_life(http)) {
        vault->verified_ms = vault->host->now_ms(vault->context);
        if (vault->is_kept_unproved) {
            prove_kept(vault, http);
        }
        if (was_denied) {
            vault_token_not_renewable(vault);
        }
        vault_ops_verified(vault, VAULT_TOKEN_ALIVE);
    } else {
        vault_ops_verified(vault, VAULT_TOKEN_UNKNOWN);
    }
}

/* --- all of them ------------------------------------------------------------------------------ */

bool vault_own_logout(struct leased_instance *vault, const char *token)
{
    struct vault_request request;
    json_t *body = json_object();

    if (body == NULL ||
        vault_request_init(vault->host, "auth/token/revoke-self", body, &request) != 0) {
        return false;
    }
    request.timeout_ms = VAULT_LOGOUT_TIMEOUT_MS;
    return vault_own_send(vault, VAULT_OWN_LOGOUT, &request, token);
}

static void dispatch(struct leased_instance *vault, enum vault_own own,
                     const struct leased_http_reply *http)
{
    switch (own) {
    case VAULT_OWN_WRAP_LOOKUP:
        vault_unwrap_looked_up(vault, http);
        break;
    case VAULT_OWN_UNWRAP:
        vault_unwrap_answered(vault, http);
        break;
    case VAULT_OWN_LOGIN:
        vault_login_answered(vault, http);
        break;
    case VAULT_OWN_RENEW:
        renew_answered(vault, http);
        break;
    case VAULT_OWN_VERIFY:
        verify_answered(vault, http);
        break;
    case VAULT_OWN_LOGOUT:
    case VAULT_OWN_NONE:
    default:
        break;
    }
}

/* A login or an unwrapping met a standby whose active node isn't configured: again at once, and
 * the standby may forward it. */
static void send_again(struct leased_instance *vault, enum vault_own own)
{
    vault->needs_forwarding = true;
    if (own == VAULT_OWN_UNWRAP) {
        vault->unwrap_at_ms = vault->host->now_ms(vault->context);
    } else {
        vault->login_at_ms = vault->host->now_ms(vault->context);
    }
}

static void answered(void *user, const struct leased_http_reply *http)
{
    struct leased_instance *vault = user;
    enum vault_own own = vault->own;

    vault->own = VAULT_OWN_NONE;
    vault->own_http = NULL;
    if (vault->is_closing) {
        if (own == VAULT_OWN_LOGOUT && http->transport != LEASED_HTTP_OK) {
            vault->close_flags &=
                ~(uint32_t)LEASED_CLOSE_LOGOUT; /* the others would wait as long */
        }
        if (own == VAULT_OWN_LOGIN) {
            vault_login_dropped(vault, http);
        }
        if (vault->timer != NULL) {
            vault->host->timer_stop(vault->context, vault->timer);
            vault->timer = NULL;
        }
        vault_close_step(vault); /* vault may be gone */
        return;
    }
    if (vault->is_own_movable && vault_status_is_redirect(http)) {
        send_again(vault, own);
    } else {
        dispatch(vault, own, http);
    }
    vault_token_step(vault);
}
