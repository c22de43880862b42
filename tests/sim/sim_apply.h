/* Policies that come over the API, as daemon/ takes them over: on record and in the ledger in one
 * commit, then they count, and what lives is judged. Of the files that it keeps there are none
 * here: the ledger's word says which of the world's policies rules, also for the next daemon. */
#ifndef LEASED_TESTS_SIM_APPLY_H
#define LEASED_TESTS_SIM_APPLY_H

#include "sim_world.h"

#include "lease/recheck.h"

/* serve_options' functions; `user` is the world. */
int sim_apply_compile(void *user, const struct policy_bundle *bundle,
                      struct access_policy **ret_policy, struct yaml_errors *mistakes);
int sim_apply_start(void *user, struct serve_apply *asked);

/* Nobody is told any more; before the trail closes. */
void sim_apply_stop(struct sim_world *world);

/* The policy that the ledger says was applied last; 0: none was. */
size_t sim_apply_word(const struct sim_world *world);

/* Judges what lives by the policy that rules. */
void sim_apply_recheck(struct sim_world *world, struct lease_recheck *recheck);

#endif
