#include "sim_estate.h"

#define ESTATE_PERMILLE 500
#define ELSEWHERE_PERMILLE 750 /* of such a world's roles */

static const struct sim_issuer_kind *const kinds[] = {
    &sim_aws_kind,  &sim_google_kind,  &sim_entra_kind,   &sim_github_kind,
    &sim_kube_kind, &sim_localca_kind, &sim_program_kind,
};

uint32_t sim_estate_draw(uint64_t seed, struct sim_role *roles, size_t role_count)
{
    struct sim_random random = {.state = seed * 0xda942042e4dd58b5U + 5};
    uint32_t variant;

    if (sim_random_chance(&random, 1000 - ESTATE_PERMILLE)) {
        return 0;
    }
    variant = (uint32_t)sim_random_u64(&random);
    for (size_t i = 0; i < role_count; i++) {
        const struct sim_issuer_kind *kind = kinds[sim_random_below(&random, ARRAY_LEN(kinds))];

        roles[i].kind = sim_random_chance(&random, ELSEWHERE_PERMILLE) ? kind : NULL;
    }
    return variant;
}

void sim_estate_follow(struct sim_world *world)
{
    const struct sim_issuer *vault = &world->vault.issuer;

    for (size_t i = 1; i < world->backend_count; i++) {
        struct sim_issuer *issuer = world->backends[i].issuer;

        issuer->faults = vault->faults;
        issuer->denies_issue = vault->denies_issue;
        issuer->denies_login = vault->denies_login;
    }
}
