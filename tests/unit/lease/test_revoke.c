/* The end of leases: revoked until the issuer confirms, never forgotten. */
#include "unit/lease/fixture.h"

#include <string.h>

static void release(struct client *client)
{
    lease_end_grant(f.core, client->grant, GRANT_END_RELEASED, fixture_wait());
    fixture_run();
}

static void test_a_released_credential_is_revoked(void **state)
{
    struct client *client = fixture_client(0);

    (void)state;
    fixture_get(client, &f.role);
    release(client);
    assert_int_equal(f.wait_status, 0);
    assert_int_equal(fixture_state(client), LEASE_STATE_REVOKED);
    assert_int_equal(client->grant->end, GRANT_END_RELEASED);
    assert_int_equal(f.model.leases[0].revoke_count, 1);
    assert_int_equal(fixture_records("grant.ended"), 1);
    assert_int_equal(fixture_records("lease.revoking"), 1);
    assert_int_equal(fixture_records("lease.revoked"), 1);
}

static void test_ending_twice_is_ending_once(void **state)
{
    struct client *client = fixture_client(0);

    (void)state;
    fixture_get(client, &f.role);
    release(client);
    release(client);
    assert_int_equal(f.wait_status, 0);
    assert_int_equal(f.model.call_counts[LEASE_CALL_REVOKE], 1);
    assert_int_equal(fixture_records("grant.ended"), 1);
}

static void test_a_credential_of_an_ended_lease_cannot_be_opened(void **state)
{
    struct client *client = fixture_client(0);
    struct lease_credential credential;

    (void)state;
    fixture_get(client, &f.role);
    release(client);
    assert_int_equal(lease_credential_open(f.core, fixture_lease(client), &credential), ERR_GONE);
    assert_int_equal(f.core->stats.sealed_bytes, 0);
}

static void test_a_revocation_is_repeated_until_it_is_confirmed(void **state)
{
    struct client *client = fixture_client(0);
    struct lease_core_stats stats;

    (void)state;
    fixture_get(client, &f.role);
    f.model.outcomes[LEASE_CALL_REVOKE] = LEASE_OUTCOME_RETRY;
    release(client);
    fixture_advance(30 * MINUTE_MS);
    assert_int_equal(fixture_state(client), LEASE_STATE_REVOKING);
    assert_int_equal(f.wait_status, 1);
    lease_core_stats(f.core, &stats);
    assert_int_equal(stats.revoke_pending, 1);
    assert_true(stats.revoke_oldest_ms >= 30 * MINUTE_MS);
    assert_in_range(f.model.call_counts[LEASE_CALL_REVOKE], 10, 60);
    f.model.outcomes[LEASE_CALL_REVOKE] = LEASE_OUTCOME_OK;
    fixture_advance(5 * MINUTE_MS);
    assert_int_equal(f.wait_status, 0);
    assert_int_equal(fixture_state(client), LEASE_STATE_REVOKED);
    assert_int_equal(fixture_records("lease.revoking"), 1);
}

static void test_a_refused_revocation_is_repeated_too(void **state)
{
    struct client *client = fixture_client(0);

    (void)state;
    fixture_get(client, &f.role);
    f.model.outcomes[LEASE_CALL_REVOKE] = LEASE_OUTCOME_DENIED;
    release(client);
    fixture_advance(10 * MINUTE_MS);
    f.model.outcomes[LEASE_CALL_REVOKE] = LEASE_OUTCOME_OK;
    fixture_advance(5 * MINUTE_MS);
    assert_int_equal(fixture_state(client), LEASE_STATE_REVOKED);
}

static void test_a_lease_that_the_issuer_does_not_know_is_revoked(void **state)
{
    struct client *client = fixture_client(0);

    (void)state;
    fixture_get(client, &f.role);
    f.model.outcomes[LEASE_CALL_REVOKE] = LEASE_OUTCOME_GONE;
    release(client);
    assert_int_equal(fixture_state(client), LEASE_STATE_REVOKED);
    f.model.leases[0].is_revoked = true;
}

static void test_a_lost_answer_of_a_revocation_is_asked_for_again(void **state)
{
    struct client *client = fixture_client(0);

    (void)state;
    fixture_get(client, &f.role);
    f.model.outcomes[LEASE_CALL_REVOKE] = LEASE_OUTCOME_LOST;
    f.model.outcome_counts[LEASE_CALL_REVOKE] = 1;
    release(client);
    fixture_advance(10 * SECOND_MS);
    assert_int_equal(fixture_state(client), LEASE_STATE_REVOKED);
    assert_int_equal(f.model.call_counts[LEASE_CALL_REVOKE], 2);
}

static void test_patience_with_a_revocation_ends_after_the_credentials_end(void **state)
{
    struct client *client = fixture_client(0);

    (void)state;
    fixture_get(client, &f.role);
    f.model.outcomes[LEASE_CALL_REVOKE] = LEASE_OUTCOME_RETRY;
    release(client);
    fixture_advance(HOUR_MS + 55 * MINUTE_MS);
    assert_int_equal(fixture_state(client), LEASE_STATE_REVOKING);
    fixture_advance(10 * MINUTE_MS);
    assert_int_equal(fixture_state(client), LEASE_STATE_UNCONFIRMED);
    assert_int_equal(f.wait_status, ERR_TIMEOUT);
    assert_int_equal(fixture_trail_has("never confirmed"), 1);
}

static void test_ending_a_lease_ends_all_its_grants(void **state)
{
    struct client *a = fixture_client(0);
    struct client *b = fixture_client(1);

    (void)state;
    f.shared.linger_ms = HOUR_MS;
    fixture_get(a, &f.shared);
    fixture_get(b, &f.shared);
    lease_end(f.core, fixture_lease(a), GRANT_END_RELEASED, fixture_wait());
    fixture_run();
    assert_int_equal(f.wait_status, 0);
    assert_int_equal(a->grant->state, GRANT_STATE_ENDED);
    assert_int_equal(b->grant->state, GRANT_STATE_ENDED);
    assert_int_equal(model_live_count(&f.model), 0);
}

static void test_a_grant_ends_after_its_duration(void **state)
{
    struct client *client = fixture_client(0);

    (void)state;
    client->decision.duration_ms = 30 * MINUTE_MS;
    fixture_get(client, &f.role);
    fixture_advance(29 * MINUTE_MS);
    assert_int_equal(client->grant->state, GRANT_STATE_HELD);
    fixture_advance(MINUTE_MS);
    assert_int_equal(client->grant->end, GRANT_END_DURATION);
    assert_int_equal(model_live_count(&f.model), 0);
}

static void test_renewals_and_rotations_do_not_extend_a_duration(void **state)
{
    struct client *client = fixture_client(0);

    (void)state;
    client->decision.duration_ms = 3 * HOUR_MS;
    f.role.max_ttl_ms = 2 * HOUR_MS;
    fixture_get(client, &f.role);
    fixture_advance(2 * HOUR_MS + 30 * MINUTE_MS);
    fixture_get(client, &f.role);
    assert_int_equal(client->status, 0);
    fixture_advance(30 * MINUTE_MS);
    assert_int_equal(client->grant->end, GRANT_END_DURATION);
    assert_int_equal(model_live_count(&f.model), 0);
}

static void test_a_grant_without_a_duration_lives_on(void **state)
{
    struct client *client = fixture_client(0);

    (void)state;
    client->decision.duration_ms = 0;
    fixture_get(client, &f.role);
    fixture_advance(100 * HOUR_MS);
    assert_int_equal(client->grant->state, GRANT_STATE_HELD);
}

static void test_revocations_overtake_issues(void **state)
{
    struct client *client;
    size_t i;

    (void)state;
    f.model.issuer.limits.in_flight = 1;
    client = fixture_client(0);
    fixture_get(client, &f.role);
    f.model.is_held[LEASE_CALL_ISSUE] = true;
    for (i = 1; i < 5; i++) {
        fixture_get(fixture_client(i), &f.role);
    }
    lease_end_grant(f.core, client->grant, GRANT_END_RELEASED, fixture_wait());
    model_answer(&f.model);
    fixture_run();
    assert_int_equal(f.wait_status, 0);
    assert_int_equal(f.model.call_counts[LEASE_CALL_ISSUE], 3);
    f.model.is_held[LEASE_CALL_ISSUE] = false;
    model_answer_all(&f.model);
    fixture_run();
}

static void test_what_has_ended_is_kept_to_be_looked_at_and_then_forgotten(void **state)
{
    char first_lease[LEASE_ID_BYTES + 1];
    struct client *client = fixture_client(0);
    struct lease_view view;
    size_t i;

    (void)state;
    fixture_get(client, &f.role);
    lease_view(fixture_lease(client), &view);
    memcpy(first_lease, view.id, sizeof(first_lease));
    release(client);
    assert_non_null(lease_core_find_lease(f.core, str_of(first_lease)));
    for (i = 0; i < CORE_ENDED_MAX + 20; i++) {
        fixture_get(client, &f.role);
        release(client);
    }
    assert_null(lease_core_find_lease(f.core, str_of(first_lease)));
    assert_int_equal(f.core->grant_ids.count, CORE_ENDED_MAX);
    assert_int_equal(f.core->lease_ids.count, CORE_ENDED_MAX);
}

/* The renewal waits for its budget, the ttl is ours, and it is too early for another successor. */
/* The host slept for longer than the credential lived: its issuer is asked all the same. */
static void test_what_ended_long_ago_is_asked_about(void **state)
{
    struct client *client = fixture_client(0);

    (void)state;
    fixture_get(client, &f.role);
    f.fake.now_ms += 30 * HOUR_MS;
    f.fake.wall_ms += 30 * (int64_t)HOUR_MS;
    fixture_advance(5 * SECOND_MS);
    assert_int_equal(f.model.call_counts[LEASE_CALL_REVOKE], 1);
    assert_int_equal(fixture_records("lease.revoked"), 1);
}

static void test_who_waits_for_a_lease_that_is_cut_is_told(void **state)
{
    struct client *client;
    struct lease *lease;
    int call_count;

    (void)state;
    f.model.honours_ttl = false;
    f.model.lifetime_ms = 2 * HOUR_MS;
    f.role.renew_rate = (struct units_rate){.count = 1, .per_ms = 20 * HOUR_MS};
    client = fixture_client(0);
    fixture_get(client, &f.role);
    lease = fixture_lease(client);
    f.model.outcomes[LEASE_CALL_ISSUE] = LEASE_OUTCOME_DENIED;
    fixture_advance(88 * MINUTE_MS);
    while (lease->rotate_after_ms < lease->expires_ms + MINUTE_MS) {
        assert_int_equal(lease_rotate_start(f.core, lease, fixture_wait()), 0);
        fixture_run();
    }
    call_count = client->call_count;
    fixture_ask(client, &f.role);
    fixture_run();
    assert_int_equal(client->call_count, call_count);
    fixture_advance(2 * MINUTE_MS);
    assert_int_equal(client->call_count, call_count + 1);
    assert_int_equal(client->status, ERR_UNAVAILABLE);
    assert_in_range(client->acquire.retry_after_ms, 1, 5 * MINUTE_MS);
}

static void test_who_ends_a_lease_that_is_being_issued_waits_for_its_revocation(void **state)
{
    struct client *client = fixture_client(0);
    struct lease *lease;

    (void)state;
    f.model.is_held[LEASE_CALL_ISSUE] = true;
    fixture_get(client, &f.role);
    lease = lease_core_next_lease(f.core, NULL);
    lease_end(f.core, lease, GRANT_END_RELEASED, fixture_wait());
    fixture_run();
    assert_int_equal(f.wait_count, 0);
    assert_int_equal(client->status, ERR_GONE);
    f.model.is_held[LEASE_CALL_ISSUE] = false;
    model_answer_all(&f.model);
    fixture_run();
    assert_int_equal(f.wait_count, 1);
    assert_int_equal(f.wait_status, 0);
    assert_int_equal(f.model.lease_count, 1);
    assert_int_equal(model_live_count(&f.model), 0);
}

static void test_who_ends_a_lease_whose_issue_is_lost_is_told_so(void **state)
{
    (void)state;
    f.model.is_held[LEASE_CALL_ISSUE] = true;
    f.model.outcomes[LEASE_CALL_ISSUE] = LEASE_OUTCOME_LOST;
    fixture_get(fixture_client(0), &f.role);
    lease_end(f.core, lease_core_next_lease(f.core, NULL), GRANT_END_RELEASED, fixture_wait());
    f.model.is_held[LEASE_CALL_ISSUE] = false;
    model_answer_all(&f.model);
    fixture_run();
    assert_int_equal(f.wait_status, ERR_UNAVAILABLE);
}

static void test_a_late_issue_that_was_ended_is_for_nobody(void **state)
{
    (void)state;
    f.model.is_held[LEASE_CALL_ISSUE] = true;
    fixture_get(fixture_client(0), &f.role);
    fixture_advance(30 * SECOND_MS);
    lease_end(f.core, lease_core_next_lease(f.core, NULL), GRANT_END_RELEASED, fixture_wait());
    f.model.is_held[LEASE_CALL_ISSUE] = false;
    model_answer_all(&f.model);
    fixture_run();
    assert_int_equal(f.wait_status, 0);
    assert_int_equal(f.model.lease_count, 1);
    assert_int_equal(model_live_count(&f.model), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        fixture_test(test_who_ends_a_lease_that_is_being_issued_waits_for_its_revocation),
        fixture_test(test_who_ends_a_lease_whose_issue_is_lost_is_told_so),
        fixture_test(test_a_late_issue_that_was_ended_is_for_nobody),
        fixture_test(test_a_released_credential_is_revoked),
        fixture_test(test_ending_twice_is_ending_once),
        fixture_test(test_a_credential_of_an_ended_lease_cannot_be_opened),
        fixture_test(test_a_revocation_is_repeated_until_it_is_confirmed),
        fixture_test(test_a_refused_revocation_is_repeated_too),
        fixture_test(test_a_lease_that_the_issuer_does_not_know_is_revoked),
        fixture_test(test_a_lost_answer_of_a_revocation_is_asked_for_again),
        fixture_test(test_patience_with_a_revocation_ends_after_the_credentials_end),
        fixture_test(test_ending_a_lease_ends_all_its_grants),
        fixture_test(test_a_grant_ends_after_its_duration),
        fixture_test(test_renewals_and_rotations_do_not_extend_a_duration),
        fixture_test(test_a_grant_without_a_duration_lives_on),
        fixture_test(test_revocations_overtake_issues),
        fixture_test(test_what_has_ended_is_kept_to_be_looked_at_and_then_forgotten),
        fixture_test(test_what_ended_long_ago_is_asked_about),
        fixture_test(test_who_waits_for_a_lease_that_is_cut_is_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
