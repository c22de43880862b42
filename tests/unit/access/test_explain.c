/* Explanations: each rule says what keeps it from deciding, and never something else than what the
 * decision does. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "policy_fixture.h"

#define REPORTS_MAX 16

static struct access_rule_report reports[REPORTS_MAX];
static size_t report_count;

static int setup(void **state)
{
    struct fixture *fixture = malloc(sizeof(*fixture));

    if (fixture == NULL) {
        return -1;
    }
    fixture_init(fixture);
    *state = fixture;
    return 0;
}

static int teardown(void **state)
{
    fixture_fini(*state);
    free(*state);
    return mem_in_use_bytes() == 0 ? 0 : -1;
}

static void take(void *user, const struct access_rule_report *report)
{
    (void)user;
    assert_true(report_count < REPORTS_MAX);
    reports[report_count++] = *report;
}

static void explain(struct fixture *f, bool shows_subjects)
{
    const struct access_explain how = {.shows_subjects = shows_subjects, .rule = take};

    report_count = 0;
    access_policy_explain(f->policy, &f->identity, &f->request, &how, &f->decision);
}

static void expect(size_t i, enum access_verdict verdict, const char *condition, const char *detail)
{
    assert_true(i < report_count);
    assert_int_equal(reports[i].verdict, verdict);
    if (condition == NULL) {
        assert_null(reports[i].condition);
    } else {
        assert_string_equal(reports[i].condition, condition);
    }
    assert_string_equal(reports[i].detail, detail);
}

static void test_each_rule_says_what_keeps_it_from_deciding(void **state)
{
    struct fixture *f = *state;

    fixture_policy(f, "rules:\n"
                      "- {subjects: [{user: bob}, {group: wheel}], roles: orders-db}\n"
                      "- {subjects: [{user: alice}], roles: staging-a}\n"
                      "- {subjects: [{user: alice}], roles: orders-db, limits: {duration: 1m}}\n"
                      "- {subjects: [{group: dba}], roles: orders-db}\n"
                      "- {subjects: [{uid: 1000}], roles: 'orders-*'}\n");
    f->request.duration_ms = FIXTURE_HOUR_MS;
    explain(f, false);
    assert_int_equal(report_count, 5);
    expect(0, ACCESS_VERDICT_NO_MATCH, "subjects",
           "the caller's user doesn't match; the caller's group doesn't match");
    expect(1, ACCESS_VERDICT_NO_MATCH, "roles", "is about other roles");
    expect(2, ACCESS_VERDICT_REFUSES, "duration",
           "duration 1h is more than the 1m that rule rule-3 allows");
    expect(3, ACCESS_VERDICT_DECIDES, NULL, "");
    expect(4, ACCESS_VERDICT_FITS, NULL, "");
    assert_int_equal(f->decision.outcome, ACCESS_ALLOW);
}

static void test_subjects_are_shown_to_who_may_read_the_policy(void **state)
{
    struct fixture *f = *state;

    fixture_policy(f, "rules: [{subjects: [{user: bob}, {uid: 7}, {user: alice, unit: a.service}], "
                      "roles: orders-db}]");
    explain(f, true);
    expect(0, ACCESS_VERDICT_NO_MATCH, "subjects",
           "the caller's user isn't bob; the caller's uid isn't 7; the caller's unit isn't "
           "a.service");
}

static void test_a_caller_in_a_container_is_told_so(void **state)
{
    struct fixture *f = *state;

    fixture_policy(f, "rules: [{subjects: [{user: alice}], roles: orders-db}]");
    f->identity.is_foreign = true;
    explain(f, true);
    expect(0, ACCESS_VERDICT_NO_MATCH, "subjects",
           "the caller runs in a container, which it doesn't name");
}

static void test_a_denial_decides_over_what_would_allow(void **state)
{
    struct fixture *f = *state;

    fixture_policy(f, "rules:\n"
                      "- {subjects: [{user: alice}], roles: orders-db}\n"
                      "- {name: stop, subjects: [{gid: 50}], roles: '*', effect: deny}\n"
                      "- {name: too, subjects: [{uid: 1000}], roles: '*', effect: deny}\n");
    explain(f, false);
    expect(0, ACCESS_VERDICT_FITS, NULL, "");
    expect(1, ACCESS_VERDICT_DECIDES, NULL, "");
    expect(2, ACCESS_VERDICT_FITS, NULL, "");
    assert_true(reports[1].is_deny);
}

static void test_where_none_allows_the_first_that_is_about_the_caller_decides(void **state)
{
    struct fixture *f = *state;

    fixture_policy(f,
                   "rules:\n"
                   "- {name: a, subjects: [{user: alice}], roles: orders-db, require: {reason: "
                   "x}}\n"
                   "- {name: b, subjects: [{user: alice}], roles: orders-db, limits: {live: 1}}\n");
    f->request.live_count = 1;
    explain(f, false);
    expect(0, ACCESS_VERDICT_DECIDES, "reason", "rule a requires a reason that matches x");
    expect(1, ACCESS_VERDICT_REFUSES, "live",
           "1 grants for role orders-db are live; rule b allows 1");
}

static void test_each_requirement_is_told(void **state)
{
    struct fixture *f = *state;

    fixture_policy(
        f, "rules:\n"
           "- {name: t, subjects: [{user: alice}], roles: orders-db, require: {ticket: x}}\n"
           "- {name: w, subjects: [{user: alice}], roles: orders-db,\n"
           "   require: {window: {dates: [\"2000-01-01\"]}}}\n"
           "- {name: a, subjects: [{user: alice}], roles: orders-db,\n"
           "   require: {approval: {from: [{user: bob}]}}}\n"
           "- {name: g, subjects: [{user: alice}], roles: orders-db, break_glass: true,\n"
           "   limits: {duration: 1m}, require: {approval: {from: [{user: bob}]}}}\n"
           "- {name: o, subjects: [{user: alice}], roles: orders-db, mode: observe}\n"
           "- {name: d, subjects: [{user: alice}], roles: orders-db, mode: observe, effect: deny}\n"
           "- {name: r, subjects: [{uid: 5-7}], roles: orders-db}\n"
           "- {name: i, subjects: [{user: alice, image: \"reg/*\"}], roles: orders-db}\n");
    f->request.wall_ms = INT64_C(1767225600000);
    explain(f, true);
    assert_int_equal(f->decision.outcome, ACCESS_APPROVAL_REQUIRED);
    expect(0, ACCESS_VERDICT_REFUSES, "ticket", "rule t requires a ticket that matches x");
    expect(1, ACCESS_VERDICT_REFUSES, "window",
           "the window of rule w is closed and doesn't open again");
    expect(2, ACCESS_VERDICT_DECIDES, "approval",
           "rule a requires that somebody else has approved");
    expect(3, ACCESS_VERDICT_REFUSES, "break_glass", "counts only for who asks to break the glass");
    expect(4, ACCESS_VERDICT_REFUSES, "mode", "is only observed; it would allow");
    expect(5, ACCESS_VERDICT_REFUSES, "mode", "is only observed; it would deny");
    expect(6, ACCESS_VERDICT_NO_MATCH, "subjects", "the caller's uid isn't 5 to 7");
    expect(7, ACCESS_VERDICT_NO_MATCH, "subjects", "the caller's image isn't reg/*");
    f->request.is_break_glass = true;
    explain(f, true);
    expect(3, ACCESS_VERDICT_DECIDES, NULL, "");
}

/* --- any policy --- */

static uint32_t seed;

static uint32_t pick(uint32_t count)
{
    seed = seed * 1664525U + 1013904223U;
    return (seed >> 8) % count;
}

static void random_policy(struct fixture *f)
{
    static const char *const subjects[] = {"user: alice",         "user: bob",
                                           "group: dba",          "gid: 51",
                                           "uid: 1000",           "user: '*'",
                                           "group: '*'",          "listener: remote",
                                           "user: alice, unit: u"};
    static const char *const roles[] = {"orders-db", "orders-ro", "'orders-*'", "'*'"};
    static const char *const extras[] = {"",
                                         ", effect: deny",
                                         ", limits: {duration: 30m}",
                                         ", limits: {live: 1}",
                                         ", limits: {binding: [none]}",
                                         ", require: {reason: '^OPS-'}",
                                         ", limits: {duration: 2h, live: 2}",
                                         ", require: {ticket: '^OPS-'}",
                                         ", require: {window: {hours: '08:00-19:00'}}",
                                         ", mode: observe",
                                         ", effect: deny, mode: observe"};
    uint32_t count = pick(8);
    uint32_t i;
    BUF_AUTO text;

    buf_init(&text, 4096);
    buf_add_c(&text, "rules: [");
    for (i = 0; i < count; i++) {
        buf_printf(&text, "{subjects: [{%s}, {%s}], roles: %s%s},", subjects[pick(9)],
                   subjects[pick(9)], roles[pick(4)], extras[pick(pick(2) == 0 ? 11 : 1)]);
    }
    buf_add_c(&text, "]");
    fixture_policy(f, buf_str(&text).ptr);
}

static void random_request(struct fixture *f)
{
    static const char *const reasons[] = {NULL, "OPS-1", "because"};

    f->identity.uid = pick(4) == 0 ? 1001 : 1000;
    f->identity.is_foreign = pick(8) == 0;
    f->identity.groups[0] = pick(2) == 0 ? 50 : 51;
    f->request.duration_ms = pick(3) * FIXTURE_HOUR_MS;
    f->request.live_count = pick(3);
    f->request.reason = reasons[pick(3)];
    f->request.ticket = reasons[pick(3)];
    f->request.wall_ms = INT64_C(1767225600000) + (int64_t)(pick(24) * FIXTURE_HOUR_MS);
    fixture_ask_bindings(f, pick(3) == 0 ? "none" : "");
}

/* The rule that must decide by what the reports say: a deny that matches, an allow that fits, the
 * first that refuses. */
static const struct access_rule_report *decider(void)
{
    const struct access_rule_report *first_refusal = NULL;
    const struct access_rule_report *first_fit = NULL;
    size_t i;

    for (i = 0; i < report_count; i++) {
        const struct access_rule_report *report = &reports[i];

        if (report->verdict == ACCESS_VERDICT_NO_MATCH ||
            (report->condition != NULL && strcmp(report->condition, "mode") == 0)) {
            continue;
        }
        if (report->is_deny) {
            return report;
        }
        if (report->condition == NULL && first_fit == NULL) {
            first_fit = report;
        }
        if (report->condition != NULL && first_refusal == NULL) {
            first_refusal = report;
        }
    }
    return first_fit != NULL ? first_fit : first_refusal;
}

static void expect_agreement(struct fixture *f)
{
    const struct access_rule_report *expected;
    size_t decides_count = 0;
    size_t i;

    (void)fixture_decide(f);
    {
        struct access_decision decided = f->decision;

        explain(f, pick(2) == 0);
        assert_int_equal(decided.outcome, f->decision.outcome);
        assert_ptr_equal(decided.rule, f->decision.rule);
        assert_string_equal(decided.detail, f->decision.detail);
        assert_int_equal(decided.duration_ms, f->decision.duration_ms);
    }
    expected = decider();
    for (i = 0; i < report_count; i++) {
        decides_count += reports[i].verdict == ACCESS_VERDICT_DECIDES ? 1 : 0;
    }
    if (expected == NULL) {
        assert_null(f->decision.rule);
        assert_int_equal(decides_count, 0);
        return;
    }
    assert_int_equal(decides_count, 1);
    assert_ptr_equal(f->decision.rule, expected->rule);
    assert_int_equal(expected->verdict, ACCESS_VERDICT_DECIDES);
    assert_true((f->decision.outcome == ACCESS_ALLOW) ==
                (!expected->is_deny && expected->condition == NULL));
}

static void test_the_explanation_agrees_with_the_decision_for_any_policy(void **state)
{
    struct fixture *f = *state;
    uint32_t round;
    uint32_t i;

    for (round = 0; round < 400; round++) {
        seed = round;
        random_policy(f);
        for (i = 0; i < 25; i++) {
            random_request(f);
            expect_agreement(f);
        }
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_each_rule_says_what_keeps_it_from_deciding),
        TEST(test_subjects_are_shown_to_who_may_read_the_policy),
        TEST(test_a_caller_in_a_container_is_told_so),
        TEST(test_a_denial_decides_over_what_would_allow),
        TEST(test_where_none_allows_the_first_that_is_about_the_caller_decides),
        TEST(test_each_requirement_is_told),
        TEST(test_the_explanation_agrees_with_the_decision_for_any_policy),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
