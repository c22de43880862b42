/* From a request to a credential: the happy way, and every way on which nothing is handed out. */
#include "unit/lease/fixture.h"

#include <stdio.h>
#include <string.h>

static void test_a_first_request_issues_and_hands_out(void **state)
{
    struct client *client = fixture_client(0);

    (void)state;
    client->acquire.reason = "OPS-1";
    fixture_get(client, &f.role);
    assert_int_equal(client->status, 0);
    assert_string_equal(client->password, "MARKER-password-0");
    assert_int_equal(fixture_state(client), LEASE_STATE_ACTIVE);
    assert_int_equal(client->grant->state, GRANT_STATE_HELD);
    assert_int_equal(f.model.call_counts[LEASE_CALL_ISSUE], 1);
    assert_int_equal(f.model.last_ttl_ms, HOUR_MS);
    assert_string_equal(f.model.last_user, "user500");
    assert_string_equal(f.model.last_reason, "OPS-1");
}

static void test_the_callback_never_runs_inside_the_start(void **state)
{
    struct client *client = fixture_client(0);

    (void)state;
    fixture_ask(client, &f.role);
    assert_int_equal(client->call_count, 0);
    fixture_run();
    assert_int_equal(client->call_count, 1);
    fixture_ask(client, &f.role);
    assert_int_equal(client->call_count, 1);
    fixture_run();
    assert_int_equal(client->call_count, 2);
}

static void test_nothing_leaves_before_its_records_are_durable(void **state)
{
    struct client *client = fixture_client(0);

    (void)state;
    f.trail->is_held = true;
    fixture_get(client, &f.role);
    assert_int_equal(f.model.lease_count, 1);
    assert_int_equal(client->call_count, 0);
    fixture_advance(1500);
    assert_int_equal(client->call_count, 0);
    f.trail->is_held = false;
    fixture_run();
    assert_int_equal(client->status, 0);
    assert_int_equal(fixture_records("lease.issued"), 1);
    assert_int_equal(fixture_records("grant.created"), 1);
    assert_int_equal(fixture_records("credential.read"), 1);
}

static void test_a_trail_that_fails_revokes_the_fresh_lease(void **state)
{
    struct client *client = fixture_client(0);

    (void)state;
    f.trail->fail_status = -28;
    fixture_get(client, &f.role);
    assert_int_equal(client->status, ERR_IO);
    fixture_advance(10 * SECOND_MS);
    assert_int_equal(f.model.lease_count, 1);
    assert_int_equal(model_live_count(&f.model), 0);
    fixture_get(client, &f.role);
    assert_int_equal(client->status, ERR_IO);
    assert_int_equal(f.model.lease_count, 1);
}

static void test_a_trail_that_does_not_confirm_in_time_revokes_the_fresh_lease(void **state)
{
    struct client *client = fixture_client(0);

    (void)state;
    f.trail->is_held = true;
    fixture_get(client, &f.role);
    fixture_advance(5 * SECOND_MS);
    assert_int_equal(client->status, ERR_IO);
    assert_int_equal(model_live_count(&f.model), 0);
}

static void test_a_caller_that_asks_again_gets_the_same_grant(void **state)
{
    struct client *client = fixture_client(0);
    struct grant *first;

    (void)state;
    fixture_get(client, &f.role);
    first = client->grant;
    fixture_get(client, &f.role);
    assert_ptr_equal(client->grant, first);
    assert_int_equal(f.model.lease_count, 1);
    assert_int_equal(fixture_records("grant.created"), 1);
}

static void test_a_new_grant_is_made_where_it_is_asked_for(void **state)
{
    struct client *client = fixture_client(0);
    struct grant *first;

    (void)state;
    fixture_get(client, &f.role);
    first = client->grant;
    client->acquire.ask.is_new_grant = true;
    fixture_get(client, &f.role);
    assert_ptr_not_equal(client->grant, first);
    assert_int_equal(f.model.lease_count, 2);
    client->acquire.ask.is_new_grant = false;
    fixture_get(client, &f.role);
    assert_ptr_equal(client->grant, first);
}

static void test_another_process_gets_another_grant(void **state)
{
    struct client *a = fixture_client(0);
    struct client *b = fixture_client(1);

    (void)state;
    fixture_get(a, &f.role);
    fixture_get(b, &f.role);
    assert_int_equal(b->status, 0);
    assert_ptr_not_equal(a->grant, b->grant);
    assert_string_not_equal(a->password, b->password);
}

static void test_requests_of_one_process_share_their_grant_while_it_is_pending(void **state)
{
    struct client *a = fixture_client(0);
    struct client *b = &f.clients[100];

    (void)state;
    b->identity = a->identity;
    b->decision = a->decision;
    f.model.is_held[LEASE_CALL_ISSUE] = true;
    fixture_get(a, &f.role);
    fixture_get(b, &f.role);
    model_answer(&f.model);
    fixture_run();
    assert_int_equal(a->status, 0);
    assert_int_equal(b->status, 0);
    assert_ptr_equal(a->grant, b->grant);
    assert_int_equal(a->grant->read_count, 2);
    assert_int_equal(f.model.call_counts[LEASE_CALL_ISSUE], 1);
}

static void test_a_refusal_of_the_issuer_reaches_the_client(void **state)
{
    struct client *client = fixture_client(0);

    (void)state;
    f.model.outcomes[LEASE_CALL_ISSUE] = LEASE_OUTCOME_DENIED;
    fixture_get(client, &f.role);
    assert_int_equal(client->status, ERR_DENIED);
    assert_string_equal(client->acquire.error.text, "scripted failure");
    assert_int_equal(f.model.call_counts[LEASE_CALL_ISSUE], 1);
    assert_int_equal(fixture_records("lease.failed"), 1);
    assert_int_equal(fixture_records("grant.created"), 0);
}

static void test_a_wrong_request_is_not_tried_again(void **state)
{
    struct client *client = fixture_client(0);

    (void)state;
    f.model.outcomes[LEASE_CALL_ISSUE] = LEASE_OUTCOME_INVALID;
    fixture_get(client, &f.role);
    assert_int_equal(client->status, ERR_INVALID);
    fixture_advance(MINUTE_MS);
    assert_int_equal(f.model.call_counts[LEASE_CALL_ISSUE], 1);
}

static void test_a_passing_fault_is_tried_three_times(void **state)
{
    struct client *client = fixture_client(0);

    (void)state;
    f.model.outcomes[LEASE_CALL_ISSUE] = LEASE_OUTCOME_RETRY;
    fixture_get(client, &f.role);
    assert_int_equal(client->call_count, 0);
    fixture_advance(MINUTE_MS);
    assert_int_equal(client->status, ERR_UNAVAILABLE);
    assert_int_equal(f.model.call_counts[LEASE_CALL_ISSUE], 3);
}

static void test_a_passing_fault_that_passes_is_not_seen(void **state)
{
    struct client *client = fixture_client(0);

    (void)state;
    f.model.outcomes[LEASE_CALL_ISSUE] = LEASE_OUTCOME_RETRY;
    f.model.outcome_counts[LEASE_CALL_ISSUE] = 2;
    fixture_get(client, &f.role);
    fixture_advance(MINUTE_MS);
    assert_int_equal(client->status, 0);
}

static void test_a_long_retry_after_is_passed_on_at_once(void **state)
{
    struct client *client = fixture_client(0);

    (void)state;
    f.model.outcomes[LEASE_CALL_ISSUE] = LEASE_OUTCOME_RETRY;
    f.model.retry_after_ms = 2 * MINUTE_MS;
    fixture_get(client, &f.role);
    assert_int_equal(client->status, ERR_UNAVAILABLE);
    assert_int_equal(client->acquire.retry_after_ms, 2 * MINUTE_MS);
}

static void test_a_sealed_issuer_is_said_at_once(void **state)
{
    struct client *client = fixture_client(0);

    (void)state;
    f.model.outcomes[LEASE_CALL_ISSUE] = LEASE_OUTCOME_SEALED;
    fixture_get(client, &f.role);
    assert_int_equal(client->status, ERR_UNAVAILABLE);
    assert_int_equal(f.model.call_counts[LEASE_CALL_ISSUE], 1);
}

static void test_a_lost_answer_is_never_asked_for_again(void **state)
{
    struct client *client = fixture_client(0);

    (void)state;
    f.model.outcomes[LEASE_CALL_ISSUE] = LEASE_OUTCOME_LOST;
    fixture_get(client, &f.role);
    assert_int_equal(client->status, ERR_UNAVAILABLE);
    assert_non_null(strstr(client->acquire.error.text, "may have been issued"));
    fixture_advance(HOUR_MS / 2);
    assert_int_equal(f.model.call_counts[LEASE_CALL_ISSUE], 1);
}

static void test_a_call_that_cannot_be_started_is_tried_again(void **state)
{
    struct client *client = fixture_client(0);

    (void)state;
    f.model.start_status = ERR_LIMIT;
    fixture_get(client, &f.role);
    f.model.start_status = 0;
    fixture_advance(10 * SECOND_MS);
    assert_int_equal(client->status, 0);
}

static void test_a_canceled_request_revokes_what_was_issued_for_it(void **state)
{
    struct client *client = fixture_client(0);

    (void)state;
    f.model.is_held[LEASE_CALL_ISSUE] = true;
    fixture_get(client, &f.role);
    lease_acquire_cancel(f.core, &client->acquire);
    fixture_run();
    assert_int_equal(client->status, ERR_CANCELED);
    assert_int_equal(client->call_count, 1);
    model_answer(&f.model);
    fixture_run();
    assert_int_equal(f.model.lease_count, 1);
    assert_int_equal(model_live_count(&f.model), 0);
    assert_int_equal(fixture_records("lease.revoked"), 1);
    assert_int_equal(fixture_records("grant.created"), 0);
}

static void test_a_request_canceled_before_its_call_reaches_no_issuer(void **state)
{
    struct client *client = fixture_client(0);

    (void)state;
    fixture_ask(client, &f.role);
    lease_acquire_cancel(f.core, &client->acquire);
    fixture_run();
    assert_int_equal(client->status, ERR_CANCELED);
    assert_int_equal(f.model.call_counts[LEASE_CALL_ISSUE], 0);
}

static void test_a_request_canceled_while_its_records_are_written_is_revoked(void **state)
{
    struct client *client = fixture_client(0);

    (void)state;
    f.trail->is_held = true;
    fixture_get(client, &f.role);
    lease_acquire_cancel(f.core, &client->acquire);
    f.trail->is_held = false;
    fixture_run();
    assert_int_equal(client->status, ERR_CANCELED);
    assert_int_equal(model_live_count(&f.model), 0);
    assert_int_equal(fixture_records("grant.created"), 1);
    assert_int_equal(fixture_records("grant.ended"), 1);
}

static void test_one_of_two_waiting_requests_can_go(void **state)
{
    struct client *a = fixture_client(0);
    struct client *b = &f.clients[100];

    (void)state;
    b->identity = a->identity;
    b->decision = a->decision;
    f.model.is_held[LEASE_CALL_ISSUE] = true;
    fixture_get(a, &f.role);
    fixture_get(b, &f.role);
    lease_acquire_cancel(f.core, &a->acquire);
    model_answer(&f.model);
    fixture_run();
    assert_int_equal(a->status, ERR_CANCELED);
    assert_int_equal(b->status, 0);
}

static void test_an_answer_that_could_not_be_delivered_is_revoked(void **state)
{
    struct client *client = fixture_client(0);

    (void)state;
    client->is_answer_kept = true;
    f.role.linger_ms = HOUR_MS;
    fixture_get(client, &f.role);
    assert_int_equal(client->status, 0);
    lease_core_delivered(f.core, client->grant, false);
    fixture_run();
    assert_int_equal(client->grant->end, GRANT_END_UNDELIVERED);
    assert_int_equal(model_live_count(&f.model), 0);
    assert_int_equal(fixture_trail_has("\"outcome\":\"undelivered\""), 1);
}

static void test_a_later_answer_that_is_not_delivered_ends_nothing(void **state)
{
    struct client *client = fixture_client(0);

    (void)state;
    fixture_get(client, &f.role);
    client->is_answer_kept = true;
    fixture_get(client, &f.role);
    lease_core_delivered(f.core, client->grant, false);
    fixture_run();
    assert_int_equal(client->grant->state, GRANT_STATE_HELD);
    assert_int_equal(model_live_count(&f.model), 1);
}

static void test_a_lease_is_asked_for_with_the_shorter_of_two_ttls(void **state)
{
    struct client *client = fixture_client(0);

    (void)state;
    client->decision.ttl_ms = 10 * MINUTE_MS;
    fixture_get(client, &f.role);
    assert_int_equal(f.model.last_ttl_ms, 10 * MINUTE_MS);
}

static void test_a_ttl_that_the_issuer_ignores_is_enforced_here(void **state)
{
    struct client *client = fixture_client(0);

    (void)state;
    f.model.honours_ttl = false;
    f.model.is_renewable = false;
    f.model.lifetime_ms = 100 * HOUR_MS;
    fixture_get(client, &f.role);
    fixture_advance(HOUR_MS + SECOND_MS);
    assert_false(model_is_live(&f.model, 0));
    assert_int_equal(f.model.leases[0].revoke_count, 1);
}

static void test_an_answer_with_too_many_fields_is_revoked(void **state)
{
    struct client *client = fixture_client(0);

    (void)state;
    f.model.extra_field_count = LEASE_FIELDS_MAX - 1;
    fixture_get(client, &f.role);
    assert_int_equal(client->status, ERR_UNAVAILABLE);
    fixture_advance(SECOND_MS);
    assert_int_equal(model_live_count(&f.model), 0);
}

static void test_attributes_of_the_role_follow_the_fields(void **state)
{
    const struct lease_field attribute = {.name = STR("host"), .value = STR("db.example")};
    struct client *client = fixture_client(0);
    struct lease_credential credential;

    (void)state;
    f.role.attributes = &attribute;
    f.role.attribute_count = 1;
    fixture_get(client, &f.role);
    assert_int_equal(lease_credential_open(f.core, fixture_lease(client), &credential), 0);
    assert_int_equal(credential.field_count, 3);
    assert_true(str_eq_c(credential.fields[2].value, "db.example"));
    assert_true(credential.fields[1].is_secret);
    lease_credential_close(&credential);
    f.role.attribute_count = 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        fixture_test(test_a_first_request_issues_and_hands_out),
        fixture_test(test_the_callback_never_runs_inside_the_start),
        fixture_test(test_nothing_leaves_before_its_records_are_durable),
        fixture_test(test_a_trail_that_fails_revokes_the_fresh_lease),
        fixture_test(test_a_trail_that_does_not_confirm_in_time_revokes_the_fresh_lease),
        fixture_test(test_a_caller_that_asks_again_gets_the_same_grant),
        fixture_test(test_a_new_grant_is_made_where_it_is_asked_for),
        fixture_test(test_another_process_gets_another_grant),
        fixture_test(test_requests_of_one_process_share_their_grant_while_it_is_pending),
        fixture_test(test_a_refusal_of_the_issuer_reaches_the_client),
        fixture_test(test_a_wrong_request_is_not_tried_again),
        fixture_test(test_a_passing_fault_is_tried_three_times),
        fixture_test(test_a_passing_fault_that_passes_is_not_seen),
        fixture_test(test_a_long_retry_after_is_passed_on_at_once),
        fixture_test(test_a_sealed_issuer_is_said_at_once),
        fixture_test(test_a_lost_answer_is_never_asked_for_again),
        fixture_test(test_a_call_that_cannot_be_started_is_tried_again),
        fixture_test(test_a_canceled_request_revokes_what_was_issued_for_it),
        fixture_test(test_a_request_canceled_before_its_call_reaches_no_issuer),
        fixture_test(test_a_request_canceled_while_its_records_are_written_is_revoked),
        fixture_test(test_one_of_two_waiting_requests_can_go),
        fixture_test(test_an_answer_that_could_not_be_delivered_is_revoked),
        fixture_test(test_a_later_answer_that_is_not_delivered_ends_nothing),
        fixture_test(test_a_lease_is_asked_for_with_the_shorter_of_two_ttls),
        fixture_test(test_a_ttl_that_the_issuer_ignores_is_enforced_here),
        fixture_test(test_an_answer_with_too_many_fields_is_revoked),
        fixture_test(test_attributes_of_the_role_follow_the_fields),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
