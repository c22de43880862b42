/* Chains of successors: holders that read late, and links that die before they were read. */
#include "unit/lease/fixture.h"

static void rotate(struct client *client)
{
    assert_int_equal(lease_rotate_start(f.core, fixture_lease(client), fixture_wait()), 0);
    fixture_run();
}

static void test_the_end_of_a_holder_ends_the_last_of_its_successors(void **state)
{
    struct client *client = fixture_client(0);
    int minutes;

    (void)state;
    fixture_get(client, &f.role);
    f.model.outcomes[LEASE_CALL_RENEW] = LEASE_OUTCOME_GONE;
    for (minutes = 0; minutes < 200 && f.model.lease_count < 3; minutes++) {
        fixture_advance(MINUTE_MS);
    }
    f.model.outcomes[LEASE_CALL_RENEW] = LEASE_OUTCOME_OK;
    assert_int_equal(f.model.lease_count, 3);
    assert_int_equal(model_live_count(&f.model), 1);
    lease_end_grant(f.core, client->grant, GRANT_END_RELEASED, NULL);
    fixture_run();
    assert_int_equal(model_live_count(&f.model), 0);
}

static void test_a_live_lease_serves_on_when_its_successors_fail(void **state)
{
    struct client *client = fixture_client(0);

    (void)state;
    f.role.overlap_ms = 2 * HOUR_MS;
    fixture_get(client, &f.role);
    rotate(client);
    assert_int_equal(f.model.lease_count, 2);
    f.model.outcomes[LEASE_CALL_RENEW] = LEASE_OUTCOME_GONE;
    f.model.outcomes[LEASE_CALL_ISSUE] = LEASE_OUTCOME_DENIED;
    fixture_advance(35 * MINUTE_MS);
    assert_true(f.model.call_counts[LEASE_CALL_ISSUE] > 2);
    assert_int_equal(client->grant->state, GRANT_STATE_HELD);
    assert_true(model_is_live(&f.model, 0));
    f.model.outcomes[LEASE_CALL_RENEW] = LEASE_OUTCOME_OK;
    f.model.outcomes[LEASE_CALL_ISSUE] = LEASE_OUTCOME_OK;
    fixture_advance(10 * MINUTE_MS);
    assert_int_equal(model_live_count(&f.model), 2);
}

static void test_an_overlap_ends_although_the_first_successor_died(void **state)
{
    struct client *client;

    (void)state;
    f.role.overlap_ms = 31 * MINUTE_MS;
    client = fixture_client(0);
    fixture_get(client, &f.role);
    rotate(client);
    f.model.outcomes[LEASE_CALL_RENEW] = LEASE_OUTCOME_GONE;
    f.model.is_held[LEASE_CALL_ISSUE] = true;
    fixture_advance(32 * MINUTE_MS);
    assert_int_equal(f.model.lease_count, 3);
    assert_true(model_is_live(&f.model, 0));
    f.model.outcomes[LEASE_CALL_RENEW] = LEASE_OUTCOME_OK;
    f.model.is_held[LEASE_CALL_ISSUE] = false;
    model_answer_all(&f.model);
    fixture_advance(MINUTE_MS);
    assert_false(model_is_live(&f.model, 0));
    assert_int_equal(client->grant->state, GRANT_STATE_HELD);
}

static void test_a_late_delivery_of_the_old_credential_does_not_end_it(void **state)
{
    struct client *client = fixture_client(0);

    (void)state;
    fixture_get(client, &f.role);
    client->is_answer_kept = true;
    fixture_get(client, &f.role);
    assert_string_equal(client->password, "MARKER-password-0");
    rotate(client);
    fixture_get(client, &f.role);
    assert_string_equal(client->password, "MARKER-password-1");
    lease_core_delivered(f.core, client->grant, true); /* which of the two isn't known */
    fixture_run();
    assert_true(model_is_live(&f.model, 0));
    lease_core_delivered(f.core, client->grant, false);
    fixture_run();
    assert_true(model_is_live(&f.model, 0));
    client->is_answer_kept = false;
    fixture_get(client, &f.role);
    fixture_run();
    assert_false(model_is_live(&f.model, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        fixture_test(test_the_end_of_a_holder_ends_the_last_of_its_successors),
        fixture_test(test_a_live_lease_serves_on_when_its_successors_fail),
        fixture_test(test_an_overlap_ends_although_the_first_successor_died),
        fixture_test(test_a_late_delivery_of_the_old_credential_does_not_end_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
