/* Mishaps. Those that stop a daemon are noted by the event and done by sim_mishaps_run, because
 * stopping takes steps of its own. */
#include "sim_mishap.h"

#define SECOND_MS 1000U
#define MINUTE_MS 60000U
#define DOWN_MAX_MS (2U * MINUTE_MS)
#define PATIENCE_MAX_MS (30U * SECOND_MS)
#define SLEEP_MAX_MS (90U * MINUTE_MS)
#define STEP_MAX_MS (60U * MINUTE_MS)
#define BACKUP_AGE_MAX_MS (5U * MINUTE_MS)

static uint64_t below(struct sim_mishaps *mishaps, uint64_t bound)
{
    return sim_random_below(&mishaps->world->sim.random, bound);
}

/* --- those of the machine and the issuer ------------------------------------------------------ */

static void sleep_long(struct sim_mishaps *mishaps)
{
    bool is_nap = below(mishaps, 2) == 0;

    sim_suspend(&mishaps->world->sim, below(mishaps, is_nap ? 20U * SECOND_MS : SLEEP_MAX_MS));
}

/* Small steps as a time daemon makes them, and the big one of who finds the clock wrong. */
static void set_clock(struct sim_mishaps *mishaps)
{
    uint64_t most_ms = below(mishaps, 2) == 0 ? 2U * SECOND_MS : STEP_MAX_MS;
    int64_t step_ms = (int64_t)below(mishaps, 2 * most_ms) - (int64_t)most_ms;

    mishaps->world->sim.wall_offset_ms += step_ms;
    mishaps->world->sim.clock_set_ms = mishaps->world->sim.now_ms;
    sim_trace(&mishaps->world->sim, "the clock is set by %lld ms", (long long)step_ms);
}

/* What the issuer made since the backup is unknown to it, and its database was restored too. */
static void restore_backup(struct sim_mishaps *mishaps)
{
    struct sim_world *world = mishaps->world;
    uint64_t age_ms = below(mishaps, BACKUP_AGE_MAX_MS);
    struct sim_credential *credential = NULL;
    uint64_t count = 0;

    while ((credential = sim_issuer_next_valid(&world->vault.issuer, world->sim.now_ms,
                                               credential)) != NULL) {
        if (credential->issued_ms + age_ms > world->sim.now_ms) {
            credential->is_revoked = credential->was_forgotten = true;
            count++;
        }
    }
    sim_trace(&world->sim, "the issuer has forgotten %llu leases", (unsigned long long)count);
}

/* --- those of the daemon ---------------------------------------------------------------------- */

static void start_due(struct sim_event *event)
{
    CONTAINER_OF(event, struct sim_mishaps, start)->due = SIM_MISHAP_START;
}

static void happens(struct sim_event *event)
{
    struct sim_mishaps *mishaps = CONTAINER_OF(event, struct sim_mishaps, event);

    switch (below(mishaps, 6)) {
    case 0:
    case 1:
        mishaps->due = mishaps->world->is_up ? SIM_MISHAP_CRASH : mishaps->due;
        break;
    case 2:
        mishaps->due = mishaps->world->is_up ? SIM_MISHAP_RESTART : mishaps->due;
        break;
    case 3:
        sleep_long(mishaps);
        break;
    case 4:
        set_clock(mishaps);
        break;
    default:
        restore_backup(mishaps);
        break;
    }
    sim_schedule_in(&mishaps->world->sim, &mishaps->event, below(mishaps, 2 * mishaps->every_ms));
}

static void begin_again(struct sim_mishaps *mishaps)
{
    struct sim_world *world = mishaps->world;

    sim_trace(&world->sim, "a new daemon");
    sim_world_start(world, mishaps->options);
    if (mishaps->check->guard != NULL) {
        sim_guard_started(mishaps->check->guard);
    }
    world->listener.undelivered = mishaps->undelivered;
    world->listener.stalled = mishaps->stalled;
}

static void go_down(struct sim_mishaps *mishaps)
{
    bool is_quick = below(mishaps, 2) == 0;

    mishaps->due = SIM_MISHAP_NONE; /* what came while it went down */
    sim_check_crashed(mishaps->check);
    mishaps->crash_count++;
    sim_schedule_in(&mishaps->world->sim, &mishaps->start,
                    below(mishaps, is_quick ? SECOND_MS : DOWN_MAX_MS));
}

void sim_mishaps_run(struct sim_mishaps *mishaps)
{
    struct sim_world *world = mishaps->world;
    enum sim_mishap_kind due = mishaps->due;

    mishaps->due = SIM_MISHAP_NONE;
    if (due == SIM_MISHAP_CRASH) {
        sim_world_crash(world);
        go_down(mishaps);
    } else if (due == SIM_MISHAP_RESTART) {
        (void)sim_world_drain(world, below(mishaps, PATIENCE_MAX_MS));
        sim_world_stop(world, below(mishaps, 2) == 0);
        go_down(mishaps);
    } else if (due == SIM_MISHAP_START) {
        begin_again(mishaps);
    }
}

void sim_mishaps_start(struct sim_mishaps *mishaps)
{
    mishaps->event.fn = happens;
    mishaps->start.fn = start_due;
    if (mishaps->every_ms > 0) {
        sim_schedule_in(&mishaps->world->sim, &mishaps->event,
                        below(mishaps, 2 * mishaps->every_ms));
    }
}

void sim_mishaps_end(struct sim_mishaps *mishaps)
{
    struct sim *sim = &mishaps->world->sim;

    sim_mishaps_run(mishaps);
    sim_unschedule(sim, &mishaps->event);
    if (mishaps->start.heap_index != 0) {
        sim_unschedule(sim, &mishaps->start);
        begin_again(mishaps);
    }
    mishaps->world->listener.undelivered = 0;
    mishaps->world->listener.stalled = 0;
}
