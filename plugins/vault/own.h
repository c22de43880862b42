/* The login's exchanges. One at a time; each ends with vault_token_step. */
#ifndef VAULT_OWN_H
#define VAULT_OWN_H

#include "instance.h"

/* Sends one of them. `request` is taken (even on error); `token` may be NULL. */
bool vault_own_send(struct leased_instance *vault, enum vault_own own,
                    struct vault_request *request, const char *token);

/* Each begins its exchange, or deals with not being able to: then it is tried again after a
 * back-off. */
void vault_own_renew(struct leased_instance *vault);
void vault_own_verify(struct leased_instance *vault);

/* Revokes one token; false when it couldn't be sent. */
bool vault_own_logout(struct leased_instance *vault, const char *token);

#endif
