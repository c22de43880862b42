/* A credential whose answer doesn't get through: its grant ends, it is revoked, and nobody is
 * answered who has gone. */
#include <string.h>

#include "unit/serve/fixture.h"

#define DB API "/credentials/db"

static void ended_undelivered(void)
{
    assert_int_equal(scripted_live_count(&f.issuer), 0);
    assert_int_equal(fixture_records("lease.revoked"), f.issuer.issued_count);
    assert_int_equal(fixture_records("grant.created"), fixture_records("grant.ended"));
}

static void test_a_client_that_goes_while_issuing_leaves_nothing_behind(void **state)
{
    struct call *call;

    (void)state;
    f.issuer.is_held[LEASE_CALL_ISSUE] = true;
    call = fixture_send(ALICE, "GET", DB, NULL);
    fixture_run();
    assert_int_equal(f.issuer.call_counts[LEASE_CALL_ISSUE], 1);
    call_hang_up(call);
    fixture_run();
    scripted_release(&f.issuer);
    fixture_run();
    assert_int_equal(f.issuer.issued_count, 1);
    assert_int_equal(call->status, 0); /* and fake_request.c fails the test on an answer now */
    ended_undelivered();
    assert_int_equal(fixture_records("grant.created"), 0);
}

static void test_a_client_that_goes_before_the_call_is_sent_causes_none(void **state)
{
    struct call *call;

    (void)state;
    call = fixture_send(ALICE, "GET", DB, NULL);
    call_hang_up(call);
    fixture_run();
    assert_int_equal(f.issuer.call_counts[LEASE_CALL_ISSUE], 0);
    assert_int_equal(call->status, 0);
}

static void test_a_client_that_goes_while_the_record_is_written_leaves_nothing(void **state)
{
    struct call *call;

    (void)state;
    fixture_open();
    f.trail->is_held = true;
    call = fixture_send(ALICE, "GET", DB, NULL);
    fixture_run();
    call_hang_up(call);
    f.trail->is_held = false;
    fixture_run();
    assert_int_equal(call->status, 0);
    ended_undelivered();
}

static void test_an_answer_that_was_not_delivered_ends_the_grant(void **state)
{
    struct call *call;

    (void)state;
    call = fixture_send(ALICE, "GET", DB, NULL);
    fixture_run();
    assert_int_equal(call->status, 200);
    assert_int_equal(scripted_live_count(&f.issuer), 1);
    call_hang_up(call);
    fixture_run();
    ended_undelivered();
    call = fixture_get(ALICE, fixture_path(API "/grants/%s", call_text(call, "grant")));
    assert_string_equal(call_text(call, "ended_by"), "undelivered");
}

static void test_a_new_grant_that_was_not_delivered_ends_and_the_old_one_stays(void **state)
{
    struct call *kept;
    struct call *lost;

    (void)state;
    kept = fixture_get(ALICE, DB);
    lost = fixture_send(ALICE, "POST", API "/leases", "{\"role\":\"db\"}");
    fixture_run();
    assert_int_equal(lost->status, 201);
    call_hang_up(lost);
    fixture_run();
    assert_int_equal(scripted_live_count(&f.issuer), 1);
    assert_false(f.issuer.is_revoked[0]);
    assert_int_equal(fixture_get(ALICE, DB)->status, 200);
    assert_int_equal(
        fixture_get(ALICE, fixture_path(API "/leases/%s", call_text(kept, "lease")))->status, 200);
}

static void test_of_two_that_wait_for_one_grant_one_may_go(void **state)
{
    struct call *gone;
    struct call *stays;

    (void)state;
    f.issuer.is_held[LEASE_CALL_ISSUE] = true;
    gone = fixture_send(ALICE, "GET", DB, NULL);
    stays = fixture_send(ALICE, "GET", DB, NULL);
    fixture_run();
    call_hang_up(gone);
    scripted_release(&f.issuer);
    fixture_run();
    assert_int_equal(gone->status, 0);
    assert_int_equal(stays->status, 200);
    call_deliver(stays);
    fixture_run();
    assert_int_equal(scripted_live_count(&f.issuer), 1);
    assert_int_equal(f.issuer.call_counts[LEASE_CALL_ISSUE], 1);
}

static void test_a_grant_that_was_delivered_once_survives_a_lost_answer(void **state)
{
    struct call *call;

    (void)state;
    (void)fixture_get(ALICE, DB);
    /* Too little is left for this wish, so that the answer waits for a renewal. */
    fixture_advance(29 * MINUTE_MS);
    (void)fixture_call(ALICE, "POST",
                       fixture_path(API "/leases/%s/rotate",
                                    call_text(LIST_ENTRY(f.calls.next, struct call, node),
                                              "lease")),
                       NULL);
    call = fixture_send(ALICE, "GET", DB, NULL);
    fixture_run();
    assert_int_equal(call->status, 200);
    call_hang_up(call);
    fixture_run();
    call = fixture_get(ALICE, fixture_path(API "/grants/%s", call_text(call, "grant")));
    assert_string_equal(call_text(call, "state"), "held");
    assert_int_equal(scripted_live_count(&f.issuer), 2);
}

static void test_a_client_may_go_after_its_grant_has_ended(void **state)
{
    struct call *call;

    (void)state;
    call = fixture_send(ALICE, "GET", DB, NULL);
    fixture_run();
    assert_int_equal(call->status, 200);
    fake_env_end_process(&f.fake, f.connections[ALICE].peer.pid);
    fixture_run();
    assert_int_equal(scripted_live_count(&f.issuer), 0);
    call_hang_up(call);
    fixture_run();
    ended_undelivered();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        fixture_test(test_a_client_that_goes_while_issuing_leaves_nothing_behind),
        fixture_test(test_a_client_that_goes_before_the_call_is_sent_causes_none),
        fixture_test(test_a_client_that_goes_while_the_record_is_written_leaves_nothing),
        fixture_test(test_an_answer_that_was_not_delivered_ends_the_grant),
        fixture_test(test_a_new_grant_that_was_not_delivered_ends_and_the_old_one_stays),
        fixture_test(test_of_two_that_wait_for_one_grant_one_may_go),
        fixture_test(test_a_grant_that_was_delivered_once_survives_a_lost_answer),
        fixture_test(test_a_client_may_go_after_its_grant_has_ended),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
