/* What a reference of the ledger names at a Vault, and its end there: plugins/vault/ref.h has what
 * they look like. */
#ifndef LEASED_CLI_REVOCATION_H
#define LEASED_CLI_REVOCATION_H

#include "base/buf.h"
#include "cli/issuer.h"

enum revocation_kind {
    REVOCATION_NONE, /* nothing that could be revoked */
    REVOCATION_LEASE,
    REVOCATION_CHILD,
    REVOCATION_CERTIFICATE,
    REVOCATION_LOGIN,
};

/* Slices of the reference. */
struct revocation_target {
    enum revocation_kind kind;
    struct str name;     /* the lease's id, the accessor, "MOUNT SERIAL" */
    struct str accessor; /* of a lease's child token; empty: it has none */
};

struct revocation_target revocation_target_of(struct str reference);

/* For people: "revoke database/creds/orders/…". */
void revocation_describe(const struct revocation_target *target, struct buf *out);

/* Ends it and waits for the issuer's word. 0: it has said so. ERR_GONE: it knows nothing of it,
 * which an issuer that never had it says too. Else it may live on, and `e` says why; after
 * ERR_CONNECT, ERR_UNAVAILABLE and ERR_NOMEM there is no use in going on with others.
 * ret_is_known is set when the issuer has known it. */
int revocation_run(struct issuer *issuer, const struct revocation_target *target,
                   bool *ret_is_known, struct err *e) ATTR_MUST_USE;

#endif
