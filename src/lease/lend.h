/* A role's credential for the daemon itself: a backend that works with what another role of this
 * daemon gives borrows it here. To the lease layer the backend is a consumer like any other, with a
 * grant of its own: on record, in the ledger, renewed and replaced, taken over by the next daemon.
 * Its identity is ENV_PEER_SELF and its user "backend:NAME", which nobody can be called: no policy
 * is asked, and the role's limits count.
 *
 * The grant hangs on nothing that ends by itself. It is given back when no backend of that name
 * works with that role any more (lease_issuer.borrows), and when the daemon stops once no lease of
 * the backend's is left to be revoked with it. A role that is removed meanwhile stays for as long.
 *
 * Happy path: lease_lend_start → from the loop: the grant that is there, or lease_acquire_start →
 * fn. Failure paths: as lease_acquire's. */
#ifndef LEASED_LEASE_LEND_H
#define LEASED_LEASE_LEND_H

#include "lease/core.h"

/* Borrowed until the callback returns. */
struct lease_lent {
    const struct lease_field *fields;
    size_t field_count;
    uint64_t expires_ms; /* env clock */
};

/* One look at the credential; embedded, lives until the callback. */
struct lease_loan {
    /* Set by the caller; borrowed until the callback. */
    const char *backend; /* who borrows … */
    const char *role;    /* … from which role */
    /* The one that it got last is refused where it counts: another one, if that is a minute old. */
    bool is_refused;
    /* 0, or a status of lease_acquire with `lent` NULL. */
    void (*fn)(struct lease_loan *loan, int status, const struct lease_lent *lent);
    void *user;
    uint64_t retry_after_ms; /* out */
    struct err error;        /* out: for people */
    /* The core's. */
    struct lease_core *core;
    struct list node; /* of the core's loans, until it has begun */
    struct env_deferred deferred;
    struct access_identity identity;
    struct access_decision decision;
    struct lease_acquire acquire;
    struct lease_wait rotation;
    bool is_rotating;
    bool is_cancelled;
    char reason[LEASE_REASON_MAX_BYTES + 1];
};

/* May be started before the roles are there, or what the ledger has: it begins from the loop.
 * ERR_CLOSED: the core closes. */
int lease_lend_start(struct lease_core *core, struct lease_loan *loan) ATTR_MUST_USE;

/* Only asks: the callback still runs. */
void lease_lend_cancel(struct lease_loan *loan);

#endif
