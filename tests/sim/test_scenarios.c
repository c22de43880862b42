/* Short stories on virtual time, each with one point. The checkers run along, as in every seed. */
#include "sim_check.h"
#include "sim_client.h"

#include "base/mem.h"

/* cmocka.h needs these four before it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdio.h>

#define SECOND_MS 1000U
#define MINUTE_MS 60000U
#define HOUR_MS 3600000U

struct scene {
    struct sim_world world;
    struct sim_check check;
    struct sim_crowd crowd;
};

/* The daemon's login is periodic: it lives as long as it is renewed every `login_ms`. */
static struct scene *scene_start(const struct sim_world_options *options, size_t client_count,
                                 uint64_t login_ms)
{
    struct scene *scene = mem_calloc(1, sizeof(*scene));

    assert_non_null(scene);
    sim_world_init(&scene->world, 1);
    sim_check_init(&scene->check, &scene->world);
    scene->world.vault.login = (struct sim_vault_token_options){.ttl_ms = login_ms,
                                                                .period_ms = login_ms,
                                                                .is_renewable = true};
    sim_world_start(&scene->world, options);
    scene->crowd.uid_count = 1;
    sim_crowd_fill(&scene->crowd, &scene->world, &scene->check, client_count);
    sim_run_for(&scene->world.sim, SECOND_MS);
    return scene;
}

static struct scene *scene_new(const struct sim_role *role, size_t client_count, uint64_t login_ms)
{
    const struct sim_world_options options = {
        .roles = role, .role_count = 1, .isolates = true, .has_token_role = true, .in_flight = 32};

    return scene_start(&options, client_count, login_ms);
}

static void pass(struct scene *scene, uint64_t ms)
{
    struct sim *sim = &scene->world.sim;
    uint64_t end_ms = sim->now_ms + ms;

    sim_run_deferred(sim);
    while (sim->heap_count > 0 && sim->heap[1]->when_ms <= end_ms) {
        (void)sim_step(sim);
        sim_check_step(&scene->check);
    }
    sim->now_ms = end_ms;
}

/* Everything ends in order, and nothing is left. */
static void scene_free(struct scene *scene)
{
    assert_int_equal(sim_world_drain(&scene->world, 10U * MINUTE_MS), 0);
    sim_check_nothing_held(&scene->check);
    sim_crowd_kill(&scene->crowd);
    sim_world_stop(&scene->world, true);
    sim_crowd_stop(&scene->crowd);
    assert_int_equal(sim_vault_valid_count(&scene->world.vault, scene->world.sim.now_ms), 0);
    sim_check_ended(&scene->check);
    while (sim_step(&scene->world.sim)) {
        /* what is left belongs to dead clients */
    }
    sim_check_fini(&scene->check);
    sim_world_fini(&scene->world);
    mem_free(scene);
}

static void ask(struct scene *scene, size_t index)
{
    char target[96];

    (void)snprintf(target, sizeof(target), "/leased/v1/credentials/%s", scene->world.roles[0].name);
    sim_client_send(&scene->crowd.clients[index], "GET", target, NULL);
}

/* Asks for each client and waits for all answers; how many have `status`. */
static size_t ask_all(struct scene *scene, uint32_t status)
{
    size_t count = 0;

    for (size_t i = 0; i < scene->crowd.count; i++) {
        scene->crowd.clients[i].status = 0;
        ask(scene, i);
    }
    pass(scene, 20U * SECOND_MS);
    for (size_t i = 0; i < scene->crowd.count; i++) {
        assert_null(scene->crowd.clients[i].request);
        count += scene->crowd.clients[i].status == status;
    }
    return count;
}

static size_t valid(struct scene *scene)
{
    return sim_vault_valid_count(&scene->world.vault, scene->world.sim.now_ms);
}

/* --- stories ---------------------------------------------------------------------------------- */

static void test_leases_of_a_day_stay_valid_by_renewal_alone(void **state)
{
    const struct sim_role role = {.name = "orders",
                                  .issuer_ttl_ms = HOUR_MS,
                                  .issuer_max_ttl_ms = 48U * HOUR_MS,
                                  .is_renewable = true,
                                  .max_ttl_ms = 48U * HOUR_MS};
    struct scene *scene = scene_new(&role, 20, HOUR_MS);

    (void)state;
    assert_int_equal(ask_all(scene, 200), 20);
    for (int hour = 0; hour < 24; hour++) {
        pass(scene, HOUR_MS);
        assert_int_equal(valid(scene), 20);
    }
    assert_int_equal(scene->world.vault.issuer.issue_total, 20);
    assert_in_range(scene->world.vault.renew_total, 20 * 24, 20 * 24 * 2);
    scene_free(scene);
}

static void test_held_leases_survive_two_hours_without_an_issuer(void **state)
{
    const struct sim_role role = {.name = "orders",
                                  .issuer_ttl_ms = 4U * HOUR_MS,
                                  .issuer_max_ttl_ms = 24U * HOUR_MS,
                                  .is_renewable = true,
                                  .renew_at_percent = 45};
    struct scene *scene = scene_new(&role, 10, 24U * HOUR_MS);

    (void)state;
    assert_int_equal(ask_all(scene, 200), 10);
    pass(scene, 105U * MINUTE_MS);
    scene->world.sim.is_issuer_down = true;
    for (int minutes = 0; minutes < 120; minutes += 10) {
        pass(scene, 10U * MINUTE_MS);
        assert_int_equal(valid(scene), 10);
    }
    assert_int_equal(ask_all(scene, 200), 10);
    scene->world.sim.is_issuer_down = false;
    pass(scene, HOUR_MS);
    assert_int_equal(valid(scene), 10);
    scene_free(scene);
}

/* Ten consumers ask all the time; the issuer's door is knocked at a few times a minute. */
static void test_an_issuer_that_is_away_is_left_alone_and_found_again(void **state)
{
    const struct sim_role role = {.name = "orders", .issuer_ttl_ms = HOUR_MS};
    struct scene *scene = scene_new(&role, 10, HOUR_MS);
    uint64_t exchanges;
    int minute;

    (void)state;
    pass(scene, MINUTE_MS); /* logged in */
    scene->world.sim.is_issuer_down = true;
    pass(scene, MINUTE_MS);
    for (minute = 0; minute < 10; minute++) {
        exchanges = scene->world.sim.exchange_count;
        for (int third = 0; third < 3; third++) {
            assert_int_equal(ask_all(scene, 503), 10); /* in 20 s */
        }
        /* A probe each 7 s or so, at both addresses; a few more until it is known. */
        assert_in_range(scene->world.sim.exchange_count - exchanges, 4, minute == 0 ? 60 : 30);
    }
    scene->world.sim.is_issuer_down = false;
    pass(scene, 16U * SECOND_MS);
    exchanges = scene->world.sim.exchange_count;
    assert_int_equal(ask_all(scene, 200), 10);
    assert_in_range(scene->world.sim.exchange_count - exchanges, 10, 40);
    scene_free(scene);
}

static void test_one_of_two_addresses_that_is_away_costs_nothing(void **state)
{
    const struct sim_role role = {.name = "orders", .issuer_ttl_ms = HOUR_MS};
    struct scene *scene = scene_new(&role, 10, HOUR_MS);
    struct backend_status status;

    (void)state;
    scene->world.sim.down_prefix = SIM_WORLD_ADDRESS;
    assert_int_equal(ask_all(scene, 200), 10);
    backend_status(scene->world.backend_list[0], &status);
    assert_true(status.is_up);
    assert_true(status.addresses[1].is_preferred);
    pass(scene, 10U * MINUTE_MS);
    scene->world.sim.down_prefix = NULL;
    pass(scene, 16U * SECOND_MS);
    backend_status(scene->world.backend_list[0], &status);
    assert_true(status.addresses[0].is_preferred);
    scene_free(scene);
}

/* Seen in other tools: a renewal that is refused for ever made 600 new users a minute. */
static void test_refused_renewals_make_no_mint_loop(void **state)
{
    const struct sim_role role = {.name = "orders",
                                  .issuer_ttl_ms = MINUTE_MS,
                                  .issuer_max_ttl_ms = 24U * HOUR_MS,
                                  .is_renewable = true,
                                  .min_remaining_ms = 5U * SECOND_MS};
    struct scene *scene = scene_new(&role, 10, HOUR_MS);
    uint64_t exchanges;

    (void)state;
    scene->world.vault.denies_renew = true;
    assert_int_equal(ask_all(scene, 200), 10);
    exchanges = scene->world.sim.exchange_count;
    for (int minute = 0; minute < 60; minute++) {
        pass(scene, MINUTE_MS - 20U * SECOND_MS);
        assert_int_equal(ask_all(scene, 200), 10);
    }
    /* About one credential a life for each holder, and a few calls beside it: a child token is
     * made, extended and ended for each. */
    assert_in_range(scene->world.vault.issuer.issue_total, 10 * 30, 10 * 60 * 3 / 2);
    assert_in_range(scene->world.sim.exchange_count - exchanges, 0, 10 * 60 * 9);
    scene_free(scene);
}

static void test_credentials_that_nobody_reads_are_replaced_once_a_life_at_most(void **state)
{
    const struct sim_role role = {.name = "orders",
                                  .issuer_ttl_ms = MINUTE_MS,
                                  .issuer_max_ttl_ms = MINUTE_MS,
                                  .min_remaining_ms = 5U * SECOND_MS};
    struct scene *scene = scene_new(&role, 10, HOUR_MS);

    (void)state;
    assert_int_equal(ask_all(scene, 200), 10);
    pass(scene, HOUR_MS);
    /* A life of a minute, replaced at 80 per cent of it or later. */
    assert_in_range(scene->world.vault.issuer.issue_total, 10, 10 * 80);
    assert_int_equal(ask_all(scene, 200), 10);
    scene_free(scene);
}

static void test_a_sealed_issuer_leaves_what_is_held_and_refuses_what_is_new(void **state)
{
    const struct sim_role role = {.name = "orders",
                                  .issuer_ttl_ms = HOUR_MS,
                                  .issuer_max_ttl_ms = 24U * HOUR_MS,
                                  .is_renewable = true};
    struct scene *scene = scene_new(&role, 8, HOUR_MS);

    (void)state;
    scene->crowd.count = 4;
    assert_int_equal(ask_all(scene, 200), 4);
    scene->world.vault.is_sealed = true;
    assert_int_equal(ask_all(scene, 200), 4);
    scene->crowd.count = 8;
    assert_int_equal(ask_all(scene, 503), 4);
    assert_int_equal(valid(scene), 4);
    scene->world.vault.is_sealed = false;
    pass(scene, 10U * MINUTE_MS);
    assert_int_equal(ask_all(scene, 200), 8);
    scene_free(scene);
}

static void test_a_full_disk_stops_hand_outs_until_there_is_room(void **state)
{
    const struct sim_role role = {.name = "orders",
                                  .issuer_ttl_ms = HOUR_MS,
                                  .issuer_max_ttl_ms = 24U * HOUR_MS,
                                  .is_renewable = true};
    struct scene *scene = scene_new(&role, 4, HOUR_MS);

    (void)state;
    assert_int_equal(ask_all(scene, 200), 4);
    scene->world.sim.is_disk_full = true;
    scene->crowd.count = 3; /* the fourth is killed meanwhile */
    sim_process_kill(&scene->world.sim, scene->crowd.clients[3].pid);
    pass(scene, 10U * SECOND_MS);
    assert_int_equal(valid(scene), 3); /* revocations go on */
    assert_int_equal(ask_all(scene, 503), 3);
    scene->world.sim.is_disk_full = false;
    pass(scene, MINUTE_MS);
    assert_int_equal(ask_all(scene, 200), 3);
    scene->crowd.count = 4;
    scene_free(scene);
}

static void test_64_requests_for_a_cold_shared_role_make_one_issue(void **state)
{
    const struct sim_role role = {.name = "orders",
                                  .issuer_ttl_ms = HOUR_MS,
                                  .issuer_max_ttl_ms = 24U * HOUR_MS,
                                  .is_renewable = true,
                                  .share = LEASE_SHARE_ROLE};
    struct scene *scene = scene_new(&role, 64, HOUR_MS);

    (void)state;
    assert_int_equal(ask_all(scene, 200), 64);
    assert_int_equal(scene->world.vault.issuer.issue_total, 1);
    assert_int_equal(scene->world.role_count, 1);
    assert_int_equal(valid(scene), 1);
    scene_free(scene);
}

/* threats.md, row 40: a hostile uid asks for everything, as fast as it is answered. */
static void test_one_hostile_uid_leaves_nine_honest_ones_their_credentials(void **state)
{
    enum { HOSTILE = 100, HONEST = 9, IN_FLIGHT = 4 };
    const struct sim_role role = {.name = "orders",
                                  .issuer_ttl_ms = HOUR_MS,
                                  .issuer_max_ttl_ms = 24U * HOUR_MS,
                                  .is_renewable = true,
                                  .binding = ACCESS_BINDING_NONE};
    const struct sim_world_options options = {
        .roles = &role,
        .role_count = 1,
        .in_flight = IN_FLIGHT,
        .limits = {.leases_per_uid = 1000,
                   .grants_per_uid = {.count = 10, .per_ms = SECOND_MS},
                   .waiting_max = 64},
    };
    struct scene *scene = scene_start(&options, HOSTILE + HONEST, HOUR_MS);
    size_t served = 0;

    (void)state;
    for (size_t i = 0; i < HOSTILE + HONEST; i++) {
        scene->crowd.clients[i].peer.uid = i < HOSTILE ? 6666 : 7000 + (uint32_t)i;
    }
    for (int second = 0; second < 60; second++) {
        for (size_t i = 0; i < HOSTILE; i++) {
            if (scene->crowd.clients[i].request == NULL) {
                sim_client_send(&scene->crowd.clients[i], "POST", "/leased/v1/leases",
                                "{\"role\":\"orders\"}");
            }
        }
        if (second % 10 == 5) {
            for (size_t i = HOSTILE; i < HOSTILE + HONEST; i++) {
                scene->crowd.clients[i].status = 0;
                sim_client_send(&scene->crowd.clients[i], "POST", "/leased/v1/leases",
                                "{\"role\":\"orders\"}");
            }
        }
        pass(scene, SECOND_MS);
        for (size_t i = HOSTILE; second % 10 == 9 && i < HOSTILE + HONEST; i++) {
            served += scene->crowd.clients[i].status == 201;
        }
    }
    assert_int_equal(served, 6 * HONEST);
    assert_in_range(scene->world.vault.issuer.issue_total, 6 * HONEST,
                    6 * HONEST + 20 + 60 * 10 + 1);
    scene_free(scene);
}

static void test_a_killed_consumers_credential_is_dead_within_a_second(void **state)
{
    const struct sim_role role = {.name = "orders",
                                  .issuer_ttl_ms = HOUR_MS,
                                  .issuer_max_ttl_ms = 24U * HOUR_MS,
                                  .is_renewable = true};
    struct scene *scene = scene_new(&role, 5, HOUR_MS);

    (void)state;
    assert_int_equal(ask_all(scene, 200), 5);
    assert_int_equal(valid(scene), 5);
    sim_process_kill(&scene->world.sim, scene->crowd.clients[0].pid);
    pass(scene, SECOND_MS);
    assert_int_equal(valid(scene), 4);
    scene_free(scene);
}

#define OFFICE_HOURS                                                                               \
    "rules:\n"                                                                                     \
    "- name: office\n"                                                                             \
    "  subjects: [{user: \"*\"}]\n"                                                                \
    "  roles: [\"*\"]\n"                                                                           \
    "  require: {window: {hours: \"08:00-18:00\"}}\n"

static void test_what_is_given_in_a_window_ends_with_it_whatever_becomes_of_the_clock(void **state)
{
    const struct sim_role role = {.name = "orders",
                                  .issuer_ttl_ms = HOUR_MS,
                                  .issuer_max_ttl_ms = 48U * HOUR_MS,
                                  .is_renewable = true};
    const struct sim_world_options options = {.roles = &role,
                                              .role_count = 1,
                                              .policy = OFFICE_HOURS,
                                              .isolates = true,
                                              .has_token_role = true,
                                              .in_flight = 32};
    struct scene *scene = scene_start(&options, 5, HOUR_MS);

    (void)state;
    assert_int_equal(ask_all(scene, 403), 5); /* at midnight */
    scene->world.sim.wall_offset_ms = 9 * (int64_t)HOUR_MS;
    assert_int_equal(ask_all(scene, 200), 5);
    scene->world.sim.wall_offset_ms = -14 * (int64_t)HOUR_MS;
    pass(scene, 12U * HOUR_MS); /* with a clock that was put forward at nine these were over */
    assert_int_equal(valid(scene), 5);
    scene->world.sim.wall_offset_ms = 6 * (int64_t)HOUR_MS;
    pass(scene, 3U * SECOND_MS); /* it is past six now */
    assert_int_equal(valid(scene), 0);
    scene_free(scene);
}

static void test_a_revocation_that_fails_is_tried_until_it_succeeds(void **state)
{
    const struct sim_role role = {.name = "orders",
                                  .issuer_ttl_ms = 24U * HOUR_MS,
                                  .issuer_max_ttl_ms = 24U * HOUR_MS,
                                  .is_renewable = true};
    struct scene *scene = scene_new(&role, 1, HOUR_MS);
    struct lease_core_stats stats;

    (void)state;
    assert_int_equal(ask_all(scene, 200), 1);
    scene->world.vault.issuer.faults.revoke_failed = 1000;
    sim_process_kill(&scene->world.sim, scene->crowd.clients[0].pid);
    pass(scene, HOUR_MS);
    lease_core_stats(scene->world.core, &stats);
    assert_int_equal(stats.revoke_pending, 1);
    assert_in_range(stats.revoke_failed_total, 10, 60); /* it backs off */
    scene->world.vault.issuer.faults.revoke_failed = 0;
    pass(scene, 10U * MINUTE_MS);
    assert_int_equal(valid(scene), 0);
    scene_free(scene);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_leases_of_a_day_stay_valid_by_renewal_alone),
        cmocka_unit_test(test_held_leases_survive_two_hours_without_an_issuer),
        cmocka_unit_test(test_an_issuer_that_is_away_is_left_alone_and_found_again),
        cmocka_unit_test(test_one_of_two_addresses_that_is_away_costs_nothing),
        cmocka_unit_test(test_refused_renewals_make_no_mint_loop),
        cmocka_unit_test(test_credentials_that_nobody_reads_are_replaced_once_a_life_at_most),
        cmocka_unit_test(test_a_sealed_issuer_leaves_what_is_held_and_refuses_what_is_new),
        cmocka_unit_test(test_a_full_disk_stops_hand_outs_until_there_is_room),
        cmocka_unit_test(test_64_requests_for_a_cold_shared_role_make_one_issue),
        cmocka_unit_test(test_one_hostile_uid_leaves_nine_honest_ones_their_credentials),
        cmocka_unit_test(test_a_killed_consumers_credential_is_dead_within_a_second),
        cmocka_unit_test(test_what_is_given_in_a_window_ends_with_it_whatever_becomes_of_the_clock),
        cmocka_unit_test(test_a_revocation_that_fails_is_tried_until_it_succeeds),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
