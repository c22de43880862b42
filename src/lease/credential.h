/* How a credential is kept: what its issuer gave (its reference and the fields) packed into one
 * piece, and sealed. The plain form exists in secret memory only, and only while it is needed. */
#ifndef LEASED_LEASE_CREDENTIAL_H
#define LEASED_LEASE_CREDENTIAL_H

#include "base/secret.h"
#include "lease/issuer.h"

#define CREDENTIAL_MAX_BYTES (64U * 1024U)

/* A credential at rest, in ordinary memory: one block with its size before it. Zero-initialise. */
struct credential {
    struct credential_block *block; /* owned; NULL: there is none */
};

/* The sealed bytes; borrowed. Empty when there is none. */
struct str credential_sealed(const struct credential *credential);

/* Packs a successful issue's result. ERR_NOMEM; ERR_TOO_LARGE when it passes CREDENTIAL_MAX_BYTES
 * or has more than LEASE_FIELDS_MAX fields or its reference more than LEASE_ISSUER_REF_MAX_BYTES.
 */
int credential_pack(const struct lease_result *result, struct secret *ret_packed) ATTR_MUST_USE;

/* Seals a packed credential; `owner` (whose it is) must be the same when it is opened. ERR_NOMEM;
 * ERR_LIMIT as env_seal. */
int credential_seal(struct env *env, struct str owner, const struct secret *packed,
                    struct credential *ret_credential) ATTR_MUST_USE;

/* Opens it into secret memory. ERR_NOMEM; ERR_INVALID when it was changed or is another owner's.
 * Nothing comes of nothing. */
int credential_open(struct env *env, struct str owner, const struct credential *credential,
                    struct secret *ret_packed) ATTR_MUST_USE;

void credential_fini(struct credential *credential);

/* Has it the form that credential_pack gives? What comes from the ledger may be of another version.
 */
bool credential_is_packed(const struct secret *packed);

/* The issuer's reference; borrowed from `packed`. Empty when nothing is packed. */
struct str credential_ref(const struct secret *packed);

/* The issuer's fields, at most LEASE_FIELDS_MAX; borrowed from `packed`. Returns how many. */
size_t credential_fields(const struct secret *packed,
                         struct lease_field ret_fields[LEASE_FIELDS_MAX]);

/* What names the credential at the issuer (a user name, key id, serial) for the audit trail's keyed
 * hash; empty if no field is known to. Borrowed. */
struct str credential_identifier(const struct lease_field *fields, size_t field_count);

#endif
