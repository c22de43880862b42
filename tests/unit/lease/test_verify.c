/* Credentials that are tried out before anybody gets them. */
#include "unit/lease/ledger_fixture.h"
#include "unit/lease/verify_fixture.h"

#include <errno.h>
#include <string.h>

#define CALLS(kind) f.model.call_counts[LEASE_CALL_##kind]

static int setup_with_ledger(void **state)
{
    int r = ledger_setup(state);

    verifier_init(&script, &f.fake);
    f.options.verifier = &script.verifier;
    f.role.verify_json = "{}";
    f.role.verify_timeout_ms = 20 * SECOND_MS;
    return r;
}

static struct lease_core_stats stats(void)
{
    struct lease_core_stats all;

    lease_core_stats(f.core, &all);
    return all;
}

static void rotate(struct client *client)
{
    assert_int_equal(lease_rotate_start(f.core, fixture_lease(client), fixture_wait()), 0);
    fixture_run();
}

static void test_a_credential_is_tried_out_before_it_is_handed_out(void **state)
{
    struct client *client = fixture_client(0);

    (void)state;
    script.is_held = true;
    fixture_get(client, &f.role);
    assert_int_equal(client->call_count, 0);
    assert_int_equal(fixture_records("lease.issued"), 1);
    assert_int_equal(fixture_records("grant.created"), 0);
    assert_string_equal(script.last_json, "{\"tcp\":\"db:5432\"}");
    assert_string_equal(script.last_password, "MARKER-password-0");
    assert_int_equal(script.last_timeout_ms, 10 * SECOND_MS);
    verifier_answer(&script);
    fixture_run();
    assert_int_equal(client->status, 0);
    assert_string_equal(client->password, "MARKER-password-0");
    assert_int_equal(script.try_count, 1);
    assert_int_equal(stats().verify_total, 1);
    assert_int_equal(stats().verify_failed_total, 0);
}

static void test_a_role_without_it_is_asked_nothing(void **state)
{
    (void)state;
    fixture_get(fixture_client(0), &f.personal);
    assert_int_equal(f.clients[0].status, 0);
    assert_int_equal(script.try_count, 0);
}

static void test_one_that_is_not_known_everywhere_yet_is_tried_again(void **state)
{
    struct client *client = fixture_client(0);
    struct lease_view view;

    (void)state;
    script.status = ERR_DENIED;
    script.bad_count = 4;
    fixture_get(client, &f.role);
    fixture_advance(SECOND_MS);
    assert_int_equal(client->call_count, 0);
    assert_in_range(script.try_count, 2, 4);
    fixture_advance(5 * SECOND_MS);
    assert_int_equal(client->status, 0);
    assert_int_equal(script.try_count, 5);
    assert_int_equal(CALLS(ISSUE), 1);
    assert_int_equal(CALLS(REVOKE), 0);
    lease_view(fixture_lease(client), &view);
    assert_string_equal(view.last_error, "");
}

static void test_one_that_never_works_is_revoked_and_not_issued_anew_at_once(void **state)
{
    struct client *client = fixture_client(0);

    (void)state;
    script.status = ERR_DENIED;
    fixture_get(client, &f.role);
    fixture_advance(21 * SECOND_MS);
    assert_int_equal(client->status, ERR_UNAVAILABLE);
    assert_true(client->acquire.retry_after_ms > 0);
    assert_string_equal(client->acquire.error.text, "could not be verified: 401");
    assert_int_equal(model_live_count(&f.model), 0);
    assert_int_equal(fixture_records("lease.revoked"), 1);
    assert_int_equal(stats().verify_failed_total, 1);
    fixture_get(client, &f.role);
    assert_int_equal(client->status, ERR_UNAVAILABLE);
    assert_int_equal(CALLS(ISSUE), 1);
    script.status = 0;
    fixture_advance(HOUR_MS);
    fixture_get(client, &f.role);
    assert_int_equal(client->status, 0);
}

static void test_what_cannot_be_tried_is_not_handed_out(void **state)
{
    (void)state;
    script.start_status = ERR_INVALID;
    fixture_get(fixture_client(0), &f.role);
    assert_int_equal(script.try_count, 1); /* another would be the same */
    fixture_run();
    assert_int_equal(f.clients[0].status, ERR_UNAVAILABLE);
    assert_non_null(strstr(f.clients[0].acquire.error.text, "no such field"));
    assert_int_equal(model_live_count(&f.model), 0);
}

static void test_a_successor_that_does_not_work_takes_nothing_away(void **state)
{
    struct client *client = fixture_client(0);

    (void)state;
    fixture_get(client, &f.role);
    script.status = ERR_UNAVAILABLE;
    rotate(client);
    fixture_get(client, &f.role); /* meanwhile */
    assert_int_equal(client->status, 0);
    assert_string_equal(client->password, "MARKER-password-0");
    assert_int_equal(f.wait_status, 1);
    fixture_advance(21 * SECOND_MS);
    assert_int_equal(f.wait_status, ERR_UNAVAILABLE);
    assert_true(model_is_live(&f.model, 0));
    assert_false(model_is_live(&f.model, 1));
    fixture_get(client, &f.role);
    assert_string_equal(client->password, "MARKER-password-0");
    script.status = 0; /* it was asked for, so it is tried again by itself */
    fixture_advance(30 * SECOND_MS);
    fixture_get(client, &f.role);
    assert_string_not_equal(client->password, "MARKER-password-0");
    fixture_run();
    assert_false(model_is_live(&f.model, 0));
}

static void test_a_planned_successor_is_tried_for_as_long_as_the_old_one_lives(void **state)
{
    struct client *client = fixture_client(0);

    (void)state;
    f.model.is_renewable = false;
    fixture_get(client, &f.role);
    script.status = ERR_DENIED;
    fixture_advance(54 * MINUTE_MS);
    assert_true(CALLS(ISSUE) > 1);
    assert_true(CALLS(ISSUE) < 12); /* none in a loop */
    assert_int_equal(model_live_count(&f.model), 1);
    fixture_get(client, &f.role);
    assert_int_equal(client->status, 0);
    assert_string_equal(client->password, "MARKER-password-0");
    script.status = 0;
    fixture_advance(4 * MINUTE_MS);
    fixture_get(client, &f.role);
    assert_int_equal(client->status, 0);
    assert_string_not_equal(client->password, "MARKER-password-0");
}

static void test_who_waits_for_too_long_gets_it_when_he_comes_again(void **state)
{
    struct client *client = fixture_client(50);

    (void)state;
    f.role.verify_timeout_ms = 5 * MINUTE_MS;
    script.status = ERR_DENIED;
    fixture_get(client, &f.role);
    fixture_advance(31 * SECOND_MS);
    assert_int_equal(client->status, ERR_UNAVAILABLE);
    assert_string_equal(client->acquire.error.text, "could not be verified: 401");
    fixture_advance(5 * SECOND_MS);
    fixture_ask(client, &f.role);
    fixture_run();
    assert_int_equal(CALLS(ISSUE), 1);
    script.status = 0;
    fixture_advance(10 * SECOND_MS);
    assert_int_equal(client->status, 0);
    assert_int_equal(CALLS(ISSUE), 1);
}

static void test_nobody_comes_again(void **state)
{
    (void)state;
    f.role.verify_timeout_ms = MINUTE_MS;
    script.status = ERR_DENIED;
    fixture_get(fixture_client(0), &f.role);
    fixture_advance(31 * SECOND_MS);
    assert_int_equal(model_live_count(&f.model), 1);
    script.status = 0;
    fixture_advance(30 * SECOND_MS);
    assert_int_equal(model_live_count(&f.model), 0);
}

static void test_an_end_in_between_ends_the_try(void **state)
{
    struct client *client = fixture_client(0);

    (void)state;
    script.is_held = true;
    fixture_get(client, &f.role);
    fake_env_end_process(&f.fake, client->identity.pid);
    fixture_run();
    assert_int_equal(script.cancel_count, 1);
    assert_int_equal(model_live_count(&f.model), 0);
    assert_int_not_equal(client->status, 0);
}

static void test_a_credential_does_not_get_too_short_by_being_tried(void **state)
{
    (void)state;
    f.model.lifetime_ms = 12 * SECOND_MS;
    f.role.ttl_ms = 12 * SECOND_MS;
    script.is_held = true;
    fixture_get(fixture_client(0), &f.role);
    assert_true(script.last_timeout_ms < 6 * SECOND_MS);
    script.status = ERR_UNAVAILABLE;
    verifier_answer(&script);
    script.is_held = false;
    fixture_advance(6 * SECOND_MS);
    assert_int_equal(f.clients[0].status, ERR_UNAVAILABLE);
    assert_int_equal(model_live_count(&f.model), 0);
}

static void test_a_reload_can_take_it_away(void **state)
{
    (void)state;
    script.status = ERR_DENIED;
    fixture_get(fixture_client(0), &f.role);
    f.role.verify_json = NULL;
    fixture_advance(SECOND_MS);
    assert_int_equal(f.clients[0].status, 0);
}

static void test_all_who_share_it_wait_for_one_try(void **state)
{
    (void)state;
    script.is_held = true;
    fixture_ask(fixture_client(0), &f.shared);
    fixture_ask(fixture_client(1), &f.shared);
    fixture_run();
    fixture_get(fixture_client(2), &f.shared);
    verifier_answer(&script);
    fixture_run();
    assert_int_equal(f.clients[0].status + f.clients[1].status + f.clients[2].status, 0);
    assert_string_equal(f.clients[2].password, "MARKER-password-0");
    assert_int_equal(script.try_count, 1);
}

static void test_without_a_record_nothing_is_tried(void **state)
{
    (void)state;
    fixture_get(fixture_client(0), &f.personal);
    f.trail->fail_status = -ENOSPC;
    fixture_get(fixture_client(1), &f.role);
    assert_int_equal(script.try_count, 0);
    f.trail->fail_status = 0;
    fixture_advance(MINUTE_MS);
    assert_int_equal(model_live_count(&f.model), 1);
}

/* --- with a ledger --- */

static void test_the_next_daemon_revokes_what_was_not_tried_out(void **state)
{
    (void)state;
    script.is_held = true;
    fixture_get(fixture_client(0), &f.role);
    ledger_kill();
    assert_int_equal(model_live_count(&f.model), 1);
    ledger_start();
    assert_int_equal(recovery.adopted_count, 0);
    assert_int_equal(recovery.revoked_count, 1);
    fixture_run();
    assert_int_equal(model_live_count(&f.model), 0);
}

static void test_the_next_daemon_goes_on_with_what_was(void **state)
{
    (void)state;
    fixture_get(fixture_client(0), &f.role);
    assert_int_equal(f.clients[0].status, 0);
    ledger_kill();
    ledger_start();
    assert_int_equal(recovery.adopted_count, 1);
    assert_non_null(fixture_cached(&f.clients[0], &f.role));
    assert_int_equal(script.try_count, 1);
}

static void test_a_kill_while_a_successor_is_tried_leaves_the_old_one(void **state)
{
    struct client *client = fixture_client(0);
    char password[64];

    (void)state;
    fixture_get(client, &f.role);
    memcpy(password, client->password, sizeof(password));
    script.is_held = true;
    rotate(client);
    ledger_kill();
    ledger_start();
    assert_int_equal(recovery.adopted_count, 1);
    assert_int_equal(recovery.revoked_count, 1);
    fixture_get(client, &f.role); /* its successor is tried anew */
    assert_string_equal(client->password, password);
    verifier_answer(&script);
    fixture_run();
    fixture_get(client, &f.role);
    assert_string_not_equal(client->password, password);
}

static void test_a_ledger_that_fails_meanwhile_keeps_it_back(void **state)
{
    (void)state;
    script.is_held = true;
    fixture_get(fixture_client(0), &f.role);
    ledger.fail_status = -ENOSPC;
    verifier_answer(&script);
    fixture_run();
    assert_int_not_equal(f.clients[0].status, 0);
    ledger.fail_status = 0;
    fixture_advance(MINUTE_MS);
    assert_int_equal(model_live_count(&f.model), 0);
}

#define VERIFY_LEDGER_TEST(test)                                                                   \
    cmocka_unit_test_setup_teardown(test, setup_with_ledger, ledger_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        VERIFY_TEST(test_a_credential_is_tried_out_before_it_is_handed_out),
        VERIFY_TEST(test_a_role_without_it_is_asked_nothing),
        VERIFY_TEST(test_one_that_is_not_known_everywhere_yet_is_tried_again),
        VERIFY_TEST(test_one_that_never_works_is_revoked_and_not_issued_anew_at_once),
        VERIFY_TEST(test_what_cannot_be_tried_is_not_handed_out),
        VERIFY_TEST(test_a_successor_that_does_not_work_takes_nothing_away),
        VERIFY_TEST(test_a_planned_successor_is_tried_for_as_long_as_the_old_one_lives),
        VERIFY_TEST(test_who_waits_for_too_long_gets_it_when_he_comes_again),
        VERIFY_TEST(test_nobody_comes_again),
        VERIFY_TEST(test_an_end_in_between_ends_the_try),
        VERIFY_TEST(test_a_credential_does_not_get_too_short_by_being_tried),
        VERIFY_TEST(test_a_reload_can_take_it_away),
        VERIFY_TEST(test_all_who_share_it_wait_for_one_try),
        VERIFY_TEST(test_without_a_record_nothing_is_tried),
        VERIFY_LEDGER_TEST(test_the_next_daemon_revokes_what_was_not_tried_out),
        VERIFY_LEDGER_TEST(test_the_next_daemon_goes_on_with_what_was),
        VERIFY_LEDGER_TEST(test_a_kill_while_a_successor_is_tried_leaves_the_old_one),
        VERIFY_LEDGER_TEST(test_a_ledger_that_fails_meanwhile_keeps_it_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
