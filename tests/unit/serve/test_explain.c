/* POST /policy/explain: what a caller learns about itself, and what it doesn't about others. */
#include <string.h>

#include "unit/serve/fixture.h"

#define EXPLAIN API "/policy/explain"

static struct call *explain(enum who who, const char *body)
{
    return fixture_call(who, "POST", EXPLAIN, body);
}

static const char *rule_text(struct call *call, size_t index, const char *key)
{
    return json_string_value(
        json_object_get(json_array_get(call_member(call, "rules"), index), key));
}

static void test_a_caller_learns_what_it_would_get_and_why(void **state)
{
    struct call *call;

    (void)state;
    f.roles[0].params_json = "{\"path\":\"database/creds/orders\"}";
    call = explain(ALICE, "{\"role\":\"db\",\"duration\":\"30m\",\"binding\":\"connection\"}");
    assert_int_equal(call->status, 200);
    assert_string_equal(call_text(call, "decision"), "allow");
    assert_string_equal(call_text(call, "rule"), "alice-db");
    assert_int_equal(json_integer_value(call_member(call, "grant.duration")), 1800);
    assert_string_equal(json_string_value(json_array_get(call_member(call, "grant.binding"), 0)),
                        "connection");
    assert_string_equal(call_text(call, "issue.backend"), "vault-prod");
    assert_string_equal(call_text(call, "issue.params.path"), "database/creds/orders");
    assert_int_equal(json_integer_value(call_member(call, "issue.ttl")), 3600);
    assert_int_equal(json_integer_value(call_member(call, "issue.max_ttl")), 86400);
    assert_string_equal(call_text(call, "issue.share"), "none");
    assert_string_equal(call_text(call, "policy"), access_policy_digest(f.policy));
}

static void test_nothing_is_issued_and_nothing_goes_on_record(void **state)
{
    (void)state;
    (void)explain(ALICE, "{\"role\":\"db\"}");
    (void)explain(CAROL, "{\"role\":\"db\"}");
    assert_int_equal(f.issuer.call_counts[LEASE_CALL_ISSUE], 0);
    assert_int_equal(fixture_records("grant.denied"), 0);
    assert_int_equal(fixture_records("grant.created"), 0);
}

static void test_each_rule_for_the_role_says_what_keeps_it_from_deciding(void **state)
{
    struct call *call;

    (void)state;
    call = explain(BOB, "{\"role\":\"db\"}");
    assert_int_equal(json_array_size(call_member(call, "rules")), 5);
    assert_string_equal(rule_text(call, 0, "rule"), "no-mallory");
    assert_string_equal(rule_text(call, 0, "effect"), "deny");
    assert_string_equal(rule_text(call, 0, "verdict"), "no_match");
    assert_string_equal(rule_text(call, 2, "condition"), "subjects");
    assert_string_equal(rule_text(call, 2, "detail"), "the caller's user doesn't match");
    assert_string_equal(rule_text(call, 3, "verdict"), "decides");
    assert_int_equal(json_integer_value(call_member(call, "rules_for_other_roles")), 1);
}

static void test_only_a_reader_learns_whom_rules_are_about(void **state)
{
    struct call *call;

    (void)state;
    call = explain(CAROL, "{\"role\":\"db\"}");
    assert_string_equal(call_text(call, "decision"), "denied");
    assert_null(strstr(call->body, "isn't mallory"));
    assert_null(call_member(call, "issue"));
    assert_null(call_member(call, "backend"));
    call = explain(RITA, "{\"role\":\"db\"}");
    assert_string_equal(call_text(call, "decision"), "denied");
    assert_string_equal(rule_text(call, 0, "detail"), "the caller's user isn't mallory");
    assert_int_equal(json_array_size(call_member(call, "rules")), 6);
    assert_string_equal(call_text(call, "issue.backend"), "vault-prod");
}

static void test_a_reason_that_is_required_is_told_with_the_rule(void **state)
{
    struct call *call;

    (void)state;
    call = explain(ALICE, "{\"role\":\"db-reason\"}");
    assert_string_equal(call_text(call, "decision"), "reason_required");
    assert_string_equal(call_text(call, "rule"), "with-reason");
    assert_non_null(strstr(call_text(call, "detail"), "^OPS-[0-9]+"));
    call = explain(ALICE, "{\"role\":\"db-reason\",\"reason\":\"OPS-7\"}");
    assert_string_equal(call_text(call, "decision"), "allow");
}

static void test_grants_that_live_count_as_in_a_real_request(void **state)
{
    struct call *call;
    int i;

    (void)state;
    for (i = 0; i < 3; i++) {
        call = fixture_call(ALICE, "POST", API "/leases", "{\"role\":\"db\"}");
        assert_int_equal(call->status, 201);
    }
    call = explain(ALICE_AGAIN, "{\"role\":\"db\"}");
    assert_string_equal(call_text(call, "decision"), "limit_exceeded");
    assert_string_equal(call_text(call, "limit"), "live");
    call = fixture_get(ALICE_AGAIN, API "/credentials/db");
    fixture_expect(call, 403, "limit_exceeded");
}

static void test_the_end_of_a_window_is_told(void **state)
{
    (void)state;
    f.policy_text =
        "rules:\n  - {subjects: [{user: alice}], roles: [db], require: {window: {dates: "
        "'2000-01-01/2029-12-31'}}}\n";
    assert_string_equal(call_text(explain(ALICE, "{\"role\":\"db\"}"), "grant.until"),
                        "2030-01-01T00:00:00.000Z");
}

static void test_the_backend_s_state_is_told(void **state)
{
    struct call *call;

    (void)state;
    (void)fixture_add_backend("vault-prod");
    call = explain(ALICE, "{\"role\":\"db\"}");
    assert_true(json_is_false(call_member(call, "backend.up")));
    assert_null(call_member(call, "backend.last_error"));
}

static void test_somebody_else_is_called_by_what_was_said_of_him(void **state)
{
    (void)state;
    assert_string_equal(call_text(explain(ADA, "{\"role\":\"db\",\"subject\":{\"user\":\"bob\"}}"),
                                  "identity"),
                        "bob");
}

static void test_an_unknown_role_and_a_missing_one_are_told_apart(void **state)
{
    (void)state;
    fixture_expect(explain(ALICE, "{\"role\":\"nope\"}"), 404, "unknown_role");
    fixture_expect(explain(ALICE, "{}"), 400, "invalid");
    fixture_expect(explain(ALICE, "{\"role\":\"db\",\"wait\":1}"), 400, "invalid");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        fixture_test(test_a_caller_learns_what_it_would_get_and_why),
        fixture_test(test_nothing_is_issued_and_nothing_goes_on_record),
        fixture_test(test_each_rule_for_the_role_says_what_keeps_it_from_deciding),
        fixture_test(test_only_a_reader_learns_whom_rules_are_about),
        fixture_test(test_a_reason_that_is_required_is_told_with_the_rule),
        fixture_test(test_grants_that_live_count_as_in_a_real_request),
        fixture_test(test_the_end_of_a_window_is_told),
        fixture_test(test_the_backend_s_state_is_told),
        fixture_test(test_somebody_else_is_called_by_what_was_said_of_him),
        fixture_test(test_an_unknown_role_and_a_missing_one_are_told_apart),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
