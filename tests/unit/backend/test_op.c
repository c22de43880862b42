/* Operations end exactly once, whatever the plugin does. */
#include "script_plugin.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

static struct backend_status status_of(const struct script *script)
{
    struct backend_status status;

    backend_status(script->backend, &status);
    return status;
}

static void test_an_issue_reaches_the_plugin_filled_in_and_ends_once(void **state)
{
    struct script script;
    struct script_call call;

    (void)state;
    script_open(&script, NULL);
    script_call(&script, &call, LEASE_CALL_ISSUE, "{\"path\":\"a/${identity.user}\"}");
    assert_int_equal(script.seen_count, 0); /* never from inside start */
    fake_env_run(&script.fake);
    assert_string_equal(script_op(&script, 0)->params, "{\"path\":\"a/joe\"}");
    assert_string_equal(script_op(&script, 0)->callers,
                        "user=joe,uid=1000,unit=orders.service,role=orders,reason=OPS-1,");
    assert_int_equal(script_op(&script, 0)->ttl_ms, 60000);
    assert_int_equal(status_of(&script).in_flight, 1);
    script_answer_issue(&script, 0);
    assert_int_equal(call.end_count, 1);
    assert_int_equal(call.outcome, LEASE_OUTCOME_OK);
    assert_int_equal(call.result.lifetime_ms, 3600000);
    assert_int_equal(call.result.answered_ms, 1000);
    assert_true(call.result.is_renewable && call.result.is_revocable && !call.result.is_capped);
    assert_int_equal(call.result.anchor, 3);
    assert_string_equal(call.ref, "ref");
    assert_string_equal(call.first_name, "password");
    assert_string_equal(call.first_value, "hunter2");
    assert_true(call.first_is_secret);
    assert_int_equal(status_of(&script).in_flight, 0);
    script_close(&script);
    script_fini(&script);
}

static void test_a_second_op_done_is_ignored_and_counted(void **state)
{
    struct script script;
    struct script_call call;
    struct script_call other;

    (void)state;
    script_open(&script, NULL);
    script_call(&script, &call, LEASE_CALL_ISSUE, "{}");
    fake_env_run(&script.fake);
    script_answer_issue(&script, 0);
    /* The next one takes the same place in the pool or another; the old handle is neither. */
    script_call(&script, &other, LEASE_CALL_RENEW, "{}");
    fake_env_run(&script.fake);
    script_answer_issue(&script, 0);
    assert_int_equal(call.end_count, 1);
    assert_int_equal(other.end_count, 0);
    assert_int_equal(status_of(&script).op_late_total, 1);
    assert_int_equal(script.seen_count, 2); /* a live lease isn't swept */
    script_answer(&script, 1, LEASED_GONE, NULL);
    assert_int_equal(other.outcome, LEASE_OUTCOME_GONE);
    script_close(&script);
    script_fini(&script);
}

static void test_a_deadline_ends_an_issue_as_lost_and_revokes_what_comes_late(void **state)
{
    struct script script;
    struct script_call call;

    (void)state;
    script_open(&script, &(struct backend_options){.limits = {.timeout_ms = 1000}});
    script_call(&script, &call, LEASE_CALL_ISSUE, "{}");
    fake_env_run(&script.fake);
    fake_env_advance(&script.fake, 2999);
    assert_int_equal(call.end_count, 0);
    fake_env_advance(&script.fake, 1);
    assert_int_equal(call.end_count, 1);
    assert_int_equal(call.outcome, LEASE_OUTCOME_LOST);
    assert_int_equal(script.cancel_count, 1);
    assert_int_equal(status_of(&script).op_timeout_total, 1);
    script_answer_issue(&script, 0);
    fake_env_run(&script.fake);
    assert_int_equal(call.end_count, 1);
    assert_int_equal(status_of(&script).op_late_total, 1);
    assert_int_equal(script_op(&script, 1)->what, 'v');
    assert_string_equal(script_op(&script, 1)->ref, "ref");
    script_answer(&script, 1, LEASED_OK, NULL);
    script_answer_issue(&script, 0); /* a third time */
    fake_env_run(&script.fake);
    assert_int_equal(script.seen_count, 2);
    assert_int_equal(status_of(&script).op_late_total, 2);
    script_close(&script);
    script_fini(&script);
}

static void test_a_deadline_ends_a_renewal_and_a_revocation_as_retry(void **state)
{
    static const enum lease_call_kind kinds[] = {LEASE_CALL_RENEW, LEASE_CALL_REVOKE};
    struct script script;

    (void)state;
    script_open(&script, &(struct backend_options){.limits = {.timeout_ms = 1000}});
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        struct script_call call;

        script_call(&script, &call, kinds[i], "{}");
        fake_env_advance(&script.fake, 3000);
        assert_int_equal(call.outcome, LEASE_OUTCOME_RETRY);
        script_answer(&script, i, LEASED_OK, NULL);
        assert_int_equal(call.end_count, 1);
    }
    assert_int_equal(script.seen_count, 2);
    script_close(&script);
    script_fini(&script);
}

static void test_a_plugin_may_end_from_inside_cancel(void **state)
{
    struct script script;
    struct script_call call;

    (void)state;
    script_open(&script, NULL);
    script.answers_on_cancel = true;
    script_call(&script, &call, LEASE_CALL_RENEW, "{}");
    fake_env_run(&script.fake);
    backend_issuer(script.backend)->ops->call_cancel(backend_issuer(script.backend), &call.call);
    assert_int_equal(call.end_count, 0); /* always from the loop */
    fake_env_run(&script.fake);
    assert_int_equal(call.outcome, LEASE_OUTCOME_CANCELED);
    assert_int_equal(call.end_count, 1);
    /* The same at a deadline. */
    script_call(&script, &call, LEASE_CALL_ISSUE, "{}");
    fake_env_advance(&script.fake, 30000);
    assert_int_equal(call.outcome, LEASE_OUTCOME_CANCELED);
    assert_int_equal(call.end_count, 1);
    script_close(&script);
    script_fini(&script);
}

static void test_a_call_canceled_at_once_never_reaches_the_plugin(void **state)
{
    struct script script;
    struct script_call call;

    (void)state;
    script_open(&script, NULL);
    script_call(&script, &call, LEASE_CALL_ISSUE, "{}");
    backend_issuer(script.backend)->ops->call_cancel(backend_issuer(script.backend), &call.call);
    fake_env_run(&script.fake);
    assert_int_equal(call.outcome, LEASE_OUTCOME_CANCELED);
    assert_int_equal(script.seen_count, 0);
    assert_int_equal(script.cancel_count, 0);
    script_close(&script);
    script_fini(&script);
}

static void test_a_start_that_fails_ends_with_its_class(void **state)
{
    struct script script;
    struct script_call call;

    (void)state;
    script_open(&script, NULL);
    script.start_status = -LEASED_SEALED;
    script_call(&script, &call, LEASE_CALL_ISSUE, "{}");
    fake_env_run(&script.fake);
    assert_int_equal(call.outcome, LEASE_OUTCOME_SEALED);
    script.start_status = -77; /* a class of a newer plugin: nothing is known of it */
    script_call(&script, &call, LEASE_CALL_ISSUE, "{}");
    fake_env_run(&script.fake);
    assert_int_equal(call.outcome, LEASE_OUTCOME_LOST);
    script.start_status = 0;
    script_call(&script, &call, LEASE_CALL_ISSUE, "{\"path\":\"${nope}\"}");
    fake_env_run(&script.fake);
    assert_int_equal(call.outcome, LEASE_OUTCOME_INVALID);
    assert_non_null(strstr(call.detail, "nope"));
    assert_int_equal(script.seen_count, 0);
    script_close(&script);
    script_fini(&script);
}

static void test_an_answer_from_inside_start_is_refused_and_what_it_made_revoked(void **state)
{
    struct script script;
    struct script_call call;

    (void)state;
    script_open(&script, NULL);
    script.answers_at_once = true;
    script_call(&script, &call, LEASE_CALL_ISSUE, "{}");
    fake_env_run(&script.fake);
    assert_int_equal(call.end_count, 1);
    assert_int_equal(call.outcome, LEASE_OUTCOME_LOST);
    script.answers_at_once = false;
    assert_int_equal(script_op(&script, 1)->what, 'v');
    assert_string_equal(script_op(&script, 1)->ref, "early");
    script_close(&script);
    script_fini(&script);
}

static void test_the_number_of_calls_is_limited_and_overdue_ones_do_not_count(void **state)
{
    struct script script;
    struct script_call calls[4];
    struct script_call served;
    struct lease_call extra = {0};

    (void)state;
    script_open(&script, &(struct backend_options){.limits = {.timeout_ms = 1000}});
    for (int round = 0; round < 20; round++) {
        for (size_t i = 0; i < 4; i++) {
            script_call(&script, &calls[i], LEASE_CALL_RENEW, "{}");
        }
        extra = calls[0].call;
        assert_int_equal(
            backend_issuer(script.backend)->ops->call_start(backend_issuer(script.backend), &extra),
            ERR_LIMIT);
        fake_env_advance(&script.fake, 3000); /* the plugin never answers any of them */
        for (size_t i = 0; i < 4; i++) {
            assert_int_equal(calls[i].outcome, LEASE_OUTCOME_RETRY);
            assert_int_equal(calls[i].end_count, 1);
        }
        /* One that is served keeps the breaker out of this. */
        script_call(&script, &served, LEASE_CALL_RENEW, "{}");
        fake_env_run(&script.fake);
        script_answer(&script, script.seen_count - 1, LEASED_GONE, NULL);
    }
    assert_int_equal(status_of(&script).op_timeout_total, 80);
    assert_int_equal(status_of(&script).in_flight, 0);
    script_close(&script);
    script_fini(&script);
}

static void test_close_ends_what_is_queued_running_and_overdue(void **state)
{
    struct script script;
    struct script_call running;
    struct script_call queued;
    struct script_call overdue;

    (void)state;
    script_open(&script, &(struct backend_options){.limits = {.timeout_ms = 1000}});
    script_call(&script, &overdue, LEASE_CALL_ISSUE, "{}");
    fake_env_advance(&script.fake, 3000);
    script_call(&script, &running, LEASE_CALL_ISSUE, "{}");
    fake_env_run(&script.fake);
    script_call(&script, &queued, LEASE_CALL_REVOKE, "{}");
    script_close(&script);
    assert_int_equal(running.outcome, LEASE_OUTCOME_CANCELED);
    assert_int_equal(queued.outcome, LEASE_OUTCOME_CANCELED);
    assert_int_equal(running.end_count + queued.end_count + overdue.end_count, 3);
    script_fini(&script);
}

static void test_a_plugin_that_never_closes_is_given_one_deadline(void **state)
{
    struct script script;
    struct script_call call;

    (void)state;
    script_open(&script, &(struct backend_options){.limits = {.timeout_ms = 1000}});
    script_call(&script, &call, LEASE_CALL_ISSUE, "{}");
    fake_env_run(&script.fake);
    script.close_hangs = true;
    script_close(&script);
    assert_int_equal(script.closed_count, 0);
    fake_env_advance(&script.fake, 3000);
    assert_int_equal(script.closed_count, 1);
    assert_int_equal(call.end_count, 1);
    script_fini(&script);
}

static void test_a_slow_call_is_counted(void **state)
{
    struct script script;
    struct script_call call;

    (void)state;
    script_open(&script, NULL);
    script.call_takes_us = 5000;
    script_call(&script, &call, LEASE_CALL_RENEW, "{}");
    fake_env_run(&script.fake);
    assert_int_equal(status_of(&script).slow_call_total, 0);
    script.call_takes_us = 5001;
    script_call(&script, &call, LEASE_CALL_RENEW, "{}");
    fake_env_run(&script.fake);
    assert_int_equal(status_of(&script).slow_call_total, 1);
    script_close(&script);
    script_fini(&script);
}

static void test_a_sealed_issue_is_handed_to_the_plugin_again_where_another_address_serves(
    void **state)
{
    struct script script;
    struct script_call call;

    (void)state;
    script_open(&script, NULL);
    script_call(&script, &call, LEASE_CALL_ISSUE, "{}");
    fake_env_run(&script.fake);
    script_answer(&script, 0, LEASED_SEALED, NULL);
    assert_int_equal(call.end_count, 0);
    fake_env_run(&script.fake);
    assert_int_equal(script.seen_count, 2);
    script_answer_issue(&script, 0); /* the handle is used up */
    assert_int_equal(call.end_count, 0);
    script_answer_issue(&script, 1);
    assert_int_equal(call.end_count, 1);
    assert_int_equal(call.outcome, LEASE_OUTCOME_OK);
    script_close(&script);
    script_fini(&script);
}

static void test_sealed_everywhere_ends(void **state)
{
    struct script script;
    struct script_call call;

    (void)state;
    script_open(&script, NULL);
    script_call(&script, &call, LEASE_CALL_ISSUE, "{}");
    for (size_t i = 0; i < 2; i++) {
        fake_env_run(&script.fake);
        script_answer(&script, i, LEASED_SEALED, NULL);
    }
    assert_int_equal(call.end_count, 1);
    assert_int_equal(call.outcome, LEASE_OUTCOME_SEALED);
    script_close(&script);
    script_fini(&script);
}

static void test_issues_are_timed_by_how_they_ended(void **state)
{
    const struct backend_times *times;
    struct script script;
    struct script_call call;

    (void)state;
    script_open(&script, &(struct backend_options){.limits = {.timeout_ms = 1000}});
    times = status_of(&script).times;
    script_call(&script, &call, LEASE_CALL_ISSUE, "{}");
    fake_env_advance(&script.fake, 30);
    script_answer_issue(&script, 0);
    assert_int_equal(times->issue_ms[LEASE_OUTCOME_OK].sum, 30);
    assert_int_equal(histogram_count(&times->issue_ms[LEASE_OUTCOME_OK]), 1);
    assert_int_equal(times->ttl_ms.sum, 3600000);
    script_call(&script, &call, LEASE_CALL_ISSUE, "{}");
    fake_env_advance(&script.fake, 3000);
    assert_int_equal(call.outcome, LEASE_OUTCOME_LOST);
    script_answer_issue(&script, 1); /* too late to count again */
    assert_int_equal(times->issue_ms[LEASE_OUTCOME_LOST].sum, 3000);
    assert_int_equal(histogram_count(&times->issue_ms[LEASE_OUTCOME_OK]), 1);
    script_call(&script, &call, LEASE_CALL_RENEW, "{}");
    fake_env_run(&script.fake);
    script_answer(&script, script.seen_count - 1, LEASED_DENIED, NULL);
    assert_int_equal(histogram_count(&times->issue_ms[LEASE_OUTCOME_DENIED]), 0);
    script_close(&script);
    script_fini(&script);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_issue_reaches_the_plugin_filled_in_and_ends_once),
        cmocka_unit_test(test_a_second_op_done_is_ignored_and_counted),
        cmocka_unit_test(test_a_deadline_ends_an_issue_as_lost_and_revokes_what_comes_late),
        cmocka_unit_test(test_a_deadline_ends_a_renewal_and_a_revocation_as_retry),
        cmocka_unit_test(test_a_plugin_may_end_from_inside_cancel),
        cmocka_unit_test(test_a_call_canceled_at_once_never_reaches_the_plugin),
        cmocka_unit_test(test_a_start_that_fails_ends_with_its_class),
        cmocka_unit_test(test_an_answer_from_inside_start_is_refused_and_what_it_made_revoked),
        cmocka_unit_test(test_the_number_of_calls_is_limited_and_overdue_ones_do_not_count),
        cmocka_unit_test(test_close_ends_what_is_queued_running_and_overdue),
        cmocka_unit_test(test_a_plugin_that_never_closes_is_given_one_deadline),
        cmocka_unit_test(test_a_slow_call_is_counted),
        cmocka_unit_test(
            test_a_sealed_issue_is_handed_to_the_plugin_again_where_another_address_serves),
        cmocka_unit_test(test_sealed_everywhere_ends),
        cmocka_unit_test(test_issues_are_timed_by_how_they_ended),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
