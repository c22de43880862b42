/* Puts on record which leases go on over a restart, a few at a time: a start with a million of them
 * is ready long before the trail has them all.
 *
 * Happy path: recover.c marks each lease that goes on → adopted_start once all are there → every
 * ADOPTED_PAUSE_MS the next ADOPTED_RUN of them are put on record, in order of age → the last ends
 * it. What happens to a lease before its turn has come puts it on record first (adopted_tell).
 *
 * Failure paths: the lease at which the walk stands is freed (adopted_forget): it goes on behind
 * it. The daemon stops or dies in between: the rest isn't on record in this run; the next start
 * adopts what is still there anew. */
#include "lease/core_internal.h"

#define ADOPTED_RUN 100U
#define ADOPTED_PAUSE_MS 10U

void adopted_tell(struct lease *lease)
{
    if (lease->is_untold) {
        lease->is_untold = false;
        record_lease_adopted(lease);
    }
}

void adopted_forget(struct lease *lease)
{
    struct lease_core *core = lease->role->core;

    if (core->adopted_next == lease) {
        core->adopted_next = lease_core_next_lease(core, lease);
    }
}

void adopted_start(struct lease_core *core)
{
    core->adopted_next =
        core->recovery.adopted_count > 0 ? lease_core_next_lease(core, NULL) : NULL;
    adopted_due(core);
}

void adopted_due(struct lease_core *core)
{
    unsigned count;

    for (count = 0; count < ADOPTED_RUN && core->adopted_next != NULL; count++) {
        struct lease *lease = core->adopted_next;

        core->adopted_next = lease_core_next_lease(core, lease);
        adopted_tell(lease);
    }
    if (core->adopted_next != NULL) {
        wheel_arm(&core->wheel, &core->adopted_due,
                  schedule_add_ms(core_now_ms(core), ADOPTED_PAUSE_MS));
    }
}
