/* Who doesn't get a credential, what it is told, and what stands in the trail. */
#include <string.h>

#include "serve/exchange.h"
#include "unit/serve/fixture.h"

#define DB API "/credentials/db"

/* A denial: its answer, exactly one record, and nothing that reached the issuer. */
static struct call *denied(enum who who, const char *target, const char *code)
{
    size_t before = (fixture_open(), fixture_records("grant.denied"));
    size_t issued = f.issuer.call_counts[LEASE_CALL_ISSUE];
    struct call *call = fixture_get(who, target);

    fixture_expect(call, 403, code);
    assert_int_equal(fixture_records("grant.denied"), before + 1);
    assert_int_equal(f.issuer.call_counts[LEASE_CALL_ISSUE], issued);
    return call;
}

static void test_whom_no_rule_allows_is_denied_by_name(void **state)
{
    struct call *call;

    (void)state;
    call = denied(CAROL, DB, "denied");
    assert_non_null(strstr(call_text(call, "detail"), "carol"));
    assert_non_null(strstr(call_text(call, "detail"), "db"));
    assert_null(call_member(call, "rule"));
    assert_string_not_equal(call_text(call, "hint"), "");
    assert_false(call->is_closing);
    assert_int_equal(fixture_trail_has("\"user\":\"carol\""), 1);
    assert_int_equal(fixture_trail_has("\"outcome\":\"denied\""), 1);
    assert_int_equal(fixture_trail_has("\"role\":\"db\""), 1);
    assert_int_equal(fixture_trail_has(call_text(call, "request")), 1);
    assert_int_equal(fixture_trail_has(access_policy_digest(f.policy)), 1);
}

static void test_a_rule_that_denies_wins_and_is_named(void **state)
{
    struct call *call;

    (void)state;
    call = denied(MALLORY, API "/credentials/db-shared", "denied");
    assert_string_equal(call_text(call, "rule"), "no-mallory");
    assert_int_equal(fixture_trail_has("\"rule\":\"no-mallory\""), 1);
}

static void test_too_long_a_duration_names_the_maximum(void **state)
{
    struct call *call;

    (void)state;
    call = denied(ALICE, DB "?duration=3h", "limit_exceeded");
    assert_non_null(strstr(call_text(call, "detail"), "2h"));
    assert_string_equal(call_text(call, "rule"), "alice-db");
    assert_string_equal(call_text(call, "limit"), "duration");
    assert_non_null(strstr(call_text(call, "hint"), "ask for less"));
    assert_int_equal(fixture_get(ALICE, DB "?duration=2h")->status, 200);
}

static void test_a_binding_that_may_live_longer_is_over_the_limit(void **state)
{
    struct call *call;

    (void)state;
    f.roles[0].binding = ACCESS_BINDING_CONNECTION;
    call = denied(BOB, DB "?binding=process", "limit_exceeded");
    assert_non_null(strstr(call_text(call, "detail"), "connection"));
    assert_string_equal(call_text(call, "limit"), "binding");
    assert_non_null(strstr(call_text(call, "hint"), "the role's own binding"));
    assert_int_equal(fixture_get(ALICE, DB "?binding=none")->status, 200);
}

static void test_more_grants_than_the_rule_allows_are_over_the_limit(void **state)
{
    struct call *call;
    int i;

    (void)state;
    for (i = 0; i < 3; i++) {
        call = fixture_call(ALICE, "POST", API "/leases", "{\"role\":\"db\"}");
        assert_int_equal(call->status, 201);
    }
    call = fixture_call(ALICE, "POST", API "/leases", "{\"role\":\"db\"}");
    fixture_expect(call, 403, "limit_exceeded");
    assert_non_null(strstr(call_text(call, "detail"), "3"));
    assert_string_equal(call_text(call, "limit"), "live");
    assert_non_null(strstr(call_text(call, "hint"), "end grants"));
    assert_int_equal(fixture_records("grant.denied"), 1);
    /* Who holds one already gets it again. */
    assert_int_equal(fixture_get(ALICE, DB)->status, 200);
    (void)denied(ALICE_AGAIN, DB, "limit_exceeded");
}

static void test_a_required_reason_is_asked_for(void **state)
{
    struct call *call;

    (void)state;
    call = denied(ALICE, API "/credentials/db-reason", "reason_required");
    assert_string_equal(call_text(call, "rule"), "with-reason");
    assert_non_null(strstr(call_text(call, "hint"), "reason="));
    (void)denied(ALICE, API "/credentials/db-reason?reason=because", "reason_required");
    assert_int_equal(fixture_trail_has("\"reason\":\"because\""), 1);
    call = fixture_get(ALICE, API "/credentials/db-reason?reason=OPS-77");
    assert_int_equal(call->status, 200);
}

static void test_an_unknown_role_is_said_to_be_unknown(void **state)
{
    struct call *call;

    (void)state;
    call = fixture_get(ALICE, API "/credentials/bd");
    fixture_expect(call, 404, "unknown_role");
    assert_non_null(strstr(call_text(call, "detail"), "\"bd\""));
    call = fixture_call(ALICE, "POST", API "/leases", "{\"role\":\"bd\"}");
    fixture_expect(call, 404, "unknown_role");
    call = fixture_call(ALICE, "POST", API "/leases", "{\"reason\":\"x\"}");
    fixture_expect(call, 400, "invalid");
    assert_int_equal(fixture_records("grant.denied"), 0);
}

static void test_a_name_that_is_no_text_stays_within_its_string(void **state)
{
    struct call *call;

    (void)state;
    call =
        fixture_get(ALICE, API "/credentials/a\"},\"x\":{\"\\\xff\x01"
                               "0123456789012345678901234567890123456789012345678901234567890123");
    fixture_expect(call, 404, "unknown_role");
    assert_null(call_member(call, "x"));
}

/* --- how many --- */

static void test_who_is_denied_again_and_again_does_not_fill_the_trail(void **state)
{
    size_t i;

    (void)state;
    for (i = 0; i < 1000; i++) {
        fixture_expect(fixture_get(CAROL, DB), 403, "denied");
    }
    assert_int_equal(fixture_records("grant.denied"), 10);
    fixture_advance(10000);
    assert_int_equal(fixture_records("grant.denied"), 11);
    assert_int_equal(fixture_trail_has("\"count\":990"), 1);
    assert_int_equal(fixture_trail_has("\"user\":\"carol\""), 11);
    (void)fixture_get(CAROL, DB);
    assert_int_equal(fixture_records("grant.denied"), 12);
}

static void test_one_who_is_denied_often_hides_no_other(void **state)
{
    size_t i;

    (void)state;
    for (i = 0; i < 100; i++) {
        (void)fixture_get(CAROL, DB);
    }
    (void)denied(MALLORY, API "/credentials/db-shared", "denied");
}

static void test_a_denial_a_second_is_on_record_one_by_one(void **state)
{
    size_t i;

    (void)state;
    for (i = 0; i < 100; i++) {
        (void)denied(CAROL, DB, "denied");
        fixture_advance(1000);
    }
    assert_int_equal(fixture_trail_has("\"count\""), 0);
}

static void test_counts_are_on_record_at_the_end_too(void **state)
{
    size_t i;

    (void)state;
    for (i = 0; i < 30; i++) {
        (void)fixture_get(CAROL, DB);
    }
    denied_fini(&f.serve->denied);
    fixture_run();
    assert_int_equal(fixture_trail_has("\"count\":20"), 1);
    denied_init(&f.serve->denied, &f.fake.env, f.audit, 1);
}

/* --- who can't be identified --- */

static void not_identified(enum who who, const char *says)
{
    struct call *call = denied(who, DB, "denied");

    assert_true(call->is_closing);
    assert_non_null(strstr(call_text(call, "detail"), says));
    assert_int_equal(f.issuer.call_counts[LEASE_CALL_ISSUE], 0);
}

static void test_who_cannot_be_identified_is_denied_on_record(void **state)
{
    (void)state;
    f.connections[ALICE].peer.state = ENV_PEER_UNKNOWN;
    f.connections[ALICE].peer.problem = "no such luck";
    not_identified(ALICE, "no such luck");
    f.connections[BOB].peer.uid = 65534;
    not_identified(BOB, "user namespace");
    f.connections[CAROL].peer.pid = 0;
    not_identified(CAROL, "pid namespace");
    f.connections[ADA].peer.state = ENV_PEER_GONE;
    not_identified(ADA, "could not be identified");
    assert_int_equal(fixture_records("grant.denied"), 4);
}

static void test_who_cannot_be_identified_sees_nothing_either(void **state)
{
    struct call *call;

    (void)state;
    f.connections[ADA].peer.state = ENV_PEER_CHANGED;
    call = fixture_get(ADA, API "/status");
    fixture_expect(call, 403, "denied");
    assert_true(call->is_closing);
    call = fixture_get(ADA, API "/leases");
    fixture_expect(call, 403, "denied");
    assert_int_equal(fixture_get(ADA, "/livez")->status, 200);
}

static void test_a_container_is_not_the_user_of_its_uid(void **state)
{
    struct call *call;

    (void)state;
    f.connections[ALICE].peer.is_other_pid_namespace = true;
    call = denied(ALICE, DB, "denied");
    assert_non_null(strstr(call_text(call, "detail"), "container"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        fixture_test(test_who_is_denied_again_and_again_does_not_fill_the_trail),
        fixture_test(test_one_who_is_denied_often_hides_no_other),
        fixture_test(test_a_denial_a_second_is_on_record_one_by_one),
        fixture_test(test_counts_are_on_record_at_the_end_too),
        fixture_test(test_whom_no_rule_allows_is_denied_by_name),
        fixture_test(test_a_rule_that_denies_wins_and_is_named),
        fixture_test(test_too_long_a_duration_names_the_maximum),
        fixture_test(test_a_binding_that_may_live_longer_is_over_the_limit),
        fixture_test(test_more_grants_than_the_rule_allows_are_over_the_limit),
        fixture_test(test_a_required_reason_is_asked_for),
        fixture_test(test_an_unknown_role_is_said_to_be_unknown),
        fixture_test(test_a_name_that_is_no_text_stays_within_its_string),
        fixture_test(test_who_cannot_be_identified_is_denied_on_record),
        fixture_test(test_who_cannot_be_identified_sees_nothing_either),
        fixture_test(test_a_container_is_not_the_user_of_its_uid),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
