/* One table of statuses, one of messages, one of advice (protocols of HashiCorp Vault 1.20 and
 * OpenBao 2.7).
 *
 * The rule behind them: RETRY only where nothing was created; a creating call whose fate isn't
 * known is LOST. What has no list of errors isn't Vault's word but that of something in between: a
 * 4xx of such (an ingress without a route, a firewall) refuses nothing for good, and a 5xx may have
 * come after the request was passed on. */
#include "status.h"

#include "reply.h"
#include "common/answer.h"

#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define NOT_VAULT "this isn't Vault's answer but that of something in between"

static const struct {
    uint32_t status;
    int32_t class;
    const char *text;
} statuses[] = {
    {404, LEASED_INVALID, "there is nothing at this path"},
    {405, LEASED_INVALID, "the path doesn't support this method"},
    {408, LEASED_LOST, "something in between gave up waiting for the answer"},
    {413, LEASED_INVALID, "the request is too large"},
    {415, LEASED_INVALID, "the request's type is refused"},
    {472, LEASED_SEALED, "this is a disaster recovery secondary: configure the primary's address"},
    {473, LEASED_SEALED, "this is a performance standby: configure the active node's address"},
    {474, LEASED_SEALED, "this is a standby without an active node"},
    {501, LEASED_SEALED, "it is not initialised: `vault operator init` does that"},
    {503, LEASED_SEALED, "it is sealed or can't serve now"},
    {504, LEASED_LOST, "something in between gave up waiting for the answer"},
    {530, LEASED_SEALED, "this node was removed from its cluster"},
};

/* Messages of a 400, by call. */
static const struct {
    enum vault_call call;
    const char *message;
    int32_t class;
} messages[] = {
    {VAULT_CALL_RENEW, "lease not found", LEASED_GONE},
    {VAULT_CALL_RENEW, "invalid lease", LEASED_GONE},
    {VAULT_CALL_RENEW, "lease expired", LEASED_GONE},
    {VAULT_CALL_RENEW, "invalid accessor", LEASED_GONE},
    {VAULT_CALL_RENEW, "lease is not renewable", LEASED_DENIED},
    {VAULT_CALL_REVOKE, "lease not found", LEASED_GONE},
    {VAULT_CALL_REVOKE, "invalid lease", LEASED_GONE},
    {VAULT_CALL_REVOKE, "invalid accessor", LEASED_GONE},
    {VAULT_CALL_REVOKE, "failed to revoke", LEASED_RETRY},
    {VAULT_CALL_REVOKE, "certificate with serial", LEASED_DENIED},
    {VAULT_CALL_LOGIN, "invalid role", LEASED_DENIED},
    {VAULT_CALL_LOGIN, "invalid secret", LEASED_DENIED},
};

/* What to do, where Vault's words don't say it. */
static const struct {
    uint32_t status;
    const char *message;
    const char *advice;
} advices[] = {
    {400, "certificate with serial",
     "its role doesn't store certificates (no_store), so they can't be revoked: set `revoke: "
     "false`"},
    {400, "token had one use left", "the login's tokens must not be limited in their uses"},
    {403, "permission denied", "the policy of leased's token doesn't allow it"},
    {404, "no handler for route", "check the path and the namespace: no engine is mounted there"},
    {404, "namespace not found", "check the backend's `namespace`"},
    {412, "X-Vault-Request", "something in between drops this header"},
    {429, "lease count quota", "too many leases exist: end some or raise the quota"},
    {429, "rate limit quota", "leased waits; lower limits.issue_rate or raise the quota"},
    {503, "sealed", "it must be unsealed"},
    {503, "been locked", "an administrator has locked the namespace's API and must unlock it"},
};

bool vault_status_is_success(const struct leased_http_reply *http)
{
    return http->transport == LEASED_HTTP_OK && http->status >= 200 && http->status < 300;
}

bool vault_status_is_redirect(const struct leased_http_reply *http)
{
    return http->transport == LEASED_HTTP_OK && (http->status == 307 || http->status == 308);
}

bool vault_status_is_dead_token(const struct leased_http_reply *http)
{
    struct vault_errors errors;

    if (http->transport != LEASED_HTTP_OK || http->status != 403) {
        return false;
    }
    vault_errors_parse(http, &errors);
    /* A policy's denial is wrapped ("1 error occurred: …"); a bad token's is plain, or says so. */
    return errors.is_vault &&
           (errors.is_plain_denial || plugin_str_has(plugin_str(errors.text), "invalid token") ||
            !plugin_str_has(plugin_str(errors.text), "permission denied"));
}

static void classify_transport(enum vault_call call, const struct leased_http_reply *http,
                               struct vault_failure *failure)
{
    failure->status = LEASED_RETRY;
    if (http->transport == LEASED_HTTP_CANCELED) {
        failure->status = LEASED_CANCELED;
    }
    if ((call == VAULT_CALL_ISSUE && http->transport != LEASED_HTTP_NOT_SENT) ||
        (call == VAULT_CALL_PASS && http->transport == LEASED_HTTP_LOST)) {
        failure->status = LEASED_LOST;
    }
    plugin_text_set(&failure->detail, "%.*s", (int)http->detail.len,
                    http->detail.ptr != NULL ? http->detail.ptr : "");
}

static void read_retry_after(const struct leased_http_reply *http, struct vault_failure *failure)
{
    uint64_t wait_ms = plugin_retry_after_ms(http);

    if (wait_ms == 0 || (failure->status != LEASED_RETRY && failure->status != LEASED_SEALED)) {
        return;
    }
    if (failure->status == LEASED_RETRY) {
        failure->status = LEASED_RETRY_AFTER;
    }
    failure->retry_after_ms = wait_ms;
}

/* 4xx whose meaning is in the message. */
static int32_t class_of_400(enum vault_call call, const struct vault_errors *errors)
{
    for (size_t i = 0; i < COUNT(messages); i++) {
        if (messages[i].call == call &&
            plugin_str_has(plugin_str(errors->text), messages[i].message)) {
            return messages[i].class;
        }
    }
    return LEASED_INVALID;
}

/* A refusal that Vault hasn't spoken: a proxy's page, a firewall's. Codes of a health check have no
 * list of errors either. */
static bool is_strange_refusal(uint32_t status, const struct vault_errors *errors)
{
    return status >= 400 && status < 500 && status != 408 && (status < 472 || status > 474) &&
           !errors->is_vault;
}

static int32_t class_of_status(enum vault_call call, uint32_t status,
                               const struct vault_errors *errors, const char **ret_text)
{
    bool creates = call == VAULT_CALL_ISSUE || call == VAULT_CALL_PASS;

    *ret_text = NULL;
    if (is_strange_refusal(status, errors)) {
        *ret_text = NOT_VAULT;
        return LEASED_RETRY;
    }
    if (status == 503 && creates && !errors->is_vault) {
        *ret_text = NOT_VAULT;
        return LEASED_LOST;
    }
    for (size_t i = 0; i < COUNT(statuses); i++) {
        if (statuses[i].status == status) {
            *ret_text = statuses[i].text;
            return statuses[i].class == LEASED_LOST && !creates ? LEASED_RETRY : statuses[i].class;
        }
    }
    if (status == 400) {
        return class_of_400(call, errors);
    }
    if (status == 403) {
        return call == VAULT_CALL_LOGIN ? LEASED_DENIED : VAULT_STATUS_CHECK_TOKEN;
    }
    if (status == 412) {
        /* A proxy asks for a header that we always send, or a replica isn't up to date yet. */
        return plugin_str_has(plugin_str(errors->text), "X-Vault-Request") ? LEASED_INVALID
                                                                           : LEASED_RETRY;
    }
    if (status >= 300 && status < 400) {
        *ret_text = "it redirects, which is not followed: configure the address of the active node "
                    "or of a load balancer";
        /* A standby redirects also when it has failed to forward what was executed. */
        return creates && (status == 307 || status == 308) ? LEASED_LOST : LEASED_RETRY;
    }
    if (status >= 500) {
        return creates && !errors->is_vault ? LEASED_LOST : LEASED_RETRY;
    }
    if (status >= 200 && status < 300) {
        *ret_text = "a success that this call doesn't have";
    }
    return LEASED_INVALID;
}

/* A refusal with these words in it? */
static bool says(const struct leased_http_reply *http, const char *words)
{
    struct vault_errors errors;

    if (http->transport != LEASED_HTTP_OK || http->status < 400 || http->status > 404) {
        return false;
    }
    vault_errors_parse(http, &errors);
    return plugin_str_has(plugin_str(errors.text), words);
}

bool vault_status_is_unknown_accessor(const struct leased_http_reply *http)
{
    return says(http, "invalid accessor");
}

bool vault_status_is_half_ended(const struct leased_http_reply *http)
{
    return says(http, "token not found");
}

bool vault_status_is_own(const struct leased_http_reply *http)
{
    struct vault_errors errors;

    vault_errors_parse(http, &errors);
    return errors.is_vault;
}

static const char *advice_for(uint32_t status, const struct vault_errors *errors)
{
    for (size_t i = 0; i < COUNT(advices); i++) {
        if (advices[i].status == status &&
            plugin_str_has(plugin_str(errors->text), advices[i].message)) {
            return advices[i].advice;
        }
    }
    return NULL;
}

void vault_status_classify(enum vault_call call, const struct leased_http_reply *http,
                           struct vault_failure *ret_failure)
{
    struct vault_errors errors;
    const char *advice;
    const char *text;

    *ret_failure = (struct vault_failure){0};
    if (http->transport != LEASED_HTTP_OK) {
        classify_transport(call, http, ret_failure);
        return;
    }
    vault_errors_parse(http, &errors);
    ret_failure->is_refusal = errors.is_vault && (http->status == 400 || http->status == 403);
    if (http->status == 429 && call != VAULT_CALL_HEALTH) {
        text = "too many requests";
        ret_failure->status = LEASED_RETRY;
    } else if (http->status == 429) {
        text = "this is a standby";
        ret_failure->status = LEASED_SEALED;
    } else {
        ret_failure->status = class_of_status(call, http->status, &errors, &text);
    }
    read_retry_after(http, ret_failure);
    advice = call != VAULT_CALL_LOGIN ? advice_for(http->status, &errors) : NULL;
    if (errors.text[0] != '\0') {
        text = errors.text;
    }
    if (text == NULL) {
        plugin_text_set(&ret_failure->detail, "HTTP status %u", http->status);
    } else {
        plugin_text_set(&ret_failure->detail, "%s%s%s (HTTP status %u)", text,
                        advice != NULL ? ": " : "", advice != NULL ? advice : "", http->status);
    }
}
