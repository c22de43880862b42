/* What an issue may leave behind: on record before the issuer is asked, revoked when its answer is
 * lost. */
#include "unit/lease/ledger_fixture.h"

#include <string.h>

#define CALLS(kind) f.model.call_counts[LEASE_CALL_##kind]

static void test_an_issuer_is_asked_when_that_is_on_record(void **state)
{
    struct client *client = fixture_client(0);

    (void)state;
    f.model.uses_intents = true;
    ledger.is_held = true;
    fixture_ask(client, &f.role);
    fixture_run();
    assert_int_equal(f.model.lease_count, 0);
    fake_ledger_run(&ledger);
    fixture_run();
    assert_int_equal(f.model.lease_count, 1);
    assert_int_equal(ledger.record_count, 1);
    fake_ledger_run(&ledger);
    fixture_run();
    fake_ledger_run(&ledger);
    fixture_run();
    assert_int_equal(client->status, 0);
}

static void test_without_a_record_it_is_not_asked(void **state)
{
    (void)state;
    f.model.uses_intents = true;
    fixture_open();
    ledger.put_status = ERR_LIMIT;
    fixture_get(fixture_client(0), &f.role);
    assert_int_equal(f.model.lease_count, 0);
    assert_int_not_equal(f.clients[0].status, 0);
}

static void test_what_a_lost_answer_made_is_revoked(void **state)
{
    struct lease_core_stats stats;

    (void)state;
    f.model.uses_intents = true;
    f.model.outcomes[LEASE_CALL_ISSUE] = LEASE_OUTCOME_LOST;
    f.model.outcomes[LEASE_CALL_REVOKE] = LEASE_OUTCOME_RETRY;
    fixture_get(fixture_client(0), &f.role);
    assert_int_equal(f.clients[0].status, ERR_UNAVAILABLE);
    assert_int_equal(model_live_count(&f.model), 1);
    lease_core_stats(f.core, &stats);
    assert_int_equal(stats.revoke_pending, 1);
    assert_int_equal(ledger.record_count, 1); /* under its new name alone */
    f.model.outcomes[LEASE_CALL_REVOKE] = LEASE_OUTCOME_OK;
    fixture_advance(10 * MINUTE_MS);
    assert_int_equal(model_live_count(&f.model), 0);
    assert_int_equal(ledger.record_count, 0);
    assert_int_equal(fixture_records("lease.failed"), 1);
    assert_int_equal(fixture_trail_has("\"outcome\":\"lost\""), 1);
}

static void test_what_a_killed_daemon_never_heard_of_is_revoked(void **state)
{
    (void)state;
    f.model.uses_intents = true;
    f.model.is_held[LEASE_CALL_ISSUE] = true;
    fixture_ask(fixture_client(0), &f.role);
    fixture_run();
    assert_int_equal(model_live_count(&f.model), 1);
    ledger_kill();
    f.model.is_held[LEASE_CALL_ISSUE] = false;
    ledger_start();
    assert_int_equal(recovery.revoked_count, 1);
    assert_int_equal(model_live_count(&f.model), 0);
    assert_int_equal(ledger.record_count, 0);
}

static void test_a_refusal_leaves_nothing_to_revoke(void **state)
{
    (void)state;
    f.model.uses_intents = true;
    f.model.outcomes[LEASE_CALL_ISSUE] = LEASE_OUTCOME_DENIED;
    fixture_get(fixture_client(0), &f.role);
    assert_int_equal(f.clients[0].status, ERR_DENIED);
    assert_int_equal(CALLS(REVOKE), 0);
    assert_int_equal(ledger.record_count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ledger_test(test_an_issuer_is_asked_when_that_is_on_record),
        ledger_test(test_without_a_record_it_is_not_asked),
        ledger_test(test_what_a_lost_answer_made_is_revoked),
        ledger_test(test_what_a_killed_daemon_never_heard_of_is_revoked),
        ledger_test(test_a_refusal_leaves_nothing_to_revoke),
    };

    return cmocka_run_group_tests_name("intent", tests, NULL, NULL);
}
