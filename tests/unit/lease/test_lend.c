/* What one backend works with is another role's credential: minted once, given back last. */
#include "lease/lend.h"
#include "lease/recheck.h"

#include "unit/lease/ledger_fixture.h"

#include <stdio.h>
#include <string.h>

#define CALLS(kind) f.model.call_counts[LEASE_CALL_##kind]

/* f.model's role "db" is the source; "aws", which borrows it, has the role "db-personal". */
static struct model_issuer aws;

struct look {
    struct lease_loan loan;
    int call_count;
    int status;
    char password[64];
    uint64_t expires_ms;
};

static struct look looks[4];

static int setup(void **state)
{
    (void)ledger_setup(state);
    memset(looks, 0, sizeof(looks));
    model_init(&aws, &f.fake);
    aws.issuer.name = "aws";
    aws.issuer.borrows = "db";
    f.personal.issuer = &aws.issuer;
    f.shared.name = NULL;
    ledger_second = &aws;
    return 0;
}

static int teardown(void **state)
{
    int r;

    aws.is_held[LEASE_CALL_REVOKE] = false;
    r = ledger_teardown(state);
    assert_int_equal(model_live_count(&aws), 0);
    model_fini(&aws);
    ledger_second = NULL;
    return r;
}

static void looked(struct lease_loan *loan, int status, const struct lease_lent *lent)
{
    struct look *look = loan->user;

    look->call_count++;
    look->status = status;
    for (size_t i = 0; lent != NULL && i < lent->field_count; i++) {
        if (str_eq_c(lent->fields[i].name, "password")) {
            (void)snprintf(look->password, sizeof(look->password), "%.*s",
                           STR_ARG(lent->fields[i].value));
        }
    }
    look->expires_ms = lent != NULL ? lent->expires_ms : 0;
}

static struct look *start(size_t index)
{
    struct look *look = &looks[index];

    fixture_open();
    look->call_count = 0;
    look->status = 1;
    look->loan = (struct lease_loan){.backend = "aws",
                                     .role = "db",
                                     .is_refused = look->loan.is_refused,
                                     .fn = looked,
                                     .user = look};
    assert_int_equal(lease_lend_start(f.core, &look->loan), 0);
    return look;
}

static struct look *look_at(size_t index)
{
    struct look *look = start(index);

    fixture_run();
    assert_int_equal(look->call_count, 1);
    return look;
}

static struct look *look_again(bool is_refused)
{
    looks[0].loan.is_refused = is_refused;
    return look_at(0);
}

/* --- lending ---------------------------------------------------------------------------------- */

static void test_every_look_is_at_the_same_credential_on_record_as_the_daemons_own(void **state)
{
    (void)state;
    assert_int_equal(look_at(0)->status, 0);
    assert_string_equal(looks[0].password, "MARKER-password-0");
    assert_true(looks[0].expires_ms > f.fake.now_ms);
    assert_int_equal(look_at(1)->status, 0);
    assert_string_equal(looks[1].password, looks[0].password);
    assert_int_equal(CALLS(ISSUE), 1);
    assert_string_equal(f.model.last_user, "backend:aws");
    assert_string_equal(f.model.last_reason, "the source of backend aws");
    assert_int_equal(fixture_records("grant.created"), 1);
    fixture_advance(5 * MINUTE_MS);
    assert_int_equal(fixture_records("credential.read"), 1); /* of all looks */
    assert_true(fixture_trail_has("\"identity\":{\"user\":\"backend:aws\"}") > 0);
    assert_true(fixture_trail_has("\"binding\":\"none\"") > 0);
}

static void test_two_looks_at_once_are_one_issue(void **state)
{
    (void)state;
    (void)start(0);
    (void)look_at(1);
    assert_int_equal(looks[0].status | looks[1].status, 0);
    assert_int_equal(CALLS(ISSUE), 1);
}

static void test_it_is_renewed_while_nobody_looks(void **state)
{
    (void)state;
    f.model.is_renewable = true;
    (void)look_at(0);
    fixture_advance(45 * MINUTE_MS);
    assert_true(CALLS(RENEW) > 0);
    assert_int_equal(look_at(0)->status, 0);
    assert_int_equal(CALLS(ISSUE), 1);
}

static void test_what_the_source_says_is_what_its_borrower_hears(void **state)
{
    (void)state;
    f.model.outcomes[LEASE_CALL_ISSUE] = LEASE_OUTCOME_DENIED;
    assert_int_equal(look_at(0)->status, ERR_DENIED);
    f.model.outcomes[LEASE_CALL_ISSUE] = LEASE_OUTCOME_RETRY;
    f.model.closed_ms = 7 * SECOND_MS;
    fixture_advance(HOUR_MS);
    assert_int_equal(look_at(0)->status, ERR_UNAVAILABLE);
    assert_true(looks[0].loan.retry_after_ms > 0);
    assert_true(strlen(looks[0].loan.error.text) > 0);
}

static void test_a_role_that_is_not_there_is_said_to_be_missing(void **state)
{
    (void)state;
    fixture_open();
    lease_core_remove_role(f.core, STR("db"));
    f.role.name = NULL;
    assert_int_equal(look_at(0)->status, ERR_INVALID);
    f.role.name = "db";
}

static void test_one_that_is_cancelled_ends_once(void **state)
{
    (void)state;
    (void)start(0);
    lease_lend_cancel(&looks[0].loan);
    lease_lend_cancel(&looks[0].loan);
    fixture_run();
    assert_int_equal(looks[0].call_count, 1);
    assert_int_equal(looks[0].status, ERR_CANCELED);
    f.model.is_held[LEASE_CALL_ISSUE] = true;
    (void)start(1);
    fixture_run();
    lease_lend_cancel(&looks[1].loan);
    model_answer(&f.model);
    f.model.is_held[LEASE_CALL_ISSUE] = false;
    fixture_run();
    assert_int_equal(looks[1].call_count, 1);
    assert_int_equal(looks[1].status, ERR_CANCELED);
    assert_int_equal(model_live_count(&f.model), 0);
}

static void test_no_policy_ends_it(void **state)
{
    (void)state;
    (void)look_at(0);
    assert_int_equal(
        lease_core_recheck(f.core, &(struct lease_recheck){.policy_digest = "digest-two"}), 0);
    assert_int_equal(look_at(0)->status, 0);
    assert_int_equal(CALLS(ISSUE), 1);
}

/* --- refused ---------------------------------------------------------------------------------- */

static void test_one_that_is_refused_is_replaced_unless_it_is_new(void **state)
{
    (void)state;
    (void)look_at(0);
    fixture_advance(59 * SECOND_MS);
    assert_int_equal(look_again(true)->status, 0);
    assert_string_equal(looks[0].password, "MARKER-password-0");
    fixture_advance(SECOND_MS);
    assert_int_equal(look_again(true)->status, 0);
    assert_string_equal(looks[0].password, "MARKER-password-1");
    assert_int_equal(look_again(true)->status, 0);
    assert_string_equal(looks[0].password, "MARKER-password-1");
    fixture_advance(15 * MINUTE_MS); /* its role's overlap is over */
    assert_int_equal(model_live_count(&f.model), 1);
}

static void test_one_that_can_not_be_replaced_is_given_again(void **state)
{
    (void)state;
    (void)look_at(0);
    fixture_advance(MINUTE_MS);
    f.model.outcomes[LEASE_CALL_ISSUE] = LEASE_OUTCOME_DENIED;
    assert_int_equal(look_again(true)->status, 0);
    assert_string_equal(looks[0].password, "MARKER-password-0");
}

static void test_a_replacement_that_is_waited_for_can_be_cancelled(void **state)
{
    (void)state;
    (void)look_at(0);
    fixture_advance(MINUTE_MS);
    f.model.is_held[LEASE_CALL_ISSUE] = true;
    looks[0].loan.is_refused = true;
    (void)start(0);
    fixture_run();
    lease_lend_cancel(&looks[0].loan);
    fixture_run();
    assert_int_equal(looks[0].status, ERR_CANCELED);
    f.model.is_held[LEASE_CALL_ISSUE] = false;
    model_answer(&f.model);
    fixture_run();
}

static void test_one_that_somebody_has_revoked_is_issued_anew(void **state)
{
    (void)state;
    (void)look_at(0);
    lease_end(f.core, lease_core_next_lease(f.core, NULL), GRANT_END_REVOKED, NULL);
    fixture_run();
    assert_int_equal(model_live_count(&f.model), 0);
    assert_int_equal(look_at(0)->status, 0);
    assert_string_equal(looks[0].password, "MARKER-password-1");
}

/* --- given back ------------------------------------------------------------------------------- */

static void test_a_drain_revokes_it_after_what_was_made_with_it(void **state)
{
    (void)state;
    (void)look_at(0);
    fixture_get(fixture_client(50), &f.personal);
    aws.is_held[LEASE_CALL_REVOKE] = true;
    lease_core_drain(f.core, f.fake.now_ms + HOUR_MS, false, fixture_wait());
    fixture_run();
    assert_int_equal(model_live_count(&f.model), 1);
    assert_int_equal(look_at(0)->status, 0); /* to revoke with */
    assert_int_equal(CALLS(ISSUE), 1);
    model_answer(&aws);
    fixture_run();
    assert_int_equal(f.wait_status, 0);
    assert_int_equal(model_live_count(&f.model), 0);
}

static void test_a_drain_can_issue_one_to_revoke_with(void **state)
{
    (void)state;
    fixture_get(fixture_client(50), &f.personal);
    aws.is_held[LEASE_CALL_REVOKE] = true;
    lease_core_drain(f.core, f.fake.now_ms + HOUR_MS, false, fixture_wait());
    fixture_run();
    assert_int_equal(look_at(0)->status, 0);
    assert_int_equal(CALLS(ISSUE), 1);
    model_answer(&aws);
    fixture_run();
    assert_int_equal(f.wait_status, 0);
    assert_int_equal(model_live_count(&f.model), 0);
}

static void test_it_goes_back_with_the_last_backend_that_borrows_it(void **state)
{
    (void)state;
    (void)look_at(0);
    lease_core_remove_role(f.core, STR("db-personal"));
    f.personal.name = NULL;
    fixture_run();
    assert_int_equal(model_live_count(&f.model), 1);
    lease_core_forget_issuer(f.core, &aws.issuer);
    fixture_run();
    assert_int_equal(model_live_count(&f.model), 0);
}

static void test_a_role_that_is_removed_stays_for_who_still_needs_it(void **state)
{
    (void)state;
    (void)look_at(0);
    fixture_get(fixture_client(0), &f.role);
    lease_core_remove_role(f.core, STR("db"));
    f.role.name = NULL;
    fixture_run();
    assert_int_equal(model_live_count(&f.model), 1);
    lease_core_remove_role(f.core, STR("db-personal"));
    f.personal.name = NULL;
    lease_core_forget_issuer(f.core, &aws.issuer);
    fixture_run();
    assert_int_equal(model_live_count(&f.model), 0);
    lease_core_forget_issuer(f.core, &f.model.issuer);
}

/* --- the next daemon -------------------------------------------------------------------------- */

static void test_the_next_daemon_goes_on_with_it(void **state)
{
    (void)state;
    (void)look_at(0);
    fixture_get(fixture_client(50), &f.personal);
    ledger_kill();
    fixture_open();
    (void)start(0); /* begins once everything is there */
    ledger_start();
    assert_int_equal(recovery.grant_count, 2);
    assert_int_equal(looks[0].status, 0);
    assert_string_equal(looks[0].password, "MARKER-password-0");
    assert_int_equal(CALLS(ISSUE), 1);
}

static void test_a_restart_leaves_it_where_its_role_says_so_and_revokes_it_last_elsewhere(
    void **state)
{
    (void)state;
    f.personal.is_kept_on_stop = true;
    (void)look_at(0);
    fixture_get(fixture_client(50), &f.personal);
    ledger_stop();
    assert_int_equal(model_live_count(&f.model), 0);
    assert_int_equal(model_live_count(&aws), 1);
    f.role.is_kept_on_stop = true;
    ledger_start();
    (void)look_at(0);
    ledger_stop();
    assert_int_equal(model_live_count(&f.model), 1);
    ledger_start();
    assert_int_equal(look_at(0)->status, 0);
    assert_int_equal(CALLS(ISSUE), 2);
}

static void test_the_next_daemon_gives_back_what_it_does_not_borrow(void **state)
{
    (void)state;
    (void)look_at(0);
    ledger_kill();
    aws.issuer.borrows = NULL;
    ledger_start();
    assert_int_equal(model_live_count(&f.model), 0);
    assert_int_equal(fixture_records("grant.ended"), 1);
}

static void test_a_core_that_closes_ends_it(void **state)
{
    (void)state;
    f.model.is_held[LEASE_CALL_ISSUE] = true;
    (void)start(0);
    fixture_run();
    (void)start(1);
    ledger_kill();
    assert_int_equal(looks[0].call_count, 1);
    assert_int_equal(looks[1].call_count, 1);
    assert_int_equal(looks[0].status != 0 && looks[1].status != 0, 1);
    f.model.is_held[LEASE_CALL_ISSUE] = false;
    ledger_start();
}

#define lend_test(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        lend_test(test_every_look_is_at_the_same_credential_on_record_as_the_daemons_own),
        lend_test(test_two_looks_at_once_are_one_issue),
        lend_test(test_it_is_renewed_while_nobody_looks),
        lend_test(test_what_the_source_says_is_what_its_borrower_hears),
        lend_test(test_a_role_that_is_not_there_is_said_to_be_missing),
        lend_test(test_one_that_is_cancelled_ends_once),
        lend_test(test_no_policy_ends_it),
        lend_test(test_one_that_is_refused_is_replaced_unless_it_is_new),
        lend_test(test_one_that_can_not_be_replaced_is_given_again),
        lend_test(test_a_replacement_that_is_waited_for_can_be_cancelled),
        lend_test(test_one_that_somebody_has_revoked_is_issued_anew),
        lend_test(test_a_drain_revokes_it_after_what_was_made_with_it),
        lend_test(test_a_drain_can_issue_one_to_revoke_with),
        lend_test(test_it_goes_back_with_the_last_backend_that_borrows_it),
        lend_test(test_a_role_that_is_removed_stays_for_who_still_needs_it),
        lend_test(test_the_next_daemon_goes_on_with_it),
        lend_test(test_a_restart_leaves_it_where_its_role_says_so_and_revokes_it_last_elsewhere),
        lend_test(test_the_next_daemon_gives_back_what_it_does_not_borrow),
        lend_test(test_a_core_that_closes_ends_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
