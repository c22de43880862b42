/* Renewals: when they come, what their answers mean, and that no answer makes a loop. */
#include "unit/lease/fixture.h"

static uint64_t left_ms(const struct client *client)
{
    return lease_left_ms(fixture_lease(client));
}

static void test_a_lease_is_renewed_at_renew_at(void **state)
{
    struct client *client = fixture_client(0);

    (void)state;
    fixture_get(client, &f.role);
    fixture_advance(26 * MINUTE_MS);
    assert_int_equal(f.model.call_counts[LEASE_CALL_RENEW], 0);
    fixture_advance(5 * MINUTE_MS);
    assert_int_equal(f.model.call_counts[LEASE_CALL_RENEW], 1);
    assert_int_equal(fixture_records("lease.renewed"), 1);
    assert_true(left_ms(client) > 55 * MINUTE_MS);
    assert_int_equal(f.model.lease_count, 1);
}

static void test_a_held_lease_is_renewed_again_and_again(void **state)
{
    struct client *client = fixture_client(0);

    (void)state;
    fixture_get(client, &f.role);
    fixture_advance(10 * HOUR_MS);
    assert_in_range(f.model.call_counts[LEASE_CALL_RENEW], 18, 23);
    assert_int_equal(f.model.lease_count, 1);
    fixture_get(client, &f.role);
    assert_int_equal(client->status, 0);
}

static void test_renewals_of_a_crowd_do_not_come_at_once(void **state)
{
    size_t i;

    (void)state;
    for (i = 0; i < 200; i++) {
        fixture_get(fixture_client(i), &f.role);
    }
    fixture_advance(28 * MINUTE_MS + 30 * SECOND_MS);
    assert_in_range(f.model.call_counts[LEASE_CALL_RENEW], 60, 140);
    fixture_advance(2 * MINUTE_MS);
    assert_int_equal(f.model.call_counts[LEASE_CALL_RENEW], 200);
    assert_true(f.model.in_flight_most <= 32);
}

static void test_a_bare_renewal_that_shortens_is_believed(void **state)
{
    struct client *client = fixture_client(0);

    (void)state;
    f.role.ttl_ms = 0;
    fixture_get(client, &f.role);
    f.model.lifetime_ms = 20 * MINUTE_MS;
    fixture_advance(31 * MINUTE_MS);
    assert_int_equal(f.model.leases[0].renew_count, 1);
    assert_true(left_ms(client) <= 20 * MINUTE_MS);
}

static void test_a_shrinking_life_is_replaced_in_time_and_not_renewed_to_death(void **state)
{
    struct client *client = fixture_client(0);

    (void)state;
    f.model.max_life_ms = 80 * MINUTE_MS;
    fixture_get(client, &f.role);
    fixture_advance(79 * MINUTE_MS);
    assert_int_equal(f.model.leases[0].renew_count, 1);
    assert_int_equal(f.model.lease_count, 2);
    fixture_get(client, &f.role);
    assert_int_equal(client->status, 0);
    assert_string_equal(client->password, "MARKER-password-1");
}

static void test_a_life_that_is_said_to_be_capped_is_replaced(void **state)
{
    struct client *client = fixture_client(0);

    (void)state;
    f.model.says_capped = true;
    fixture_get(client, &f.role);
    fixture_advance(52 * MINUTE_MS);
    assert_int_equal(f.model.call_counts[LEASE_CALL_RENEW], 0);
    assert_int_equal(f.model.lease_count, 2);
}

static void test_max_ttl_replaces_what_the_issuer_would_renew_for_ever(void **state)
{
    struct client *client = fixture_client(0);

    (void)state;
    f.role.max_ttl_ms = 100 * MINUTE_MS;
    fixture_get(client, &f.role);
    fixture_advance(99 * MINUTE_MS);
    assert_int_equal(f.model.lease_count, 2);
    fixture_advance(2 * MINUTE_MS);
    assert_false(model_is_live(&f.model, 0));
    fixture_get(client, &f.role);
    assert_string_equal(client->password, "MARKER-password-1");
}

static void test_an_issuer_that_refuses_every_renewal_mints_about_once_a_life(void **state)
{
    struct client *client = fixture_client(0);

    (void)state;
    f.model.outcomes[LEASE_CALL_RENEW] = LEASE_OUTCOME_DENIED;
    fixture_get(client, &f.role);
    fixture_advance(10 * HOUR_MS);
    assert_in_range(f.model.lease_count, 10, 13);
    assert_in_range(f.model.call_counts[LEASE_CALL_RENEW], 9, 13);
    fixture_get(client, &f.role);
    assert_int_equal(client->status, 0);
}

static void test_refused_renewals_of_short_leases_make_no_storm(void **state)
{
    size_t i;

    (void)state;
    f.model.outcomes[LEASE_CALL_RENEW] = LEASE_OUTCOME_DENIED;
    f.role.ttl_ms = 10 * SECOND_MS;
    f.role.min_remaining_ms = SECOND_MS;
    for (i = 0; i < 10; i++) {
        fixture_get(fixture_client(i), &f.role);
    }
    fixture_advance(MINUTE_MS);
    /* Ten leases with lives of 10 s make at least 60 a minute; the peer's bug made 600 of one. */
    assert_in_range(f.model.lease_count, 60, 110);
}

static void test_an_issuer_that_forgets_every_lease_is_asked_less_and_less(void **state)
{
    struct client *client = fixture_client(0);

    (void)state;
    f.role.ttl_ms = 10 * SECOND_MS;
    f.model.outcomes[LEASE_CALL_RENEW] = LEASE_OUTCOME_GONE;
    fixture_get(client, &f.role);
    fixture_advance(HOUR_MS);
    assert_in_range(f.model.lease_count, 10, 60);
}

static void test_a_lease_that_the_issuer_forgot_is_replaced_at_once(void **state)
{
    struct client *client = fixture_client(0);

    (void)state;
    fixture_get(client, &f.role);
    f.model.leases[0].is_revoked = true;
    fixture_advance(31 * MINUTE_MS);
    assert_int_equal(f.model.lease_count, 2);
    fixture_get(client, &f.role);
    assert_string_equal(client->password, "MARKER-password-1");
    assert_int_equal(fixture_records("lease.expired"), 1);
}

static void test_an_outage_is_ridden_out_with_backoff(void **state)
{
    struct client *client = fixture_client(0);

    (void)state;
    fixture_get(client, &f.role);
    fixture_advance(20 * MINUTE_MS);
    f.model.outcomes[LEASE_CALL_RENEW] = LEASE_OUTCOME_SEALED;
    f.model.outcomes[LEASE_CALL_ISSUE] = LEASE_OUTCOME_SEALED;
    fixture_advance(30 * MINUTE_MS);
    assert_in_range(f.model.call_counts[LEASE_CALL_RENEW], 5, 40);
    fixture_get(client, &f.role);
    assert_int_equal(client->status, 0);
    f.model.outcomes[LEASE_CALL_RENEW] = LEASE_OUTCOME_OK;
    fixture_advance(6 * MINUTE_MS);
    assert_true(left_ms(client) > 50 * MINUTE_MS);
    assert_int_equal(f.model.lease_count, 1);
}

static void test_below_min_remaining_nothing_is_handed_out_in_an_outage(void **state)
{
    struct client *client = fixture_client(0);

    (void)state;
    fixture_get(client, &f.role);
    f.model.outcomes[LEASE_CALL_RENEW] = LEASE_OUTCOME_SEALED;
    f.model.outcomes[LEASE_CALL_ISSUE] = LEASE_OUTCOME_SEALED;
    fixture_advance(54 * MINUTE_MS);
    fixture_get(client, &f.role);
    assert_int_equal(client->status, 0);
    fixture_advance(2 * MINUTE_MS);
    assert_true(left_ms(client) > 0);
    fixture_get(client, &f.role);
    assert_int_equal(client->status, ERR_UNAVAILABLE);
    assert_null(fixture_cached(client, &f.role));
}

static void test_a_grant_survives_an_outage_longer_than_its_lease(void **state)
{
    struct client *client = fixture_client(0);
    struct grant *grant;

    (void)state;
    fixture_get(client, &f.role);
    grant = client->grant;
    f.model.outcomes[LEASE_CALL_RENEW] = LEASE_OUTCOME_SEALED;
    f.model.outcomes[LEASE_CALL_ISSUE] = LEASE_OUTCOME_SEALED;
    fixture_advance(2 * HOUR_MS);
    fixture_get(client, &f.role);
    assert_int_equal(client->status, ERR_UNAVAILABLE);
    assert_true(client->acquire.retry_after_ms > 0);
    f.model.outcomes[LEASE_CALL_RENEW] = LEASE_OUTCOME_OK;
    f.model.outcomes[LEASE_CALL_ISSUE] = LEASE_OUTCOME_OK;
    fixture_advance(6 * MINUTE_MS);
    fixture_get(client, &f.role);
    assert_int_equal(client->status, 0);
    assert_ptr_equal(client->grant, grant);
}

static void test_a_lease_with_too_little_left_is_renewed_before_the_hand_out(void **state)
{
    struct client *client = fixture_client(0);

    (void)state;
    fixture_get(client, &f.role);
    fixture_advance(20 * MINUTE_MS);
    client->acquire.ask.min_remaining_ms = 45 * MINUTE_MS;
    fixture_get(client, &f.role);
    assert_int_equal(client->status, 0);
    assert_int_equal(f.model.call_counts[LEASE_CALL_RENEW],
                     0); /* half of what was granted counts */
    fixture_advance(12 * MINUTE_MS);
    f.model.call_counts[LEASE_CALL_RENEW] = 0;
    fixture_advance(25 * MINUTE_MS);
    fixture_get(client, &f.role);
    assert_int_equal(client->status, 0);
    assert_true(left_ms(client) >= 29 * MINUTE_MS);
}

static void test_what_cannot_be_renewed_is_replaced_before_the_hand_out(void **state)
{
    struct client *client = fixture_client(0);

    (void)state;
    f.model.is_renewable = false;
    fixture_get(client, &f.role);
    fixture_advance(40 * MINUTE_MS);
    client->acquire.ask.min_remaining_ms = 30 * MINUTE_MS;
    fixture_get(client, &f.role);
    assert_int_equal(client->status, 0);
    assert_string_equal(client->password, "MARKER-password-1");
    assert_false(model_is_live(&f.model, 0));
}

static void test_a_doubtful_renewal_is_revoked_at_the_end_of_the_known_life(void **state)
{
    struct client *client = fixture_client(0);

    (void)state;
    fixture_get(client, &f.role);
    f.model.outcomes[LEASE_CALL_RENEW] = LEASE_OUTCOME_LOST;
    f.model.outcomes[LEASE_CALL_ISSUE] = LEASE_OUTCOME_SEALED;
    fixture_advance(HOUR_MS + MINUTE_MS);
    assert_true(f.model.leases[0].renew_count > 0);
    assert_false(model_is_live(&f.model, 0));
    assert_int_equal(f.model.leases[0].revoke_count, 1);
}

static void test_nobody_renews_for_nobody(void **state)
{
    struct client *client = fixture_client(0);

    (void)state;
    f.role.linger_ms = HOUR_MS;
    fixture_get(client, &f.role);
    lease_end_grant(f.core, client->grant, GRANT_END_RELEASED, NULL);
    fixture_advance(50 * MINUTE_MS);
    assert_int_equal(f.model.call_counts[LEASE_CALL_RENEW], 0);
}

static void test_a_renewal_is_not_sent_after_release(void **state)
{
    struct client *client;

    (void)state;
    f.model.issuer.limits.renew_rate = (struct units_rate){.count = 1, .per_ms = HOUR_MS};
    client = fixture_client(0);
    fixture_get(client, &f.role);
    fixture_get(fixture_client(1), &f.role);
    assert_int_equal(lease_renew_start(f.core, fixture_lease(&f.clients[1]), fixture_wait()), 0);
    fixture_run();
    assert_int_equal(lease_renew_start(f.core, fixture_lease(client), fixture_wait()), 0);
    fixture_run();
    assert_int_equal(fixture_state(client), LEASE_STATE_RENEWING);
    lease_end_grant(f.core, client->grant, GRANT_END_RELEASED, NULL);
    fixture_run();
    assert_int_equal(f.wait_status, ERR_GONE);
    assert_int_equal(f.model.call_counts[LEASE_CALL_RENEW], 1);
    assert_int_equal(model_live_count(&f.model), 1);
}

static void test_a_renewal_in_flight_does_not_hold_up_the_revocation_for_long(void **state)
{
    struct client *client = fixture_client(0);

    (void)state;
    fixture_get(client, &f.role);
    f.model.is_held[LEASE_CALL_RENEW] = true;
    fixture_advance(31 * MINUTE_MS);
    assert_int_equal(fixture_state(client), LEASE_STATE_RENEWING);
    lease_end_grant(f.core, client->grant, GRANT_END_RELEASED, NULL);
    fixture_run();
    assert_int_equal(f.model.cancel_count, 1);
    assert_int_equal(model_live_count(&f.model), 0);
}

static void test_somebody_can_ask_for_a_renewal(void **state)
{
    struct client *client = fixture_client(0);

    (void)state;
    fixture_get(client, &f.role);
    fixture_advance(MINUTE_MS);
    assert_int_equal(lease_renew_start(f.core, fixture_lease(client), fixture_wait()), 0);
    assert_int_equal(lease_renew_start(f.core, fixture_lease(client), &(struct lease_wait){0}),
                     ERR_BUSY);
    fixture_run();
    assert_int_equal(f.wait_status, 0);
    assert_int_equal(f.model.leases[0].renew_count, 1);
}

static void test_who_asked_is_told_why_a_renewal_failed(void **state)
{
    struct client *client = fixture_client(0);

    (void)state;
    fixture_get(client, &f.role);
    f.model.outcomes[LEASE_CALL_RENEW] = LEASE_OUTCOME_DENIED;
    assert_int_equal(lease_renew_start(f.core, fixture_lease(client), fixture_wait()), 0);
    fixture_run();
    assert_int_equal(f.wait_status, ERR_DENIED);
    assert_string_equal(f.wait.error.text, "scripted failure");
    assert_int_equal(lease_renew_start(f.core, fixture_lease(client), fixture_wait()), 0);
    fixture_run();
    assert_int_equal(f.wait_status, ERR_UNSUPPORTED);
}

static void test_who_has_forgotten_his_wait_is_not_told(void **state)
{
    struct client *client = fixture_client(0);

    (void)state;
    fixture_get(client, &f.role);
    assert_int_equal(lease_renew_start(f.core, fixture_lease(client), fixture_wait()), 0);
    lease_wait_forget(&f.wait);
    fixture_run();
    assert_int_equal(f.wait_count, 0);
}

static void test_a_renewal_without_budget_is_replaced_in_time(void **state)
{
    struct client *client;

    (void)state;
    f.model.issuer.limits.renew_rate = (struct units_rate){.count = 1, .per_ms = 2 * HOUR_MS};
    client = fixture_client(0);
    fixture_get(client, &f.role);
    fixture_get(fixture_client(1), &f.role);
    fixture_advance(54 * MINUTE_MS + 30 * SECOND_MS);
    assert_int_equal(f.model.call_counts[LEASE_CALL_RENEW], 1);
    assert_int_equal(f.model.lease_count, 3);
    fixture_get(client, &f.role);
    assert_int_equal(client->status, 0);
    fixture_get(&f.clients[1], &f.role);
    assert_int_equal(f.clients[1].status, 0);
    assert_int_equal(f.model.lease_count, 3);
}

static void test_who_waits_for_a_renewal_hears_that_nobody_holds_the_lease(void **state)
{
    struct client *client;

    (void)state;
    f.role.linger_ms = 20 * MINUTE_MS;
    f.role.renew_rate = (struct units_rate){.count = 1, .per_ms = 10 * HOUR_MS};
    client = fixture_client(0);
    fixture_get(client, &f.role);
    assert_int_equal(lease_renew_start(f.core, fixture_lease(client), fixture_wait()), 0);
    fixture_run();
    assert_int_equal(f.wait_status, 0);
    assert_int_equal(lease_renew_start(f.core, fixture_lease(client), fixture_wait()), 0);
    fixture_run();
    assert_int_equal(f.wait_status, 1);
    lease_end_grant(f.core, client->grant, GRANT_END_RELEASED, NULL);
    fixture_run();
    assert_int_equal(f.wait_status, ERR_GONE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        fixture_test(test_a_lease_is_renewed_at_renew_at),
        fixture_test(test_a_held_lease_is_renewed_again_and_again),
        fixture_test(test_renewals_of_a_crowd_do_not_come_at_once),
        fixture_test(test_a_bare_renewal_that_shortens_is_believed),
        fixture_test(test_a_shrinking_life_is_replaced_in_time_and_not_renewed_to_death),
        fixture_test(test_a_life_that_is_said_to_be_capped_is_replaced),
        fixture_test(test_max_ttl_replaces_what_the_issuer_would_renew_for_ever),
        fixture_test(test_an_issuer_that_refuses_every_renewal_mints_about_once_a_life),
        fixture_test(test_refused_renewals_of_short_leases_make_no_storm),
        fixture_test(test_an_issuer_that_forgets_every_lease_is_asked_less_and_less),
        fixture_test(test_a_lease_that_the_issuer_forgot_is_replaced_at_once),
        fixture_test(test_an_outage_is_ridden_out_with_backoff),
        fixture_test(test_below_min_remaining_nothing_is_handed_out_in_an_outage),
        fixture_test(test_a_grant_survives_an_outage_longer_than_its_lease),
        fixture_test(test_a_lease_with_too_little_left_is_renewed_before_the_hand_out),
        fixture_test(test_what_cannot_be_renewed_is_replaced_before_the_hand_out),
        fixture_test(test_a_doubtful_renewal_is_revoked_at_the_end_of_the_known_life),
        fixture_test(test_nobody_renews_for_nobody),
        fixture_test(test_a_renewal_is_not_sent_after_release),
        fixture_test(test_a_renewal_in_flight_does_not_hold_up_the_revocation_for_long),
        fixture_test(test_somebody_can_ask_for_a_renewal),
        fixture_test(test_who_asked_is_told_why_a_renewal_failed),
        fixture_test(test_who_has_forgotten_his_wait_is_not_told),
        fixture_test(test_a_renewal_without_budget_is_replaced_in_time),
        fixture_test(test_who_waits_for_a_renewal_hears_that_nobody_holds_the_lease),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
