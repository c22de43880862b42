/* One table of statuses and one of messages (protocols of HashiCorp Vault 1.20 and OpenBao 2.7).
 *
 * The rule behind them: RETRY only where nothing was created; a creating call whose fate isn't
 * known is LOST; a 5xx without Vault's own error list came from something in between, which may
 * have passed the request on. */
#include "status.h"

#include "reply.h"

#include <stdio.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define RETRY_AFTER_MAX_S 3600U

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
    {472, LEASED_SEALED, "this is a disaster recovery secondary"},
    {473, LEASED_SEALED, "this is a performance standby"},
    {474, LEASED_SEALED, "this is a standby without an active node"},
    {501, LEASED_SEALED, "it is not initialised"},
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
    {VAULT_CALL_RENEW, "lease is not renewable", LEASED_DENIED},
    {VAULT_CALL_REVOKE, "lease not found", LEASED_GONE},
    {VAULT_CALL_REVOKE, "invalid lease", LEASED_GONE},
    {VAULT_CALL_REVOKE, "failed to revoke", LEASED_RETRY},
    {VAULT_CALL_LOGIN, "invalid role", LEASED_DENIED},
    {VAULT_CALL_LOGIN, "invalid secret", LEASED_DENIED},
};

bool vault_status_is_success(const struct leased_http_reply *http)
{
    return http->transport == LEASED_HTTP_OK && http->status >= 200 && http->status < 300;
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
           (errors.is_plain_denial || vault_str_has(vault_str(errors.text), "invalid token") ||
            !vault_str_has(vault_str(errors.text), "permission denied"));
}

static void classify_transport(enum vault_call call, const struct leased_http_reply *http,
                               struct vault_failure *failure)
{
    failure->status = LEASED_RETRY;
    if (http->transport == LEASED_HTTP_CANCELED) {
        failure->status = LEASED_CANCELED;
    }
    if (call == VAULT_CALL_ISSUE && http->transport != LEASED_HTTP_NOT_SENT) {
        failure->status = LEASED_LOST;
    }
    vault_text_set(&failure->detail, "%.*s", (int)http->detail.len,
                   http->detail.ptr != NULL ? http->detail.ptr : "");
}

static void classify_rate_limit(const struct leased_http_reply *http, struct vault_failure *failure)
{
    struct leased_str after = vault_header(http, "retry-after");
    uint64_t seconds = 0;

    for (size_t i = 0; i < after.len && after.len <= 6; i++) {
        if (after.ptr[i] < '0' || after.ptr[i] > '9') {
            seconds = 0;
            break;
        }
        seconds = seconds * 10 + (uint64_t)(after.ptr[i] - '0');
    }
    failure->status = LEASED_RETRY;
    if (seconds > 0) {
        failure->status = LEASED_RETRY_AFTER;
        failure->retry_after_ms =
            (seconds < RETRY_AFTER_MAX_S ? seconds : RETRY_AFTER_MAX_S) * 1000U;
    }
}

/* 4xx whose meaning is in the message. */
static int32_t class_of_400(enum vault_call call, const struct vault_errors *errors)
{
    for (size_t i = 0; i < COUNT(messages); i++) {
        if (messages[i].call == call &&
            vault_str_has(vault_str(errors->text), messages[i].message)) {
            return messages[i].class;
        }
    }
    return LEASED_INVALID;
}

static int32_t class_of_status(enum vault_call call, uint32_t status,
                               const struct vault_errors *errors, const char **ret_text)
{
    bool creates = call == VAULT_CALL_ISSUE;

    *ret_text = NULL;
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
        return vault_str_has(vault_str(errors->text), "X-Vault-Request") ? LEASED_INVALID
                                                                         : LEASED_RETRY;
    }
    if (status >= 300 && status < 400) {
        *ret_text = "it redirects, which is not followed: configure the address of the active node "
                    "or of a load balancer";
        return LEASED_RETRY;
    }
    if (status >= 500) {
        return creates && !errors->is_vault ? LEASED_LOST : LEASED_RETRY;
    }
    if (status >= 200 && status < 300) {
        *ret_text = "a success that this call doesn't have";
    }
    return LEASED_INVALID;
}

void vault_status_classify(enum vault_call call, const struct leased_http_reply *http,
                           struct vault_failure *ret_failure)
{
    struct vault_errors errors;
    const char *text;

    *ret_failure = (struct vault_failure){0};
    if (http->transport != LEASED_HTTP_OK) {
        classify_transport(call, http, ret_failure);
        return;
    }
    vault_errors_parse(http, &errors);
    if (http->status == 429 && call != VAULT_CALL_HEALTH) {
        text = "too many requests";
        classify_rate_limit(http, ret_failure);
    } else if (http->status == 429) {
        text = "this is a standby";
        ret_failure->status = LEASED_SEALED;
    } else {
        ret_failure->status = class_of_status(call, http->status, &errors, &text);
    }
    if (errors.text[0] != '\0') {
        text = errors.text;
    }
    vault_text_set(&ret_failure->detail, "%s%sHTTP status %u%s", text != NULL ? text : "",
                   text != NULL ? " (" : "", http->status, text != NULL ? ")" : "");
}
