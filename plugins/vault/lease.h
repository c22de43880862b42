/* Renewing and revoking leases, and asking whether the issuer serves. */
#ifndef VAULT_LEASE_H
#define VAULT_LEASE_H

#include "op.h"

int32_t vault_renew(struct leased_instance *vault, const struct leased_lease_ref *lease,
                    leased_op *handle);
int32_t vault_revoke(struct leased_instance *vault, const struct leased_lease_ref *lease,
                     leased_op *handle);
int32_t vault_health(struct leased_instance *vault, leased_op *handle);

void vault_renew_answered(struct vault_op *op, const struct leased_http_reply *http);
void vault_revoke_answered(struct vault_op *op, const struct leased_http_reply *http);

/* What was to be revoked is dead: LEASED_OK, or LEASED_GONE. Ends its child token, if it has one.
 */
void vault_revoked(struct vault_op *op, int32_t status);

/* A failure that doesn't tell whether the lease is gone: looks it up. True when it does (then the
 * operation may be gone). */
bool vault_revoke_in_doubt(struct vault_op *op, const struct leased_http_reply *http);
void vault_revoke_looked(struct vault_op *op, const struct leased_http_reply *http);
void vault_health_answered(struct vault_op *op);

#endif
