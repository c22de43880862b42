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
        fixture_test(test_a_grant_that_needs_no_issue_costs_a_tenth),
        fixture_test(test_what_is_refused_costs_no_grant),
        fixture_test(test_reads_of_a_grant_that_is_held_are_not_rated),
        fixture_test(test_limits_can_change_while_leases_live),
        fixture_test(test_a_uid_has_so_many_leases),
        fixture_test(test_so_many_requests_of_a_uid_wait),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
