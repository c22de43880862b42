/* Limits and anchors: what bounds leases from outside. */
#include "unit/lease/fixture.h"

#include <string.h>

/* --- limits --- */

static void test_no_more_leases_than_the_role_allows(void **state)
{
    (void)state;
    f.role.live_max = 2;
    fixture_get(fixture_client(0), &f.role);
    fixture_get(fixture_client(1), &f.role);
    fixture_get(fixture_client(2), &f.role);
    assert_int_equal(f.clients[2].status, ERR_LIMIT);
    assert_int_equal(f.model.lease_count, 2);
    lease_end_grant(f.core, f.clients[0].grant, GRANT_END_RELEASED, NULL);
    fixture_run();
    fixture_get(&f.clients[2], &f.role);
    assert_int_equal(f.clients[2].status, 0);
}

static void test_no_more_leases_than_the_core_allows(void **state)
{
    (void)state;
    f.options.leases_max = 1;
    fixture_get(fixture_client(0), &f.role);
    fixture_get(fixture_client(1), &f.shared);
    assert_int_equal(f.clients[1].status, ERR_LIMIT);
    assert_non_null(strstr(f.clients[1].acquire.error.text, "1 leases"));
}

static void test_a_replacement_is_issued_at_the_limit_too(void **state)
{
    struct client *client;

    (void)state;
    f.options.leases_max = 1;
    f.role.live_max = 1;
    f.model.is_renewable = false;
    client = fixture_client(0);
    fixture_get(client, &f.role);
    fixture_advance(52 * MINUTE_MS);
    fixture_get(client, &f.role);
    assert_string_equal(client->password, "MARKER-password-1");
}

static void test_no_more_grants_than_the_core_allows(void **state)
{
    (void)state;
    f.options.grants_max = 2;
    fixture_get(fixture_client(0), &f.shared);
    fixture_get(fixture_client(1), &f.shared);
    fixture_get(fixture_client(2), &f.shared);
    assert_int_equal(f.clients[2].status, ERR_LIMIT);
}

static void test_a_used_up_budget_is_said_with_the_time_to_come_again(void **state)
{
    (void)state;
    f.role.issue_rate = (struct units_rate){.count = 2, .per_ms = HOUR_MS};
    fixture_get(fixture_client(0), &f.role);
    fixture_get(fixture_client(1), &f.role);
    fixture_get(fixture_client(2), &f.role);
    assert_int_equal(f.clients[2].status, ERR_LIMIT);
    assert_in_range(f.clients[2].acquire.retry_after_ms, 29 * MINUTE_MS, 30 * MINUTE_MS);
    fixture_get(&f.clients[2], &f.shared);
    assert_int_equal(f.clients[2].status, 0);
}

/* Neither a call nor a lease that failed: an outage makes no noise in the trail. */
static void test_an_issuer_that_is_known_not_to_serve_is_said_at_once(void **state)
{
    struct lease_core_stats stats;

    (void)state;
    fixture_get(fixture_client(0), &f.role);
    f.model.closed_ms = 1234;
    fixture_get(fixture_client(1), &f.role);
    assert_int_equal(f.clients[1].status, ERR_UNAVAILABLE);
    assert_int_equal(f.clients[1].acquire.retry_after_ms, 1234);
    assert_string_equal(f.clients[1].acquire.error.text, "the model is closed");
    assert_int_equal(f.model.call_counts[LEASE_CALL_ISSUE], 1);
    lease_core_stats(f.core, &stats);
    assert_int_equal(stats.issue_failed_total, 0);
    fixture_get(&f.clients[0], &f.role); /* what is held is served */
    assert_int_equal(f.clients[0].status, 0);
    f.model.closed_ms = 0;
    fixture_get(&f.clients[1], &f.role);
    assert_int_equal(f.clients[1].status, 0);
}

/* Else one after the other would be let through once the issuer is back. */
static void test_what_a_backend_kept_back_is_not_remembered_as_a_refusal(void **state)
{
    (void)state;
    f.model.is_held[LEASE_CALL_ISSUE] = true;
    f.model.outcomes[LEASE_CALL_ISSUE] = LEASE_OUTCOME_SEALED;
    f.model.retry_after_ms = 5 * SECOND_MS;
    fixture_get(fixture_client(0), &f.role);
    f.model.closed_ms = 5 * SECOND_MS;
    model_answer_all(&f.model);
    fixture_run();
    assert_int_equal(f.clients[0].status, ERR_UNAVAILABLE);
    f.model.is_held[LEASE_CALL_ISSUE] = false;
    f.model.outcomes[LEASE_CALL_ISSUE] = LEASE_OUTCOME_OK;
    f.model.closed_ms = 0;
    fixture_ask(&f.clients[0], &f.role);
    fixture_ask(fixture_client(1), &f.role);
    fixture_run();
    assert_int_equal(f.clients[0].status, 0);
    assert_int_equal(f.clients[1].status, 0);
}

static void test_a_short_wait_for_the_budget_is_waited_out(void **state)
{
    size_t i;

    (void)state;
    f.model.issuer.limits.issue_rate = (struct units_rate){.count = 1, .per_ms = SECOND_MS};
    for (i = 0; i < 5; i++) {
        fixture_ask(fixture_client(i), &f.role);
    }
    fixture_run();
    assert_int_equal(f.model.lease_count, 1);
    assert_int_equal(lease_core_issuer_load(f.core, &f.model.issuer), 4);
    fixture_advance(4 * SECOND_MS);
    for (i = 0; i < 5; i++) {
        assert_int_equal(f.clients[i].status, 0);
    }
}

static void test_no_more_calls_run_at_once_than_the_issuer_allows(void **state)
{
    size_t i;

    (void)state;
    f.model.issuer.limits.in_flight = 4;
    f.model.is_held[LEASE_CALL_ISSUE] = true;
    for (i = 0; i < 30; i++) {
        struct client *client = fixture_client(i);

        client->identity.uid = (uint32_t)(5000 + i);
        fixture_ask(client, i % 2 == 0 ? &f.role : &f.personal);
    }
    fixture_run();
    for (i = 0; i < 30; i++) {
        model_answer(&f.model);
        fixture_run();
    }
    assert_int_equal(f.model.in_flight_most, 4);
    assert_int_equal(f.clients[29].status, 0);
}

/* --- anchors --- */

/* As when one database hangs: its roles' revocations do, those of other roles would not. */
static void test_revocations_that_hang_leave_places_for_issues(void **state)
{
    struct client *client;
    size_t i;

    (void)state;
    f.model.issuer.limits.in_flight = 4;
    for (i = 0; i < 6; i++) {
        fixture_get(fixture_client(40 + i), &f.role);
    }
    f.model.is_held[LEASE_CALL_REVOKE] = true;
    for (i = 0; i < 6; i++) {
        lease_end_grant(f.core, fixture_client(40 + i)->grant, GRANT_END_RELEASED, NULL);
    }
    fixture_run();
    assert_int_equal(f.model.in_flight, 2);
    client = fixture_client(46);
    fixture_get(client, &f.shared);
    assert_int_equal(client->status, 0);
    model_answer_all(&f.model);
    fixture_run();
    model_answer_all(&f.model);
    fixture_run();
    assert_int_equal(model_live_count(&f.model), 1);
}

static void test_an_anchor_that_has_ended_before_the_issue_makes_no_loop(void **state)
{
    struct client *client = fixture_client(0);
    size_t i;

    (void)state;
    fixture_get(client, &f.shared);
    f.model.anchor = 7;
    lease_core_anchor_ends(f.core, &f.model.issuer, 7, f.fake.now_ms - 1, "login has ended");
    assert_int_equal(lease_rotate_start(f.core, fixture_lease(client), fixture_wait()), 0);
    for (i = 0; i < 60; i++) {
        fixture_advance(SECOND_MS);
    }
    assert_in_range(f.model.lease_count, 2, 12);
}

static void test_a_lease_is_replaced_before_its_anchor_ends(void **state)
{
    struct client *client = fixture_client(0);

    (void)state;
    f.model.anchor = 7;
    fixture_get(client, &f.role);
    lease_core_anchor_ends(f.core, &f.model.issuer, 7, f.fake.now_ms + 20 * MINUTE_MS,
                           "login ends");
    f.model.anchor = 8;
    fixture_advance(18 * MINUTE_MS);
    assert_int_equal(f.model.lease_count, 2);
    fixture_get(client, &f.role);
    assert_string_equal(client->password, "MARKER-password-1");
}

static void test_an_anchor_that_lives_longer_after_all_needs_no_replacement(void **state)
{
    struct client *client = fixture_client(0);

    (void)state;
    f.model.anchor = 7;
    fixture_get(client, &f.role);
    lease_core_anchor_ends(f.core, &f.model.issuer, 7, f.fake.now_ms + 20 * MINUTE_MS,
                           "login ends");
    fixture_advance(10 * MINUTE_MS);
    lease_core_anchor_ends(f.core, &f.model.issuer, 7, UINT64_MAX, "login renewed");
    fixture_advance(40 * MINUTE_MS);
    assert_int_equal(f.model.lease_count, 1);
    assert_int_equal(f.model.leases[0].renew_count, 1);
}

static void test_leases_issued_under_a_bounded_anchor_are_bounded(void **state)
{
    struct client *client = fixture_client(0);
    struct lease_view view;

    (void)state;
    lease_core_anchor_ends(f.core, &f.model.issuer, 7, f.fake.now_ms + 20 * MINUTE_MS,
                           "login ends");
    f.model.anchor = 7;
    fixture_get(client, &f.role);
    lease_view(fixture_lease(client), &view);
    assert_int_equal(view.expires_wall_ms, f.fake.wall_ms + (int64_t)(20 * MINUTE_MS));
}

/* As when a login is replaced again and again. */
static void test_an_anchor_is_remembered_however_many_have_ended_since(void **state)
{
    struct client *client = fixture_client(0);
    struct lease_view view;
    int64_t end_wall_ms = f.fake.wall_ms + (int64_t)(20 * MINUTE_MS);
    uint64_t anchor;

    (void)state;
    lease_core_anchor_ends(f.core, &f.model.issuer, 7, f.fake.now_ms + 20 * MINUTE_MS,
                           "login ends");
    for (anchor = 8; anchor < 200; anchor++) {
        lease_core_anchor_ends(f.core, &f.model.issuer, anchor, f.fake.now_ms + SECOND_MS,
                               "login ends");
        fixture_advance(2 * SECOND_MS);
    }
    f.model.anchor = 7;
    fixture_get(client, &f.role);
    lease_view(fixture_lease(client), &view);
    assert_int_equal(view.expires_wall_ms, end_wall_ms);
}

/* As when there are too many logins beside each other. */
static void test_an_end_within_a_minute_is_in_time(void **state)
{
    struct client *client = fixture_client(0);

    (void)state;
    f.model.anchor = 7;
    fixture_get(client, &f.role);
    lease_core_anchor_ends(f.core, &f.model.issuer, 7, f.fake.now_ms + MINUTE_MS, "login ends");
    f.model.anchor = 8;
    fixture_advance(50 * SECOND_MS);
    assert_int_equal(f.model.lease_count, 2);
    fixture_get(client, &f.role);
    assert_string_equal(client->password, "MARKER-password-1");
}

static void test_a_dead_anchor_expires_its_leases_and_holders_get_others(void **state)
{
    struct client *a = fixture_client(0);
    struct client *b = fixture_client(1);

    (void)state;
    f.model.anchor = 7;
    fixture_get(a, &f.role);
    f.model.anchor = 8;
    fixture_get(b, &f.role);
    fixture_advance(2 * SECOND_MS);
    f.model.leases[0].is_revoked = true;
    lease_core_anchor_ends(f.core, &f.model.issuer, 7, 0, "the login was revoked");
    fixture_run();
    assert_int_equal(fixture_state(a), LEASE_STATE_EXPIRED);
    assert_int_equal(fixture_state(b), LEASE_STATE_ACTIVE);
    assert_int_equal(fixture_trail_has("the login was revoked"), 1);
    fixture_get(a, &f.role);
    assert_int_equal(a->status, 0);
    assert_string_equal(a->password, "MARKER-password-2");
}

static void test_anchors_that_die_again_and_again_make_no_loop(void **state)
{
    struct client *client = fixture_client(0);
    uint64_t anchor;

    (void)state;
    f.model.anchor = 1;
    fixture_get(client, &f.role);
    for (anchor = 1; anchor < 200; anchor++) {
        f.model.anchor = anchor + 1;
        lease_core_anchor_ends(f.core, &f.model.issuer, anchor, 0, "the login was revoked");
        fixture_advance(SECOND_MS);
    }
    assert_in_range(f.model.lease_count, 2, 40);
}

/* Those that are replaced while no revocation succeeds. */
static void test_replacements_do_not_pile_up_without_end(void **state)
{
    size_t i;

    (void)state;
    f.options.leases_max = 3;
    f.model.is_renewable = false;
    f.model.lifetime_ms = f.role.ttl_ms = 10 * MINUTE_MS;
    f.role.min_remaining_ms = MINUTE_MS;
    f.model.outcomes[LEASE_CALL_REVOKE] = LEASE_OUTCOME_RETRY;
    for (i = 0; i < 60; i++) {
        fixture_get(fixture_client(i % 3), &f.role);
        fixture_advance(3 * MINUTE_MS);
        assert_true(f.core->lease_ids.count - f.core->lease_counts[LEASE_STATE_REVOKED] -
                        f.core->lease_counts[LEASE_STATE_EXPIRED] -
                        f.core->lease_counts[LEASE_STATE_UNCONFIRMED] -
                        f.core->lease_counts[LEASE_STATE_FAILED] <=
                    6);
    }
    f.model.outcomes[LEASE_CALL_REVOKE] = LEASE_OUTCOME_OK;
    fixture_advance(10 * MINUTE_MS);
    fixture_get(fixture_client(0), &f.role);
    assert_int_equal(f.clients[0].status, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        fixture_test(test_replacements_do_not_pile_up_without_end),
        fixture_test(test_no_more_leases_than_the_role_allows),
        fixture_test(test_no_more_leases_than_the_core_allows),
        fixture_test(test_a_replacement_is_issued_at_the_limit_too),
        fixture_test(test_no_more_grants_than_the_core_allows),
        fixture_test(test_a_used_up_budget_is_said_with_the_time_to_come_again),
        fixture_test(test_an_issuer_that_is_known_not_to_serve_is_said_at_once),
        fixture_test(test_what_a_backend_kept_back_is_not_remembered_as_a_refusal),
        fixture_test(test_a_short_wait_for_the_budget_is_waited_out),
        fixture_test(test_no_more_calls_run_at_once_than_the_issuer_allows),
        fixture_test(test_revocations_that_hang_leave_places_for_issues),
        fixture_test(test_an_anchor_that_has_ended_before_the_issue_makes_no_loop),
        fixture_test(test_a_lease_is_replaced_before_its_anchor_ends),
        fixture_test(test_an_anchor_that_lives_longer_after_all_needs_no_replacement),
        fixture_test(test_leases_issued_under_a_bounded_anchor_are_bounded),
        fixture_test(test_an_anchor_is_remembered_however_many_have_ended_since),
        fixture_test(test_an_end_within_a_minute_is_in_time),
        fixture_test(test_a_dead_anchor_expires_its_leases_and_holders_get_others),
        fixture_test(test_anchors_that_die_again_and_again_make_no_loop),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
