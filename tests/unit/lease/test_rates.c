/* A rule's rate of new grants: what counts, for whom, and what the next daemon knows of it. */
#include "unit/lease/ledger_fixture.h"

#include <string.h>

static struct client *rated_client_of(size_t index, uint64_t count, uint64_t per_ms)
{
    struct client *client = fixture_client(index);

    client->decision.issue = (struct units_rate){.count = count, .per_ms = per_ms};
    return client;
}

static struct client *rated_client(uint64_t count, uint64_t per_ms)
{
    return rated_client_of(0, count, per_ms);
}

/* Asks for a grant, and gives it back. */
static void take_one(struct client *client, int status)
{
    fixture_get(client, &f.role);
    assert_int_equal(client->status, status);
    if (status == 0) {
        lease_end_grant(f.core, client->grant, GRANT_END_RELEASED, NULL);
        fixture_run();
    }
}

static void test_a_rule_gives_an_identity_so_many_new_grants(void **state)
{
    struct client *client = fixture_client(0);
    struct client *other = fixture_client(10);
    int i;

    (void)state;
    client->decision.issue = other->decision.issue =
        (struct units_rate){.count = 2, .per_ms = HOUR_MS};
    for (i = 0; i < 2; i++) {
        fixture_get(client, &f.role);
        assert_int_equal(client->status, 0);
        lease_end_grant(f.core, client->grant, GRANT_END_RELEASED, NULL);
        fixture_advance(MINUTE_MS);
    }
    fixture_get(client, &f.role);
    assert_int_equal(client->status, ERR_LIMIT);
    assert_in_range(client->acquire.retry_after_ms, 1, 30 * MINUTE_MS);
    assert_non_null(strstr(client->acquire.error.text, "2 new grants in 1h (limits.issue)"));
    fixture_get(other, &f.role);
    assert_int_equal(other->status, 0);
    fixture_advance(30 * MINUTE_MS);
    fixture_get(client, &f.role);
    assert_int_equal(client->status, 0);
}

static void test_another_rule_has_a_rate_of_its_own(void **state)
{
    struct client *client = fixture_client(0);

    (void)state;
    client->decision.issue = (struct units_rate){.count = 1, .per_ms = HOUR_MS};
    fixture_get(client, &f.role);
    lease_end_grant(f.core, client->grant, GRANT_END_RELEASED, NULL);
    fixture_run();
    client->decision.rule = "another";
    fixture_get(client, &f.role);
    assert_int_equal(client->status, 0);
}

static void test_a_grant_that_is_there_takes_nothing_of_the_rate(void **state)
{
    struct client *client = fixture_client(0);
    int i;

    (void)state;
    client->decision.issue = (struct units_rate){.count = 1, .per_ms = HOUR_MS};
    for (i = 0; i < 3; i++) {
        fixture_get(client, &f.role);
        assert_int_equal(client->status, 0);
    }
}

static void test_rates_that_are_full_again_are_forgotten(void **state)
{
    struct client *client = fixture_client(0);

    (void)state;
    client->decision.issue = (struct units_rate){.count = 1, .per_ms = MINUTE_MS};
    fixture_get(client, &f.role);
    assert_int_equal(f.core->rates.index.count, 1);
    fixture_advance(2 * MINUTE_MS);
    client = fixture_client(10);
    client->decision.issue = (struct units_rate){.count = 1, .per_ms = MINUTE_MS};
    fixture_get(client, &f.role);
    assert_int_equal(f.core->rates.index.count, 1);
}

static void test_a_rate_that_lasts_keeps_no_others(void **state)
{
    size_t i;

    (void)state;
    take_one(rated_client(1, 24 * HOUR_MS), 0);
    for (i = 1; i < 8; i++) {
        take_one(rated_client_of(10 * i, 1, MINUTE_MS), 0);
    }
    assert_int_equal(f.core->rates.index.count, 8);
    fixture_advance(2 * MINUTE_MS);
    for (i = 0; i < 8; i++) {
        take_one(rated_client_of(10, 1, HOUR_MS), i == 0 ? 0 : ERR_LIMIT);
    }
    assert_int_equal(f.core->rates.index.count, 2);
}

static void test_who_asks_again_and_again_gets_what_has_come_back(void **state)
{
    struct client *client = rated_client(1, HOUR_MS);
    int i;

    (void)state;
    take_one(client, 0);
    for (i = 0; i < 59; i++) {
        fixture_advance(MINUTE_MS);
        fixture_get(client, &f.role);
        assert_int_equal(client->status, ERR_LIMIT);
    }
    fixture_advance(MINUTE_MS);
    fixture_get(client, &f.role);
    assert_int_equal(client->status, 0);
}

/* --- rates and the next daemon --- */

static void restart(void)
{
    ledger_kill();
    ledger_start();
}

static void test_what_was_used_up_is_kept_by_the_next_daemon(void **state)
{
    struct client *client = rated_client(2, HOUR_MS);

    (void)state;
    take_one(client, 0);
    restart();
    take_one(client, 0);
    restart();
    take_one(client, ERR_LIMIT);
    assert_in_range(client->acquire.retry_after_ms, 1, 30 * MINUTE_MS);
    assert_int_equal(fake_ledger_count(&ledger, ENV_LEDGER_RATE), 1);
    take_one(rated_client_of(10, 2, HOUR_MS), 0); /* somebody else */
    ledger_kill();
    f.fake.now_ms += 31 * MINUTE_MS;
    f.fake.wall_ms += 31 * (int64_t)MINUTE_MS;
    ledger_start();
    take_one(client, 0);
    take_one(client, ERR_LIMIT);
}

static void test_an_issue_that_fails_counts(void **state)
{
    struct client *client = rated_client(1, HOUR_MS);

    (void)state;
    f.model.outcomes[LEASE_CALL_ISSUE] = LEASE_OUTCOME_DENIED;
    take_one(client, ERR_DENIED);
    f.model.outcomes[LEASE_CALL_ISSUE] = LEASE_OUTCOME_OK;
    restart();
    take_one(client, ERR_LIMIT);
}

static void test_a_clock_that_is_set_gives_nothing_back(void **state)
{
    struct client *client = rated_client(1, HOUR_MS);

    (void)state;
    take_one(client, 0);
    ledger_kill();
    f.fake.wall_ms += 300 * (int64_t)HOUR_MS;
    ledger_start();
    take_one(client, ERR_LIMIT);
    ledger_kill();
    f.fake.wall_ms -= 600 * (int64_t)HOUR_MS;
    ledger_start();
    take_one(client, ERR_LIMIT);
    assert_in_range(client->acquire.retry_after_ms, HOUR_MS - MINUTE_MS, HOUR_MS);
}

static void reboot(int64_t wall_ms)
{
    ledger_kill();
    memcpy(f.fake.boot_id, "boot-2", sizeof("boot-2"));
    f.fake.now_ms = MINUTE_MS;
    f.fake.wall_ms += wall_ms;
    ledger_start();
}

static void test_after_a_reboot_unix_time_says_what_has_come_back(void **state)
{
    struct client *client = rated_client(2, HOUR_MS);

    (void)state;
    take_one(client, 0);
    take_one(client, 0);
    reboot(31 * (int64_t)MINUTE_MS);
    take_one(client, 0);
    take_one(client, ERR_LIMIT);
}

static void test_after_a_reboot_with_a_clock_that_is_behind_nothing_has(void **state)
{
    struct client *client = rated_client(1, HOUR_MS);

    (void)state;
    take_one(client, 0);
    reboot(-24 * (int64_t)HOUR_MS);
    take_one(client, ERR_LIMIT);
    fixture_advance(HOUR_MS);
    take_one(client, 0);
}

static void test_another_rate_of_the_rule_keeps_what_was_used_up(void **state)
{
    struct client *client = rated_client(2, HOUR_MS);

    (void)state;
    take_one(client, 0);
    take_one(client, 0);
    restart();
    client->decision.issue = (struct units_rate){.count = 5, .per_ms = HOUR_MS};
    take_one(client, ERR_LIMIT);
    client->decision.rule = "another-name";
    take_one(client, 0);
}

static void test_what_has_come_back_leaves_the_ledger(void **state)
{
    struct client *client = rated_client(1, HOUR_MS);

    (void)state;
    take_one(client, 0);
    assert_int_equal(fake_ledger_count(&ledger, ENV_LEDGER_RATE), 1);
    fixture_advance(2 * HOUR_MS);
    restart();
    fixture_run();
    assert_int_equal(fake_ledger_count(&ledger, ENV_LEDGER_RATE), 0);
    take_one(client, 0);
    fixture_advance(2 * HOUR_MS);
    fixture_get(rated_client_of(10, 1, HOUR_MS), &f.role);
    assert_int_equal(fake_ledger_count(&ledger, ENV_LEDGER_RATE), 1);
}

static void test_nothing_is_given_that_cannot_be_put_on_record(void **state)
{
    struct client *client = rated_client(1, HOUR_MS);

    (void)state;
    ledger.put_status = ERR_LIMIT;
    take_one(client, ERR_IO);
    assert_non_null(strstr(client->acquire.error.text, "can't be put on record"));
    assert_int_equal(f.model.call_counts[LEASE_CALL_ISSUE], 0);
    ledger.put_status = 0;
}

static void test_a_damaged_record_of_a_rate_is_refused(void **state)
{
    const char id[] = "n-0123456789abcdef0123456789abcdef";
    struct str body;

    (void)state;
    take_one(rated_client(1, HOUR_MS), 0);
    ledger_kill();
    assert_int_equal(fake_ledger_count(&ledger, ENV_LEDGER_RATE), 1);
    ledger_start();
    assert_int_equal(lease_core_recover_rate(f.core, str_of(id), STR("nonsense")), ERR_INVALID);
    body = STR("\x01");
    assert_int_equal(lease_core_recover_rate(f.core, str_of(id), body), ERR_INVALID);
    assert_int_equal(lease_core_recover_rate(f.core, STR("n-1"), body), ERR_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ledger_test(test_a_rule_gives_an_identity_so_many_new_grants),
        ledger_test(test_another_rule_has_a_rate_of_its_own),
        ledger_test(test_a_grant_that_is_there_takes_nothing_of_the_rate),
        ledger_test(test_rates_that_are_full_again_are_forgotten),
        ledger_test(test_a_rate_that_lasts_keeps_no_others),
        ledger_test(test_who_asks_again_and_again_gets_what_has_come_back),
        ledger_test(test_what_was_used_up_is_kept_by_the_next_daemon),
        ledger_test(test_an_issue_that_fails_counts),
        ledger_test(test_a_clock_that_is_set_gives_nothing_back),
        ledger_test(test_after_a_reboot_unix_time_says_what_has_come_back),
        ledger_test(test_after_a_reboot_with_a_clock_that_is_behind_nothing_has),
        ledger_test(test_another_rate_of_the_rule_keeps_what_was_used_up),
        ledger_test(test_what_has_come_back_leaves_the_ledger),
        ledger_test(test_nothing_is_given_that_cannot_be_put_on_record),
        ledger_test(test_a_damaged_record_of_a_rate_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
