/* Holders that follow their grants (observe.h) say themselves when they have moved over to a
 * successor: between the read and the last use of the old credential lies a moment that only they
 * know the end of.
 *
 * Happy path: the successor was read (end.c) → ack_await: the old lease lives on → lease_core_ack:
 * the grant leaves it → the last one has: it is revoked (settle.c).
 *
 * Failure path: nobody says anything. The overlap after the last such read is the bound, or what
 * bounds the old lease anyway; after a restart of the daemon, the overlap from then on. */
#include "lease/core_internal.h"
#include "lease/observe.h"

void ack_await(struct grant *grant)
{
    struct lease *old = grant->leaving;
    uint64_t overlap_ms = grant->lease->role->config.overlap_ms;

    if (old == NULL || grant->awaits_ack) {
        return; /* reading once more is no reason for more time */
    }
    if (old->state != LEASE_STATE_SUPERSEDED || overlap_ms == 0 || !observe_is_followed(grant)) {
        grant_leave(grant);
        return;
    }
    grant->awaits_ack = true;
    if (old->step != LEASE_STEP_MOVE) {
        lease_set_step(old, LEASE_STEP_LEAVE,
                       schedule_add_ms(core_now_ms(old->role->core), overlap_ms));
        observe_superseded(old);
    }
}

void ack_due(struct lease *lease)
{
    struct lease *next;
    struct list *node;
    struct list *following;

    for (next = lease->successor; next != NULL; next = next->successor) {
        LIST_EACH (&next->grants, node, following) {
            struct grant *grant = LIST_ENTRY(node, struct grant, by_lease);

            if (grant->leaving == lease) {
                grant_leave(grant);
            }
        }
    }
}

/* Who has read the successor and who has said so isn't in the ledger. A lease of which all had
 * would have been revoked, so all that are past it have the overlap once more. */
void ack_recover(struct lease *lease)
{
    uint64_t overlap_ms = lease->role->config.overlap_ms;
    struct list *node;
    struct list *following;

    if (overlap_ms == 0 || lease->successor == NULL) {
        return;
    }
    LIST_EACH (&lease->successor->grants, node, following) {
        struct grant *grant = LIST_ENTRY(node, struct grant, by_lease);

        if (grant->leaving == NULL) {
            grant_set_leaving(grant, lease);
            grant->awaits_ack = true;
        }
    }
    if (lease->leaving_count > 0) {
        lease_set_step(lease, LEASE_STEP_LEAVE,
                       schedule_add_ms(core_now_ms(lease->role->core), overlap_ms));
    }
}

/* Is it on the lease, or has it come from there? */
static bool is_about(const struct grant *grant, const struct lease *lease)
{
    const struct lease *next = lease;

    while (next != NULL && next != grant->lease) {
        next = next->successor;
    }
    return next != NULL || grant->leaving == lease;
}

static bool is_named(const struct grant *grant, struct str grant_id)
{
    return grant_id.ptr == NULL || str_eq_c(grant_id, grant->id);
}

int lease_core_ack(struct lease_core *core, struct lease *lease,
                   const struct access_identity *identity, struct str grant_id)
{
    struct grant *grant = NULL;
    bool is_behind = false;
    bool has_moved = false;

    while ((grant = lease_core_next_own_grant(core, identity, grant)) != NULL) {
        if (grant->state != GRANT_STATE_HELD || !is_named(grant, grant_id) ||
            !is_about(grant, lease)) {
            continue;
        }
        if (grant->leaving == NULL && lease_current(grant->lease) != grant->lease) {
            is_behind = true;
            continue;
        }
        has_moved = true;
        grant_leave(grant);
    }
    core_touch(core);
    if (has_moved) {
        return 0;
    }
    return is_behind ? ERR_BUSY : ERR_NOT_FOUND;
}
