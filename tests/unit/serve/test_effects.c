/* Renewing and rotating: who may, and what the answer says. */
#include <string.h>

#include "unit/serve/fixture.h"

#define DB API "/credentials/db"

static struct call *lease_call(enum who who, const char *verb, const char *id)
{
    char target[128];

    (void)snprintf(target, sizeof(target), API "/leases/%s%s", id, verb);
    return fixture_call(who, "POST", target, NULL);
}

static void test_a_renewal_is_answered_with_the_new_life(void **state)
{
    const char *lease;
    struct call *call;

    (void)state;
    lease = call_text(fixture_get(ALICE, DB), "lease");
    fixture_advance(10 * MINUTE_MS);
    call = lease_call(ALICE, "/renew", lease);
    assert_int_equal(call->status, 200);
    assert_string_equal(call_text(call, "id"), lease);
    assert_int_equal(json_integer_value(call_member(call, "renewals")), 1);
    assert_string_equal(call_text(call, "renewed_at"), "2026-01-01T00:10:00.000Z");
    assert_string_equal(call_text(call, "expires_at"), "2026-01-01T01:09:58.000Z");
    assert_int_equal(f.issuer.call_counts[LEASE_CALL_RENEW], 1);
}

static void test_a_renewal_comes_with_the_issuers_answer(void **state)
{
    const char *lease;
    struct call *call;

    (void)state;
    lease = call_text(fixture_get(ALICE, DB), "lease");
    f.issuer.is_held[LEASE_CALL_RENEW] = true;
    call = lease_call(ALICE, "/renew", lease);
    assert_int_equal(call->status, 0);
    scripted_release(&f.issuer);
    fixture_run();
    assert_int_equal(call->status, 200);
    call_deliver(call);
}

static void test_a_renewal_that_takes_too_long_goes_on_by_itself(void **state)
{
    const char *lease;
    struct call *call;

    (void)state;
    lease = call_text(fixture_get(ALICE, DB), "lease");
    f.issuer.is_held[LEASE_CALL_RENEW] = true;
    call = lease_call(ALICE, "/renew?wait=5", lease);
    fixture_advance(4900);
    assert_int_equal(call->status, 0);
    fixture_advance(100);
    assert_int_equal(call->status, 202);
    assert_string_equal(call_text(call, "state"), "renewing");
    scripted_release(&f.issuer);
    fixture_run();
    call = fixture_get(ALICE, fixture_path(API "/leases/%s", lease));
    assert_int_equal(json_integer_value(call_member(call, "renewals")), 1);
}

static void renewal_fails(enum lease_outcome outcome, uint32_t status, const char *code)
{
    struct call *call = fixture_get(ALICE, DB);

    f.issuer.outcomes[LEASE_CALL_RENEW] = outcome;
    call = lease_call(ALICE, "/renew", call_text(call, "lease"));
    fixture_expect(call, status, code);
    assert_non_null(strstr(call_text(call, "detail"), "the script says so"));
    assert_true((call_header(call, "Retry-After") != NULL) == (status == 503));
    f.issuer.outcomes[LEASE_CALL_RENEW] = LEASE_OUTCOME_OK;
}

static void test_a_renewal_that_fails_says_why(void **state)
{
    (void)state;
    renewal_fails(LEASE_OUTCOME_RETRY, 503, "issuer_unavailable");
    renewal_fails(LEASE_OUTCOME_SEALED, 503, "issuer_unavailable");
    renewal_fails(LEASE_OUTCOME_LOST, 503, "issuer_unavailable");
    renewal_fails(LEASE_OUTCOME_DENIED, 502, "issuer_unavailable");
}

static void test_a_renewal_that_the_issuer_finds_wrong_is_our_own_fault(void **state)
{
    (void)state;
    renewal_fails(LEASE_OUTCOME_INVALID, 500, "invalid");
}

static void test_what_is_gone_or_not_renewable_is_a_conflict(void **state)
{
    struct call *call;

    (void)state;
    renewal_fails(LEASE_OUTCOME_GONE, 409, "invalid");
    f.issuer.is_renewable = false;
    call = fixture_get(BOB, DB);
    call = lease_call(BOB, "/renew", call_text(call, "lease"));
    fixture_expect(call, 409, "invalid");
    assert_non_null(strstr(call_text(call, "detail"), "renew"));
}

static void test_a_second_renewal_meanwhile_is_busy(void **state)
{
    const char *lease;
    struct call *first;
    struct call *second;

    (void)state;
    lease = call_text(fixture_get(ALICE, DB), "lease");
    f.issuer.is_held[LEASE_CALL_RENEW] = true;
    first = lease_call(ALICE, "/renew", lease);
    second = lease_call(ALICE, "/renew", lease);
    fixture_expect(second, 409, "busy");
    scripted_release(&f.issuer);
    fixture_run();
    assert_int_equal(first->status, 200);
    call_deliver(first);
}

static void test_a_rotation_gives_holders_a_successor(void **state)
{
    const char *lease;
    struct call *call;

    (void)state;
    lease = call_text(fixture_get(ALICE, DB), "lease");
    call = lease_call(ALICE, "/rotate", lease);
    assert_int_equal(call->status, 200);
    assert_string_equal(call_text(call, "id"), lease);
    assert_string_equal(call_text(call, "state"), "superseded");
    assert_string_not_equal(call_text(call, "successor"), lease);
    call = fixture_get(ALICE, DB);
    assert_string_not_equal(call_text(call, "lease"), lease);
    assert_string_equal(call_text(call, "credential.password"), SCRIPTED_MARKER "1");
}

static void test_a_rotation_that_fails_leaves_the_lease_as_it_is(void **state)
{
    const char *lease;
    struct call *call;

    (void)state;
    lease = call_text(fixture_get(ALICE, DB), "lease");
    f.issuer.outcomes[LEASE_CALL_ISSUE] = LEASE_OUTCOME_DENIED;
    call = lease_call(ALICE, "/rotate", lease);
    fixture_expect(call, 503, "issuer_unavailable");
    call = fixture_get(ALICE, DB);
    assert_string_equal(call_text(call, "lease"), lease);
    call = fixture_get(ALICE, fixture_path(API "/leases/%s", lease));
    assert_non_null(strstr(call_text(call, "last_error"), "the script says so"));
}

static void test_only_holders_and_admins_that_may_revoke_renew_and_rotate(void **state)
{
    const char *lease;

    (void)state;
    lease = call_text(fixture_get(ALICE, DB), "lease");
    fixture_expect(lease_call(BOB, "/renew", lease), 404, "not_found");
    fixture_expect(lease_call(BOB, "/rotate", lease), 404, "not_found");
    fixture_expect(lease_call(RITA, "/renew", lease), 403, "denied");
    fixture_expect(lease_call(RITA, "/rotate", lease), 403, "denied");
    assert_int_equal(f.issuer.call_counts[LEASE_CALL_RENEW], 0);
    assert_int_equal(f.issuer.call_counts[LEASE_CALL_ISSUE], 1);
    assert_int_equal(lease_call(ADA, "/renew", lease)->status, 200);
    assert_int_equal(lease_call(ADA, "/rotate", lease)->status, 200);
}

static void test_a_client_that_goes_while_it_waits_for_a_renewal_is_forgotten(void **state)
{
    const char *lease;
    struct call *call;

    (void)state;
    lease = call_text(fixture_get(ALICE, DB), "lease");
    f.issuer.is_held[LEASE_CALL_RENEW] = true;
    call = lease_call(ALICE, "/renew", lease);
    call_hang_up(call);
    scripted_release(&f.issuer);
    fixture_advance(MINUTE_MS);
    assert_int_equal(call->status, 0);
    call = fixture_get(ALICE, fixture_path(API "/leases/%s", lease));
    assert_int_equal(json_integer_value(call_member(call, "renewals")), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        fixture_test(test_a_renewal_is_answered_with_the_new_life),
        fixture_test(test_a_renewal_comes_with_the_issuers_answer),
        fixture_test(test_a_renewal_that_takes_too_long_goes_on_by_itself),
        fixture_test(test_a_renewal_that_fails_says_why),
        fixture_test(test_a_renewal_that_the_issuer_finds_wrong_is_our_own_fault),
        fixture_test(test_what_is_gone_or_not_renewable_is_a_conflict),
        fixture_test(test_a_second_renewal_meanwhile_is_busy),
        fixture_test(test_a_rotation_gives_holders_a_successor),
        fixture_test(test_a_rotation_that_fails_leaves_the_lease_as_it_is),
        fixture_test(test_only_holders_and_admins_that_may_revoke_renew_and_rotate),
        fixture_test(test_a_client_that_goes_while_it_waits_for_a_renewal_is_forgotten),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
