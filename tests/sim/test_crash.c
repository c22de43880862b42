/* The daemon is killed, at any moment and again and again, on a bad network and a bad disk:
 * whatever had left it is dead once a daemon runs again and the faults are gone, and the trail is
 * whole, with every record that was committed. */
#include "sim_check.h"
#include "sim_client.h"

#include "base/mem.h"
#include "support/slowdown.h"

/* cmocka.h needs these four before it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

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
    struct sim_check check;
    struct sim_random random;
    size_t left_count; /* credentials that had left a daemon when it died */
    size_t recovered_count;
    struct buf committed;  /* records that the outbox had when it died */
    size_t replayed_count; /* … and the file hadn't */
    size_t mended_count;
    size_t unready_count; /* crashes while ledger or trail failed */
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
    story->world.vault.issuer.faults = (struct sim_issuer_faults){
        .limited = draw(story, 80),
        .failed = draw(story, 80),
        .revoke_failed = draw(story, 300),
    };
}

static size_t count_handed_out(struct story *story)
{
    struct sim_credential *credential = NULL;
    size_t count = 0;

    while ((credential = sim_issuer_next_valid(&story->world.vault.issuer, story->world.sim.now_ms,
                                               credential)) != NULL) {
        count += credential->handed_out_count > 0;
    }
    return count;
}

/* --- the trail -------------------------------------------------------------------------------- */

static int keep_committed(void *user, struct str id, struct str body)
{
    struct story *story = user;
    struct str file = sim_file_bytes(&story->world.sim, SIM_AUDIT_PATH);

    (void)id;
    buf_add_str(&story->committed, body);
    story->replayed_count += memmem(file.ptr, file.len, body.ptr, body.len) == NULL;
    return 0;
}

static void check_trail(struct story *story)
{
    struct sim *sim = &story->world.sim;
    struct str file = sim_file_bytes(sim, SIM_AUDIT_PATH);
    struct str rest = file;
    struct audit_verifier verifier;
    struct err e = {.code = 0};
    size_t torn_count = 0;
    int r = 0;

    audit_verifier_init(&verifier);
    while (r == 0 && memchr(rest.ptr, '\n', rest.len) != NULL) {
        r = audit_verifier_line(&verifier, str_cut(&rest, '\n'), &e);
        /* Not in the ledger, which failed when it was cut off. */
        if (r != 0 && verifier.problem == AUDIT_PROBLEM_TORN &&
            ++torn_count <= story->unready_count) {
            r = 0;
        }
    }
    if (r == 0) {
        r = audit_verifier_rest(&verifier, rest, &e);
    }
    if (r != 0 || verifier.first_seq != 1) {
        sim_fail(sim, "I8: after crashes the trail doesn't verify: %s", e.text);
    }
    story->mended_count += (size_t)verifier.mended_count;
    CHECK(buf_status(&story->committed) == 0);
    rest = buf_str(&story->committed);
    while (rest.len > 0) {
        struct str line = str_cut(&rest, '\n');

        if (memmem(file.ptr, file.len, line.ptr, line.len + 1) == NULL) {
            sim_fail(sim, "I8: a record was committed and isn't in the trail: %.*s", STR_ARG(line));
        }
    }
    buf_fini(&story->committed);
}

/* --- the story -------------------------------------------------------------------------------- */

/* Consumers that come, read and create, until the daemon is killed under them. */
static void live_and_die(struct story *story, const struct sim_world_options *options)
{
    struct sim_world *world = &story->world;
    struct sim_crowd *crowd = mem_calloc(1, sizeof(*crowd));

    assert_non_null(crowd);
    sim_world_start(world, options);
    story->recovered_count += world->recovery.adopted_count + world->recovery.revoked_count;
    crowd->uid_count = 2;
    crowd->think_max_ms = 5U * SECOND_MS;
    crowd->weights[SIM_ACT_READ] = 5;
    crowd->weights[SIM_ACT_CREATE] = 5;
    crowd->weights[SIM_ACT_RELEASE] = 2;
    sim_crowd_fill(crowd, world, &story->check, CLIENTS);
    sim_crowd_start(crowd);
    sim_run_for(&world->sim, sim_random_below(&story->random, 90U * SECOND_MS));
    story->left_count += count_handed_out(story);
    sim_crowd_calm(crowd);
    story->unready_count += !audit_is_ready(world->audit);
    sim_world_crash(world);
    sim_check_crashed(&story->check);
    (void)!env_ledger_each(&world->ledger.ledger, ENV_LEDGER_AUDIT, keep_committed, story, NULL);
    sim_crowd_stop(crowd);
    sim_crowd_kill(crowd);
    while (sim_step(&world->sim)) {
        /* what is left belongs to dead clients */
    }
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
    buf_init(&story->committed, 16U << 20);
    sim_world_init(&story->world, seed);
    sim_check_init(&story->check, &story->world);
    story->world.sim.is_traced = getenv("V") != NULL && seed == strtoull(getenv("V"), NULL, 10);
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
    story->world.vault.issuer.faults = (struct sim_issuer_faults){0};
    sim_run_for(&story->world.sim, HEAL_MS);
    (void)sim_check_healed(&story->check);
    assert_int_equal(sim_world_drain(&story->world, 10U * MINUTE_MS), 0);
    tell(seed, (int)CRASHES, story);
    sim_world_stop(&story->world, true);
    assert_int_equal(fake_ledger_count(&story->world.ledger, ENV_LEDGER_AUDIT), 0);
    while (sim_step(&story->world.sim)) {
        /* nothing of interest */
    }
    check_trail(story);
    result = *story;
    sim_check_fini(&story->check);
    sim_world_fini(&story->world);
    mem_free(story);
    return result;
}

static void test_what_had_left_a_killed_daemon_is_dead_after_the_next_start(void **state)
{
    size_t left_count = 0;
    size_t recovered_count = 0;
    size_t replayed_count = 0;
    size_t mended_count = 0;
    uint64_t seed;

    (void)state;
    for (seed = 1; seed <= slowed(SEEDS); seed++) {
        struct story story = run(seed);

        left_count += story.left_count;
        recovered_count += story.recovered_count;
        replayed_count += story.replayed_count;
        mended_count += story.mended_count;
    }
    print_message(
        "%llu seeds: %zu credentials had left when it was killed, %zu were recovered; %zu "
        "records came out of the outbox, %zu had been cut off\n",
        (unsigned long long)(seed - 1), left_count, recovered_count, replayed_count, mended_count);
    assert_true(left_count > 0 && recovered_count > 0);
    assert_true(replayed_count > 0 || slowdown() > 1); /* few seeds needn't have one */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_had_left_a_killed_daemon_is_dead_after_the_next_start),
    };

    return cmocka_run_group_tests_name("crash", tests, NULL, NULL);
}
