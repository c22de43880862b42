/* One run of a seed: a world drawn from it (roles, lives, faults and their rates, what clients do
 * most), a crowd and operators' noise in it, then healing, and an orderly end. */
#ifndef LEASED_TESTS_SIM_SWARM_H
#define LEASED_TESTS_SIM_SWARM_H

#include "base/check.h"

#include <stdbool.h>

struct sim_swarm_options {
    uint64_t seed;
    uint64_t steps;
    /* The world as it was at first: no ledger, no mishaps, fewer faults. The first seeds found what
     * they found in it. */
    bool is_plain;
    bool is_vault_only; /* no other issuers, which the next seeds were without */
    bool is_traced;
};

struct sim_swarm_result {
    uint64_t hash;
    uint64_t steps;
    uint64_t virtual_ms;
    uint64_t handed_out;
    uint64_t refused;
    uint64_t issues;
    uint64_t renewals;
    uint64_t revocations;
    uint64_t exchanges;
    uint64_t records;
    uint64_t crashes;          /* and orderly restarts */
    uint64_t lost_credentials; /* valid at the end of the healing, their issue's answer lost */
};

/* Runs that many steps with faults, then the end; fails the program when something doesn't hold. */
void sim_swarm_run(const struct sim_swarm_options *options, struct sim_swarm_result *ret_result);

#endif
