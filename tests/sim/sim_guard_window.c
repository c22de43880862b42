/* S17: what is given within a window ends with it. */
#include "sim_guard.h"

#include "sim_rules.h"
#include "sim_trail.h"

#include "base/mem.h"

#include <stdio.h>

struct sim_windowed {
    struct map_entry entry;
    char grant[48];
    int64_t end_wall_ms; /* of its window, when it began, or by a policy that came later */
};

static struct sim_windowed *windowed_find(const struct sim_guard *guard, const char *grant)
{
    struct map_entry *entry = map_find(&guard->windows, str_of(grant));

    return entry != NULL ? MAP_ENTRY(entry, struct sim_windowed, entry) : NULL;
}

/* When the window ends that it is now in, or just was. 0: it is in none. */
static int64_t window_end(const struct sim_guard *guard)
{
    const struct sim_world *world = guard->world;
    int64_t wall_ms = env_wall_ms(&guard->world->sim.env);
    int64_t end_ms = sim_rules_window_end(world->policy_index, wall_ms);

    return end_ms != 0 ? end_ms
                       : sim_rules_window_end(world->policy_index, wall_ms - SIM_GUARD_LATE_MAX_MS);
}

/* The clock was set, or another policy came, or the machine slept, so short ago that what was begun
 * before may come now. */
static bool is_window_sure(const struct sim_guard *guard)
{
    const struct sim *sim = &guard->world->sim;

    return sim_guard_is_calm(guard) && sim->clock_set_ms + SIM_GUARD_CALM_MS < sim->now_ms &&
           guard->changed_ms + SIM_GUARD_CALM_MS < sim->now_ms;
}

/* What was decided by another clock, or policy, is passed over, and what comes late isn't blamed.
 */
void sim_guard_window_created(struct sim_guard *guard, const struct sim_trail_record *record)
{
    struct sim_windowed *windowed = windowed_find(guard, record->grant);
    const struct sim *sim = &guard->world->sim;

    if (sim->clock_set_ms + SIM_GUARD_LATE_MAX_MS >= sim->now_ms ||
        sim->woke_ms + SIM_GUARD_LATE_MAX_MS >= sim->now_ms ||
        guard->changed_ms + SIM_GUARD_LATE_MAX_MS >= sim->now_ms) {
        return;
    }
    if (window_end(guard) == 0) {
        if (is_window_sure(guard)) {
            sim_fail(&guard->world->sim, "S17: %s is given outside its window", record->grant);
        }
        return;
    }
    if (windowed == NULL) {
        windowed = mem_calloc(1, sizeof(*windowed));
        CHECK(windowed != NULL);
        (void)snprintf(windowed->grant, sizeof(windowed->grant), "%s", record->grant);
        CHECK(map_add(&guard->windows, &windowed->entry, str_of(windowed->grant)) == 0);
    }
    windowed->end_wall_ms = window_end(guard);
}

/* By the clock on the wall, which may have been set since it began; a moment ago proves nothing. */
void sim_guard_window_check(const struct sim_guard *guard, const struct grant_view *view)
{
    struct sim *sim = &guard->world->sim;
    const struct sim_windowed *windowed = windowed_find(guard, view->id);
    int64_t left_ms;

    if (windowed == NULL || sim->clock_set_ms + SIM_GUARD_LATE_MAX_MS >= sim->now_ms) {
        return;
    }
    left_ms = windowed->end_wall_ms - env_wall_ms(&sim->env);
    if (left_ms + (int64_t)SIM_GUARD_LATE_MAX_MS < 0) {
        sim_fail(sim, "S17: %s goes on, and its window ended %lld ms ago", view->id,
                 (long long)-left_ms);
    }
}

void sim_guard_window_read(const struct sim_guard *guard, const char *grant)
{
    if (is_window_sure(guard) && window_end(guard) == 0) {
        sim_fail(&guard->world->sim, "S17: %s reads outside its window", grant);
    }
}

void sim_guard_windows_follow(struct sim_guard *guard)
{
    int64_t wall_ms = env_wall_ms(&guard->world->sim.env);
    int64_t end_wall_ms = sim_rules_window_end(guard->policy_index, wall_ms);
    struct map_entry *entry;

    end_wall_ms = end_wall_ms != 0 ? end_wall_ms : wall_ms;

    for (entry = map_first(&guard->windows); entry != NULL;
         entry = map_next(&guard->windows, entry)) {
        struct sim_windowed *windowed = MAP_ENTRY(entry, struct sim_windowed, entry);

        if (end_wall_ms < windowed->end_wall_ms) {
            windowed->end_wall_ms = end_wall_ms;
        }
    }
}

void sim_guard_windows_fini(struct sim_guard *guard)
{
    struct map_entry *entry;

    while ((entry = map_first(&guard->windows)) != NULL) {
        map_remove(&guard->windows, entry);
        mem_free(MAP_ENTRY(entry, struct sim_windowed, entry));
    }
    map_fini(&guard->windows);
}
