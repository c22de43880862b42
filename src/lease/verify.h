/* Tries a new credential out before anybody gets it. */
#ifndef LEASED_LEASE_VERIFY_H
#define LEASED_LEASE_VERIFY_H

#include "lease/lease.h"
#include "lease/verifier.h"

#define VERIFY_MAGIC 0x76657269U

/* Exists from when a credential is on record until it has been tried out. */
struct verify {
    uint32_t magic;
    uint32_t try_count;
    struct lease *lease;
    struct wheel_entry due; /* the next try */
    void *running;          /* the verifier's; NULL: none is under way */
    uint64_t until_ms;      /* no try ends after that */
};

/* Tries the credential of a live lease that is being issued, again and again until it works or the
 * time is up: then issue_verified or issue_unverified runs, from the loop. ERR_NOMEM. */
int verify_start(struct lease *lease) ATTR_MUST_USE;

/* Its wheel entry has fired. */
void verify_due(struct verify *verify);

/* Its role has changed: one that isn't to be tried out any more is handed out. Fine with any lease.
 */
void verify_again(struct lease *lease);

/* The lease has ended, or the core does: nothing more is tried. Frees it; fine with NULL. */
void verify_forget(struct verify *verify);

#endif
