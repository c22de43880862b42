/* The ledger's disk: it takes its time, is slow at times, and fails while the world's faults say
 * so. */
#include "sim_world.h"

#define COMMIT_MAX_MS 4
#define COMMIT_SLOW_MAX_MS 5000
#define COMMIT_RETRY_MS 1000

static void ledger_waits(struct fake_ledger *fake)
{
    struct sim_world *world = CONTAINER_OF(fake, struct sim_world, ledger);
    struct sim *sim = &world->sim;
    bool is_slow = sim_random_chance(&sim->random, sim->faults.append_slow);

    if (world->committing.heap_index == 0) {
        sim_schedule_in(sim, &world->committing,
                        sim_random_below(&sim->random,
                                         is_slow ? COMMIT_SLOW_MAX_MS : COMMIT_MAX_MS));
    }
}

static bool is_late(const struct sim_world *world)
{
    return !list_is_empty(&world->ledger.changes) &&
           world->sim.now_ms - world->ledger.pending_since_ms >= AUDIT_CONFIRM_DEFAULT_MS;
}

static void ledger_commit(struct sim_event *event)
{
    struct sim_world *world = CONTAINER_OF(event, struct sim_world, committing);
    struct sim *sim = &world->sim;
    bool fails = sim->is_disk_full || sim_random_chance(&sim->random, sim->faults.append_failed);

    world->commit_was_late = is_late(world);
    world->ledger.fail_status = fails ? ERR_IO : 0;
    sim_trace(sim, "ledger: %s", fails ? "commit failed" : "committed");
    fake_ledger_run(&world->ledger);
    if (fails && world->committing.heap_index == 0) {
        sim_schedule_in(sim, &world->committing, COMMIT_RETRY_MS);
    }
}

void sim_ledger_init(struct sim_world *world)
{
    fake_ledger_init(&world->ledger, &world->sim.env);
    world->ledger.is_held = true;
    world->ledger.waits = ledger_waits;
    world->committing = (struct sim_event){.fn = ledger_commit};
}

/* What ended while a commit was late is on record before the next commit takes it out of the
 * ledger.
 */
bool sim_ledger_is_failing(const struct sim_world *world)
{
    return world->ledger.failure != 0 || !audit_is_ready(world->audit) || is_late(world) ||
           (!list_is_empty(&world->ledger.changes) && world->commit_was_late);
}
