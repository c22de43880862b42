/* What revoke and renew are given: the references of issues and of intents.
 *
 *   LEASE              a lease, under the own token
 *   LEASE\nACCESSOR    a lease, and the child token that it was issued under
 *   #cert MOUNT SERIAL a certificate without a lease
 *   #child ACCESSOR    an intent: whatever was issued under that child token
 *   #login ACCESSOR    an intent: what was asked for under a login's own token
 *   #login @SECONDS    the same, of a token that has no accessor, and ends at that unix time
 *
 * No lease's id begins with "#". */
#ifndef VAULT_REF_H
#define VAULT_REF_H

#include "common/text.h"

#define VAULT_REF_CERTIFICATE "#cert "
#define VAULT_REF_CHILD "#child "
#define VAULT_REF_LOGIN "#login "
#define VAULT_REF_MAX_BYTES 1024U

enum vault_ref_kind {
    VAULT_REF_KIND_LEASE,
    VAULT_REF_KIND_CERTIFICATE,
    VAULT_REF_KIND_CHILD,
    VAULT_REF_KIND_LOGIN,
};

struct vault_ref {
    enum vault_ref_kind kind;
    struct leased_str name;     /* the lease's id, or what stands behind the kind */
    struct leased_str accessor; /* of a lease's child token; empty: it has none */
};

/* Slices of `ref`. */
struct vault_ref vault_ref_parse(struct leased_str ref);

#endif
