/* Allocations that fail, in the daemon's code only: what the simulator allocates itself (the model
 * issuer's answers, requests, the trail's reader) stands between sim_oom_outside and
 * sim_oom_inside, and neither fails nor counts. */
#ifndef LEASED_TESTS_SIM_OOM_H
#define LEASED_TESTS_SIM_OOM_H

#include "base/check.h"

#include <stdbool.h>

/* From now on the daemon's `at`th allocation [from 1] fails, and with `is_for_ever` each after it.
 */
void sim_oom_arm(uint64_t at, bool is_for_ever);

/* No more, until sim_oom_resume; then the count goes on. */
void sim_oom_pause(void);
void sim_oom_resume(void);

/* How many have failed since sim_oom_arm. */
uint64_t sim_oom_failed_count(void);

/* Nests. */
void sim_oom_outside(void);
void sim_oom_inside(void);

#endif
