/* Happy path: what the method shows is read anew and sent; the answer's token is installed. A
 * configured token is looked up instead.
 *
 * Failure paths: whatever it is, the login is tried again with full jitter, 1 s to 60 s; those who
 * wait for it are told at once. What Vault itself refuses is shown again less and less often, up to
 * 15 minutes apart, because directories lock accounts: a source that changes is tried at once.
 * Vault refuses logins with 400 as well as with 403: neither says
 * anything about the token in use, which stays. A token that is answered but of no use (it would be
 * used up by a few requests) is revoked. */
#include "login.h"

#include "op.h"
#include "own.h"
#include "reply.h"
#include "source.h"
#include "token.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#define PATH_MAX_BYTES (5U * VAULT_NAME_MAX_BYTES)
#define EVENT_FAILED "vault.login.failed"
#define REFUSED_FIRST_MS 1000U
#define REFUSED_MAX_MS 900000U

/* --- failing ---------------------------------------------------------------------------------- */

/* Each time four times as long, and at least half of it. */
static uint64_t refused_backoff_ms(struct leased_instance *vault)
{
    uint64_t wait_ms = REFUSED_FIRST_MS;

    for (uint32_t i = 0; i < vault->login_refusals && wait_ms < REFUSED_MAX_MS; i++) {
        wait_ms *= 4U;
    }
    wait_ms = wait_ms < REFUSED_MAX_MS ? wait_ms : REFUSED_MAX_MS;
    return wait_ms / 2U + vault_random(vault, wait_ms / 2U);
}

uint64_t vault_login_failed(struct leased_instance *vault, const char *event,
                            const struct vault_failure *failure)
{
    const struct vault_config *config = &vault->config;
    uint64_t delay_ms = vault_backoff_ms(vault, vault->login_failures);
    struct vault_failure *kept = &vault->login_failure;

    vault->host->secret_free(vault->candidate);
    vault->candidate = NULL;
    vault->login_failures++;
    if (failure->is_refusal) {
        delay_ms = refused_backoff_ms(vault);
        vault->login_refusals++;
    }
    *kept = *failure;
    /* Whatever it is, it is ours to repair: to those who wait it is a passing fault. */
    if (failure->status != LEASED_SEALED) {
        kept->status = LEASED_RETRY;
    }
    if (vault_config_makes_tokens(config)) {
        plugin_text_set(&kept->detail, "could not log in (%s at auth/%.60s): %.320s",
                        config->method_name, config->mount, failure->detail.bytes);
    } else {
        plugin_text_set(&kept->detail, "could not log in (%s): %.360s", config->method_name,
                        failure->detail.bytes);
    }
    if (failure->retry_after_ms > delay_ms) {
        delay_ms = failure->retry_after_ms;
    }
    vault->host->metric_add(vault->context, PLUGIN_STR("login_failures"), 1);
    vault_log(vault, LEASED_LOG_WARN, event, kept->detail.bytes);
    vault_ops_login_ended(vault);
    return vault->host->now_ms(vault->context) + delay_ms;
}

uint64_t vault_login_failed_text(struct leased_instance *vault, const char *event, const char *text)
{
    struct vault_failure failure = {.status = LEASED_RETRY};

    plugin_text_set(&failure.detail, "%s", text);
    return vault_login_failed(vault, event, &failure);
}

/* --- asking ----------------------------------------------------------------------------------- */

bool vault_is_token(const char *text, size_t len)
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

static bool start_token_login(struct leased_instance *vault, struct plugin_text *detail)
{
    struct vault_request request;

    vault->host->secret_free(vault->candidate);
    vault->candidate = vault_source_read(vault, VAULT_SOURCE_CREDENTIAL, detail);
    if (vault->candidate == NULL) {
        return false;
    }
    if (!vault_is_token(vault->candidate, strlen(vault->candidate))) {
        plugin_text_set(detail, "what %.200s holds is not a token",
                        vault->config.sources[VAULT_SOURCE_CREDENTIAL].text);
        return false;
    }
    plugin_text_set(detail, "the request could not be started");
    return vault_request_init(vault->host, "auth/token/lookup-self", NULL, &request) == 0 &&
           vault_own_send(vault, VAULT_OWN_LOGIN, &request, vault->candidate);
}

/* Appends `text` as one segment of a path. */
static void add_segment(char *path, const char *text)
{
    static const char hex[] = "0123456789ABCDEF";
    static const char plain[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.~";
    char *out = path + strlen(path);

    *out++ = '/';
    for (; *text != '\0'; text++) {
        unsigned char c = (unsigned char)*text;

        if (strchr(plain, c) != NULL) {
            *out++ = (char)c;
        } else {
            *out++ = '%';
            *out++ = hex[c >> 4];
            *out++ = hex[c & 15U];
        }
    }
    *out = '\0';
}

static void login_path(const struct vault_config *config, char path[PATH_MAX_BYTES])
{
    static_assert(PATH_MAX_BYTES >=
                      sizeof("auth//login/") + sizeof(config->mount) + (3 * sizeof(config->name)),
                  "each byte of a name may become three");
    (void)snprintf(path, PATH_MAX_BYTES, "auth/%s/login", config->mount);
    if (config->method == VAULT_AUTH_USERPASS || config->method == VAULT_AUTH_LDAP) {
        add_segment(path, config->name);
    }
}

/* NULL when out of memory or when a text isn't UTF-8. `shown` and `role_id` may be NULL. */
static json_t *login_body(const struct vault_config *config, const char *shown, const char *role_id)
{
    const char *name = config->name[0] != '\0' ? config->name : NULL;

    switch (config->method) {
    case VAULT_AUTH_APPROLE:
        return json_pack("{s:s, s:s*}", "role_id", role_id, "secret_id", shown);
    case VAULT_AUTH_JWT:
    case VAULT_AUTH_KUBERNETES:
        return json_pack("{s:s*, s:s}", "role", name, "jwt", shown);
    case VAULT_AUTH_CERT:
        return json_pack("{s:s*}", "name", name);
    case VAULT_AUTH_USERPASS:
    case VAULT_AUTH_LDAP:
        return json_pack("{s:s}", "password", shown);
    case VAULT_AUTH_TOKEN:
    default:
        return NULL;
    }
}

static bool start_login(struct leased_instance *vault, struct plugin_text *detail)
{
    const struct vault_config *config = &vault->config;
    char path[PATH_MAX_BYTES];
    struct vault_request request;
    char *role_id = NULL;
    char *read = NULL;
    const char *shown = vault->secret_id;
    json_t *body = NULL;
    bool is_sent = false;

    if (vault_config_has(config, VAULT_SOURCE_ROLE_ID)) {
        role_id = vault_source_read(vault, VAULT_SOURCE_ROLE_ID, detail);
        if (role_id == NULL) {
            goto out;
        }
    }
    if (vault_config_has(config, VAULT_SOURCE_CREDENTIAL)) {
        read = vault_source_read(vault, VAULT_SOURCE_CREDENTIAL, detail);
        if (read == NULL) {
            goto out;
        }
        shown = read;
    }
    body = login_body(config, shown, role_id != NULL ? role_id : config->role_id);
    if (body == NULL) {
        plugin_text_set(detail, "what the login shows is not UTF-8");
        goto out;
    }
    login_path(config, path);
    plugin_text_set(detail, "the request could not be started");
    if (vault_request_init(vault->host, path, body, &request) == 0) {
        request.creates = true;
        is_sent = vault_own_send(vault, VAULT_OWN_LOGIN, &request, NULL);
    }
out:
    vault->host->secret_free(role_id);
    vault->host->secret_free(read);
    return is_sent;
}

void vault_login_start(struct leased_instance *vault)
{
    struct plugin_text detail = {{0}};
    bool is_sent;

    if (vault_config_has(&vault->config, VAULT_SOURCE_WRAPPING) && vault->secret_id == NULL) {
        /* One that an earlier run unwrapped is gone with it. */
        vault->login_at_ms = VAULT_NEVER;
        vault->unwrap_at_ms = vault->host->now_ms(vault->context);
        vault->is_login_awaited = true;
        return;
    }
    is_sent = vault_config_makes_tokens(&vault->config) ? start_login(vault, &detail)
                                                        : start_token_login(vault, &detail);
    vault->login_at_ms = VAULT_NEVER;
    if (!is_sent) {
        vault->login_at_ms = vault_login_failed_text(vault, EVENT_FAILED, detail.bytes);
    }
}

/* --- answers ---------------------------------------------------------------------------------- */

/* NULL, or what is wrong with it. */
static const char *check_uses(json_t *object)
{
    json_t *uses = json_object_get(object, "num_uses");

    return json_is_integer(uses) && json_integer_value(uses) != 0
               ? "its token may be used a few times only (num_uses), and every request is a use: "
                 "let it be made without that limit (token_num_uses: 0)"
               : NULL;
}

const char *vault_login_read_lookup(json_t *data, struct vault_token_facts *facts)
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
    facts->is_periodic = period_s > 0;
    facts->accessor = vault_reply_text(data, "accessor");
    (void)vault_reply_seconds(data, "creation_ttl", &created_s);
    facts->is_renewable = json_is_true(json_object_get(data, "renewable"));
    facts->life_s = period_s > 0 ? period_s : created_s;
    if (facts->life_s < facts->ttl_s) {
        facts->life_s = facts->ttl_s;
    }
    return check_uses(data);
}

static const char *read_login(json_t *auth, struct leased_str *ret_token,
                              struct vault_token_facts *facts)
{
    json_t *token = json_object_get(auth, "client_token");
    json_t *mfa = json_object_get(auth, "mfa_requirement");

    if (mfa != NULL && !json_is_null(mfa)) {
        return "it asks for a second factor (mfa_requirement), which is not supported: exempt this "
               "login from the MFA enforcement";
    }
    if (!json_is_string(token) ||
        !vault_is_token(json_string_value(token), json_string_length(token))) {
        return "the answer holds no token";
    }
    *ret_token = (struct leased_str){json_string_value(token), json_string_length(token)};
    if (vault_reply_seconds(auth, "lease_duration", &facts->ttl_s) <= 0) {
        return "the answer holds no lease_duration";
    }
    facts->is_renewable = json_is_true(json_object_get(auth, "renewable"));
    facts->life_s = facts->ttl_s;
    facts->accessor = vault_reply_text(auth, "accessor");
    return check_uses(auth);
}

/* NULL, or what is wrong. */
static const char *take_answer(struct leased_instance *vault, const struct vault_reply *reply,
                               int64_t age_s)
{
    struct vault_token_facts facts = {0};
    struct leased_str token = {0};
    const char *problem;

    if (!vault_config_makes_tokens(&vault->config)) {
        problem = vault_login_read_lookup(reply->data, &facts);
        token = plugin_str(vault->candidate);
    } else {
        problem = read_login(reply->auth, &token, &facts);
    }
    if (problem == NULL && facts.ttl_s > 0) {
        facts.ttl_s = vault_aged_s(facts.ttl_s, age_s);
        problem = facts.ttl_s == 0 ? "the answer is so old that its token has expired" : NULL;
    }
    if (problem == NULL && vault_token_install(vault, token, &facts) != 0) {
        problem = "out of memory";
    }
    if (problem != NULL && token.len > 0 && vault_config_makes_tokens(&vault->config)) {
        vault_token_discard(vault, plugin_secret_dup(vault->host, token));
    }
    return problem;
}

void vault_login_answered(struct leased_instance *vault, const struct leased_http_reply *http)
{
    struct vault_reply reply = {0};
    struct vault_failure failure = {.status = LEASED_RETRY};
    const char *problem;

    if (!vault_status_is_success(http)) {
        vault_status_classify(VAULT_CALL_LOGIN, http, &failure);
        vault->login_at_ms = vault_login_failed(vault, EVENT_FAILED, &failure);
        return;
    }
    if (vault_reply_parse(http, &reply, &failure.detail) != 0) {
        vault->login_at_ms = vault_login_failed(vault, EVENT_FAILED, &failure);
        return;
    }
    problem = take_answer(vault, &reply, vault_header_age_s(http));
    vault_reply_fini(&reply);
    if (problem != NULL) {
        vault->login_at_ms = vault_login_failed_text(vault, EVENT_FAILED, problem);
        return;
    }
    vault->host->secret_free(vault->candidate);
    vault->candidate = NULL;
    vault_ops_login_ended(vault);
}

void vault_login_dropped(struct leased_instance *vault, const struct leased_http_reply *http)
{
    struct vault_reply reply = {0};
    struct plugin_text unused = {{0}};
    struct vault_token_facts facts = {0};
    struct leased_str token = {0};

    if (!vault_config_makes_tokens(&vault->config) || !vault_status_is_success(http) ||
        vault_reply_parse(http, &reply, &unused) != 0) {
        return;
    }
    (void)read_login(reply.auth, &token, &facts);
    if (token.len > 0) {
        vault_token_discard(vault, plugin_secret_dup(vault->host, token));
    }
    vault_reply_fini(&reply);
}
