/* One uid that asks for everything, and the others. */
#include "unit/lease/fixture.h"

#include <stdio.h>
#include <string.h>

#define HOSTILE 100 /* the first of its clients */

/* A client of its own process, all of one uid. */
static struct client *hostile(size_t index)
{
    struct client *client = fixture_client(HOSTILE + index);

    client->identity.uid = 6666;
    (void)snprintf(client->identity.user, sizeof(client->identity.user), "hostile");
    client->acquire.ask.is_new_grant = true;
    return client;
}

static void ignore(struct lease_wait *wait, int status)
{
    (void)wait;
    (void)status;
}

static void test_one_uid_does_not_starve_the_others(void **state)
{
    size_t i;

    (void)state;
    f.model.issuer.limits.in_flight = 2;
    f.model.is_held[LEASE_CALL_ISSUE] = true;
    for (i = 0; i < 200; i++) {
        fixture_ask(hostile(i), i % 2 == 0 ? &f.role : &f.personal);
    }
    fixture_run();
    for (i = 0; i < 9; i++) {
        fixture_ask(fixture_client(40 + i), &f.role);
    }
    /* Two of the hostile ones are in flight, and each round has one more: 9 honest ones need at
     * most 2 + 9 + 9 answers. */
    for (i = 0; i < 20; i++) {
        model_answer(&f.model);
        fixture_run();
    }
    for (i = 0; i < 9; i++) {
        assert_int_equal(f.clients[40 + i].status, 0);
    }
    assert_true(f.model.in_flight_most <= 2);
}

static void test_one_uid_does_not_use_up_the_budget_of_a_role(void **state)
{
    size_t i;

    (void)state;
    f.role.issue_rate = (struct units_rate){.count = 10, .per_ms = 10 * SECOND_MS};
    for (i = 0; i < 100; i++) {
        fixture_ask(hostile(i), &f.role);
    }
    fixture_run();
    fixture_get(fixture_client(0), &f.role);
    fixture_advance(2 * SECOND_MS);
    assert_int_equal(f.clients[0].status, 0);
}

static void test_a_uid_gets_so_many_new_grants_a_second(void **state)
{
    size_t granted = 0;
    size_t i;

    (void)state;
    f.options.grants_per_uid = (struct units_rate){.count = 10, .per_ms = SECOND_MS};
    for (i = 0; i < 40; i++) {
        fixture_get(hostile(i), &f.role);
        granted += f.clients[HOSTILE + i].status == 0;
    }
    assert_int_equal(granted, 20);
    assert_int_equal(f.clients[HOSTILE + 39].status, ERR_LIMIT);
    assert_int_equal(f.clients[HOSTILE + 39].acquire.retry_after_ms, 100);
    fixture_get(fixture_client(0), &f.role);
    assert_int_equal(f.clients[0].status, 0);
    fixture_advance(SECOND_MS);
    for (granted = 0, i = 0; i < 40; i++) {
        fixture_get(hostile(i), &f.role);
        granted += f.clients[HOSTILE + i].status == 0;
    }
    assert_int_equal(granted, 10);
}

static void test_who_holds_nothing_is_charged_too(void **state)
{
    uint64_t retry_after_ms = 0;
    size_t i;

    (void)state;
    f.options.grants_per_uid = (struct units_rate){.count = 1, .per_ms = HOUR_MS};
    for (i = 0; i < 3; i++) {
        assert_int_equal(lease_core_charge(f.core, &hostile(i)->identity, &retry_after_ms, NULL),
                         i < 2 ? 0 : ERR_LIMIT);
    }
    assert_int_equal(retry_after_ms, HOUR_MS);
    fixture_advance(3 * HOUR_MS);
    assert_int_equal(f.core->accounts.count, 1);
    assert_int_equal(lease_core_charge(f.core, &fixture_client(0)->identity, &retry_after_ms, NULL),
                     0);
    assert_int_equal(f.core->accounts.count, 1); /* what is whole again is forgotten */
}

static void test_a_grant_that_needs_no_issue_costs_a_tenth(void **state)
{
    size_t granted = 0;
    size_t i;

    (void)state;
    f.options.grants_per_uid = (struct units_rate){.count = 1, .per_ms = SECOND_MS};
    for (i = 0; i < 40; i++) {
        fixture_get(hostile(i), &f.shared);
        granted += f.clients[HOSTILE + i].status == 0;
    }
    assert_int_equal(granted, 11); /* one issue, and ten more */
}

/* Who asks again too early hears why it has to wait, not that it asks too often. */
static void test_what_is_refused_costs_no_grant(void **state)
{
    size_t i;

    (void)state;
    f.options.grants_per_uid = (struct units_rate){.count = 2, .per_ms = HOUR_MS};
    f.model.outcomes[LEASE_CALL_ISSUE] = LEASE_OUTCOME_DENIED;
    for (i = 0; i < 40; i++) {
        fixture_get(hostile(i), &f.role);
        assert_int_equal(f.clients[HOSTILE + i].status, f.clients[HOSTILE].status);
    }
    assert_int_not_equal(f.clients[HOSTILE].status, ERR_LIMIT);
    assert_int_equal(f.model.call_counts[LEASE_CALL_ISSUE], 1);
}

static void test_reads_of_a_grant_that_is_held_are_not_rated(void **state)
{
    struct client *client = fixture_client(0);
    size_t i;

    (void)state;
    f.options.grants_per_uid = (struct units_rate){.count = 1, .per_ms = HOUR_MS};
    for (i = 0; i < 50; i++) {
        fixture_get(client, &f.role);
        assert_int_equal(client->status, 0);
    }
}

static void test_limits_can_change_while_leases_live(void **state)
{
    (void)state;
    fixture_get(hostile(0), &f.role);
    fixture_get(hostile(1), &f.role);
    f.options.leases_per_uid = 2;
    lease_core_set_options(f.core, &f.options);
    fixture_get(hostile(2), &f.role);
    assert_int_equal(f.clients[HOSTILE + 2].status, ERR_LIMIT);
    f.options.leases_per_uid = 0;
    f.options.grants_per_uid = (struct units_rate){.count = 1, .per_ms = HOUR_MS};
    lease_core_set_options(f.core, &f.options);
    fixture_get(hostile(2), &f.role);
    fixture_get(hostile(3), &f.role);
    assert_int_equal(f.clients[HOSTILE + 3].status, 0);
    fixture_get(hostile(4), &f.role);
    assert_int_equal(f.clients[HOSTILE + 4].status, ERR_LIMIT);
}

/* A loop of renewals that one uid asks for keeps nobody's issue waiting. */
static void test_renewals_that_are_asked_for_wait_behind_issues(void **state)
{
    struct lease_wait waits[8];
    size_t i;

    (void)state;
    f.model.issuer.limits.in_flight = 1;
    for (i = 0; i < 8; i++) {
        fixture_get(hostile(i), &f.role);
    }
    f.model.is_held[LEASE_CALL_RENEW] = true;
    for (i = 0; i < 8; i++) {
        waits[i] = (struct lease_wait){.fn = ignore};
        assert_int_equal(
            lease_renew_start(f.core, fixture_lease(&f.clients[HOSTILE + i]), &waits[i]), 0);
    }
    fixture_run();
    fixture_ask(fixture_client(0), &f.role);
    fixture_run();
    model_answer(&f.model);
    fixture_run();
    assert_int_equal(f.clients[0].status, 0);
    assert_int_equal(f.model.call_counts[LEASE_CALL_RENEW], 2);
    f.model.is_held[LEASE_CALL_RENEW] = false;
    model_answer_all(&f.model);
    fixture_run();
}

static void test_what_a_caller_asks_an_issuer_to_do_costs_it_a_grant(void **state)
{
    uint64_t retry_after_ms = 0;
    struct err e = {.code = 0};
    struct client *client;

    (void)state;
    f.options.grants_per_uid = (struct units_rate){.count = 1, .per_ms = SECOND_MS};
    client = hostile(0);
    fixture_get(client, &f.role);
    assert_int_equal(lease_core_charge(f.core, &client->identity, &retry_after_ms, &e), 0);
    assert_int_equal(lease_core_charge(f.core, &client->identity, &retry_after_ms, &e), ERR_LIMIT);
    assert_int_equal(retry_after_ms, SECOND_MS);
    fixture_get(hostile(1), &f.role);
    assert_int_equal(f.clients[HOSTILE + 1].status, ERR_LIMIT);
    assert_int_equal(lease_core_charge(f.core, &fixture_client(0)->identity, &retry_after_ms, &e),
                     0);
}

/* As when the issuer doesn't revoke what was replaced. */
static void test_replacements_that_are_asked_for_end_at_twice_the_leases(void **state)
{
    struct client *client;
    size_t i;

    (void)state;
    f.options.leases_per_uid = 2;
    client = hostile(0);
    f.model.is_held[LEASE_CALL_REVOKE] = true;
    fixture_get(client, &f.role);
    client->acquire.ask.is_new_grant = false;
    for (i = 0; i < 30; i++) {
        assert_int_equal(lease_rotate_start(f.core, fixture_lease(client), fixture_wait()), 0);
        fixture_run();
        client->acquire.ask.is_new_grant = false;
        fixture_get(client, &f.role);
        assert_int_equal(client->status, 0);
    }
    assert_int_equal(f.model.call_counts[LEASE_CALL_ISSUE], 4);
    f.model.is_held[LEASE_CALL_REVOKE] = false;
    model_answer_all(&f.model);
    fixture_run();
}

static void test_one_uid_does_not_fill_the_crowd_of_a_shared_lease(void **state)
{
    size_t i;

    (void)state;
    f.options.waiting_max = 10;
    f.model.is_held[LEASE_CALL_ISSUE] = true;
    for (i = 0; i < 10; i++) {
        fixture_ask(hostile(i), &f.shared);
    }
    fixture_ask(hostile(10), &f.shared);
    fixture_ask(fixture_client(0), &f.shared);
    fixture_run();
    assert_int_equal(f.clients[HOSTILE + 10].status, ERR_BUSY);
    model_answer_all(&f.model);
    fixture_run();
    assert_int_equal(f.clients[0].status, 0);
}

static void test_one_uid_does_not_use_up_all_grants(void **state)
{
    size_t i;

    (void)state;
    f.options.grants_max = 100;
    f.options.grants_live_per_uid = 10;
    for (i = 0; i < 11; i++) {
        fixture_get(hostile(i), &f.shared);
    }
    assert_int_equal(f.clients[HOSTILE + 9].status, 0);
    assert_int_equal(f.clients[HOSTILE + 10].status, ERR_LIMIT);
    fixture_get(fixture_client(0), &f.role);
    assert_int_equal(f.clients[0].status, 0);
    lease_end_grant(f.core, f.clients[HOSTILE].grant, GRANT_END_RELEASED, NULL);
    fixture_get(hostile(10), &f.shared);
    assert_int_equal(f.clients[HOSTILE + 10].status, 0);
}

static void test_a_uid_has_so_many_leases(void **state)
{
    (void)state;
    f.options.leases_per_uid = 2;
    fixture_get(hostile(0), &f.role);
    fixture_get(hostile(1), &f.role);
    fixture_get(hostile(2), &f.personal);
    assert_int_equal(f.clients[HOSTILE + 2].status, ERR_LIMIT);
    fixture_get(fixture_client(0), &f.role);
    assert_int_equal(f.clients[0].status, 0);
    lease_end_grant(f.core, f.clients[HOSTILE].grant, GRANT_END_RELEASED, NULL);
    fixture_run();
    fixture_get(hostile(2), &f.personal);
    assert_int_equal(f.clients[HOSTILE + 2].status, 0);
}

static void test_so_many_requests_of_a_uid_wait(void **state)
{
    size_t i;

    (void)state;
    f.options.waiting_max = 10;
    f.model.is_held[LEASE_CALL_ISSUE] = true;
    for (i = 0; i < 11; i++) {
        fixture_get(hostile(i), &f.role);
    }
    assert_int_equal(f.clients[HOSTILE + 10].status, ERR_BUSY);
    fixture_get(fixture_client(0), &f.role);
    assert_int_equal(f.clients[0].status, 1);
    f.model.is_held[LEASE_CALL_ISSUE] = false;
    model_answer_all(&f.model);
    fixture_run();
    fixture_get(hostile(10), &f.role);
    assert_int_equal(f.clients[HOSTILE + 10].status, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        fixture_test(test_one_uid_does_not_starve_the_others),
        fixture_test(test_one_uid_does_not_use_up_the_budget_of_a_role),
        fixture_test(test_a_uid_gets_so_many_new_grants_a_second),
        fixture_test(test_who_holds_nothing_is_charged_too),
        fixture_test(test_a_grant_that_needs_no_issue_costs_a_tenth),
        fixture_test(test_what_is_refused_costs_no_grant),
        fixture_test(test_reads_of_a_grant_that_is_held_are_not_rated),
        fixture_test(test_limits_can_change_while_leases_live),
        fixture_test(test_renewals_that_are_asked_for_wait_behind_issues),
        fixture_test(test_what_a_caller_asks_an_issuer_to_do_costs_it_a_grant),
        fixture_test(test_replacements_that_are_asked_for_end_at_twice_the_leases),
        fixture_test(test_one_uid_does_not_fill_the_crowd_of_a_shared_lease),
        fixture_test(test_one_uid_does_not_use_up_all_grants),
        fixture_test(test_a_uid_has_so_many_leases),
        fixture_test(test_so_many_requests_of_a_uid_wait),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
