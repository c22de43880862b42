/* The leak drill: somebody's credentials, or one, may be in wrong hands, so every lease that they
 * have ever read ends, whoever else has it.
 *
 * The grants that are meant end, and their leases are revoked at once: nothing lingers, nothing
 * overlaps. A lease that others hold too is replaced for them first; it is revoked the moment its
 * successor is there to be read, and if there is none within its role's overlap, without one:
 * a credential that may have leaked lives on for as little as its holders can bear. What its issuer
 * can't revoke is given to nobody any more, and its end is told.
 *
 * A drill lives in memory. Its owner keeps on record that it has begun, and begins it again after a
 * restart. */
#ifndef LEASED_LEASE_DRILL_H
#define LEASED_LEASE_DRILL_H

#include "access/match.h"
#include "lease/core.h"

struct lease_drill;

/* What has become of one lease. */
enum lease_drill_kind {
    LEASE_DRILL_PENDING,     /* it isn't revoked yet, and is tried again */
    LEASE_DRILL_REVOKED,     /* its issuer has confirmed its end, or it was over there */
    LEASE_DRILL_EXPIRES,     /* its issuer can't revoke it: it lives until then */
    LEASE_DRILL_UNCONFIRMED, /* it should be over, but its issuer has never confirmed it */
};

/* Texts live as long as the drill; `error` until the loop turns. */
struct lease_drill_event {
    enum lease_drill_kind kind;
    const char *lease;
    const char *role;
    const char *backend;
    int64_t expires_wall_ms; /* at the issuer, at the latest; 0: not known */
    const char *error;       /* of what is pending; NULL: none */
};

struct lease_drill_counts {
    uint32_t lease_count; /* all of them */
    uint32_t revoked_count;
    uint32_t expires_count;
    uint32_t unconfirmed_count;
    uint32_t grant_count;    /* grants that it has ended */
    int64_t expires_wall_ms; /* the last end of those that its issuer can't revoke; 0: none */
    bool is_over;            /* nothing is pending */
};

struct lease_drill_options {
    const struct access_match *match; /* borrowed, as long as the drill */
    /* The match's part about identities, as the policy of now has it. */
    bool (*is_meant)(void *user, const struct access_identity *identity);
    /* There is something for lease_drill_next, or the drill is over. From the loop; may free the
     * drill. */
    void (*news)(void *user);
    void *user;
    /* Begun earlier, by a daemon before: what came later isn't its concern. 0: it begins now. */
    uint64_t begun_ms;
};

/* Finds what is meant, and begins: from the loop, a part after the other, because the ledger has to
 * keep up. ERR_NOMEM: nothing has begun. */
int lease_drill_new(struct lease_core *core, const struct lease_drill_options *options,
                    struct lease_drill **ret_drill) ATTR_MUST_USE;

/* What has been begun goes on by itself; what hasn't doesn't. NULL is fine. */
void lease_drill_free(struct lease_drill *drill);

/* The next event that wasn't told yet; of several of one lease the last. False: there is none. */
bool lease_drill_next(struct lease_drill *drill, struct lease_drill_event *ret_event);

void lease_drill_counts(const struct lease_drill *drill, struct lease_drill_counts *ret_counts);

#endif
