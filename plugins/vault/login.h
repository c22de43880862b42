/* Logging in: one request for each method, and what its answer brings. */
#ifndef VAULT_LOGIN_H
#define VAULT_LOGIN_H

#include "token.h"

/* Begins a login, or deals with not being able to: then it is tried again after a back-off. */
void vault_login_start(struct leased_instance *vault);
void vault_login_answered(struct leased_instance *vault, const struct leased_http_reply *http);

/* An answer that came too late: a token in it is to be revoked. */
void vault_login_dropped(struct leased_instance *vault, const struct leased_http_reply *http);

/* Counts, logs under `event` and tells those who wait. Returns when to try again. */
uint64_t vault_login_failed(struct leased_instance *vault, const char *event,
                            const struct vault_failure *failure);
uint64_t vault_login_failed_text(struct leased_instance *vault, const char *event,
                                 const char *text);

/* Reads the `data` of a token's look-up. NULL, or what is wrong with it. */
const char *vault_login_read_lookup(json_t *data, struct vault_token_facts *facts);

/* Can this be sent as a token? */
bool vault_is_token(const char *text, size_t len);

#endif
