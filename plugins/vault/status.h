/* From an answer that isn't a success to a class of the ABI. */
#ifndef VAULT_STATUS_H
#define VAULT_STATUS_H

#include "common/text.h"

/* What was asked; some answers mean different things to different calls. */
enum vault_call {
    VAULT_CALL_LOGIN,
    VAULT_CALL_ISSUE,
    VAULT_CALL_RENEW,
    VAULT_CALL_REVOKE,
    VAULT_CALL_HEALTH,
    VAULT_CALL_PASS,
};

/* A 403: dead token or policy? Only a look-up of the token tells. */
#define VAULT_STATUS_CHECK_TOKEN (-1)

struct vault_failure {
    int32_t status; /* LEASED_* or VAULT_STATUS_CHECK_TOKEN */
    uint64_t retry_after_ms;
    bool is_refusal; /* Vault's own 400 or 403: asking the same again is in vain */
    struct plugin_text detail;
};

/* Is this a 2xx that came whole? */
bool vault_status_is_success(const struct leased_http_reply *http);

/* Is it a redirect to where the request is to be sent as it is? */
bool vault_status_is_redirect(const struct leased_http_reply *http);

/* Is a failure Vault's own word, rather than of something in between? */
bool vault_status_is_own(const struct leased_http_reply *http);

/* Does it say that there is no token with the accessor that was asked for? */
bool vault_status_is_unknown_accessor(const struct leased_http_reply *http);

/* Does it say that the token of that accessor can't be used any more, though its end isn't whole?
 */
bool vault_status_is_half_ended(const struct leased_http_reply *http);

/* For everything else. */
void vault_status_classify(enum vault_call call, const struct leased_http_reply *http,
                           struct vault_failure *ret_failure);

/* Does a 403 sound like a dead token's? To a look-up of the token itself it proves that. (Else a
 * policy has denied it.) */
bool vault_status_is_dead_token(const struct leased_http_reply *http);

#endif
