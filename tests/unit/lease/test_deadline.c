/* Nobody waits for ever: deadlines of acquires, issues that come late, refusals that are
 * remembered. */
#include "unit/lease/fixture.h"

#include <string.h>

/* --- deadlines --- */

static void test_who_waits_for_a_silent_issuer_is_told_to_come_again(void **state)
{
    struct client *client = fixture_client(0);

    (void)state;
    f.model.is_held[LEASE_CALL_ISSUE] = true;
    fixture_get(client, &f.role);
    fixture_advance(29 * SECOND_MS);
    assert_int_equal(client->call_count, 0);
    fixture_advance(SECOND_MS);
    assert_int_equal(client->call_count, 1);
    assert_int_equal(client->status, ERR_UNAVAILABLE);
    assert_true(client->acquire.retry_after_ms > 0);
    assert_non_null(strstr(client->acquire.error.text, "not answered"));
}

static void test_an_issue_that_comes_late_is_for_who_comes_again(void **state)
{
    struct client *client = fixture_client(0);

    (void)state;
    f.model.is_held[LEASE_CALL_ISSUE] = true;
    fixture_get(client, &f.role);
    fixture_advance(30 * SECOND_MS);
    assert_int_equal(client->status, ERR_UNAVAILABLE);
    f.model.is_held[LEASE_CALL_ISSUE] = false;
    model_answer_all(&f.model);
    fixture_run();
    assert_int_equal(model_live_count(&f.model), 1);
    fixture_advance(5 * SECOND_MS);
    fixture_get(client, &f.role);
    assert_int_equal(client->status, 0);
    assert_int_equal(f.model.call_counts[LEASE_CALL_ISSUE], 1);
    fixture_advance(MINUTE_MS);
    assert_int_equal(model_live_count(&f.model), 1);
}

static void test_an_issue_that_comes_late_and_nobody_comes_for_is_revoked(void **state)
{
    (void)state;
    f.model.is_held[LEASE_CALL_ISSUE] = true;
    fixture_get(fixture_client(0), &f.role);
    fixture_get(fixture_client(1), &f.shared);
    fixture_advance(30 * SECOND_MS);
    f.model.is_held[LEASE_CALL_ISSUE] = false;
    model_answer_all(&f.model);
    fixture_advance(20 * SECOND_MS);
    assert_int_equal(f.model.lease_count, 2);
    assert_int_equal(model_live_count(&f.model), 0);
}

static void test_who_comes_again_joins_the_issue_that_is_under_way(void **state)
{
    struct client *client = fixture_client(0);

    (void)state;
    f.model.is_held[LEASE_CALL_ISSUE] = true;
    fixture_get(client, &f.role);
    fixture_advance(30 * SECOND_MS);
    fixture_get(client, &f.role);
    fixture_advance(SECOND_MS);
    assert_int_equal(f.model.call_counts[LEASE_CALL_ISSUE], 1);
    f.model.is_held[LEASE_CALL_ISSUE] = false;
    model_answer_all(&f.model);
    fixture_run();
    assert_int_equal(client->status, 0);
    assert_int_equal(f.model.lease_count, 1);
}

static void test_a_late_issue_that_fails_leaves_nothing(void **state)
{
    struct client *client = fixture_client(0);

    (void)state;
    f.model.is_held[LEASE_CALL_ISSUE] = true;
    f.model.outcomes[LEASE_CALL_ISSUE] = LEASE_OUTCOME_LOST;
    fixture_get(client, &f.role);
    fixture_advance(30 * SECOND_MS);
    f.model.is_held[LEASE_CALL_ISSUE] = false;
    model_answer_all(&f.model);
    fixture_run();
    assert_int_equal(fixture_records("lease.failed"), 1);
    f.model.outcomes[LEASE_CALL_ISSUE] = LEASE_OUTCOME_OK;
    fixture_get(client, &f.role);
    assert_int_equal(client->status, 0);
}

static void test_a_late_issue_of_a_removed_role_is_revoked_at_once(void **state)
{
    (void)state;
    f.model.is_held[LEASE_CALL_ISSUE] = true;
    fixture_get(fixture_client(0), &f.role);
    fixture_advance(30 * SECOND_MS);
    lease_core_remove_role(f.core, STR("db"));
    f.role.name = NULL;
    f.model.is_held[LEASE_CALL_ISSUE] = false;
    model_answer_all(&f.model);
    fixture_run();
    assert_int_equal(f.model.lease_count, 1);
    assert_int_equal(model_live_count(&f.model), 0);
}

static void test_what_waits_for_its_turn_too_long_is_never_sent(void **state)
{
    struct client *client;

    (void)state;
    f.model.issuer.limits.in_flight = 1;
    f.model.is_held[LEASE_CALL_ISSUE] = true;
    fixture_get(fixture_client(0), &f.role);
    client = fixture_client(10);
    fixture_get(client, &f.role);
    fixture_advance(30 * SECOND_MS);
    assert_int_equal(client->status, ERR_UNAVAILABLE);
    f.model.is_held[LEASE_CALL_ISSUE] = false;
    model_answer_all(&f.model);
    fixture_run();
    assert_int_equal(f.model.call_counts[LEASE_CALL_ISSUE], 1);
}

static void test_a_holder_keeps_its_credential_when_the_changed_one_does_not_come(void **state)
{
    struct client *client = fixture_client(0);
    char password[64];

    (void)state;
    fixture_get(client, &f.role);
    memcpy(password, client->password, sizeof(password));
    f.role.params_json = "{\"path\":\"other\"}";
    f.model.is_held[LEASE_CALL_ISSUE] = true;
    fixture_get(client, &f.role);
    fixture_advance(29 * SECOND_MS);
    assert_int_equal(client->status, 1);
    fixture_advance(SECOND_MS);
    assert_int_equal(client->status, 0);
    assert_string_equal(client->password, password);
    f.model.is_held[LEASE_CALL_ISSUE] = false;
    model_answer_all(&f.model);
    fixture_get(client, &f.role);
    assert_string_not_equal(client->password, password);
}

/* --- an issuer that is down --- */

static void test_an_issuer_that_is_down_is_told_at_once(void **state)
{
    struct client *held = fixture_client(0);
    struct client *client = fixture_client(10);

    (void)state;
    fixture_get(held, &f.role);
    f.model.outcomes[LEASE_CALL_ISSUE] = LEASE_OUTCOME_RETRY;
    f.model.retry_after_ms = 8000;
    fixture_get(client, &f.role);
    assert_int_equal(client->status, ERR_UNAVAILABLE);
    assert_int_equal(client->acquire.retry_after_ms, 8000);
    assert_int_equal(f.model.call_counts[LEASE_CALL_ISSUE], 2);
    assert_non_null(fixture_cached(held, &f.role));
    fixture_advance(3000);
    fixture_get(client, &f.role);
    assert_int_equal(client->status, ERR_UNAVAILABLE);
    assert_int_equal(client->acquire.retry_after_ms, 5000);
    assert_int_equal(f.model.call_counts[LEASE_CALL_ISSUE], 2);
    f.model.outcomes[LEASE_CALL_ISSUE] = LEASE_OUTCOME_OK;
    fixture_advance(5000);
    fixture_get(client, &f.role);
    assert_int_equal(client->status, 0);
}

/* --- refusals --- */

static void refused(struct client *client, const struct lease_role *role, uint32_t call_count)
{
    fixture_get(client, role);
    assert_int_equal(client->status, ERR_DENIED);
    assert_int_equal(f.model.call_counts[LEASE_CALL_ISSUE], call_count);
}

static void test_who_loops_on_a_broken_role_asks_the_issuer_rarely(void **state)
{
    struct client *client = fixture_client(0);
    size_t i;

    (void)state;
    f.model.outcomes[LEASE_CALL_ISSUE] = LEASE_OUTCOME_DENIED;
    refused(client, &f.role, 1);
    assert_int_equal(client->acquire.retry_after_ms, 1000);
    refused(client, &f.role, 1);
    assert_non_null(strstr(client->acquire.error.text, "scripted failure"));
    for (i = 0; i < 3000; i++) {
        fixture_advance(100);
        fixture_get(client, &f.role);
        assert_int_equal(client->status, ERR_DENIED);
        assert_true(client->acquire.retry_after_ms <= 30000);
    }
    assert_true(f.model.call_counts[LEASE_CALL_ISSUE] <= 16);
    assert_true(f.model.call_counts[LEASE_CALL_ISSUE] >= 12);
    assert_int_equal(fixture_records("lease.failed"), f.model.call_counts[LEASE_CALL_ISSUE]);
}

static void test_a_mended_policy_is_noticed_within_half_a_minute(void **state)
{
    struct client *client = fixture_client(0);
    size_t i;

    (void)state;
    f.model.outcomes[LEASE_CALL_ISSUE] = LEASE_OUTCOME_DENIED;
    for (i = 0; i < 10; i++) {
        fixture_get(client, &f.role);
        fixture_advance(30 * SECOND_MS);
    }
    fixture_get(client, &f.role);
    f.model.outcomes[LEASE_CALL_ISSUE] = LEASE_OUTCOME_OK;
    fixture_advance(30 * SECOND_MS);
    fixture_get(client, &f.role);
    assert_int_equal(client->status, 0);
}

static void test_one_refused_caller_does_not_refuse_another(void **state)
{
    (void)state;
    f.model.outcomes[LEASE_CALL_ISSUE] = LEASE_OUTCOME_DENIED;
    f.model.outcome_counts[LEASE_CALL_ISSUE] = 1;
    refused(fixture_client(0), &f.role, 1);
    fixture_get(fixture_client(10), &f.role);
    assert_int_equal(f.clients[10].status, 0);
}

static void test_a_shared_credential_is_refused_to_all(void **state)
{
    (void)state;
    f.model.outcomes[LEASE_CALL_ISSUE] = LEASE_OUTCOME_DENIED;
    refused(fixture_client(0), &f.shared, 1);
    refused(fixture_client(10), &f.shared, 1);
    fixture_advance(SECOND_MS);
    refused(fixture_client(20), &f.shared, 2);
}

static void test_a_refusal_is_forgotten_when_the_role_changes(void **state)
{
    struct client *client = fixture_client(0);

    (void)state;
    f.model.outcomes[LEASE_CALL_ISSUE] = LEASE_OUTCOME_INVALID;
    fixture_get(client, &f.role);
    assert_int_equal(client->status, ERR_INVALID);
    f.model.outcomes[LEASE_CALL_ISSUE] = LEASE_OUTCOME_OK;
    f.role.params_json = "{\"path\":\"right\"}";
    fixture_get(client, &f.role);
    assert_int_equal(client->status, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        fixture_test(test_who_waits_for_a_silent_issuer_is_told_to_come_again),
        fixture_test(test_an_issue_that_comes_late_is_for_who_comes_again),
        fixture_test(test_an_issue_that_comes_late_and_nobody_comes_for_is_revoked),
        fixture_test(test_who_comes_again_joins_the_issue_that_is_under_way),
        fixture_test(test_a_late_issue_that_fails_leaves_nothing),
        fixture_test(test_a_late_issue_of_a_removed_role_is_revoked_at_once),
        fixture_test(test_what_waits_for_its_turn_too_long_is_never_sent),
        fixture_test(test_a_holder_keeps_its_credential_when_the_changed_one_does_not_come),
        fixture_test(test_an_issuer_that_is_down_is_told_at_once),
        fixture_test(test_who_loops_on_a_broken_role_asks_the_issuer_rarely),
        fixture_test(test_a_mended_policy_is_noticed_within_half_a_minute),
        fixture_test(test_one_refused_caller_does_not_refuse_another),
        fixture_test(test_a_shared_credential_is_refused_to_all),
        fixture_test(test_a_refusal_is_forgotten_when_the_role_changes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
