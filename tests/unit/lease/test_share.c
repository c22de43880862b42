/* Who gets whose credential, and that a crowd of first requests is one issue. */
#include "unit/lease/fixture.h"

static void test_a_crowd_of_first_requests_is_one_issue(void **state)
{
    size_t i;

    (void)state;
    f.model.is_held[LEASE_CALL_ISSUE] = true;
    for (i = 0; i < 64; i++) {
        fixture_ask(fixture_client(i), &f.shared);
    }
    fixture_run();
    assert_int_equal(f.model.call_counts[LEASE_CALL_ISSUE], 1);
    model_answer(&f.model);
    fixture_run();
    for (i = 0; i < 64; i++) {
        assert_int_equal(f.clients[i].status, 0);
        assert_string_equal(f.clients[i].password, "MARKER-password-0");
    }
    assert_int_equal(f.model.call_counts[LEASE_CALL_ISSUE], 1);
    assert_int_equal(fixture_records("grant.created"), 64);
    assert_int_equal(fixture_records("lease.issued"), 1);
}

static void test_a_failed_first_request_fails_the_crowd_once(void **state)
{
    size_t i;

    (void)state;
    f.model.is_held[LEASE_CALL_ISSUE] = true;
    f.model.outcomes[LEASE_CALL_ISSUE] = LEASE_OUTCOME_DENIED;
    for (i = 0; i < 64; i++) {
        fixture_ask(fixture_client(i), &f.shared);
    }
    fixture_run();
    model_answer(&f.model);
    fixture_run();
    for (i = 0; i < 64; i++) {
        assert_int_equal(f.clients[i].status, ERR_DENIED);
        assert_int_equal(f.clients[i].call_count, 1);
    }
    assert_int_equal(f.model.call_counts[LEASE_CALL_ISSUE], 1);
    assert_int_equal(fixture_records("lease.failed"), 1);
}

static void test_more_waiting_than_allowed_are_told_so(void **state)
{
    size_t i;

    (void)state;
    f.options.waiting_max = 10;
    f.model.is_held[LEASE_CALL_ISSUE] = true;
    for (i = 0; i < 12; i++) {
        fixture_ask(fixture_client(i), &f.shared);
    }
    fixture_run();
    assert_int_equal(f.clients[9].call_count, 0);
    assert_int_equal(f.clients[10].call_count, 0); /* the first of its uid */
    assert_int_equal(f.clients[11].status, ERR_BUSY);
    model_answer(&f.model);
    fixture_run();
    assert_int_equal(f.clients[10].status, 0);
}

static void test_the_lease_of_an_identity_is_not_given_to_another(void **state)
{
    struct client *a = fixture_client(0);
    struct client *same = fixture_client(1);
    struct client *other = fixture_client(10);

    (void)state;
    fixture_get(a, &f.personal);
    fixture_get(same, &f.personal);
    fixture_get(other, &f.personal);
    assert_ptr_not_equal(a->grant, same->grant);
    assert_ptr_equal(fixture_lease(a), fixture_lease(same));
    assert_ptr_not_equal(fixture_lease(a), fixture_lease(other));
    assert_int_equal(f.model.lease_count, 2);
}

static void test_a_shared_lease_lives_as_long_as_one_holds_it(void **state)
{
    struct client *a = fixture_client(0);
    struct client *b = fixture_client(1);

    (void)state;
    fixture_get(a, &f.shared);
    fixture_get(b, &f.shared);
    lease_end_grant(f.core, a->grant, GRANT_END_RELEASED, fixture_wait());
    fixture_run();
    assert_int_equal(f.wait_status, 0);
    assert_int_equal(model_live_count(&f.model), 1);
    lease_end_grant(f.core, b->grant, GRANT_END_RELEASED, fixture_wait());
    fixture_run();
    assert_int_equal(f.wait_status, 0);
    assert_int_equal(model_live_count(&f.model), 0);
}

static void test_an_unheld_lease_lingers_for_the_next_caller(void **state)
{
    struct client *a = fixture_client(0);
    struct client *b = fixture_client(1);

    (void)state;
    f.role.linger_ms = 5 * MINUTE_MS;
    fixture_get(a, &f.role);
    lease_end_grant(f.core, a->grant, GRANT_END_RELEASED, NULL);
    fixture_advance(4 * MINUTE_MS);
    assert_int_equal(model_live_count(&f.model), 1);
    fixture_get(b, &f.role);
    assert_int_equal(f.model.lease_count, 1);
    assert_string_equal(b->password, "MARKER-password-0");
    fixture_advance(20 * MINUTE_MS);
    assert_int_equal(model_live_count(&f.model), 1);
}

static void test_a_lingering_lease_that_nobody_wants_is_revoked(void **state)
{
    struct client *client = fixture_client(0);

    (void)state;
    f.shared.linger_ms = 5 * MINUTE_MS;
    fixture_get(client, &f.shared);
    lease_end_grant(f.core, client->grant, GRANT_END_RELEASED, NULL);
    fixture_advance(5 * MINUTE_MS);
    assert_int_equal(model_live_count(&f.model), 0);
    assert_int_equal(fixture_records("lease.revoked"), 1);
}

static void test_a_lingering_lease_is_not_given_to_another_identity(void **state)
{
    struct client *a = fixture_client(0);
    struct client *other = fixture_client(10);

    (void)state;
    f.role.linger_ms = 5 * MINUTE_MS;
    fixture_get(a, &f.role);
    lease_end_grant(f.core, a->grant, GRANT_END_RELEASED, NULL);
    fixture_get(other, &f.role);
    assert_int_equal(f.model.lease_count, 2);
}

static void test_a_lease_that_is_held_is_not_given_to_a_second_grant(void **state)
{
    struct client *a = fixture_client(0);
    struct client *b = fixture_client(1);
    struct client *c = fixture_client(2);

    (void)state;
    f.role.linger_ms = 5 * MINUTE_MS;
    fixture_get(a, &f.role);
    lease_end_grant(f.core, a->grant, GRANT_END_RELEASED, NULL);
    fixture_get(b, &f.role);
    fixture_get(c, &f.role);
    assert_ptr_not_equal(fixture_lease(b), fixture_lease(c));
    assert_int_equal(f.model.lease_count, 2);
}

static void test_what_cannot_be_revoked_is_kept_for_the_next_caller(void **state)
{
    struct client *a = fixture_client(0);
    struct client *b = fixture_client(1);

    (void)state;
    f.model.is_revocable = false;
    f.model.is_renewable = false;
    fixture_get(a, &f.role);
    lease_end_grant(f.core, a->grant, GRANT_END_RELEASED, fixture_wait());
    fixture_advance(30 * MINUTE_MS);
    assert_int_equal(f.wait_status, ERR_UNSUPPORTED);
    fixture_get(b, &f.role);
    assert_int_equal(f.model.lease_count, 1);
    assert_int_equal(f.model.call_counts[LEASE_CALL_REVOKE], 0);
}

static void test_what_cannot_be_revoked_ends_expired_and_not_revoked(void **state)
{
    struct client *client = fixture_client(0);

    (void)state;
    f.model.is_revocable = false;
    f.model.is_renewable = false;
    fixture_get(client, &f.role);
    lease_end_grant(f.core, client->grant, GRANT_END_RELEASED, NULL);
    fixture_advance(56 * MINUTE_MS);
    assert_int_equal(fixture_records("lease.expired"), 1);
    assert_int_equal(fixture_records("lease.revoking"), 0);
    assert_int_equal(fixture_records("lease.revoked"), 0);
}

static void test_access_that_is_taken_away_rotates_a_shared_lease(void **state)
{
    struct client *a = fixture_client(0);
    struct client *b = fixture_client(1);

    (void)state;
    fixture_get(a, &f.shared);
    fixture_get(b, &f.shared);
    lease_end_grant(f.core, a->grant, GRANT_END_POLICY, NULL);
    fixture_run();
    assert_int_equal(f.model.lease_count, 2);
    fixture_get(b, &f.shared);
    assert_string_equal(b->password, "MARKER-password-1");
    fixture_run();
    assert_false(model_is_live(&f.model, 0));
}

static void test_a_grant_that_somebody_else_ends_rotates_a_shared_lease(void **state)
{
    struct client *a = fixture_client(0);
    struct client *b = fixture_client(1);

    (void)state;
    fixture_get(a, &f.shared);
    fixture_get(b, &f.shared);
    lease_end_grant(f.core, a->grant, GRANT_END_REVOKED, NULL);
    fixture_run();
    assert_int_equal(f.model.lease_count, 2);
    fixture_advance(f.shared.overlap_ms + MINUTE_MS); /* the other doesn't come for it */
    assert_false(model_is_live(&f.model, 0));
    assert_true(model_is_live(&f.model, 1));
    assert_int_equal(fixture_trail_has("\"outcome\":\"revoked\""), 1);
}

static void test_a_grant_that_is_given_back_rotates_nothing(void **state)
{
    (void)state;
    fixture_get(fixture_client(0), &f.shared);
    fixture_get(fixture_client(1), &f.shared);
    lease_end_grant(f.core, f.clients[0].grant, GRANT_END_RELEASED, NULL);
    fixture_advance(f.shared.overlap_ms + MINUTE_MS);
    assert_int_equal(f.model.lease_count, 1);
    assert_true(model_is_live(&f.model, 0));
}

static void test_a_credential_that_was_taken_away_does_not_linger(void **state)
{
    struct client *client = fixture_client(0);

    (void)state;
    f.role.linger_ms = HOUR_MS;
    fixture_get(client, &f.role);
    lease_end_grant(f.core, client->grant, GRANT_END_POLICY, fixture_wait());
    fixture_run();
    assert_int_equal(f.wait_status, 0);
    assert_int_equal(model_live_count(&f.model), 0);
}

static void test_the_number_of_an_identitys_grants_leaves_out_the_one_asked_for(void **state)
{
    struct client *a = fixture_client(0);
    struct client *b = fixture_client(1);

    (void)state;
    fixture_get(a, &f.role);
    assert_int_equal(lease_core_live_count(f.core, &a->acquire.ask), 0);
    fixture_get(b, &f.role);
    assert_int_equal(lease_core_live_count(f.core, &b->acquire.ask), 1);
    a->acquire.ask.is_new_grant = true;
    assert_int_equal(lease_core_live_count(f.core, &a->acquire.ask), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        fixture_test(test_a_crowd_of_first_requests_is_one_issue),
        fixture_test(test_a_failed_first_request_fails_the_crowd_once),
        fixture_test(test_more_waiting_than_allowed_are_told_so),
        fixture_test(test_the_lease_of_an_identity_is_not_given_to_another),
        fixture_test(test_a_shared_lease_lives_as_long_as_one_holds_it),
        fixture_test(test_an_unheld_lease_lingers_for_the_next_caller),
        fixture_test(test_a_lingering_lease_that_nobody_wants_is_revoked),
        fixture_test(test_a_lingering_lease_is_not_given_to_another_identity),
        fixture_test(test_a_lease_that_is_held_is_not_given_to_a_second_grant),
        fixture_test(test_what_cannot_be_revoked_is_kept_for_the_next_caller),
        fixture_test(test_what_cannot_be_revoked_ends_expired_and_not_revoked),
        fixture_test(test_access_that_is_taken_away_rotates_a_shared_lease),
        fixture_test(test_a_grant_that_somebody_else_ends_rotates_a_shared_lease),
        fixture_test(test_a_grant_that_is_given_back_rotates_nothing),
        fixture_test(test_a_credential_that_was_taken_away_does_not_linger),
        fixture_test(test_the_number_of_an_identitys_grants_leaves_out_the_one_asked_for),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
