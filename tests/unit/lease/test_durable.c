/* Leases in the ledger: there before their credential leaves, gone when their issuer has confirmed
 * their end, and ended by the next daemon when this one dies. */
#include "support/fake_ledger.h"
#include "unit/lease/fixture.h"

#include "wire/ledger_lease.h"

#include <stdio.h>
#include <string.h>

static struct fake_ledger ledger;

static int setup(void **state)
{
    (void)fixture_setup(state);
    fake_ledger_init(&ledger, &f.fake.env);
    f.options.ledger = &ledger.ledger;
    return 0;
}

static int teardown(void **state)
{
    int r;

    ledger.is_held = false;
    ledger.fail_status = ledger.put_status = 0;
    if (f.core != NULL) {
        fake_ledger_run(&ledger);
    }
    r = fixture_teardown(state);
    assert_int_equal(ledger.record_count, 0);
    fake_ledger_fini(&ledger);
    return r;
}

static const char *record_of(const struct client *client)
{
    return fake_ledger_find(&ledger, ENV_LEDGER_LEASE, fixture_lease(client)->id);
}

static void test_a_lease_is_in_the_ledger_while_it_lives(void **state)
{
    struct client *client = fixture_client(0);

    (void)state;
    fixture_get(client, &f.role);
    assert_int_equal(client->status, 0);
    assert_non_null(record_of(client));
    assert_non_null(strstr(record_of(client), "\"role\":\"db\""));
    assert_non_null(strstr(record_of(client), "\"user\":\"user500\""));
    assert_null(strstr(record_of(client), "MARKER")); /* no secret */
    lease_end_grant(f.core, client->grant, GRANT_END_RELEASED, NULL);
    fixture_run();
    assert_int_equal(ledger.record_count, 0);
}

static void test_no_credential_leaves_before_it_is_in_the_ledger(void **state)
{
    struct client *client = fixture_client(0);

    (void)state;
    ledger.is_held = true;
    fixture_ask(client, &f.role);
    fixture_run();
    assert_int_equal(f.model.call_counts[LEASE_CALL_ISSUE], 1);
    assert_int_equal(client->call_count, 0);
    fake_ledger_run(&ledger);
    fixture_run();
    assert_int_equal(client->status, 0);
    assert_non_null(record_of(client));
}

static void test_what_is_not_in_the_ledger_is_revoked(void **state)
{
    struct client *client = fixture_client(0);

    (void)state;
    ledger.fail_status = -28;
    fixture_get(client, &f.role);
    assert_int_equal(client->status, ERR_IO);
    assert_int_equal(model_live_count(&f.model), 0);
    assert_int_equal(f.model.call_counts[LEASE_CALL_ISSUE], 1);
    /* While it fails nothing is asked of the issuer, and nothing is read again. */
    fixture_get(client, &f.role);
    assert_int_equal(client->status, ERR_IO);
    assert_non_null(strstr(client->acquire.error.text, "ledger"));
    assert_int_equal(f.model.call_counts[LEASE_CALL_ISSUE], 1);
    ledger.fail_status = 0;
    fake_ledger_run(&ledger);
    fixture_get(client, &f.role);
    assert_int_equal(client->status, 0);
}

static void test_a_ledger_that_takes_no_more_is_as_bad(void **state)
{
    struct client *client = fixture_client(0);

    (void)state;
    ledger.put_status = ERR_LIMIT;
    fixture_get(client, &f.role);
    assert_int_equal(client->status, ERR_IO);
    assert_int_equal(model_live_count(&f.model), 0);
}

static void test_a_credential_nobody_waits_for_any_more_is_revoked_and_removed(void **state)
{
    struct client *client = fixture_client(0);

    (void)state;
    ledger.is_held = true;
    fixture_ask(client, &f.role);
    fixture_run();
    lease_acquire_cancel(f.core, &client->acquire);
    fixture_run();
    ledger.is_held = false;
    fake_ledger_run(&ledger);
    fixture_run();
    assert_int_equal(model_live_count(&f.model), 0);
    assert_int_equal(ledger.record_count, 0);
}

static void test_what_cannot_be_revoked_is_not_kept(void **state)
{
    struct client *client = fixture_client(0);

    (void)state;
    f.model.is_revocable = false;
    fixture_get(client, &f.role);
    assert_int_equal(client->status, 0);
    assert_int_equal(ledger.record_count, 0);
}

/* --- the next daemon --- */

/* The core that is there dies with all that it knows; the ledger keeps what was committed. */
static void closed(void *user)
{
    (*(int *)user)++;
}

static void kill_core(void)
{
    int closed_count = 0;

    fake_ledger_crash(&ledger);
    model_answer_all(&f.model);
    fake_env_run(&f.fake);
    lease_core_close(f.core, closed, &closed_count);
    model_answer_all(&f.model);
    fake_env_run(&f.fake);
    audit_close(f.audit, closed, &closed_count);
    fake_env_run(&f.fake);
    assert_int_equal(closed_count, 2);
    fake_ledger_run(&ledger);
    fake_ledger_restart(&ledger);
    f.core = NULL;
    memset(f.clients, 0, sizeof(f.clients));
}

static int recover(void *user, struct str id, struct str body)
{
    struct ledger_lease lease;
    json_t *owner;

    (void)user;
    assert_int_equal(ledger_lease_read(body, &lease, &owner, NULL), 0);
    assert_int_equal(lease_core_recover(f.core, id, &lease, &f.model.issuer), 0);
    json_decref(owner);
    return 0;
}

static void start_again(void)
{
    kill_core();
    fixture_open();
    assert_int_equal(env_ledger_each(&ledger.ledger, ENV_LEDGER_LEASE, recover, NULL, NULL), 0);
    fixture_run();
}

static void test_the_next_daemon_revokes_what_this_one_left(void **state)
{
    struct lease_core_stats stats;

    (void)state;
    fixture_get(fixture_client(0), &f.role);
    fixture_get(fixture_client(1), &f.shared);
    fixture_get(fixture_client(45), &f.personal);
    assert_int_equal(model_live_count(&f.model), 3);
    start_again();
    assert_int_equal(model_live_count(&f.model), 0);
    assert_int_equal(ledger.record_count, 0);
    assert_int_equal(fixture_records("lease.adopted"), 3);
    assert_int_equal(fixture_records("lease.revoked"), 3);
    lease_core_stats(f.core, &stats);
    assert_int_equal(stats.revoke_pending, 0);
    fixture_get(fixture_client(0), &f.role);
    assert_int_equal(f.clients[0].status, 0);
}

static void test_it_goes_on_until_the_issuer_confirms(void **state)
{
    struct lease_core_stats stats;

    (void)state;
    fixture_get(fixture_client(0), &f.role);
    f.model.outcomes[LEASE_CALL_REVOKE] = LEASE_OUTCOME_RETRY;
    start_again();
    lease_core_stats(f.core, &stats);
    assert_int_equal(stats.revoke_pending, 1);
    assert_int_equal(ledger.record_count, 1);
    start_again(); /* and once more */
    assert_int_equal(ledger.record_count, 1);
    f.model.outcomes[LEASE_CALL_REVOKE] = LEASE_OUTCOME_OK;
    fixture_advance(10 * MINUTE_MS);
    assert_int_equal(model_live_count(&f.model), 0);
    assert_int_equal(ledger.record_count, 0);
}

/* A daemon that was away for days, or whose clock is wrong. */
static void test_what_should_be_over_is_asked_about_all_the_same(void **state)
{
    (void)state;
    fixture_get(fixture_client(0), &f.role);
    kill_core();
    f.fake.wall_ms += 100LL * (int64_t)HOUR_MS;
    fixture_open();
    assert_int_equal(env_ledger_each(&ledger.ledger, ENV_LEDGER_LEASE, recover, NULL, NULL), 0);
    fixture_run();
    assert_int_equal(f.model.call_counts[LEASE_CALL_REVOKE], 1);
    assert_int_equal(ledger.record_count, 0);
}

static void test_a_role_that_is_not_configured_any_more_does_not_matter(void **state)
{
    (void)state;
    fixture_get(fixture_client(0), &f.role);
    fixture_get(fixture_client(1), &f.role);
    f.role.name = NULL;
    f.model.is_held[LEASE_CALL_REVOKE] = true;
    start_again();
    assert_null(lease_core_role(f.core, STR("db")));
    f.role = f.shared; /* and comes back with other parameters */
    f.role.name = "db";
    f.role.share = LEASE_SHARE_NONE;
    f.role.params_json = "{\"path\":\"other\"}";
    fixture_get(fixture_client(0), &f.role);
    assert_int_equal(f.clients[0].status, 0);
    f.model.is_held[LEASE_CALL_REVOKE] = false;
    model_answer_all(&f.model);
    fixture_run();
    assert_int_equal(model_live_count(&f.model), 1);
    assert_int_equal(ledger.record_count, 1);
}

static void test_a_record_that_is_none_of_ours_is_refused(void **state)
{
    struct ledger_lease lease = {.role = "db",
                                 .backend = "model",
                                 .params_json = "{}",
                                 .issuer_ref = STR("ref/1"),
                                 .caller = "unix",
                                 .user = "u",
                                 .unit = "",
                                 .container = "",
                                 .listener = "",
                                 .sans = ""};
    const struct str id = STR("l-0123456789abcdef0123456789abcdef");
    char user[ENV_NAME_MAX_BYTES + 1];

    (void)state;
    fixture_open();
    assert_int_equal(lease_core_recover(f.core, STR("l-1"), &lease, &f.model.issuer), ERR_INVALID);
    assert_int_equal(lease_core_recover(f.core, STR("l-0123456789abcdef0123456789abcdeX"), &lease,
                                        &f.model.issuer),
                     ERR_INVALID);
    lease.caller = "god";
    assert_int_equal(lease_core_recover(f.core, id, &lease, &f.model.issuer), ERR_INVALID);
    lease.caller = "unix";
    memset(user, 'u', sizeof(user));
    user[ENV_NAME_MAX_BYTES] = '\0';
    lease.user = user;
    assert_int_equal(lease_core_recover(f.core, id, &lease, &f.model.issuer), ERR_INVALID);
    fixture_run();
    assert_int_equal(fixture_records("lease.adopted"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        TEST(test_a_lease_is_in_the_ledger_while_it_lives),
        TEST(test_no_credential_leaves_before_it_is_in_the_ledger),
        TEST(test_what_is_not_in_the_ledger_is_revoked),
        TEST(test_a_ledger_that_takes_no_more_is_as_bad),
        TEST(test_a_credential_nobody_waits_for_any_more_is_revoked_and_removed),
        TEST(test_what_cannot_be_revoked_is_not_kept),
        TEST(test_the_next_daemon_revokes_what_this_one_left),
        TEST(test_it_goes_on_until_the_issuer_confirms),
        TEST(test_what_should_be_over_is_asked_about_all_the_same),
        TEST(test_a_role_that_is_not_configured_any_more_does_not_matter),
        TEST(test_a_record_that_is_none_of_ours_is_refused),
    };

    return cmocka_run_group_tests_name("durable", tests, NULL, NULL);
}
