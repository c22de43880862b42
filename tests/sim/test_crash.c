/* The daemon is killed, at any moment and again and again, on a bad network and a bad disk:
 * whatever had left it is dead once a daemon runs again and the faults are gone. */
#include "sim_check.h"
#include "sim_client.h"

#include "base/mem.h"

/* cmocka.h needs these four before it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdlib.h>

#define SECOND_MS 1000U
#define MINUTE_MS 60000U
#define SEEDS 30U
#define CRASHES 3U
#define CLIENTS 12U
#define HEAL_MS (20U * MINUTE_MS)

static const struct sim_role roles[] = {
    {.name = "own",
     .issuer_ttl_ms = 120U * MINUTE_MS,
     .issuer_max_ttl_ms = 600U * MINUTE_MS,
     .is_renewable = true,
     .binding = ACCESS_BINDING_PROCESS},
    {.name = "shared",
     .issuer_ttl_ms = 120U * MINUTE_MS,
     .issuer_max_ttl_ms = 600U * MINUTE_MS,
     .is_renewable = true,
     .share = LEASE_SHARE_ROLE,
     .binding = ACCESS_BINDING_PROCESS},
};

struct story {
    struct sim_world world;
    struct sim_random random;
    size_t left_count; /* credentials that had left a daemon when it died */
    size_t recovered_count;
};

static uint32_t draw(struct story *story, uint32_t most)
{
    return sim_random_chance(&story->random, 500)
               ? 0
               : (uint32_t)sim_random_below(&story->random, most);
}

static void draw_faults(struct story *story)
{
    story->world.sim.faults = (struct sim_faults){
        .refused = draw(story, 200),
        .lost_answer = draw(story, 80),
        .bad_gateway = draw(story, 80),
        .slow = draw(story, 200),
        .append_failed = draw(story, 80),
        .append_slow = draw(story, 80),
    };
    story->world.vault.faults = (struct sim_vault_faults){
        .limited = draw(story, 80),
        .failed = draw(story, 80),
        .revoke_failed = draw(story, 300),
    };
}

static size_t count_handed_out(struct story *story)
{
    struct sim_vault_lease *credential = NULL;
    size_t count = 0;

    while ((credential = sim_vault_next_valid(&story->world.vault, story->world.sim.now_ms,
                                              credential)) != NULL) {
        count += credential->handed_out_count > 0;
    }
    return count;
}

/* Consumers that come, read and create, until the daemon is killed under them. */
static void live_and_die(struct story *story, const struct sim_world_options *options)
{
    struct sim_world *world = &story->world;
    struct sim_crowd *crowd = mem_calloc(1, sizeof(*crowd));
    struct sim_check *check = mem_calloc(1, sizeof(*check));

    assert_non_null(crowd);
    assert_non_null(check);
    sim_world_start(world, options);
    story->recovered_count += world->recovery.adopted_count + world->recovery.revoked_count;
    sim_check_init(check, world);
    crowd->uid_count = 2;
    crowd->think_max_ms = 5U * SECOND_MS;
    crowd->weights[SIM_ACT_READ] = 5;
    crowd->weights[SIM_ACT_CREATE] = 5;
    crowd->weights[SIM_ACT_RELEASE] = 2;
    sim_crowd_fill(crowd, world, check, CLIENTS);
    sim_crowd_start(crowd);
    sim_run_for(&world->sim, sim_random_below(&story->random, 90U * SECOND_MS));
    story->left_count += count_handed_out(story);
    sim_crowd_calm(crowd);
    world->check = NULL; /* it knows nothing of crashes */
    sim_world_crash(world);
    sim_crowd_stop(crowd);
    sim_crowd_kill(crowd);
    while (sim_step(&world->sim)) {
        /* what is left belongs to dead clients */
    }
    sim_check_fini(check);
    mem_free(check);
    mem_free(crowd);
}

static void tell(uint64_t seed, int crashes, struct story *story)
{
    if (count_handed_out(story) > 0) {
        sim_fail(&story->world.sim,
                 "I3: after %d crashes credentials that had left a daemon are valid (seed %llu)",
                 crashes, (unsigned long long)seed);
    }
}

static struct story run(uint64_t seed)
{
    const struct sim_world_options options = {
        .roles = roles, .role_count = ARRAY_LEN(roles), .in_flight = 8, .has_ledger = true};
    struct story *story = mem_calloc(1, sizeof(*story));
    struct story result;
    uint32_t i;

    assert_non_null(story);
    story->random.state = seed;
    sim_world_init(&story->world, seed);
    story->world.vault.login = (struct sim_vault_token_options){.ttl_ms = 600U * MINUTE_MS,
                                                                .period_ms = 600U * MINUTE_MS,
                                                                .is_renewable = true};
    for (i = 0; i < CRASHES; i++) {
        draw_faults(story);
        live_and_die(story, &options);
    }
    sim_world_start(&story->world, &options);
    story->recovered_count +=
        story->world.recovery.adopted_count + story->world.recovery.revoked_count;
    story->world.sim.faults = (struct sim_faults){0};
    story->world.vault.faults = (struct sim_vault_faults){0};
    sim_run_for(&story->world.sim, HEAL_MS);
    tell(seed, (int)CRASHES, story);
    assert_int_equal(story->world.ledger.record_count, 0);
    assert_int_equal(sim_world_drain(&story->world, 10U * MINUTE_MS), 0);
    sim_world_stop(&story->world, true);
    while (sim_step(&story->world.sim)) {
        /* nothing of interest */
    }
    result = *story;
    sim_world_fini(&story->world);
    mem_free(story);
    return result;
}

static void test_what_had_left_a_killed_daemon_is_dead_after_the_next_start(void **state)
{
    const char *slowdown = getenv("TEST_SLOWDOWN");
    uint64_t divisor = slowdown != NULL ? strtoull(slowdown, NULL, 10) : 1;
    size_t left_count = 0;
    size_t recovered_count = 0;
    uint64_t seed;

    (void)state;
    for (seed = 1; seed <= (SEEDS + divisor - 1) / divisor; seed++) {
        struct story story = run(seed);

        left_count += story.left_count;
        recovered_count += story.recovered_count;
    }
    print_message("%llu seeds: %zu credentials had left when it was killed, %zu were recovered\n",
                  (unsigned long long)(seed - 1), left_count, recovered_count);
    assert_true(left_count > 0 && recovered_count > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_had_left_a_killed_daemon_is_dead_after_the_next_start),
    };

    return cmocka_run_group_tests_name("crash", tests, NULL, NULL);
}
