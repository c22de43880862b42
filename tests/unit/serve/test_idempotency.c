/* Idempotency-Key: the same again has no effect again, and never gives what isn't the caller's. */
#include <string.h>

#include "unit/serve/fixture.h"

#define LEASES API "/leases"
#define DB "{\"role\":\"db\"}"
#define BLOCK "{\"match\":{\"subject\":{\"user\":\"mallory\"}},\"block\":3600}"

static struct call *send_keyed(enum who who, const char *target, const char *body, const char *key)
{
    char header[320];
    const char *const headers[] = {header, NULL};
    struct call *call;

    (void)snprintf(header, sizeof(header), "Idempotency-Key: %s", key);
    call = fixture_send_message(
        who,
        (struct message){.method = "POST", .target = target, .body = body, .headers = headers});
    fixture_run();
    return call;
}

static struct call *keyed(enum who who, const char *target, const char *body, const char *key)
{
    struct call *call = send_keyed(who, target, body, key);

    if (call->request != NULL && !call->is_stream) {
        call_deliver(call);
        fixture_run();
    }
    return call;
}

static void test_the_same_key_gives_the_same_grant(void **state)
{
    struct call *first = keyed(ALICE, LEASES, DB, "k1");
    struct call *again = keyed(ALICE, LEASES, DB, "k1");
    struct call *other = keyed(ALICE, LEASES, DB, "k2");

    (void)state;
    assert_int_equal(first->status, 201);
    assert_int_equal(again->status, 201);
    assert_string_equal(again->body, first->body);
    assert_string_equal(call_header(again, "ETag"), call_header(first, "ETag"));
    assert_int_equal(other->status, 201);
    assert_string_not_equal(call_text(other, "grant"), call_text(first, "grant"));
    assert_int_equal(fixture_records("grant.created"), 2);
}

static void test_a_key_is_its_caller_s(void **state)
{
    struct call *one = keyed(ALICE, LEASES, DB, "k1");
    struct call *other = keyed(BOB, LEASES, DB, "k1");

    (void)state;
    assert_int_equal(other->status, 201);
    assert_string_not_equal(call_text(other, "grant"), call_text(one, "grant"));
}

static void test_a_key_with_another_request_is_refused(void **state)
{
    (void)state;
    assert_int_equal(keyed(ALICE, LEASES, DB, "k1")->status, 201);
    fixture_expect(keyed(ALICE, LEASES, "{\"role\":\"db-shared\"}", "k1"), 422, "invalid");
    fixture_expect(keyed(ALICE, API "/policy/explain", DB, "k1"), 422, "invalid");
    fixture_expect(keyed(ALICE, LEASES, DB, "two words"), 400, "invalid");
    assert_int_equal(fixture_records("grant.created"), 1);
}

static void test_a_key_whose_request_is_under_way_is_told_to_come_again(void **state)
{
    struct call *first;
    struct call *second;

    (void)state;
    f.issuer.is_held[LEASE_CALL_ISSUE] = true;
    first = send_keyed(ALICE, LEASES, DB, "k1");
    second = keyed(ALICE, LEASES, DB, "k1");
    fixture_expect(second, 409, "busy");
    assert_string_equal(call_header(second, "Retry-After"), "1");
    scripted_release(&f.issuer);
    fixture_run();
    assert_int_equal(first->status, 201);
    call_deliver(first);
    assert_string_equal(call_text(keyed(ALICE, LEASES, DB, "k1"), "grant"),
                        call_text(first, "grant"));
}

static void test_what_failed_or_never_arrived_is_tried_anew(void **state)
{
    struct call *lost;

    (void)state;
    fixture_expect(keyed(CAROL, LEASES, DB, "k1"), 403, "denied");
    fixture_expect(keyed(CAROL, LEASES, DB, "k1"), 403, "denied");
    assert_int_equal(fixture_records("grant.denied"), 2);
    f.issuer.is_held[LEASE_CALL_ISSUE] = true;
    call_hang_up(send_keyed(ALICE, LEASES, DB, "k1"));
    scripted_release(&f.issuer);
    fixture_run();
    lost = send_keyed(ALICE, LEASES, DB, "k1");
    assert_int_equal(lost->status, 201);
    call_hang_up(lost);
    fixture_run();
    assert_int_equal(keyed(ALICE, LEASES, DB, "k1")->status, 201);
}

static void test_a_grant_that_has_ended_is_not_given_again(void **state)
{
    struct call *call = keyed(ALICE, LEASES, DB, "k1");

    (void)state;
    (void)fixture_call(ALICE, "DELETE", fixture_path(API "/grants/%s", call_text(call, "grant")),
                       NULL);
    fixture_expect(keyed(ALICE, LEASES, DB, "k1"), 409, "invalid");
    assert_int_equal(fixture_records("grant.created"), 1);
}

static void test_who_is_blocked_gets_nothing_by_an_old_key(void **state)
{
    (void)state;
    assert_int_equal(keyed(MALLORY, API "/policy/explain", DB, "k1")->status, 200);
    assert_int_equal(keyed(BOB, LEASES, DB, "k1")->status, 201);
    assert_int_equal(keyed(ADA, API "/blocks",
                           "{\"match\":{\"subject\":{\"user\":\"bob\"}},\"block\":3600}", "k1")
                         ->status,
                     201);
    assert_int_not_equal(keyed(BOB, LEASES, DB, "k1")->status, 201);
}

static void test_what_a_key_has_made_is_made_once_for_ten_minutes(void **state)
{
    struct call *first = keyed(ADA, API "/blocks", BLOCK, "k1");
    struct call *again = keyed(ADA, API "/blocks", BLOCK, "k1");

    (void)state;
    assert_int_equal(first->status, 201);
    assert_int_equal(again->status, 201);
    assert_string_equal(again->body, first->body);
    assert_int_equal(fixture_records("block.created"), 1);
    fixture_advance(10 * MINUTE_MS);
    assert_int_equal(keyed(ADA, API "/blocks", BLOCK, "k1")->status, 201);
    assert_int_equal(fixture_records("block.created"), 2);
}

static void test_a_drill_begins_once(void **state)
{
    struct call *first = keyed(ADA, API "/revoke", "{\"match\":{\"all\":true}}", "k1");
    struct call *again = keyed(ADA, API "/revoke", "{\"match\":{\"all\":true}}", "k1");

    (void)state;
    assert_true(first->is_stream);
    assert_int_equal(again->status, 202);
    assert_string_equal(call_text(again, "event"), "begun");
    assert_non_null(strstr(first->body, call_text(again, "drill")));
    assert_int_equal(fixture_records("revoke.requested"), 1);
}

static void test_nobody_can_use_up_the_keys_of_others(void **state)
{
    char key[16];
    int i;

    (void)state;
    for (i = 0; i < 256; i++) {
        (void)snprintf(key, sizeof(key), "k%d", i);
        assert_int_equal(keyed(ALICE, API "/policy/explain", DB, key)->status, 200);
    }
    fixture_expect(keyed(ALICE, API "/policy/explain", DB, "one-more"), 429, "limit_exceeded");
    assert_int_equal(keyed(BOB, API "/policy/explain", DB, "k1")->status, 200);
    fixture_advance(10 * MINUTE_MS);
    assert_int_equal(keyed(ALICE, API "/policy/explain", DB, "one-more")->status, 200);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        fixture_test(test_the_same_key_gives_the_same_grant),
        fixture_test(test_a_key_is_its_caller_s),
        fixture_test(test_a_key_with_another_request_is_refused),
        fixture_test(test_a_key_whose_request_is_under_way_is_told_to_come_again),
        fixture_test(test_what_failed_or_never_arrived_is_tried_anew),
        fixture_test(test_a_grant_that_has_ended_is_not_given_again),
        fixture_test(test_who_is_blocked_gets_nothing_by_an_old_key),
        fixture_test(test_what_a_key_has_made_is_made_once_for_ten_minutes),
        fixture_test(test_a_drill_begins_once),
        fixture_test(test_nobody_can_use_up_the_keys_of_others),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
