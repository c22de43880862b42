/* A day in the simulated world in which the nth allocation fails, for each n: alone, or with all
 * that come later. What the simulator itself allocates doesn't count. N= runs that one alone, with
 * its trace (V=1) and in mode ALL=1 if all later ones fail too. */
#include "sim/sim_check.h"
#include "sim/sim_client.h"
#include "sim/sim_oom.h"

#include "base/mem.h"
#include "support/slowdown.h"

/* cmocka.h needs these four before it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#define SECOND_MS 1000U
#define MINUTE_MS 60000U
#define CLIENTS 4U
#define RUNS_MAX 20000U
/* Every how many of the ns are run: all of them take minutes. */
#define STRIDE_DEFAULT 13U

static const struct sim_role roles[] = {
    {.name = "none",
     .issuer_ttl_ms = 10U * MINUTE_MS,
     .issuer_max_ttl_ms = 60U * MINUTE_MS,
     .is_renewable = true},
    {.name = "own",
     .issuer_ttl_ms = 10U * MINUTE_MS,
     .issuer_max_ttl_ms = 60U * MINUTE_MS,
     .is_renewable = true,
     .share = LEASE_SHARE_IDENTITY},
    {.name = "shared",
     .issuer_ttl_ms = 10U * MINUTE_MS,
     .issuer_max_ttl_ms = 60U * MINUTE_MS,
     .is_renewable = true,
     .share = LEASE_SHARE_ROLE},
};

static const struct sim_world_options options = {
    .roles = roles, .role_count = ARRAY_LEN(roles), .in_flight = 8, .has_ledger = true};

struct scene {
    struct sim_world world;
    struct sim_check check;
    struct sim_crowd crowd;
};

static void pass(struct scene *scene, uint64_t ms)
{
    struct sim *sim = &scene->world.sim;
    uint64_t end_ms = sim->now_ms + ms;

    sim_run_deferred(sim);
    while (sim->heap_count > 0 && sim->heap[1]->when_ms <= end_ms) {
        (void)sim_step(sim);
        sim_oom_outside();
        sim_check_step(&scene->check);
        sim_oom_inside();
    }
    sim->now_ms = end_ms;
}

static struct sim_client *client_of(struct scene *scene, size_t index)
{
    return &scene->crowd.clients[index];
}

/* Sends, and gives the answer the time to come. */
static void ask(struct scene *scene, size_t index, const char *method, const char *target)
{
    struct sim_client *client = client_of(scene, index);

    if (client->request == NULL) {
        sim_client_send(client, method, target, NULL);
        pass(scene, SECOND_MS);
    }
}

static void read_role(struct scene *scene, size_t index, size_t role)
{
    char target[96];

    (void)snprintf(target, sizeof(target), "/leased/v1/credentials/%s", roles[role].name);
    client_of(scene, index)->role = role;
    ask(scene, index, "GET", target);
}

/* A verb on the last credential that the client has read, if it has read one. */
static void act(struct scene *scene, size_t index, const char *method, const char *verb)
{
    struct sim_client *client = client_of(scene, index);
    char target[128];

    if (client->holding_count > 0) {
        (void)snprintf(target, sizeof(target), "/leased/v1/leases/%s%s",
                       client->holdings[client->holding_count - 1].lease, verb);
        ask(scene, index, method, target);
    }
}

/* Another timing and another path for one role, as a reload does it. */
static void reload(struct scene *scene)
{
    struct sim_world *world = &scene->world;
    int status;

    world->is_twin[0] = true;
    sim_world_set_path(world, 0);
    world->roles[0].min_remaining_ms = MINUTE_MS;
    status = lease_core_set_role(world->core, &world->roles[0]);
    assert_true(status == 0 || status == ERR_NOMEM);
    if (status != 0) {
        world->is_twin[0] = false; /* nothing has changed */
        sim_world_set_path(world, 0);
    }
    pass(scene, SECOND_MS);
}

static void live(struct scene *scene)
{
    read_role(scene, 0, 0);
    read_role(scene, 1, 1);
    read_role(scene, 2, 2);
    read_role(scene, 3, 2);
    read_role(scene, 0, 0);
    act(scene, 0, "POST", "/renew");
    act(scene, 2, "POST", "/rotate");
    read_role(scene, 2, 2);
    ask(scene, 1, "GET", "/leased/v1/leases");
    reload(scene);
    read_role(scene, 0, 0);
    pass(scene, 8U * MINUTE_MS); /* all are renewed */
    act(scene, 0, "DELETE", "");
    sim_process_kill(&scene->world.sim, client_of(scene, 1)->pid);
    pass(scene, SECOND_MS);
}

/* The next daemon on the same disk; its start itself has memory. */
static void die_and_start(struct scene *scene)
{
    sim_oom_pause();
    sim_world_crash(&scene->world);
    /* Without any memory the ledger doesn't learn either what happened. */
    scene->world.ledger_was_failing = scene->world.ledger_was_failing || sim_oom_failed_count() > 1;
    sim_check_crashed(&scene->check);
    sim_world_start(&scene->world, &options);
    sim_oom_resume();
    pass(scene, MINUTE_MS); /* it revokes what it has found */
    read_role(scene, 2, 2);
    read_role(scene, 3, 0);
}

static void with_memory_all_is_well(struct scene *scene)
{
    struct sim_world *world = &scene->world;

    pass(scene, 5U * MINUTE_MS);
    for (size_t role = 0; role < ARRAY_LEN(roles); role++) {
        client_of(scene, 3)->status = 0;
        read_role(scene, 3, role);
        if (client_of(scene, 3)->status != 200 && client_of(scene, 3)->status != 201) {
            sim_fail(&world->sim, "%s isn't served after memory has come back: %u",
                     roles[role].name, client_of(scene, 3)->status);
        }
    }
    pass(scene, 20U * MINUTE_MS);
    (void)sim_check_healed(&scene->check);
    assert_int_equal(sim_world_drain(world, 10U * MINUTE_MS), 0);
    sim_check_nothing_held(&scene->check);
    sim_crowd_kill(&scene->crowd);
    sim_world_stop(world, true);
    sim_crowd_stop(&scene->crowd);
    sim_check_ended(&scene->check);
    while (sim_step(&world->sim)) {
        /* what is left belongs to dead clients */
    }
}

/* How many allocations failed. */
static uint64_t run_failing_at(uint64_t at, bool is_for_ever)
{
    struct scene *scene = mem_calloc(1, sizeof(*scene));
    uint64_t failed_count;

    assert_non_null(scene);
    sim_world_init(&scene->world, 1);
    scene->world.sim.is_traced = getenv("V") != NULL && getenv("N") != NULL;
    sim_trace(&scene->world.sim, "allocation %llu fails%s", (unsigned long long)at,
              is_for_ever ? ", and all later ones" : "");
    sim_check_init(&scene->check, &scene->world);
    scene->world.vault.login = (struct sim_vault_token_options){.ttl_ms = 60U * MINUTE_MS,
                                                                .period_ms = 60U * MINUTE_MS,
                                                                .is_renewable = true};
    sim_world_start(&scene->world, &options);
    scene->crowd.uid_count = 2;
    sim_crowd_fill(&scene->crowd, &scene->world, &scene->check, CLIENTS);
    sim_oom_arm(at, is_for_ever);
    pass(scene, SECOND_MS);
    live(scene);
    die_and_start(scene);
    sim_oom_pause();
    failed_count = sim_oom_failed_count();
    with_memory_all_is_well(scene);
    sim_check_fini(&scene->check);
    sim_world_fini(&scene->world);
    mem_free(scene);
    return failed_count;
}

static uint64_t number_of(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);

    return text != NULL && text[0] != '\0' ? strtoull(text, NULL, 10) : otherwise;
}

static void run_all(bool is_for_ever)
{
    uint64_t stride = number_of("STRIDE", STRIDE_DEFAULT) * slowdown();
    uint64_t at = 1;
    uint64_t run_count = 0;

    if (getenv("N") != NULL) {
        if (is_for_ever == (getenv("ALL") != NULL)) {
            (void)run_failing_at(number_of("N", 1), is_for_ever);
        }
        return;
    }
    while (run_failing_at(at, is_for_ever) > 0) {
        at += stride;
        run_count++;
        assert_true(at < RUNS_MAX);
    }
    print_message("%llu runs, of %llu allocations\n", (unsigned long long)run_count,
                  (unsigned long long)at);
    assert_true(at > 500);
}

static void test_each_allocation_may_fail_alone(void **state)
{
    (void)state;
    run_all(false);
}

static void test_memory_may_run_out_at_any_point_of_a_day(void **state)
{
    (void)state;
    run_all(true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_allocation_may_fail_alone),
        cmocka_unit_test(test_memory_may_run_out_at_any_point_of_a_day),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
