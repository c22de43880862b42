/* Child tokens: one is made for each isolated issue, lives as long as the lease, and ends with it.
 */
#ifndef VAULT_CHILD_H
#define VAULT_CHILD_H

#include "op.h"

#define VAULT_CHILD_LIFE_S                                                                         \
    60U /* until its lease is there; and how much longer than that it lives */
/* One is for the issue. With a single use Vault revokes at once what is issued; the second use is
 * never made, and if something in between resends the issue, that ends the first one. */
#define VAULT_CHILD_USES 2

/* Asks for one. 0, or -1. */
int vault_child_create(struct vault_op *op);
void vault_child_created(struct vault_op *op, const struct leased_http_reply *http);

/* The own token is alive, but may not make one. */
void vault_child_denied(struct vault_op *op);

/* An issue under a child was answered with a refusal that is about the child. True if it was; then
 * the operation is gone. */
bool vault_child_refused(struct vault_op *op, const struct leased_http_reply *http);

/* The lease is there (op->made): has the child outlive it. Ends in vault_issue_fit. */
void vault_child_keep(struct vault_op *op);
void vault_child_extended(struct vault_op *op, const struct leased_http_reply *http);

/* Renew: has the child outlive what the lease has got. */
void vault_child_renew(struct vault_op *op);

/* Revoke: the lease is dead, with op->revoked_status; ends its child. */
void vault_child_end(struct vault_op *op);
void vault_child_ended(struct vault_op *op, const struct leased_http_reply *http);

#endif
