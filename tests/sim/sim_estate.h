/* The issuers of a world beside Vault: which of them a seed chooses, and how they behave. */
#ifndef LEASED_TESTS_SIM_ESTATE_H
#define LEASED_TESTS_SIM_ESTATE_H

#include "sim_world.h"

/* In half of the seeds most roles are of other issuers; sets their `kind`. Of chances of its own,
 * so that all else is the same without it. Returns the world's variant. */
uint32_t sim_estate_draw(uint64_t seed, struct sim_role *roles, size_t role_count);

/* The faults of the model Vault are those of the others from now on, and its moods theirs. */
void sim_estate_follow(struct sim_world *world);

#endif
