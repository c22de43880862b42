/* Ends that somebody asks for: of a grant, of a lease; and what becomes of an answer that could not
 * be delivered. */
#include "base/mutant.h"
#include "lease/core_internal.h"

/* Tells when the issuer has confirmed, or at once when there is nothing to confirm. */
static void end_wait(struct lease *lease, struct lease_wait *wait)
{
    if (wait == NULL) {
        return;
    }
    if (lease->state == LEASE_STATE_REVOKING ||
        (lease->state == LEASE_STATE_REQUESTED && lease->grant_count == 0)) {
        waits_add(lease, WAIT_REVOKE, wait); /* what its issue brings is revoked */
    } else if (lease->grant_count == 0 && !lease->is_revocable &&
               lease->state != LEASE_STATE_REQUESTED && lease->state != LEASE_STATE_FAILED) {
        wait_end(lease->role->core, wait, ERR_UNSUPPORTED,
                 "its issuer can't revoke it: it lives to its own end");
    } else {
        wait_end(lease->role->core, wait, 0, NULL);
    }
}

/* The others get another one; where that is there already they have no more than the overlap to
 * read it. */
static void take_back(struct lease *lease)
{
    if (lease->state == LEASE_STATE_SUPERSEDED) {
        rotate_bound(lease);
    } else if (fsm_lease_is_live(lease->state)) {
        rotate_try(lease, true, "access was taken from one of its holders");
    }
}

void lease_end_grant(struct lease_core *core, struct grant *grant, enum grant_end end,
                     struct lease_wait *wait)
{
    struct lease *lease = grant->lease;

    grant_end(grant, end);
    /* Who lost it against his will still knows a shared credential. */
    if ((end == GRANT_END_POLICY || end == GRANT_END_REVOKED) && lease_is_shared(lease) &&
        lease->grant_count > 0 && lease->is_recorded) {
        take_back(lease);
    }
    end_wait(lease, wait);
    core_touch(core);
}

void lease_end(struct lease_core *core, struct lease *lease, enum grant_end end,
               struct lease_wait *wait)
{
    struct list *node;
    struct list *following;

    LIST_EACH (&lease->grants, node, following) {
        grant_end(LIST_ENTRY(node, struct grant, by_lease), end);
    }
    if (fsm_lease_is_live(lease->state)) {
        revoke_start(lease, "ended on request");
    } else if (lease->state == LEASE_STATE_REQUESTED) {
        issue_forget_late(lease);
    }
    end_wait(lease, wait);
    core_touch(core);
}

void lease_core_delivered(struct lease_core *core, struct grant *grant, bool delivered)
{
    bool is_of_this_lease = grant->older_count == 0;

    if (grant->delivery_count > 0) {
        grant->delivery_count--;
    }
    if (grant->delivery_count == 0) {
        grant->older_count = 0;
    }
    core_touch(core);
    if (grant->state == GRANT_STATE_ENDED) {
        return;
    }
    if (delivered) {
        grant->is_delivered = true;
        if (is_of_this_lease) {
            ack_await(grant);
        }
    } else if (!MUTATED(14) && !grant->is_delivered && grant->delivery_count == 0 &&
               grant->acquire_count == 0) {
        grant_end(grant, GRANT_END_UNDELIVERED);
    }
}
