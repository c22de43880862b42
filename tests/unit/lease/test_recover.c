/* The next daemon: what it goes on with, and what it ends. */
#include "unit/lease/ledger_fixture.h"

#include "wire/ledger_lease.h"

#include <stdio.h>
#include <string.h>

#define CALLS(kind) f.model.call_counts[LEASE_CALL_##kind]

/* --- going on --------------------------------------------------------------------------------- */

static void test_leases_and_their_holders_go_on(void **state)
{
    char passwords[3][64];
    const size_t who[] = {0, 1, 45};
    const struct lease_role *roles[] = {&f.role, &f.shared, &f.personal};
    size_t i;

    (void)state;
    for (i = 0; i < 3; i++) {
        fixture_get(fixture_client(who[i]), roles[i]);
        memcpy(passwords[i], f.clients[who[i]].password, sizeof(passwords[i]));
    }
    ledger_kill();
    ledger_start();
    assert_int_equal(recovery.adopted_count, 3);
    assert_int_equal(recovery.grant_count, 3);
    assert_int_equal(recovery.revoked_count + recovery.ended_count, 0);
    assert_int_equal(model_live_count(&f.model), 3);
    for (i = 0; i < 3; i++) {
        assert_non_null(fixture_cached(&f.clients[who[i]], roles[i]));
        fixture_get(&f.clients[who[i]], roles[i]);
        assert_int_equal(f.clients[who[i]].status, 0);
        assert_string_equal(f.clients[who[i]].password, passwords[i]);
    }
    assert_int_equal(CALLS(ISSUE), 3);
    assert_int_equal(CALLS(REVOKE), 0);
    assert_int_equal(fixture_records("lease.adopted"), 3);
}

static void test_they_are_on_record_a_few_at_a_time_and_each_before_what_happens_to_it(void **state)
{
    const size_t count = 250;
    size_t i;

    (void)state;
    fixture_get(fixture_client(0), &f.role);
    for (i = 0; i < count - 2; i++) {
        fixture_get(fixture_client(100 + i), &f.role);
    }
    fixture_get(fixture_client(1), &f.role); /* the youngest */
    ledger_kill();
    ledger_start();
    assert_int_equal(recovery.adopted_count, count);
    assert_in_range(fixture_records("lease.adopted"), 1, count - 10);
    fake_env_end_process(&f.fake, f.clients[1].identity.pid);
    fake_env_end_process(&f.fake, f.clients[0].identity.pid);
    fixture_run();
    assert_int_equal(model_live_count(&f.model), count - 2);
    assert_int_equal(fixture_records("lease.revoked"), 2); /* the turn of one hadn't come */
    fixture_advance(MINUTE_MS);
    assert_int_equal(fixture_records("lease.adopted"), count);
}

static void test_a_stop_leaves_them_as_a_kill_does(void **state)
{
    (void)state;
    f.role.is_kept_on_stop = true;
    fixture_get(fixture_client(0), &f.role);
    fixture_get(fixture_client(1), &f.shared); /* its role doesn't say so */
    ledger_stop();
    assert_int_equal(model_live_count(&f.model), 1);
    ledger_start();
    assert_int_equal(recovery.adopted_count, 1);
    assert_non_null(fixture_cached(&f.clients[0], &f.role));
    assert_int_equal(CALLS(ISSUE), 2);
}

static void test_what_is_left_is_served_until_the_core_closes_and_the_reads_are_on_record(
    void **state)
{
    size_t read_count;

    (void)state;
    f.role.is_kept_on_stop = true;
    fixture_get(fixture_client(0), &f.role);
    fixture_get(fixture_client(1), &f.shared);
    lease_core_drain(f.core, f.fake.now_ms + HOUR_MS, true, fixture_wait());
    fixture_run();
    read_count = fixture_records("credential.read");
    assert_non_null(fixture_cached(&f.clients[0], &f.role));
    assert_null(fixture_cached(&f.clients[1], &f.shared));
    ledger_stop_drained();
    assert_int_equal(fixture_records("credential.read"), read_count + 1);
    ledger_start();
    assert_non_null(fixture_cached(&f.clients[0], &f.role));
}

static void test_a_stop_leaves_nothing_that_hangs_on_a_connection(void **state)
{
    (void)state;
    f.role.is_kept_on_stop = true;
    fixture_client(0)->decision.bindings[0].kind = ACCESS_BINDING_CONNECTION;
    fixture_get(fixture_client(0), &f.role);
    ledger_stop();
    assert_int_equal(model_live_count(&f.model), 0);
    ledger_start();
    assert_int_equal(recovery.adopted_count + recovery.revoked_count, 0);
}

static void test_what_goes_on_is_renewed_and_ends_as_ever(void **state)
{
    (void)state;
    fixture_get(fixture_client(0), &f.role);
    ledger_kill();
    ledger_start();
    fixture_advance(50 * MINUTE_MS);
    assert_int_equal(CALLS(RENEW), 1);
    ledger_kill();
    ledger_start();
    fixture_advance(50 * MINUTE_MS);
    assert_true(CALLS(RENEW) >= 2);
    assert_int_equal(model_live_count(&f.model), 1);
    fake_env_end_process(&f.fake, f.clients[0].identity.pid);
    fixture_run();
    assert_int_equal(model_live_count(&f.model), 0);
    assert_int_equal(CALLS(ISSUE), 1);
}

static void test_a_duration_goes_on_too(void **state)
{
    (void)state;
    fixture_client(45)->decision.duration_ms = HOUR_MS;
    fixture_get(fixture_client(45), &f.role);
    fixture_advance(20 * MINUTE_MS);
    ledger_kill();
    f.fake.wall_ms +=
        5 * (int64_t)HOUR_MS; /* the wall clock is set meanwhile: that changes nothing */
    ledger_start();
    fixture_advance(39 * MINUTE_MS);
    assert_int_equal(model_live_count(&f.model), 1);
    fixture_advance(2 * MINUTE_MS);
    assert_int_equal(model_live_count(&f.model), 0);
}

/* A crash between a rotation and the holders' next read. */
static void test_a_holder_finds_the_successor(void **state)
{
    struct client *client = fixture_client(0);
    char before[64];

    (void)state;
    fixture_get(client, &f.role);
    memcpy(before, client->password, sizeof(before));
    assert_int_equal(lease_rotate_start(f.core, fixture_lease(client), fixture_wait()), 0);
    fixture_run();
    assert_int_equal(f.wait_status, 0);
    assert_int_equal(model_live_count(&f.model), 2);
    ledger_kill();
    ledger_start();
    assert_int_equal(recovery.adopted_count, 2);
    assert_int_equal(model_live_count(&f.model), 2);
    fixture_get(client, &f.role);
    assert_int_equal(client->status, 0);
    assert_string_not_equal(client->password, before);
    fixture_run();
    assert_int_equal(model_live_count(&f.model), 1); /* the old one isn't needed any more */
    assert_int_equal(CALLS(ISSUE), 2);
}

/* Whoever makes it crash mints no more with that. */
static void test_a_budget_is_not_full_again_after_a_crash(void **state)
{
    size_t i;

    (void)state;
    f.role.issue_rate = (struct units_rate){.count = 3, .per_ms = HOUR_MS};
    for (i = 0; i < 3; i++) {
        fixture_get(fixture_client(i), &f.role);
        assert_int_equal(f.clients[i].status, 0);
        ledger_kill();
        ledger_start();
    }
    fixture_get(fixture_client(3), &f.role);
    assert_int_equal(f.clients[3].status, ERR_LIMIT);
    ledger_kill();
    f.fake.now_ms += 21 * MINUTE_MS; /* a third of what there is in an hour comes back */
    f.fake.wall_ms += 21 * (int64_t)MINUTE_MS;
    ledger_start();
    fixture_get(fixture_client(3), &f.role);
    assert_int_equal(f.clients[3].status, 0);
    assert_int_equal(CALLS(ISSUE), 4);
}

/* --- ending ----------------------------------------------------------------------------------- */

static void test_who_has_ended_meanwhile_holds_nothing(void **state)
{
    (void)state;
    fixture_get(fixture_client(0), &f.role);
    fixture_get(fixture_client(1), &f.role);
    ledger_kill();
    fake_env_end_process(&f.fake, f.clients[0].identity.pid);
    ledger_start();
    assert_int_equal(recovery.grant_count, 1);
    assert_int_equal(recovery.ended_count, 1);
    assert_int_equal(model_live_count(&f.model), 1);
    assert_int_equal(fixture_trail_has("\"outcome\":\"binding\""), 1);
}

static void test_who_has_ended_takes_nothing_from_those_it_shared_with(void **state)
{
    size_t i;

    (void)state;
    for (i = 0; i < 3; i++) {
        fixture_get(fixture_client(i), &f.shared);
    }
    ledger_kill();
    fake_env_end_process(&f.fake, f.clients[0].identity.pid);
    fake_env_end_process(&f.fake, f.clients[1].identity.pid);
    ledger_start();
    assert_int_equal(recovery.grant_count, 1);
    assert_int_equal(recovery.ended_count, 2);
    assert_non_null(fixture_cached(&f.clients[2], &f.shared));
    fixture_run();
    assert_int_equal(CALLS(REVOKE), 0);
    fake_env_end_process(&f.fake, f.clients[2].identity.pid);
    fixture_run();
    assert_int_equal(model_live_count(&f.model), 0);
}

static void test_another_process_of_that_number_is_somebody_else(void **state)
{
    (void)state;
    fixture_get(fixture_client(0), &f.role);
    ledger_kill();
    fake_env_end_process(&f.fake, f.clients[0].identity.pid);
    (void)fake_env_add_process(&f.fake, f.clients[0].identity.pid, 9999, 1, 500);
    ledger_start();
    assert_int_equal(recovery.grant_count, 0);
    assert_int_equal(model_live_count(&f.model), 0);
}

/* Pids and start times mean nothing any more; what hangs on its duration alone goes on. */
static void test_after_a_reboot_no_process_is_the_same(void **state)
{
    (void)state;
    fixture_get(fixture_client(0), &f.role);
    fixture_get(fixture_client(45), &f.role);
    ledger_kill();
    memcpy(f.fake.boot_id, "boot-2", sizeof("boot-2"));
    f.fake.now_ms = MINUTE_MS; /* that clock begins anew */
    f.fake.wall_ms += 30000;
    ledger_start();
    assert_int_equal(recovery.grant_count, 1);
    assert_int_equal(recovery.ended_count, 1);
    assert_int_equal(model_live_count(&f.model), 1);
    assert_non_null(fixture_cached(&f.clients[45], &f.role));
}

static void test_after_a_reboot_with_a_clock_that_is_behind_nothing_is_handed_out(void **state)
{
    (void)state;
    fixture_get(fixture_client(45), &f.role);
    ledger_kill();
    memcpy(f.fake.boot_id, "boot-2", sizeof("boot-2"));
    f.fake.wall_ms -= (int64_t)HOUR_MS;
    ledger_start();
    assert_int_equal(recovery.adopted_count, 0);
    assert_int_equal(recovery.revoked_count, 1);
    assert_int_equal(model_live_count(&f.model), 0);
}

static void test_without_the_key_everything_is_revoked(void **state)
{
    struct lease_core_stats stats;

    (void)state;
    fixture_get(fixture_client(0), &f.role);
    fixture_get(fixture_client(1), &f.shared);
    fixture_get(fixture_client(45), &f.personal);
    ledger_kill();
    ledger.key++;
    ledger_start();
    assert_int_equal(recovery.revoked_count, 3);
    assert_int_equal(recovery.ended_count, 3);
    assert_int_equal(model_live_count(&f.model), 0);
    assert_int_equal(ledger.record_count, 0);
    assert_int_equal(fixture_records("lease.adopted"), 3);
    assert_int_equal(fixture_records("lease.revoked"), 3);
    lease_core_stats(f.core, &stats);
    assert_int_equal(stats.revoke_pending, 0);
    fixture_get(&f.clients[0], &f.role);
    assert_int_equal(f.clients[0].status, 0);
}

static void test_a_login_that_is_not_there_any_more_takes_its_leases_along(void **state)
{
    (void)state;
    f.model.anchor = 7;
    fixture_get(fixture_client(0), &f.role);
    ledger_kill();
    f.model.forgets_anchors = true;
    ledger_start();
    assert_int_equal(recovery.revoked_count, 1);
    assert_int_equal(model_live_count(&f.model), 0);
}

static void test_a_revocation_goes_on_until_the_issuer_confirms(void **state)
{
    struct lease_core_stats stats;

    (void)state;
    fixture_get(fixture_client(0), &f.role);
    f.model.outcomes[LEASE_CALL_REVOKE] = LEASE_OUTCOME_RETRY;
    lease_end_grant(f.core, f.clients[0].grant, GRANT_END_RELEASED, NULL);
    fixture_run();
    ledger_kill();
    ledger_start();
    lease_core_stats(f.core, &stats);
    assert_int_equal(stats.revoke_pending, 1);
    assert_int_equal(ledger.record_count, 1);
    ledger_kill();
    ledger_start(); /* and once more */
    assert_int_equal(ledger.record_count, 1);
    f.model.outcomes[LEASE_CALL_REVOKE] = LEASE_OUTCOME_OK;
    fixture_advance(10 * MINUTE_MS);
    assert_int_equal(model_live_count(&f.model), 0);
    assert_int_equal(ledger.record_count, 0);
}

/* A daemon that was away for days. */
static void test_what_should_be_over_is_asked_about_all_the_same(void **state)
{
    (void)state;
    fixture_get(fixture_client(0), &f.role);
    ledger_kill();
    f.fake.now_ms += 100 * HOUR_MS;
    f.fake.wall_ms += 100LL * (int64_t)HOUR_MS;
    ledger_start();
    assert_int_equal(CALLS(REVOKE), 1);
    assert_int_equal(ledger.record_count, 0);
}

static void test_a_role_that_is_not_configured_any_more_does_not_matter(void **state)
{
    (void)state;
    fixture_get(fixture_client(0), &f.role);
    fixture_get(fixture_client(1), &f.role);
    f.role.name = NULL;
    f.model.is_held[LEASE_CALL_REVOKE] = true;
    ledger_kill();
    ledger_start();
    assert_int_equal(recovery.revoked_count, 2);
    assert_null(lease_core_role(f.core, STR("db")));
    f.role = f.shared; /* and comes back with other parameters */
    f.role.name = "db";
    f.role.share = LEASE_SHARE_NONE;
    f.role.params_json = "{\"path\":\"other\"}";
    fixture_get(&f.clients[0], &f.role);
    assert_int_equal(f.clients[0].status, 0);
    f.model.is_held[LEASE_CALL_REVOKE] = false;
    model_answer_all(&f.model);
    fixture_run();
    assert_int_equal(model_live_count(&f.model), 1);
}

/* Its holder keeps what it has until the successor is there, as after a reload. */
static void test_a_role_that_asks_for_something_else_replaces_what_goes_on(void **state)
{
    (void)state;
    fixture_get(fixture_client(0), &f.role);
    ledger_kill();
    f.role.params_json = "{\"path\":\"other\"}";
    ledger_start();
    assert_int_equal(recovery.adopted_count, 1);
    fixture_get(&f.clients[0], &f.role);
    assert_int_equal(f.clients[0].status, 0);
    fixture_run();
    assert_int_equal(CALLS(ISSUE), 2);
    assert_int_equal(model_live_count(&f.model), 1);
}

static void test_what_was_issued_from_one_source_is_of_one_source_again(void **state)
{
    const struct lease *first;
    const struct lease *second;
    char ids[2][LEASE_ID_BYTES + 1];

    (void)state;
    fixture_get(fixture_client(0), &f.role);
    fixture_get(fixture_client(45), &f.role);
    memcpy(ids[0], fixture_lease(&f.clients[0])->id, sizeof(ids[0]));
    memcpy(ids[1], fixture_lease(&f.clients[45])->id, sizeof(ids[1]));
    ledger_kill();
    f.role.params_json = "{\"path\":\"other\"}";
    ledger_start();
    first = ledger_lease_of(ids[0]);
    second = ledger_lease_of(ids[1]);
    assert_true(first != NULL && second != NULL && first != second);
    assert_true(first->source == second->source && first->source != first->role->source);
}

static void test_what_its_issuer_cannot_revoke_goes_on_or_is_let_go(void **state)
{
    (void)state;
    f.model.is_revocable = false;
    fixture_get(fixture_client(0), &f.role);
    ledger_kill();
    ledger_start();
    assert_non_null(fixture_cached(&f.clients[0], &f.role));
    ledger_kill();
    ledger.key++;
    ledger_start();
    assert_int_equal(CALLS(REVOKE), 0);
    assert_int_equal(ledger.record_count, 0);
    assert_int_equal(fixture_records("lease.expired"), 1);
}

/* --- records ---------------------------------------------------------------------------------- */

static void test_a_record_that_is_none_of_ours_is_refused(void **state)
{
    struct ledger_lease lease = {.state = LEDGER_LEASE_REVOKING,
                                 .role = "db",
                                 .backend = "model",
                                 .params_json = "{}",
                                 .is_revocable = true,
                                 .issuer_ref = STR("ref/1"),
                                 .clock = {.boot = ""},
                                 .predecessor = "",
                                 .holder = {.caller = "unix",
                                            .user = "u",
                                            .unit = "",
                                            .container = "",
                                            .listener = "",
                                            .sans = "",
                                            .claims = "",
                                            .image = ""}};
    const struct str id = STR("l-0123456789abcdef0123456789abcdef");
    char user[ENV_NAME_MAX_BYTES + 1];

    (void)state;
    fixture_open();
    assert_int_equal(lease_core_recover(f.core, STR("l-1"), &lease, &f.model.issuer), ERR_INVALID);
    assert_int_equal(lease_core_recover(f.core, STR("l-0123456789abcdef0123456789abcdeX"), &lease,
                                        &f.model.issuer),
                     ERR_INVALID);
    lease.holder.caller = "god";
    assert_int_equal(lease_core_recover(f.core, id, &lease, &f.model.issuer), ERR_INVALID);
    lease.holder.caller = "unix";
    memset(user, 'u', sizeof(user));
    user[ENV_NAME_MAX_BYTES] = '\0';
    lease.holder.user = user;
    assert_int_equal(lease_core_recover(f.core, id, &lease, &f.model.issuer), ERR_INVALID);
    fixture_run();
    assert_int_equal(fixture_records("lease.adopted"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ledger_test(test_leases_and_their_holders_go_on),
        ledger_test(test_they_are_on_record_a_few_at_a_time_and_each_before_what_happens_to_it),
        ledger_test(test_a_stop_leaves_them_as_a_kill_does),
        ledger_test(test_what_is_left_is_served_until_the_core_closes_and_the_reads_are_on_record),
        ledger_test(test_a_stop_leaves_nothing_that_hangs_on_a_connection),
        ledger_test(test_what_goes_on_is_renewed_and_ends_as_ever),
        ledger_test(test_a_duration_goes_on_too),
        ledger_test(test_a_holder_finds_the_successor),
        ledger_test(test_a_budget_is_not_full_again_after_a_crash),
        ledger_test(test_who_has_ended_meanwhile_holds_nothing),
        ledger_test(test_who_has_ended_takes_nothing_from_those_it_shared_with),
        ledger_test(test_another_process_of_that_number_is_somebody_else),
        ledger_test(test_after_a_reboot_no_process_is_the_same),
        ledger_test(test_after_a_reboot_with_a_clock_that_is_behind_nothing_is_handed_out),
        ledger_test(test_without_the_key_everything_is_revoked),
        ledger_test(test_a_login_that_is_not_there_any_more_takes_its_leases_along),
        ledger_test(test_a_revocation_goes_on_until_the_issuer_confirms),
        ledger_test(test_what_should_be_over_is_asked_about_all_the_same),
        ledger_test(test_a_role_that_is_not_configured_any_more_does_not_matter),
        ledger_test(test_a_role_that_asks_for_something_else_replaces_what_goes_on),
        ledger_test(test_what_was_issued_from_one_source_is_of_one_source_again),
        ledger_test(test_what_its_issuer_cannot_revoke_goes_on_or_is_let_go),
        ledger_test(test_a_record_that_is_none_of_ours_is_refused),
    };

    return cmocka_run_group_tests_name("recover", tests, NULL, NULL);
}
