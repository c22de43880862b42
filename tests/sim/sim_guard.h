/* What must hold in a guarded world (sim_rules.h), by the trail, by what clients have asked for,
 * and by the clocks:
 *
 *   S16 a guarded role is given by an approval alone: durable, by enough others, each of them
 *       another person that the rule names; for exactly what was asked; used once, within its time;
 *       not after it was denied, withdrawn or out of time. What was asked survives a restart
 *   S17 nothing is handed out outside its window, and what was ends with it
 *   I10 what lives is held by a rule of the policy that rules; what an answer called applied does
 */
#ifndef LEASED_TESTS_SIM_GUARD_H
#define LEASED_TESTS_SIM_GUARD_H

#include "sim_world.h"

/* What may come later than it is due, and how long nothing was to have happened to the clocks or
 * the ledger, so that times are certain. */
#define SIM_GUARD_LATE_MAX_MS 15000U
#define SIM_GUARD_CALM_MS 45000U

struct sim_trail;
struct sim_trail_record;

struct sim_guard {
    struct sim_world *world;
    const struct sim_trail *trail;
    struct map asked;    /* requests by id: struct sim_asked */
    struct map windows;  /* grants of roles with one, by id: struct sim_windowed */
    uint64_t failing_ms; /* when the ledger was last seen to fail */
    uint64_t changed_ms; /* when the policy that rules was last seen to be another */
    size_t policy_index; /* that was seen */
    bool is_sure;        /* an answer said that this one is applied, and the ledger is well: */
    size_t sure_index;
};

void sim_guard_init(struct sim_guard *guard, struct sim_world *world,
                    const struct sim_trail *trail);
void sim_guard_fini(struct sim_guard *guard);

/* A record of the trail is durable. */
void sim_guard_record(struct sim_guard *guard, const struct sim_trail_record *record);

/* An answer with a credential leaves the daemon. */
void sim_guard_read(struct sim_guard *guard, const struct sim_request *request,
                    const json_t *answer);

/* One is to be applied: which one a kill leaves isn't known from now on. An answer says that it is.
 */
void sim_guard_applying(struct sim_guard *guard);
void sim_guard_applied(struct sim_guard *guard, size_t index);

/* The daemon is dead; `was_failing`: what it said may not be in the ledger. Another one is up. */
void sim_guard_crashed(struct sim_guard *guard, bool was_failing);
void sim_guard_started(struct sim_guard *guard);

/* Now and then: what lives. */
void sim_guard_check(struct sim_guard *guard);

/* Are times certain now? */
bool sim_guard_is_calm(const struct sim_guard *guard);

/* --- sim_guard_window.c --- */

void sim_guard_window_created(struct sim_guard *guard, const struct sim_trail_record *record);
void sim_guard_window_read(const struct sim_guard *guard, const char *grant);
void sim_guard_window_check(const struct sim_guard *guard, const struct grant_view *view);
/* Another policy rules. */
void sim_guard_windows_follow(struct sim_guard *guard);
void sim_guard_windows_fini(struct sim_guard *guard);

#endif
