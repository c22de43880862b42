/* Revoking what an intent names: a child token with whatever was issued under it, or what was asked
 * for under a login. */
#ifndef VAULT_INTENT_H
#define VAULT_INTENT_H

#include "op.h"

/* Returns what the start function returns; the operation may be gone. */
int32_t vault_intent_revoke(struct vault_op *op, const struct vault_ref *ref);

/* A success of its first request, and any answer of the look-up behind it. */
void vault_intent_answered(struct vault_op *op, const struct leased_http_reply *http);
/* A revocation that failed. True: it goes on. */
bool vault_intent_in_doubt(struct vault_op *op, const struct leased_http_reply *http);
void vault_intent_looked(struct vault_op *op, const struct leased_http_reply *http);

#endif
