/* Happy path: log in (AppRole: POST login; a configured token: look it up), renew the token, look
 * it up when an operation was answered with 403.
 *
 * Failure paths: a login that fails is tried again with full jitter, 1 s to 60 s, and ends what
 * waited for it; credentials are read anew each time. A renewal that fails is tried again until the
 * token ends; one that is refused makes the token a bounded one. A look-up that is refused as well
 * means that the token is dead. */
#include "own.h"

#include "op.h"
#include "reply.h"
#include "token.h"

#include <string.h>

static void answered(void *user, const struct leased_http_reply *http);

/* Sends one exchange of the login; takes `request`. */
static bool send_own(struct leased_instance *vault, enum vault_own own,
                     struct vault_request *request, const char *token)
{
    vault->own_http = vault_request_send(vault, request, token, answered, vault);
    vault_request_fini(vault->host, request);
    if (vault->own_http == NULL) {
        return false;
    }
    vault->own = own;
    vault->own_sent_ms = vault->host->now_ms(vault->context);
    return true;
}

/* --- login ------------------------------------------------------------------------------------ */

static void login_failed(struct leased_instance *vault, const struct vault_failure *failure)
{
    uint64_t delay_ms = vault_backoff_ms(vault, vault->login_failures);

    vault->host->secret_free(vault->candidate);
    vault->candidate = NULL;
    vault->login_failures++;
    vault->login_failure = *failure;
    /* Whatever it is, it is ours to repair: to those who wait it is a passing fault. */
    if (failure->status != LEASED_SEALED) {
        vault->login_failure.status = LEASED_RETRY;
    }
    vault_text_set(&vault->login_failure.detail, "could not log in: %.360s", failure->detail.bytes);
    if (failure->retry_after_ms > delay_ms) {
        delay_ms = failure->retry_after_ms;
    }
    vault->login_at_ms = vault->host->now_ms(vault->context) + delay_ms;
    vault->host->metric_add(vault->context, VAULT_STR("login_failures"), 1);
    vault_log(vault, LEASED_LOG_WARN, "vault.login.failed", vault->login_failure.detail.bytes);
    vault_ops_login_ended(vault);
}

static void login_failed_text(struct leased_instance *vault, const char *text)
{
    struct vault_failure failure = {.status = LEASED_RETRY};

    vault_text_set(&failure.detail, "%s", text);
    login_failed(vault, &failure);
}

static bool is_token(const char *text, size_t len)
{
    if (len == 0 || len > VAULT_TOKEN_MAX_BYTES) {
        return false;
    }
    for (size_t i = 0; i < len; i++) {
        if (text[i] <= 0x20 || text[i] >= 0x7f) {
            return false;
        }
    }
    return true;
}

/* The secret behind a source as a text (secret_free), or NULL with the reason. */
static char *read_source(struct leased_instance *vault, const struct vault_source *source,
                         struct vault_text *detail)
{
    struct leased_str why = {0};
    char *bytes = NULL;
    char *text;
    int64_t len = vault->host->secret_read(vault->context, vault_str(source->text), &bytes, &why);

    if (len < 0) {
        vault_text_set(detail, "%.*s", (int)why.len, why.ptr != NULL ? why.ptr : "");
        return NULL;
    }
    text = vault_strdup(vault->host, (struct leased_str){bytes, (size_t)len});
    vault->host->secret_free(bytes);
    if (text == NULL) {
        vault_text_set(detail, "out of memory");
    }
    return text;
}

static bool start_token_login(struct leased_instance *vault, struct vault_text *detail)
{
    struct vault_request request;

    vault->candidate = read_source(vault, &vault->config.token_source, detail);
    if (vault->candidate == NULL) {
        return false;
    }
    if (!is_token(vault->candidate, strlen(vault->candidate))) {
        vault_text_set(detail, "what %.200s holds is not a token", vault->config.token_source.text);
        return false;
    }
    vault_text_set(detail, "the request could not be started");
    return vault_request_init(vault->host, "auth/token/lookup-self", NULL, &request) == 0 &&
           send_own(vault, VAULT_OWN_LOGIN, &request, vault->candidate);
}

/* Takes the texts into a JSON object; NULL when out of memory or when a text isn't UTF-8. */
static json_t *approle_body(const char *role_id, const char *secret_id)
{
    return secret_id != NULL ? json_pack("{s:s, s:s}", "role_id", role_id, "secret_id", secret_id)
                             : json_pack("{s:s}", "role_id", role_id);
}

static bool start_approle_login(struct leased_instance *vault, struct vault_text *detail)
{
    const struct vault_config *config = &vault->config;
    struct vault_request request;
    char path[VAULT_NAME_MAX_BYTES + 16] = "auth/";
    char *role_id = NULL;
    char *secret_id = NULL;
    json_t *body = NULL;
    bool is_sent = false;

    if (config->role_id[0] == '\0') {
        role_id = read_source(vault, &config->role_id_source, detail);
        if (role_id == NULL) {
            goto out;
        }
    }
    if (config->secret_id_source.text[0] != '\0') {
        secret_id = read_source(vault, &config->secret_id_source, detail);
        if (secret_id == NULL) {
            goto out;
        }
    }
    body = approle_body(role_id != NULL ? role_id : config->role_id, secret_id);
    if (body == NULL) {
        vault_text_set(detail, "role_id or secret_id is not UTF-8");
        goto out;
    }
    memcpy(path + strlen(path), config->mount, strlen(config->mount) + 1);
    memcpy(path + strlen(path), "/login", sizeof("/login"));
    vault_text_set(detail, "the request could not be started");
    if (vault_request_init(vault->host, path, body, &request) == 0) {
        request.creates = true;
        is_sent = send_own(vault, VAULT_OWN_LOGIN, &request, NULL);
    }
out:
    vault->host->secret_free(role_id);
    vault->host->secret_free(secret_id);
    return is_sent;
}

void vault_own_login(struct leased_instance *vault)
{
    struct vault_text detail = {{0}};
    bool is_sent = vault->config.method == VAULT_AUTH_TOKEN ? start_token_login(vault, &detail)
                                                            : start_approle_login(vault, &detail);

    vault->login_at_ms = VAULT_NEVER;
    if (!is_sent) {
        login_failed_text(vault, detail.bytes);
    }
}

/* NULL, or what is wrong with the answer. */
static const char *read_lookup(json_t *data, struct vault_token_facts *facts)
{
    int64_t period_s = 0;
    int64_t created_s = 0;

    if (vault_reply_seconds(data, "ttl", &facts->ttl_s) <= 0) {
        return "the look-up of the token gives no ttl";
    }
    if (facts->ttl_s == 0 && json_is_string(json_object_get(data, "expire_time"))) {
        return "the token has expired";
    }
    (void)vault_reply_seconds(data, "period", &period_s);
    (void)vault_reply_seconds(data, "creation_ttl", &created_s);
    facts->is_renewable = json_is_true(json_object_get(data, "renewable"));
    facts->life_s = period_s > 0 ? period_s : created_s;
    if (facts->life_s < facts->ttl_s) {
        facts->life_s = facts->ttl_s;
    }
    return NULL;
}

static const char *read_login(json_t *auth, struct leased_str *ret_token,
                              struct vault_token_facts *facts)
{
    json_t *token = json_object_get(auth, "client_token");
    json_t *mfa = json_object_get(auth, "mfa_requirement");

    if (mfa != NULL && !json_is_null(mfa)) {
        return "the login asks for a second factor, which is not supported";
    }
    if (!json_is_string(token) || !is_token(json_string_value(token), json_string_length(token))) {
        return "the login gives no token";
    }
    if (vault_reply_seconds(auth, "lease_duration", &facts->ttl_s) <= 0) {
        return "the login gives no lease_duration";
    }
    facts->is_renewable = json_is_true(json_object_get(auth, "renewable"));
    facts->life_s = facts->ttl_s;
    *ret_token = (struct leased_str){json_string_value(token), json_string_length(token)};
    return NULL;
}

static void login_answered(struct leased_instance *vault, const struct leased_http_reply *http)
{
    struct vault_token_facts facts = {0};
    struct vault_reply reply = {0};
    struct vault_failure failure = {.status = LEASED_RETRY};
    struct leased_str token = {0};
    const char *problem;

    if (!vault_status_is_success(http)) {
        vault_status_classify(VAULT_CALL_LOGIN, http, &failure);
        login_failed(vault, &failure);
        return;
    }
    if (vault_reply_parse(http, &reply, &failure.detail) != 0) {
        login_failed(vault, &failure);
        return;
    }
    if (vault->config.method == VAULT_AUTH_TOKEN) {
        token = vault_str(vault->candidate);
        problem = read_lookup(reply.data, &facts);
    } else {
        problem = read_login(reply.auth, &token, &facts);
    }
    if (problem == NULL && vault_token_install(vault, token, &facts) != 0) {
        problem = "out of memory";
    }
    vault_reply_fini(&reply);
    if (problem != NULL) {
        login_failed_text(vault, problem);
        return;
    }
    vault->host->secret_free(vault->candidate);
    vault->candidate = NULL;
    vault_ops_login_ended(vault);
}

/* --- renewal ---------------------------------------------------------------------------------- */

static void renew_later(struct leased_instance *vault, const char *detail)
{
    vault->renew_at_ms =
        vault->host->now_ms(vault->context) + vault_backoff_ms(vault, vault->renew_failures);
    vault->renew_failures++;
    vault->host->metric_add(vault->context, VAULT_STR("token_renewal_failures"), 1);
    vault_log(vault, LEASED_LOG_WARN, "vault.token.renew.failed", detail);
}

void vault_own_renew(struct leased_instance *vault)
{
    struct vault_request request;
    json_t *body = json_pack("{s:I}", "increment", (json_int_t)vault->token.life_s);

    vault->renew_at_ms = VAULT_NEVER;
    if (body == NULL ||
        vault_request_init(vault->host, "auth/token/renew-self", body, &request) != 0 ||
        !send_own(vault, VAULT_OWN_RENEW, &request, vault->token.bytes)) {
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
    struct vault_text detail;
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
    } else {
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
        !send_own(vault, VAULT_OWN_VERIFY, &request, vault->token.bytes)) {
        vault_ops_verified(vault, VAULT_TOKEN_UNKNOWN);
    }
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
    } else if (vault_status_is_success(http) ||
               (http->transport == LEASED_HTTP_OK && http->status == 403)) {
        vault->verified_ms = vault->host->now_ms(vault->context);
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

    return body != NULL &&
           vault_request_init(vault->host, "auth/token/revoke-self", body, &request) == 0 &&
           send_own(vault, VAULT_OWN_LOGOUT, &request, token);
}

static void answered(void *user, const struct leased_http_reply *http)
{
    struct leased_instance *vault = user;
    enum vault_own own = vault->own;

    vault->own = VAULT_OWN_NONE;
    vault->own_http = NULL;
    if (vault->is_closing) {
        vault_close_step(vault); /* vault may be gone */
        return;
    }
    if (own == VAULT_OWN_LOGIN) {
        login_answered(vault, http);
    } else if (own == VAULT_OWN_RENEW) {
        renew_answered(vault, http);
    } else {
        verify_answered(vault, http);
    }
    vault_token_step(vault);
}
