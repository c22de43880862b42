/* Chance from a seed: splitmix64 (Steele, Lea, Flood 2014). */
#include "sim.h"

uint64_t sim_random_u64(struct sim_random *random)
{
    uint64_t z = random->state += 0x9e3779b97f4a7c15U;

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
    return z ^ (z >> 31);
}

uint64_t sim_random_below(struct sim_random *random, uint64_t bound)
{
    CHECK(bound > 0);
    return sim_random_u64(random) % bound;
}

bool sim_random_chance(struct sim_random *random, uint32_t permille)
{
    return sim_random_below(random, 1000) < permille;
}
