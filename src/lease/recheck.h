/* New policies and the grants that live: judged anew, or only looked at. */
#ifndef LEASED_LEASE_RECHECK_H
#define LEASED_LEASE_RECHECK_H

#include "lease/core.h"

/* Decides anew what was decided for a grant; as access_policy_decide. */
typedef void (*lease_judge_fn)(void *user, const struct access_identity *identity,
                               const struct access_request *request,
                               struct access_decision *ret_decision);

/* One look at the grants that live, by policies that are new. */
struct lease_recheck {
    const char *policy_digest; /* copied */
    lease_judge_fn judge;
    void *user;
    uint64_t drain_ms;    /* what isn't allowed any more may live on so long; 0: it ends at once */
    uint32_t ended_count; /* out */
    uint32_t draining_count; /* out: they will end, within drain_ms */
    uint32_t reduced_count;  /* out: they go on for less long */
};

/* After policies have changed: judges each live grant as if it were asked for now, in the order in
 * which they were made, by the identity that asked (its process isn't known any more, and its
 * groups are those that it had). What isn't allowed any more ends with GRANT_END_POLICY, as does a
 * grant whose uid has another name now; one that would get a shorter duration gets it, and so does
 * one that drains (grant.reduced). What drains goes on doing so when it is judged again by the same
 * policy. Returns how many ended. */
uint32_t lease_core_recheck(struct lease_core *core, struct lease_recheck *recheck);

/* What a recheck would do to one grant; borrowed until the callback returns. */
struct lease_preview {
    const struct grant *grant;
    bool ends;                              /* else its life gets shorter */
    const struct access_decision *decision; /* NULL: its uid has another name now */
    int64_t until_wall_ms;                  /* of one that gets shorter: the new end */
};

/* Tells of each grant that a recheck would end or shorten, and changes nothing. */
void lease_core_preview(struct lease_core *core, const struct lease_recheck *recheck,
                        void (*fn)(void *user, const struct lease_preview *preview), void *user);

#endif
