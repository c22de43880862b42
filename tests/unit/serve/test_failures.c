/* What a client is told when it gets no credential although it may have it. */
#include <errno.h>
#include <string.h>

#include "unit/serve/fixture.h"

#define DB API "/credentials/db"

static struct call *fails_with(enum lease_outcome outcome, uint32_t status, const char *code)
{
    struct call *call;

    f.issuer.outcomes[LEASE_CALL_ISSUE] = outcome;
    call = fixture_send(ALICE, "GET", DB, NULL);
    fixture_run();
    fixture_advance(30 * SECOND_MS); /* the core may try again before it gives up */
    fixture_expect(call, status, code);
    assert_string_not_equal(call_text(call, "detail"), "");
    return call;
}

static void test_an_issuer_that_cannot_serve_is_temporary(void **state)
{
    struct call *call;

    (void)state;
    call = fails_with(LEASE_OUTCOME_SEALED, 503, "issuer_unavailable");
    assert_non_null(call_header(call, "Retry-After"));
    call = fails_with(LEASE_OUTCOME_RETRY, 503, "issuer_unavailable");
    assert_non_null(call_header(call, "Retry-After"));
}

static void test_retry_after_says_what_the_issuer_said(void **state)
{
    struct call *call;

    (void)state;
    f.issuer.retry_after_ms = 90500;
    call = fails_with(LEASE_OUTCOME_RETRY, 503, "issuer_unavailable");
    assert_string_equal(call_header(call, "Retry-After"), "91"); /* rounded up, never down */
}

static void test_an_issuer_that_refuses_leased_is_a_bad_gateway(void **state)
{
    struct call *call;

    (void)state;
    call = fails_with(LEASE_OUTCOME_DENIED, 502, "issuer_unavailable");
    assert_string_equal(call_header(call, "Retry-After"), "1"); /* it isn't asked before */
    assert_string_not_equal(call_text(call, "hint"), "");
}

static void test_a_wrong_role_is_our_own_fault(void **state)
{
    struct call *call;

    (void)state;
    call = fails_with(LEASE_OUTCOME_INVALID, 500, "invalid");
    assert_string_equal(call_header(call, "Retry-After"), "1");
}

static void test_a_lost_answer_is_temporary_and_not_asked_for_twice(void **state)
{
    (void)state;
    (void)fails_with(LEASE_OUTCOME_LOST, 503, "issuer_unavailable");
    assert_int_equal(f.issuer.call_counts[LEASE_CALL_ISSUE], 1);
}

static void test_after_a_failure_the_next_try_works(void **state)
{
    (void)state;
    (void)fails_with(LEASE_OUTCOME_DENIED, 502, "issuer_unavailable");
    f.issuer.outcomes[LEASE_CALL_ISSUE] = LEASE_OUTCOME_OK;
    assert_int_equal(fixture_get(ALICE, DB)->status, 200);
}

static void test_access_that_is_taken_away_meanwhile_is_a_denial(void **state)
{
    struct call *call;

    (void)state;
    fixture_open();
    f.issuer.is_held[LEASE_CALL_ISSUE] = true;
    call = fixture_send(ALICE, "GET", DB, NULL);
    fixture_run();
    assert_int_equal(call->status, 0);
    lease_core_remove_role(f.core, STR("db"));
    fixture_run();
    fixture_expect(call, 403, "denied");
}

static void test_an_issuer_that_says_nothing_is_unavailable_in_time(void **state)
{
    struct call *call;

    (void)state;
    fixture_open();
    f.issuer.is_held[LEASE_CALL_ISSUE] = true;
    call = fixture_send(ALICE, "GET", DB, NULL);
    fixture_advance(29000);
    assert_int_equal(call->status, 0);
    fixture_advance(1000);
    fixture_expect(call, 503, "issuer_unavailable");
    assert_string_equal(call_header(call, "Retry-After"), "5");
}

static void test_a_used_up_budget_says_when_to_come_again(void **state)
{
    struct call *call;

    (void)state;
    f.roles[0].issue_rate = (struct units_rate){.count = 1, .per_ms = HOUR_MS};
    assert_int_equal(fixture_get(ALICE, DB)->status, 200);
    call = fixture_get(BOB, DB);
    fixture_expect(call, 429, "limit_exceeded");
    assert_non_null(call_header(call, "Retry-After"));
    assert_non_null(strstr(call_text(call, "detail"), "budget"));
    assert_int_equal(fixture_records("grant.denied"), 0);
    assert_non_null(strstr(call_text(call, "hint"), "with time"));
}

static void test_the_callers_own_rate_is_told_from_a_budget(void **state)
{
    static const char body[] = "{\"role\":\"db\"}";
    struct call *call;

    (void)state;
    f.grants_per_uid = (struct units_rate){.count = 1, .per_ms = HOUR_MS};
    assert_int_equal(fixture_call(BOB, "POST", API "/leases", body)->status, 201);
    assert_int_equal(fixture_call(BOB, "POST", API "/leases", body)->status, 201);
    call = fixture_call(BOB, "POST", API "/leases", body);
    fixture_expect(call, 429, "limit_exceeded");
    assert_non_null(strstr(call_text(call, "detail"), "limits.grants_per_uid"));
    assert_null(strstr(call_text(call, "hint"), "budget"));
}

static void test_only_a_missing_login_is_said_to_be_tried_again(void **state)
{
    struct idle_backend *backend = fixture_add_backend("vault-prod");
    struct call *call;

    (void)state;
    call = fails_with(LEASE_OUTCOME_SEALED, 503, "issuer_unavailable");
    assert_non_null(strstr(call_text(call, "hint"), "keeps trying to log in"));
    idle_backend_login(backend, UINT64_MAX);
    call = fails_with(LEASE_OUTCOME_SEALED, 503, "issuer_unavailable");
    assert_string_equal(call_text(call, "hint"), "try again later");
}

static void test_a_binding_to_what_is_no_ancestor_is_unavailable(void **state)
{
    struct call *call;

    (void)state;
    call = fixture_get(ALICE, DB "?binding=process,pid:4002"); /* bob's */
    fixture_expect(call, 409, "binding_unavailable");
    /* As `sudo -u alice lease get` is: nothing above it is alice's. */
    (void)fake_env_add_process(&f.fake, 1, 1, 0, 0);
    call = fixture_get(ALICE, DB "?binding=parent");
    fixture_expect(call, 409, "binding_unavailable");
    assert_int_equal(f.issuer.call_counts[LEASE_CALL_ISSUE], 0);
}

static void test_a_failing_trail_stops_every_hand_out(void **state)
{
    struct call *call;

    (void)state;
    assert_int_equal(fixture_get(ALICE, DB)->status, 200);
    f.trail->fail_status = -ENOSPC;
    call = fixture_send(BOB, "GET", DB, NULL);
    fixture_advance(3 * SECOND_MS);
    fixture_expect(call, 503, "degraded");
    assert_non_null(call_header(call, "Retry-After"));
    call = fixture_get(ALICE, DB); /* a re-read */
    fixture_expect(call, 503, "degraded");
    call = fixture_call(ALICE, "POST", API "/leases", "{\"role\":\"db\"}");
    fixture_expect(call, 503, "degraded");
    f.trail->fail_status = 0;
    fixture_advance(10 * SECOND_MS);
    assert_int_equal(fixture_get(ALICE, DB)->status, 200);
    assert_int_equal(fixture_get(BOB, DB)->status, 200);
}

static void test_a_trail_that_hangs_stops_them_too(void **state)
{
    struct call *call;

    (void)state;
    fixture_open();
    f.trail->is_held = true;
    call = fixture_send(ALICE, "GET", DB, NULL);
    fixture_advance(AUDIT_CONFIRM_DEFAULT_MS + SECOND_MS);
    fixture_expect(call, 503, "degraded");
    f.trail->is_held = false;
    fixture_advance(10 * SECOND_MS);
    assert_int_equal(scripted_live_count(&f.issuer), 0);
    assert_int_equal(fixture_get(ALICE, DB)->status, 200);
}

static void drained(struct lease_wait *wait, int status)
{
    (void)wait;
    (void)status;
}

static void test_a_stopping_daemon_hands_nothing_out(void **state)
{
    struct lease_wait wait = {.fn = drained};
    struct call *waiting;
    struct call *call;

    (void)state;
    assert_int_equal(fixture_get(ALICE, DB)->status, 200);
    f.issuer.is_held[LEASE_CALL_ISSUE] = true;
    waiting = fixture_send(BOB, "GET", DB, NULL);
    fixture_run();
    serve_set_ready(f.serve, false);
    lease_core_drain(f.core, f.fake.now_ms + HOUR_MS, false, &wait);
    call = fixture_get(ALICE, DB);
    fixture_expect(call, 503, "degraded");
    fixture_run();
    fixture_expect(waiting, 503, "degraded");
    assert_non_null(strstr(call_text(waiting, "hint"), "stopping"));
    scripted_release(&f.issuer);
    fixture_run();
}

static void test_bad_bodies_are_named(void **state)
{
    static const char *const bodies[] = {"", "[]", "{\"role\":\"db\",\"duration\":\"soon\"}",
                                         "{\"role\":\"db\",\"nosuch\":1}"};
    size_t i;

    (void)state;
    for (i = 0; i < ARRAY_LEN(bodies); i++) {
        struct call *call = fixture_call(ALICE, "POST", API "/leases", bodies[i]);

        fixture_expect(call, 400, "invalid");
        assert_string_not_equal(call_text(call, "detail"), "");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        fixture_test(test_an_issuer_that_cannot_serve_is_temporary),
        fixture_test(test_retry_after_says_what_the_issuer_said),
        fixture_test(test_an_issuer_that_refuses_leased_is_a_bad_gateway),
        fixture_test(test_a_wrong_role_is_our_own_fault),
        fixture_test(test_a_lost_answer_is_temporary_and_not_asked_for_twice),
        fixture_test(test_after_a_failure_the_next_try_works),
        fixture_test(test_access_that_is_taken_away_meanwhile_is_a_denial),
        fixture_test(test_an_issuer_that_says_nothing_is_unavailable_in_time),
        fixture_test(test_a_used_up_budget_says_when_to_come_again),
        fixture_test(test_the_callers_own_rate_is_told_from_a_budget),
        fixture_test(test_only_a_missing_login_is_said_to_be_tried_again),
        fixture_test(test_a_binding_to_what_is_no_ancestor_is_unavailable),
        fixture_test(test_a_failing_trail_stops_every_hand_out),
        fixture_test(test_a_trail_that_hangs_stops_them_too),
        fixture_test(test_a_stopping_daemon_hands_nothing_out),
        fixture_test(test_bad_bodies_are_named),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
