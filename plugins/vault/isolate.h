/* What an issue does before it asks for anything, so that nothing is left behind that nobody can
 * name: a child token to issue under, and what to revoke on durable record. */
#ifndef VAULT_ISOLATE_H
#define VAULT_ISOLATE_H

#include "op.h"

/* Who the credential is for, as the metadata of a child. 0, or -1 when out of memory. */
int vault_isolate_prepare(struct vault_op *op, const struct leased_issue *request);

/* Begins an issue whose token is there. 0, or -1. */
int vault_isolate_go(struct vault_op *op);

/* Asks the host to record `ref`; `recorded` runs from the loop with 0 or what it failed with. 0, or
 * -1.
 */
int vault_isolate_intend(struct vault_op *op, const char *ref,
                         void (*recorded)(struct vault_op *op, int32_t status));

/* Ends an operation whose intent isn't recorded. */
void vault_isolate_unrecorded(struct vault_op *op, int32_t status);

#endif
