/* Credentials that are being tried out, and end, or are to end, meanwhile. */
#include "unit/lease/verify_fixture.h"

#define CALLS(kind) f.model.call_counts[LEASE_CALL_##kind]

static struct lease *rotating(void)
{
    struct lease *old;

    fixture_get(fixture_client(0), &f.shared);
    fixture_get(fixture_client(1), &f.shared);
    old = fixture_lease(&f.clients[0]);
    script.status = ERR_DENIED;
    assert_int_equal(lease_rotate_start(f.core, old, fixture_wait()), 0);
    fixture_run();
    fixture_advance(SECOND_MS);
    return old;
}

static void test_a_successor_that_ends_meanwhile_is_made_up_for(void **state)
{
    struct lease *old;

    (void)state;
    f.model.anchor = 7;
    old = rotating();
    f.model.anchor = 8;
    lease_core_anchor_ends(f.core, &f.model.issuer, 7, 0, "the login has ended");
    fixture_run();
    assert_int_equal(f.wait_count, 1);
    script.status = 0;
    fixture_advance(30 * SECOND_MS);
    assert_int_equal(CALLS(ISSUE), 3);
    assert_false(fsm_lease_is_live(old->state));
    fixture_get(&f.clients[1], &f.shared);
    assert_int_equal(f.clients[1].status, 0);
}

static void test_a_revoked_successor_is_made_up_for(void **state)
{
    struct lease *old = rotating();

    (void)state;
    lease_end(f.core, old->successor, GRANT_END_REVOKED, NULL);
    fixture_run();
    assert_int_equal(f.wait_status, ERR_UNAVAILABLE);
    script.status = 0;
    fixture_advance(30 * SECOND_MS);
    assert_int_equal(CALLS(ISSUE), 3);
    assert_true(fsm_lease_is_live(lease_current(old)->state));
}

/* Who lost his access knows the shared credential. */
static void test_what_was_taken_from_somebody_ends_although_its_successor_failed_once(void **state)
{
    (void)state;
    fixture_get(fixture_client(0), &f.shared);
    fixture_get(fixture_client(1), &f.shared);
    script.status = ERR_UNAVAILABLE;
    lease_end_grant(f.core, f.clients[1].grant, GRANT_END_REVOKED, NULL);
    fixture_advance(21 * SECOND_MS);
    assert_true(model_is_live(&f.model, 0));
    script.status = 0;
    fixture_advance(HOUR_MS);
    assert_false(model_is_live(&f.model, 0));
}

static void test_while_a_shared_successor_is_tried_no_other_is_issued(void **state)
{
    struct lease *old;

    (void)state;
    f.model.is_renewable = false;
    old = rotating();
    lease_expire(old, "gone");
    fixture_run();
    fixture_ask(fixture_client(50), &f.shared);
    fixture_run();
    assert_int_equal(CALLS(ISSUE), 2);
    script.status = 0;
    fixture_advance(10 * SECOND_MS);
    assert_int_equal(f.clients[50].status, 0);
    assert_int_equal(CALLS(ISSUE), 2);
}

static void test_who_comes_again_and_loses_it_leaves_nothing(void **state)
{
    struct client *client = fixture_client(0);

    (void)state;
    f.role.verify_timeout_ms = 5 * MINUTE_MS;
    script.status = ERR_DENIED;
    fixture_get(client, &f.role);
    fixture_advance(31 * SECOND_MS); /* told to come again */
    fixture_ask(client, &f.role);
    fixture_run();
    assert_int_equal(model_live_count(&f.model), 1);
    lease_end_grant(f.core, client->acquire.grant, GRANT_END_REVOKED, fixture_wait());
    fixture_run();
    assert_int_equal(model_live_count(&f.model), 0);
    assert_int_equal(f.wait_status, 0);
}

static void test_one_that_nobody_comes_for_is_not_tried_for_long(void **state)
{
    (void)state;
    f.role.verify_timeout_ms = 40 * MINUTE_MS;
    script.status = ERR_DENIED;
    fixture_get(fixture_client(0), &f.role);
    fixture_advance(31 * SECOND_MS);
    assert_int_equal(model_live_count(&f.model), 1);
    fixture_advance(20 * SECOND_MS);
    assert_int_equal(model_live_count(&f.model), 0);
}

static void test_the_time_is_used_whole(void **state)
{
    struct client *client = fixture_client(0);

    (void)state;
    f.role.verify_timeout_ms = 12 * SECOND_MS;
    script.status = ERR_DENIED;
    fixture_get(client, &f.role);
    fixture_advance(10 * SECOND_MS);
    assert_int_equal(client->call_count, 0);
    script.status = 0;
    fixture_advance(2 * SECOND_MS);
    assert_int_equal(client->status, 0);
}

static void test_a_short_time_makes_no_storm(void **state)
{
    int i;

    (void)state;
    f.role.verify_timeout_ms = 100;
    script.status = ERR_DENIED;
    for (i = 0; i < 600; i++) {
        fixture_get(fixture_client(0), &f.role);
        fixture_advance(100);
    }
    assert_in_range(CALLS(ISSUE), 2, 13);
}

static void test_the_trail_says_why_it_was_revoked(void **state)
{
    (void)state;
    script.status = ERR_DENIED;
    fixture_get(fixture_client(0), &f.role);
    fixture_advance(21 * SECOND_MS);
    assert_int_equal(fixture_records("lease.revoking"), 1);
    assert_true(fixture_trail_has("could not be verified: 401") > 0);
}

static void test_a_reload_that_takes_it_away_waits_for_no_answer(void **state)
{
    (void)state;
    script.is_held = true;
    fixture_get(fixture_client(0), &f.role);
    f.role.verify_json = NULL;
    fixture_run();
    fixture_run();
    assert_int_equal(f.clients[0].status, 0);
    assert_int_equal(script.cancel_count, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        VERIFY_TEST(test_a_successor_that_ends_meanwhile_is_made_up_for),
        VERIFY_TEST(test_a_revoked_successor_is_made_up_for),
        VERIFY_TEST(test_what_was_taken_from_somebody_ends_although_its_successor_failed_once),
        VERIFY_TEST(test_while_a_shared_successor_is_tried_no_other_is_issued),
        VERIFY_TEST(test_who_comes_again_and_loses_it_leaves_nothing),
        VERIFY_TEST(test_one_that_nobody_comes_for_is_not_tried_for_long),
        VERIFY_TEST(test_the_time_is_used_whole),
        VERIFY_TEST(test_a_short_time_makes_no_storm),
        VERIFY_TEST(test_the_trail_says_why_it_was_revoked),
        VERIFY_TEST(test_a_reload_that_takes_it_away_waits_for_no_answer),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
