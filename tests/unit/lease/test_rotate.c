/* Successors: who gets them when, and that a failed one takes nothing away. */
#include "unit/lease/fixture.h"

#include <stdio.h>
#include <string.h>

static void rotate(struct client *client)
{
    assert_int_equal(lease_rotate_start(f.core, fixture_lease(client), fixture_wait()), 0);
    fixture_run();
}

static void test_holders_get_the_successor_at_their_next_read(void **state)
{
    struct client *client = fixture_client(0);
    struct lease_view view;

    (void)state;
    fixture_get(client, &f.role);
    rotate(client);
    assert_int_equal(f.wait_status, 0);
    assert_int_equal(fixture_state(client), LEASE_STATE_SUPERSEDED);
    assert_null(fixture_cached(client, &f.role));
    fixture_get(client, &f.role);
    assert_string_equal(client->password, "MARKER-password-1");
    lease_view(fixture_lease(client), &view);
    assert_int_equal(view.version, 2);
    assert_int_equal(fixture_records("grant.created"), 1);
    assert_int_equal(fixture_records("credential.read"), 2);
}

static void test_the_old_lease_is_revoked_when_all_have_read_the_successor(void **state)
{
    struct client *a = fixture_client(0);
    struct client *b = fixture_client(1);

    (void)state;
    fixture_get(a, &f.shared);
    fixture_get(b, &f.shared);
    rotate(a);
    fixture_get(a, &f.shared);
    assert_true(model_is_live(&f.model, 0));
    fixture_get(b, &f.shared);
    assert_string_equal(b->password, "MARKER-password-1");
    fixture_run();
    assert_false(model_is_live(&f.model, 0));
    assert_int_equal(f.model.lease_count, 2);
}

static void test_a_successor_whose_answer_was_not_delivered_keeps_the_old_lease(void **state)
{
    struct client *client = fixture_client(0);

    (void)state;
    fixture_get(client, &f.role);
    rotate(client);
    client->is_answer_kept = true;
    fixture_get(client, &f.role);
    assert_string_equal(client->password, "MARKER-password-1");
    lease_core_delivered(f.core, client->grant, false);
    fixture_run();
    assert_true(model_is_live(&f.model, 0));
    assert_null(fixture_cached(client, &f.role));
    client->is_answer_kept = false;
    fixture_get(client, &f.role);
    fixture_run();
    assert_false(model_is_live(&f.model, 0));
}

static void test_a_forced_rotation_is_bounded_by_the_overlap(void **state)
{
    struct client *client = fixture_client(0);

    (void)state;
    fixture_get(client, &f.role);
    rotate(client);
    fixture_advance(9 * MINUTE_MS);
    assert_true(model_is_live(&f.model, 0));
    fixture_advance(2 * MINUTE_MS);
    assert_false(model_is_live(&f.model, 0));
    fixture_get(client, &f.role);
    assert_string_equal(client->password, "MARKER-password-1");
}

static void test_a_planned_rotation_leaves_the_old_lease_to_its_own_end(void **state)
{
    struct client *client = fixture_client(0);

    (void)state;
    f.model.is_renewable = false;
    fixture_get(client, &f.role);
    fixture_advance(52 * MINUTE_MS);
    assert_int_equal(f.model.lease_count, 2);
    assert_int_equal(fixture_state(client), LEASE_STATE_SUPERSEDED);
    fixture_advance(7 * MINUTE_MS);
    assert_true(model_is_live(&f.model, 0));
    fixture_advance(2 * MINUTE_MS);
    assert_int_equal(fixture_state(client), LEASE_STATE_REVOKED);
    fixture_get(client, &f.role);
    assert_int_equal(client->status, 0);
    assert_string_equal(client->password, "MARKER-password-1");
}

static void test_a_failed_successor_takes_nothing_away(void **state)
{
    struct client *client = fixture_client(0);

    (void)state;
    fixture_get(client, &f.role);
    f.model.outcomes[LEASE_CALL_ISSUE] = LEASE_OUTCOME_DENIED;
    rotate(client);
    assert_int_equal(f.wait_status, ERR_UNAVAILABLE);
    assert_non_null(strstr(f.wait.error.text, "scripted failure"));
    assert_int_equal(fixture_state(client), LEASE_STATE_ACTIVE);
    fixture_get(client, &f.role);
    assert_int_equal(client->status, 0);
    assert_string_equal(client->password, "MARKER-password-0");
    fixture_advance(40 * MINUTE_MS);
    assert_true(model_is_live(&f.model, 0));
}

static void test_refused_replacements_are_asked_for_less_and_less(void **state)
{
    struct client *client = fixture_client(0);

    (void)state;
    f.model.is_renewable = false;
    fixture_get(client, &f.role);
    f.model.outcomes[LEASE_CALL_ISSUE] = LEASE_OUTCOME_DENIED;
    fixture_advance(59 * MINUTE_MS);
    assert_in_range(f.model.call_counts[LEASE_CALL_ISSUE], 4, 30);
}

static void test_lost_replacements_are_rare(void **state)
{
    struct client *client = fixture_client(0);

    (void)state;
    f.model.is_renewable = false;
    fixture_get(client, &f.role);
    f.model.outcomes[LEASE_CALL_ISSUE] = LEASE_OUTCOME_LOST;
    fixture_advance(59 * MINUTE_MS);
    assert_in_range(f.model.call_counts[LEASE_CALL_ISSUE], 2, 12);
    f.model.outcomes[LEASE_CALL_ISSUE] = LEASE_OUTCOME_OK;
    f.model.leases[1].is_revoked = true; /* nobody knows those, the test neither */
}

static void test_reads_do_not_speed_up_refused_replacements(void **state)
{
    struct client *client = fixture_client(0);
    size_t i;

    (void)state;
    f.model.is_renewable = false;
    fixture_get(client, &f.role);
    f.model.outcomes[LEASE_CALL_ISSUE] = LEASE_OUTCOME_DENIED;
    fixture_advance(56 * MINUTE_MS);
    f.model.call_counts[LEASE_CALL_ISSUE] = 0;
    for (i = 0; i < 100; i++) {
        fixture_get(client, &f.role);
        assert_int_equal(client->status, ERR_UNAVAILABLE);
    }
    assert_in_range(f.model.call_counts[LEASE_CALL_ISSUE], 0, 1);
}

static void test_when_the_old_lease_has_died_a_failed_successor_ends_the_grant(void **state)
{
    struct client *client = fixture_client(0);
    struct grant_view view;

    (void)state;
    f.model.is_renewable = false;
    fixture_get(client, &f.role);
    f.model.outcomes[LEASE_CALL_ISSUE] = LEASE_OUTCOME_DENIED;
    fixture_advance(70 * MINUTE_MS);
    grant_view(client->grant, &view);
    assert_int_equal(view.end, GRANT_END_FAILED);
    f.model.outcomes[LEASE_CALL_ISSUE] = LEASE_OUTCOME_OK;
    fixture_get(client, &f.role);
    assert_int_equal(client->status, 0);
}

static void test_a_successor_that_nobody_waits_for_any_more_is_revoked(void **state)
{
    struct client *client = fixture_client(0);

    (void)state;
    fixture_get(client, &f.role);
    f.model.is_held[LEASE_CALL_ISSUE] = true;
    rotate(client);
    lease_end_grant(f.core, client->grant, GRANT_END_RELEASED, NULL);
    fixture_run();
    model_answer(&f.model);
    fixture_run();
    assert_int_equal(f.model.lease_count, 2);
    assert_int_equal(model_live_count(&f.model), 0);
}

static struct lease_wait first_wait;
static int first_status;

static void first_waited(struct lease_wait *wait, int status)
{
    assert_ptr_equal(wait, &first_wait);
    first_status = status;
}

static void test_a_second_rotation_waits_for_the_first(void **state)
{
    struct client *client = fixture_client(0);

    (void)state;
    fixture_get(client, &f.role);
    f.model.is_held[LEASE_CALL_ISSUE] = true;
    first_wait = (struct lease_wait){.fn = first_waited};
    first_status = 1;
    assert_int_equal(lease_rotate_start(f.core, fixture_lease(client), &first_wait), 0);
    rotate(client);
    assert_int_equal(f.model.call_counts[LEASE_CALL_ISSUE], 2);
    model_answer(&f.model);
    fixture_run();
    assert_int_equal(f.wait_status, 0);
    assert_int_equal(first_status, 0);
    assert_int_equal(f.model.lease_count, 2);
}

static void test_holders_skip_a_successor_that_was_replaced_itself(void **state)
{
    struct client *a = fixture_client(0);
    struct client *b = fixture_client(1);

    (void)state;
    fixture_get(a, &f.shared);
    fixture_get(b, &f.shared);
    rotate(a);
    fixture_get(a, &f.shared);
    rotate(a);
    fixture_get(b, &f.shared);
    assert_string_equal(b->password, "MARKER-password-2");
    fixture_get(a, &f.shared);
    assert_string_equal(a->password, "MARKER-password-2");
    fixture_run();
    assert_int_equal(model_live_count(&f.model), 1);
}

static void test_new_grants_of_a_shared_role_get_the_successor(void **state)
{
    struct client *a = fixture_client(0);
    struct client *b = fixture_client(1);

    (void)state;
    fixture_get(a, &f.shared);
    rotate(a);
    fixture_get(b, &f.shared);
    assert_string_equal(b->password, "MARKER-password-1");
    assert_int_equal(f.model.lease_count, 2);
}

static void test_a_dying_shared_lease_and_a_new_request_make_one_issue(void **state)
{
    struct client *a = fixture_client(0);
    struct client *b = fixture_client(1);

    (void)state;
    fixture_get(a, &f.shared);
    f.model.is_held[LEASE_CALL_ISSUE] = true;
    f.model.leases[0].is_revoked = true;
    fixture_advance(31 * MINUTE_MS);
    assert_int_equal(fixture_state(a), LEASE_STATE_EXPIRED);
    fixture_get(b, &f.shared);
    assert_int_equal(f.model.call_counts[LEASE_CALL_ISSUE], 2);
    model_answer(&f.model);
    fixture_run();
    assert_int_equal(b->status, 0);
    fixture_get(a, &f.shared);
    assert_int_equal(a->status, 0);
    assert_ptr_equal(fixture_lease(a), fixture_lease(b));
}

static void test_a_read_during_the_rotation_still_gets_the_old_credential(void **state)
{
    struct client *client = fixture_client(0);

    (void)state;
    fixture_get(client, &f.role);
    f.model.is_held[LEASE_CALL_ISSUE] = true;
    rotate(client);
    assert_non_null(fixture_cached(client, &f.role));
    fixture_get(client, &f.role);
    assert_string_equal(client->password, "MARKER-password-0");
    model_answer(&f.model);
    fixture_run();
}

static void test_a_renewal_that_succeeds_after_all_drops_the_replacement(void **state)
{
    struct client *client = fixture_client(0);

    (void)state;
    fixture_get(client, &f.role);
    f.model.outcomes[LEASE_CALL_RENEW] = LEASE_OUTCOME_SEALED;
    f.model.outcomes[LEASE_CALL_ISSUE] = LEASE_OUTCOME_SEALED;
    fixture_advance(54 * MINUTE_MS);
    assert_int_equal(f.core->lease_counts[LEASE_STATE_REQUESTED], 1);
    f.model.outcomes[LEASE_CALL_RENEW] = LEASE_OUTCOME_OK;
    assert_int_equal(lease_renew_start(f.core, fixture_lease(client), fixture_wait()), 0);
    fixture_run();
    assert_int_equal(f.wait_status, 0);
    assert_int_equal(f.core->lease_counts[LEASE_STATE_REQUESTED], 0);
    assert_int_equal(f.model.lease_count, 1);
}

static void test_rotation_records_name_both_leases(void **state)
{
    struct client *client = fixture_client(0);
    char replaces[64];
    struct lease_view view;

    (void)state;
    fixture_get(client, &f.role);
    lease_view(fixture_lease(client), &view);
    (void)snprintf(replaces, sizeof(replaces), "replaces %s", view.id);
    rotate(client);
    assert_int_equal(fixture_records("lease.rotated"), 1);
    assert_int_equal(fixture_records("lease.superseded"), 1);
    assert_int_equal(fixture_trail_has(replaces), 1);
}

static void test_what_has_ended_is_not_rotated(void **state)
{
    struct client *client = fixture_client(0);
    struct lease *lease;

    (void)state;
    fixture_get(client, &f.role);
    lease = fixture_lease(client);
    lease_end(f.core, lease, GRANT_END_RELEASED, NULL);
    fixture_run();
    assert_int_equal(lease_rotate_start(f.core, lease, fixture_wait()), 0);
    fixture_run();
    assert_int_equal(f.wait_status, ERR_GONE);
}

/* A renewal that waits in its queue for as long as the lease lives. */
static void test_a_replacement_of_a_renewal_that_never_leaves_is_tried_again(void **state)
{
    struct client *client;
    char password[64];

    (void)state;
    f.role.renew_rate = (struct units_rate){.count = 1, .per_ms = 100 * HOUR_MS};
    fixture_get(fixture_client(1), &f.role);
    fixture_advance(MINUTE_MS);
    client = fixture_client(0);
    fixture_get(client, &f.role);
    memcpy(password, client->password, sizeof(password));
    fixture_advance(45 * MINUTE_MS);
    assert_int_equal(fixture_state(client), LEASE_STATE_RENEWING);
    f.model.outcomes[LEASE_CALL_ISSUE] = LEASE_OUTCOME_INVALID;
    while (f.model.call_counts[LEASE_CALL_ISSUE] == 2) {
        fixture_advance(SECOND_MS);
    }
    assert_int_equal(fixture_state(client), LEASE_STATE_RENEWING);
    f.model.outcomes[LEASE_CALL_ISSUE] = LEASE_OUTCOME_OK;
    fixture_advance(2 * MINUTE_MS);
    fixture_get(client, &f.role);
    assert_int_equal(client->status, 0);
    assert_string_not_equal(client->password, password);
}

static void test_a_replacement_that_may_not_be_made_yet_is_not_polled_for(void **state)
{
    struct client *client = fixture_client(0);
    const struct lease *lease;

    (void)state;
    f.model.is_renewable = false;
    fixture_get(client, &f.role);
    lease = fixture_lease(client);
    f.model.outcomes[LEASE_CALL_ISSUE] = LEASE_OUTCOME_LOST;
    while (f.model.call_counts[LEASE_CALL_ISSUE] == 1) {
        fixture_advance(SECOND_MS);
    }
    assert_true(lease->rotate_after_ms > f.fake.now_ms);
    assert_int_equal(lease->step, LEASE_STEP_REPLACE);
    assert_int_equal(lease->next_ms, lease->rotate_after_ms);
    f.role.renew_at_percent = 60; /* planned anew, and still not before it may be */
    fixture_run();
    fixture_advance(lease->next_ms - f.fake.now_ms);
    assert_true(lease->next_ms >= lease->rotate_after_ms);
}

/* That the dead one's replacement was asked for once doesn't make a second issue of it. */
static void test_a_forced_replacement_of_a_dead_shared_lease_leaves_it_to_a_new_request(
    void **state)
{
    struct client *holder = fixture_client(0);
    const struct lease *lease;
    uint32_t issues;

    (void)state;
    f.model.is_renewable = false;
    fixture_get(holder, &f.shared);
    lease = fixture_lease(holder);
    f.model.outcomes[LEASE_CALL_ISSUE] = LEASE_OUTCOME_LOST;
    assert_int_equal(lease_rotate_start(f.core, fixture_lease(holder), fixture_wait()), 0);
    fixture_run();
    while (fsm_lease_is_live(lease->state)) {
        fixture_advance(SECOND_MS);
    }
    assert_true(lease->is_forced && lease->step == LEASE_STEP_REPLACE);
    f.model.outcomes[LEASE_CALL_ISSUE] = LEASE_OUTCOME_OK;
    f.model.is_held[LEASE_CALL_ISSUE] = true;
    fixture_ask(fixture_client(1), &f.shared);
    fixture_run();
    issues = f.model.call_counts[LEASE_CALL_ISSUE];
    fixture_advance(lease->next_ms - f.fake.now_ms + SECOND_MS);
    assert_int_equal(f.model.call_counts[LEASE_CALL_ISSUE], issues);
    assert_int_equal(f.model.in_flight, 1);
    model_answer_all(&f.model);
    fixture_get(holder, &f.shared);
    assert_int_equal(holder->status, 0);
    assert_int_equal(f.model.call_counts[LEASE_CALL_ISSUE], issues);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        fixture_test(test_a_replacement_of_a_renewal_that_never_leaves_is_tried_again),
        fixture_test(test_a_replacement_that_may_not_be_made_yet_is_not_polled_for),
        fixture_test(test_holders_get_the_successor_at_their_next_read),
        fixture_test(test_the_old_lease_is_revoked_when_all_have_read_the_successor),
        fixture_test(test_a_successor_whose_answer_was_not_delivered_keeps_the_old_lease),
        fixture_test(test_a_forced_rotation_is_bounded_by_the_overlap),
        fixture_test(test_a_planned_rotation_leaves_the_old_lease_to_its_own_end),
        fixture_test(test_a_failed_successor_takes_nothing_away),
        fixture_test(test_refused_replacements_are_asked_for_less_and_less),
        fixture_test(test_lost_replacements_are_rare),
        fixture_test(test_reads_do_not_speed_up_refused_replacements),
        fixture_test(test_when_the_old_lease_has_died_a_failed_successor_ends_the_grant),
        fixture_test(test_a_successor_that_nobody_waits_for_any_more_is_revoked),
        fixture_test(test_a_second_rotation_waits_for_the_first),
        fixture_test(test_holders_skip_a_successor_that_was_replaced_itself),
        fixture_test(test_new_grants_of_a_shared_role_get_the_successor),
        fixture_test(test_a_dying_shared_lease_and_a_new_request_make_one_issue),
        fixture_test(test_a_forced_replacement_of_a_dead_shared_lease_leaves_it_to_a_new_request),
        fixture_test(test_a_read_during_the_rotation_still_gets_the_old_credential),
        fixture_test(test_a_renewal_that_succeeds_after_all_drops_the_replacement),
        fixture_test(test_rotation_records_name_both_leases),
        fixture_test(test_what_has_ended_is_not_rotated),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
