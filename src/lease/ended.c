/* What has ended is kept for a while, so that clients can read how, and freed in the order of its
 * end. */
#include "lease/core_internal.h"

#define TRIES_MAX 16U /* a turn doesn't look at more that are still pointed to */

static void trim_grants(struct lease_core *core)
{
    struct list *list = &core->grants_by_state[GRANT_STATE_ENDED];
    unsigned tries = 0;

    while (core->grant_counts[GRANT_STATE_ENDED] > CORE_ENDED_MAX && tries < TRIES_MAX) {
        struct list *node = list->next;

        if (!grant_try_free(LIST_ENTRY(node, struct grant, by_state))) {
            list_move_back(list, node);
            tries++;
        }
    }
}

static void trim_leases(struct lease_core *core, enum lease_state state)
{
    struct list *list = &core->leases_by_state[state];
    unsigned tries = 0;

    while (core->lease_counts[state] > CORE_ENDED_MAX && tries < TRIES_MAX) {
        struct list *node = list->next;

        if (!lease_try_free(LIST_ENTRY(node, struct lease, by_state))) {
            list_move_back(list, node);
            tries++;
        }
    }
}

void ended_trim(struct lease_core *core)
{
    trim_grants(core);
    trim_leases(core, LEASE_STATE_REVOKED);
    trim_leases(core, LEASE_STATE_EXPIRED);
    trim_leases(core, LEASE_STATE_UNCONFIRMED);
    trim_leases(core, LEASE_STATE_FAILED);
}
