/* Grant tokens: a text that names a live grant and that leased alone can have made, for callers of
 * whom no process is known (loopback TCP). `lease exec` puts it into its child's environment.
 *
 * It is made of the grant's id and a MAC under a key of the installation's (audit_derive_key), so
 * nothing is kept for it, it outlives restarts, and it is dead when its grant is. It asserts no
 * identity: who brings it must be the user that the grant is of (a child that has changed its uid
 * isn't), and rules judge the caller as they would without it. What it does: its grant's credential
 * can be read with it, and a new grant can be bound to the processes that its grant hangs on. */
#ifndef LEASED_LEASE_TOKEN_H
#define LEASED_LEASE_TOKEN_H

#include "lease/core.h"

#define LEASE_TOKEN_BYTES (LEASE_ID_BYTES + 1 + 64) /* id, ".", 64 hex digits */

/* Writes the grant's token. ERR_NOMEM; then ret_token is unchanged. */
int lease_token_make(const struct lease_core *core, const struct grant *grant,
                     struct secret *ret_token) ATTR_MUST_USE;

/* Has it the form of a grant token? Whatever else clients send in its place is none of ours. */
bool lease_token_is_one(struct str text);

/* The live grant that a token names for this caller. With a text: ERR_NOT_FOUND (it isn't ours, or
 * its grant has ended: nobody is told which), ERR_DENIED (its grant is another user's; then
 * ret_grant is set, for the record). */
int lease_token_find(struct lease_core *core, struct str token,
                     const struct access_identity *identity, struct grant **ret_grant,
                     struct err *e) ATTR_MUST_USE;

#endif
