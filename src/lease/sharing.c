/* Which lease a new grant gets without an issue.
 *
 * share: role and identity each have one place, in the role or the holder, with the lease that the
 * next grant gets: it may still be requested, which is what makes a crowd of first requests one
 * issue. share: none has a list of leases that were given back and not yet ended; only the same
 * identity gets them, because whoever had a credential may still know it. */
#include "base/mutant.h"
#include "lease/core_internal.h"

static struct lease **shared_place(struct role *role, struct holder *holder)
{
    switch (role->config.share) {
    case LEASE_SHARE_ROLE:
        return &role->shared;
    case LEASE_SHARE_IDENTITY:
        return &holder->shared;
    case LEASE_SHARE_NONE:
        break;
    }
    return NULL;
}

bool lease_is_shared(const struct lease *lease)
{
    return lease->role->config.share != LEASE_SHARE_NONE;
}

/* Good for somebody who comes now. One that is below what a hand-out needs is shared all the same
 * while others hold it, or will at their next read: it is being renewed or replaced for them. */
static bool is_offered(struct lease *lease)
{
    return lease_is_wanted(lease) || lease->state == LEASE_STATE_REQUESTED ||
           lease_left_ms(lease) > lease_needed_ms(lease, 0);
}

static struct lease *idle_find(const struct holder *holder)
{
    struct list *node;
    struct list *following;

    LIST_EACH (&holder->idle, node, following) {
        struct lease *lease = LIST_ENTRY(node, struct lease, by_state);

        if (is_offered(lease)) {
            return lease;
        }
    }
    return NULL;
}

struct lease *sharing_find(struct role *role, struct holder *holder)
{
    struct lease **place;

    if (role->config.share == LEASE_SHARE_NONE) {
        return idle_find(holder);
    }
    place = shared_place(role, holder);
    CHECK(place != NULL);
    if (*place != NULL && !is_offered(*place)) {
        *place = NULL; /* what is issued now is for everybody who comes */
    }
    return *place;
}

struct lease *sharing_elsewhere(const struct lease *lease, struct holder *holder)
{
    struct lease *shared;

    if (!lease_is_shared(lease) || lease->state == LEASE_STATE_REQUESTED) {
        return NULL;
    }
    shared = sharing_find(lease->role, holder);
    if (shared == NULL) {
        return NULL;
    }
    shared = lease_current(shared);
    return shared != lease && shared != lease->successor ? shared : NULL;
}

void sharing_offer(struct lease *lease)
{
    struct lease **place = shared_place(lease->role, lease->holder);

    if (place != NULL && *place == NULL && !MUTATED(15)) {
        *place = lease;
    }
}

void sharing_keep(struct lease *lease)
{
    CHECK(lease->grant_count == 0);
    if (lease_is_shared(lease)) {
        sharing_offer(lease);
    } else if (!list_is_linked(&lease->by_state)) {
        list_push_back(&lease->holder->idle, &lease->by_state);
    }
}

static void idle_remove(struct lease *lease)
{
    if (!lease_is_ending(lease)) {
        list_remove(&lease->by_state);
    }
}

void sharing_withdraw(struct lease *lease)
{
    struct lease **place = shared_place(lease->role, lease->holder);

    if (place != NULL && *place == lease) {
        *place = NULL;
    }
    idle_remove(lease);
}

void sharing_replace(struct lease *lease, struct lease *successor)
{
    struct lease **place = shared_place(lease->role, lease->holder);

    if (place != NULL && *place == lease) {
        *place = successor;
    }
    idle_remove(lease);
}
