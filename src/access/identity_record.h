/* Identities as the trail and the ledger have them, and back from the ledger. */
#ifndef LEASED_ACCESS_IDENTITY_RECORD_H
#define LEASED_ACCESS_IDENTITY_RECORD_H

#include "access/identity.h"
#include "wire/audit_record.h"
#include "wire/ledger_record.h"

#define ACCESS_GROUPS_TEXT_MAX_BYTES (ENV_PEER_GROUPS_MAX * 11U + 1U)

/* What records say of a job token's claims (NULL: none came); borrows from them. */
struct audit_jwt access_identity_jwt(const struct access_claims *claims);

/* Who it is, for a record of the trail, without the listener; borrows from the identity. */
void access_identity_tell(const struct access_identity *identity, struct audit_record *record);

/* The word of a kind of caller; static. */
const char *access_identity_caller(enum env_peer_kind kind);

/* Everything but the claims; borrows from the identity. */
void access_identity_record(const struct access_identity *identity,
                            struct ledger_holder *ret_holder);

/* Its groups, numbers with commas between them. Returns `out`. */
const char *access_identity_groups(const struct access_identity *identity,
                                   char out[ACCESS_GROUPS_TEXT_MAX_BYTES]);

/* The way back, without groups and process: borrows the listener's name from the record, and the
 * claims from ret_claims, which is the caller's then (NULL: none). ERR_INVALID, ERR_NOMEM: it can't
 * be read; ret_claims may be set then, too. */
int access_identity_recover(const struct ledger_holder *record,
                            struct access_identity *ret_identity,
                            struct access_claims **ret_claims) ATTR_MUST_USE;

/* Adds the groups of a text that access_identity_groups has written. ERR_INVALID. */
int access_identity_recover_groups(struct str text, struct access_identity *identity) ATTR_MUST_USE;

#endif
