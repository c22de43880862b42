/* Ending grants and leases: who may end what, and when the answer comes. */
#include <string.h>

#include "unit/serve/fixture.h"

#define DB API "/credentials/db"

static struct call *end(enum who who, const char *format, const char *id)
{
    return fixture_call(who, "DELETE", fixture_path(format, id), NULL);
}

static void test_without_wait_the_answer_comes_at_once(void **state)
{
    struct call *credential;
    struct call *call;

    (void)state;
    credential = fixture_get(ALICE, DB);
    f.issuer.is_held[LEASE_CALL_REVOKE] = true;
    call = end(ALICE, API "/leases/%s", call_text(credential, "lease"));
    assert_int_equal(call->status, 202);
    assert_string_equal(call_text(call, "id"), call_text(credential, "lease"));
    assert_string_equal(call_text(call, "state"), "revoking");
    call = end(ALICE, API "/grants/%s", call_text(credential, "grant"));
    assert_int_equal(call->status, 202);
    assert_string_equal(call_text(call, "state"), "ended");
    assert_string_equal(call_text(call, "ended_by"), "released");
}

static void test_with_wait_it_comes_when_the_issuer_has_confirmed(void **state)
{
    struct call *credential;
    struct call *call;

    (void)state;
    credential = fixture_get(ALICE, DB);
    f.issuer.is_held[LEASE_CALL_REVOKE] = true;
    call = end(ALICE, API "/leases/%s?wait=30", call_text(credential, "lease"));
    assert_int_equal(call->status, 0);
    assert_int_equal(scripted_live_count(&f.issuer), 1);
    scripted_release(&f.issuer);
    fixture_run();
    assert_int_equal(call->status, 200);
    assert_string_equal(call_text(call, "state"), "revoked");
    assert_int_equal(scripted_live_count(&f.issuer), 0);
    call_deliver(call);
}

static void test_when_the_wait_is_over_the_revocation_goes_on(void **state)
{
    struct call *credential;
    struct call *call;

    (void)state;
    credential = fixture_get(ALICE, DB);
    f.issuer.outcomes[LEASE_CALL_REVOKE] = LEASE_OUTCOME_SEALED;
    call = end(ALICE, API "/grants/%s?wait=5", call_text(credential, "grant"));
    fixture_advance(5 * SECOND_MS);
    assert_int_equal(call->status, 202);
    assert_string_equal(call_text(call, "state"), "ended");
    call_deliver(call);
    f.issuer.outcomes[LEASE_CALL_REVOKE] = LEASE_OUTCOME_OK;
    fixture_advance(10 * MINUTE_MS);
    assert_int_equal(scripted_live_count(&f.issuer), 0);
}

static void test_an_owner_may_ask_again_to_wait_for_the_confirmation(void **state)
{
    struct call *credential;
    struct call *call;

    (void)state;
    credential = fixture_get(ALICE, DB);
    f.issuer.is_held[LEASE_CALL_REVOKE] = true;
    (void)end(ALICE, API "/leases/%s", call_text(credential, "lease"));
    call = end(ALICE, API "/leases/%s?wait=30", call_text(credential, "lease"));
    assert_int_equal(call->status, 0);
    scripted_release(&f.issuer);
    fixture_run();
    assert_int_equal(call->status, 200);
    call_deliver(call);
    call = end(ALICE, API "/leases/%s?wait=30", call_text(credential, "lease"));
    assert_int_equal(call->status, 200); /* and again: nothing is left to do */
    call = end(ALICE, API "/grants/%s?wait=30", call_text(credential, "grant"));
    assert_int_equal(call->status, 200);
    assert_int_equal(f.issuer.call_counts[LEASE_CALL_REVOKE], 1);
}

static void test_a_client_that_goes_while_it_waits_is_forgotten(void **state)
{
    struct call *call;

    (void)state;
    call = fixture_get(ALICE, DB);
    f.issuer.is_held[LEASE_CALL_REVOKE] = true;
    call = end(ALICE, API "/leases/%s?wait=30", call_text(call, "lease"));
    call_hang_up(call);
    scripted_release(&f.issuer);
    fixture_advance(MINUTE_MS);
    assert_int_equal(call->status, 0);
    assert_int_equal(scripted_live_count(&f.issuer), 0);
}

static void test_what_cannot_be_revoked_says_so(void **state)
{
    struct call *call;

    (void)state;
    f.issuer.is_revocable = false;
    call = fixture_get(ALICE, DB);
    assert_true(json_is_false(call_member(call, "revocable")));
    call = end(ALICE, API "/leases/%s?wait=5", call_text(call, "lease"));
    fixture_expect(call, 409, "invalid");
    assert_non_null(strstr(call_text(call, "detail"), "can't revoke"));
    assert_int_equal(f.issuer.call_counts[LEASE_CALL_REVOKE], 0);
}

static void test_an_owner_ends_its_grant_and_an_admin_the_lease(void **state)
{
    struct call *alice;
    struct call *bob;
    struct call *call;

    (void)state;
    alice = fixture_get(ALICE, API "/credentials/db-shared");
    bob = fixture_get(BOB, API "/credentials/db-shared");
    call = end(ALICE, API "/leases/%s?wait=5", call_text(alice, "lease"));
    assert_int_equal(call->status, 200);
    assert_string_equal(call_text(call, "state"), "active"); /* bob still holds it */
    assert_int_equal(scripted_live_count(&f.issuer), 1);
    call = end(ADA, API "/leases/%s?wait=5", call_text(alice, "lease"));
    assert_int_equal(call->status, 200);
    assert_string_equal(call_text(call, "state"), "revoked");
    call = fixture_get(BOB, fixture_path(API "/grants/%s", call_text(bob, "grant")));
    assert_string_equal(call_text(call, "state"), "ended");
    assert_string_equal(call_text(call, "ended_by"), "revoked");
}

/* Who lost it still knows the credential. */
static void test_a_grant_of_a_shared_lease_that_an_admin_ends_rotates_it(void **state)
{
    struct call *alice;
    struct call *bob;
    struct call *call;

    (void)state;
    alice = fixture_get(ALICE, API "/credentials/db-shared");
    (void)fixture_get(BOB, API "/credentials/db-shared");
    call = end(ADA, API "/grants/%s", call_text(alice, "grant"));
    assert_int_equal(call->status, 202);
    assert_string_equal(call_text(call, "ended_by"), "revoked");
    assert_int_equal(f.issuer.call_counts[LEASE_CALL_ISSUE], 2);
    bob = fixture_get(BOB, API "/credentials/db-shared");
    assert_string_not_equal(call_text(bob, "lease"), call_text(alice, "lease"));
    fixture_run();
    assert_int_equal(scripted_live_count(&f.issuer), 1);
}

static void test_an_admin_gives_back_its_own(void **state)
{
    struct call *ada;
    struct call *call;

    (void)state;
    ada = fixture_get(ADA, API "/credentials/db-shared");
    (void)fixture_get(BOB, API "/credentials/db-shared");
    call = end(ADA, API "/grants/%s", call_text(ada, "grant"));
    assert_string_equal(call_text(call, "ended_by"), "released");
    assert_int_equal(f.issuer.call_counts[LEASE_CALL_ISSUE], 1);
    ada = fixture_get(ADA, DB);
    (void)end(ADA, API "/leases/%s", call_text(ada, "lease"));
    call = fixture_get(ADA, fixture_path(API "/grants/%s", call_text(ada, "grant")));
    assert_string_equal(call_text(call, "ended_by"), "released");
}

static void test_nobody_ends_what_is_anothers(void **state)
{
    struct call *call;
    const char *lease;
    const char *grant;

    (void)state;
    call = fixture_get(ALICE, DB);
    lease = call_text(call, "lease");
    grant = call_text(call, "grant");
    fixture_expect(end(BOB, API "/leases/%s", lease), 404, "not_found");
    fixture_expect(end(BOB, API "/grants/%s", grant), 404, "not_found");
    fixture_expect(end(RITA, API "/leases/%s", lease), 403, "denied");
    fixture_expect(end(RITA, API "/grants/%s?wait=5", grant), 403, "denied");
    assert_int_equal(scripted_live_count(&f.issuer), 1);
    call = end(ADA, API "/grants/%s?wait=5", grant);
    assert_int_equal(call->status, 200);
    assert_int_equal(scripted_live_count(&f.issuer), 0);
}

static void test_a_former_holder_of_a_shared_lease_cannot_end_it(void **state)
{
    struct call *alice;

    (void)state;
    alice = fixture_get(ALICE, API "/credentials/db-shared");
    (void)fixture_get(BOB, API "/credentials/db-shared");
    (void)end(ALICE, API "/grants/%s", call_text(alice, "grant"));
    fixture_expect(end(ALICE, API "/leases/%s", call_text(alice, "lease")), 404, "not_found");
    assert_int_equal(scripted_live_count(&f.issuer), 1);
}

static void test_an_owners_delete_ends_all_grants_that_it_has_on_the_lease(void **state)
{
    struct call *call;
    const char *lease;

    (void)state;
    lease = call_text(fixture_get(ALICE, API "/credentials/db-own"), "lease");
    call = fixture_get(ALICE_AGAIN, API "/credentials/db-own");
    assert_string_equal(call_text(call, "lease"), lease);
    call = end(ALICE, API "/leases/%s?wait=5", lease);
    assert_int_equal(call->status, 200);
    assert_string_equal(call_text(call, "state"), "revoked");
    assert_int_equal(scripted_live_count(&f.issuer), 0);
}

static void test_a_lease_that_lingers_is_kept_once_and_ended_when_asked_again(void **state)
{
    struct call *call;
    const char *lease;

    (void)state;
    f.roles[0].linger_ms = 10 * MINUTE_MS;
    lease = call_text(fixture_get(ALICE, DB), "lease");
    call = end(ALICE, API "/leases/%s?wait=5", lease);
    assert_int_equal(call->status, 200);
    assert_string_equal(call_text(call, "state"), "active");
    call = fixture_get(ALICE, DB);
    assert_string_equal(call_text(call, "lease"), lease);
    (void)end(ALICE, API "/leases/%s?wait=5", lease);
    call = end(ALICE, API "/leases/%s?wait=5", lease);
    assert_string_equal(call_text(call, "state"), "revoked");
}

static void test_ending_a_grant_ends_the_reads_of_it(void **state)
{
    struct call *before;
    struct call *after;

    (void)state;
    before = fixture_get(ALICE, DB);
    (void)end(ALICE, API "/grants/%s?wait=5", call_text(before, "grant"));
    after = fixture_get(ALICE, DB);
    assert_string_not_equal(call_text(after, "grant"), call_text(before, "grant"));
    assert_string_not_equal(call_text(after, "lease"), call_text(before, "lease"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        fixture_test(test_without_wait_the_answer_comes_at_once),
        fixture_test(test_with_wait_it_comes_when_the_issuer_has_confirmed),
        fixture_test(test_when_the_wait_is_over_the_revocation_goes_on),
        fixture_test(test_an_owner_may_ask_again_to_wait_for_the_confirmation),
        fixture_test(test_a_client_that_goes_while_it_waits_is_forgotten),
        fixture_test(test_what_cannot_be_revoked_says_so),
        fixture_test(test_an_owner_ends_its_grant_and_an_admin_the_lease),
        fixture_test(test_a_grant_of_a_shared_lease_that_an_admin_ends_rotates_it),
        fixture_test(test_an_admin_gives_back_its_own),
        fixture_test(test_nobody_ends_what_is_anothers),
        fixture_test(test_a_former_holder_of_a_shared_lease_cannot_end_it),
        fixture_test(test_an_owners_delete_ends_all_grants_that_it_has_on_the_lease),
        fixture_test(test_a_lease_that_lingers_is_kept_once_and_ended_when_asked_again),
        fixture_test(test_ending_a_grant_ends_the_reads_of_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
