/* Tests of policies: they are judged as callers are, and mistakes in them are told. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "access/cases.h"
#include "policy_fixture.h"

#include <stdio.h>
#include <string.h>

#define POLICY                                                                                     \
    "rules:\n"                                                                                     \
    "  - {name: no-interns, subjects: [{group: interns}], roles: [orders-db], effect: deny}\n"     \
    "  - name: dev\n"                                                                              \
    "    subjects: [{group: dev}]\n"                                                               \
    "    roles: [staging-a, orders-ro]\n"                                                          \
    "    limits: {duration: 2h, ttl: 1h, live: 2}\n"                                               \
    "  - name: dba\n"                                                                              \
    "    subjects: [{group: dba}]\n"                                                               \
    "    roles: [orders-db]\n"                                                                     \
    "    limits: {duration: 30m, min_remaining: 5m}\n"                                             \
    "    require: {reason: ., ticket: \"^OPS-\", approval: {from: [{group: dba}], count: 2}}\n"    \
    "  - name: kv\n"                                                                               \
    "    subjects: [{user: anna}]\n"                                                               \
    "    paths: [{path: \"kv/data/anna/*\", capabilities: [read, list], backend: vault}]\n"

#define SUBJECTS                                                                                   \
    "subjects:\n"                                                                                  \
    "  anna: {user: anna, group: [dev]}\n"                                                         \
    "  dora: {user: dora, group: [dba]}\n"                                                         \
    "  ida: {user: ida, group: [dba, interns]}\n"

static struct fixture f;
static struct access_cases *cases;
static char told[4096]; /* "name: ok" or "name: detail", a line each */

static const struct yaml_node somewhere = {.file = "leased.yaml", .line = 1, .column = 1};
static const struct access_role_facts facts[] = {
    {.name = "orders-db",
     .binding = ACCESS_BINDING_PROCESS,
     .max_ttl_ms = 24 * FIXTURE_HOUR_MS,
     .node = &somewhere},
    {.name = "orders-ro", .binding = ACCESS_BINDING_PROCESS, .node = &somewhere},
    {.name = "staging-a", .binding = ACCESS_BINDING_UNIT, .node = &somewhere},
};
static const struct access_roles known = {.items = facts,
                                          .count = ARRAY_LEN(facts),
                                          .are_known = true};

static int setup(void **state)
{
    (void)state;
    fixture_init(&f);
    fixture_policy(&f, POLICY);
    told[0] = '\0';
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    access_cases_free(cases);
    cases = NULL;
    fixture_fini(&f);
    return 0;
}

static int read_text(const char *text)
{
    const struct access_cases_source source = {
        .file = "a_test.yaml",
        .text = str_of(text),
        .roles = &known,
        .policy = f.policy,
    };

    access_cases_free(cases);
    cases = NULL;
    return access_cases_read(&source, &cases, &f.errors);
}

static void tell(void *user, const struct access_case_result *result)
{
    size_t used = strlen(told);

    (void)user;
    (void)snprintf(told + used, sizeof(told) - used, "%s: %s\n", result->name,
                   result->has_passed ? "ok" : result->detail);
}

static void run(const char *text, const char *expected)
{
    if (read_text(text) != 0) {
        fail_msg("%.*s", STR_ARG(buf_str(&f.errors.text)));
    }
    told[0] = '\0';
    access_cases_run(cases, f.policy, tell, NULL);
    assert_string_equal(told, expected);
}

static void test_decisions_and_their_details_are_compared(void **state)
{
    (void)state;
    run(SUBJECTS
        "tests:\n"
        "  - {name: a, as: anna, request: {role: orders-ro}, expect: {decision: allow, rule: dev,\n"
        "     duration: 2h, ttl: 1h, binding: process}}\n"
        "  - {name: b, as: anna, request: {role: orders-ro, duration: 3h},\n"
        "     expect: {decision: limit_exceeded, limit: duration, rule: dev}}\n"
        "  - {name: c, as: anna, request: {role: orders-ro, live: 2},\n"
        "     expect: {decision: limit_exceeded, limit: live}}\n"
        "  - {name: d, as: anna, request: {role: orders-db}, expect: {decision: deny, rule: none}}\n"
        "  - {name: e, as: ida, request: {role: orders-db},\n"
        "     expect: {decision: deny, rule: no-interns}}\n"
        "  - {name: f, as: dora, request: {role: orders-db, reason: why},\n"
        "     expect: {decision: reason_required, limit: ticket}}\n"
        "  - {name: g, as: dora, request: {role: orders-db, reason: why, ticket: OPS-1},\n"
        "     expect: {decision: approval, approvals: 2, duration: 30m, min_remaining: 5m}}\n"
        "  - {name: h, as: dora, request: {role: orders-db, reason: why, ticket: OPS-1,\n"
        "     approved: true}, expect: {decision: allow, rule: dba}}\n",
        "a: ok\nb: ok\nc: ok\nd: ok\ne: ok\nf: ok\ng: ok\nh: ok\n");
}

static void test_what_differs_is_told_with_both_values(void **state)
{
    (void)state;
    run(SUBJECTS
        "tests:\n"
        "  - {name: a, as: anna, request: {role: orders-db}, expect: {decision: allow}}\n"
        "  - {name: b, as: anna, request: {role: orders-ro},\n"
        "     expect: {decision: allow, rule: dba, duration: 1h, ttl: 1h, binding: [unit],\n"
        "     until: 2026-01-05T18:00:00Z, approvals: 1}}\n"
        "  - {name: c, as: ida, request: {role: orders-db}, expect: {decision: deny, rule: none}}\n",
        "a: expected allow, got deny\n"
        "b: expected rule dba, got dev; expected duration 1h, got 2h; expected until "
        "2026-01-05T18:00:00.000Z, got none; expected binding unit, got process; expected 1 "
        "approvals, got 0\n"
        "c: expected rule none, got no-interns\n");
}

static void test_tests_spread_over_callers_and_roles(void **state)
{
    (void)state;
    run(SUBJECTS
        "tests:\n"
        "  - {name: x, as: [anna, dora], roles: [orders-db, staging-a], expect: {decision: deny}}\n",
        "x [anna, orders-db]: ok\nx [anna, staging-a]: expected deny, got allow\n"
        "x [dora, orders-db]: expected deny, got reason_required\nx [dora, staging-a]: ok\n");
}

static void test_tables_are_callers_by_roles(void **state)
{
    (void)state;
    run(SUBJECTS "tables:\n"
                 "  - name: t\n"
                 "    request: {reason: r, ticket: OPS-1}\n"
                 "    roles:  [orders-db, orders-ro]\n"
                 "    expect:\n"
                 "      anna:  deny       allow\n"
                 "      dora:  approval   deny\n"
                 "      ida:   deny       allow\n",
        "t [anna, orders-db]: ok\nt [anna, orders-ro]: ok\nt [dora, orders-db]: ok\n"
        "t [dora, orders-ro]: ok\nt [ida, orders-db]: ok\n"
        "t [ida, orders-ro]: expected allow, got deny\n");
}

static void test_defaults_fill_in_what_a_test_does_not_say(void **state)
{
    (void)state;
    run("defaults:\n"
        "  subject: {user: dora, group: dba}\n"
        "  request: {role: orders-db, reason: why, ticket: OPS-1, approved: true}\n"
        "tests:\n"
        "  - {name: a, expect: {decision: allow}}\n"
        "  - {name: b, request: {approved: false}, expect: {decision: approval}}\n"
        "  - {name: c, request: {ticket: x}, expect: {decision: reason_required}}\n"
        "  - {name: d, subject: {user: x}, expect: {decision: deny}}\n"
        "  - {name: e, request: {role: orders-ro}, expect: {decision: deny}}\n",
        "a: ok\nb: ok\nc: ok\nd: ok\ne: ok\n");
}

static void test_paths_are_tested_too(void **state)
{
    (void)state;
    run("defaults: {subject: {user: anna}}\n"
        "tests:\n"
        "  - {name: a, request: {backend: vault, path: kv/data/anna/x},\n"
        "     expect: {decision: allow, rule: kv}}\n"
        "  - {name: b, request: {backend: vault, path: kv/data/anna/x, capabilities: [read, update]},\n"
        "     expect: {decision: deny}}\n"
        "  - {name: c, request: {backend: vault, path: kv/data/x}, expect: {decision: deny}}\n",
        "a: ok\nb: ok\nc: ok\n");
}

static void test_mistakes_are_told_with_their_place(void **state)
{
    static const struct {
        const char *text;
        const char *message;
    } cases_of[] = {
        {"test: []", "a_test.yaml:1:1: unknown key `test`: did you mean `tests`?"},
        {"tests: [{name: a, expect: {decision: allow}}]", "nobody asks here"},
        {"tests: [{name: a, subject: {user: a}, expect: {decision: allow}}]",
         "asks for nothing: `request.role` is missing"},
        {"tests: [{name: a, subject: {user: a}, request: {role: orders-bd}, "
         "expect: {decision: allow}}]",
         "unknown role `orders-bd`: did you mean `orders-db`?"},
        {SUBJECTS "tests: [{name: a, as: ana, roles: [orders-db], expect: {decision: deny}}]",
         "a_test.yaml:5:23: `ana` is none of `subjects`: did you mean `anna`?"},
        {SUBJECTS "tests: [{name: a, as: anna, roles: [orders-db], expect: {decision: denied}}]",
         "expected one of `allow`"},
        {SUBJECTS "tests: [{name: a, as: anna, roles: [orders-db], "
                  "expect: {decision: deny, rule: dbb}}]",
         "there is no rule `dbb`"},
        {SUBJECTS "tests: [{name: a, as: anna, subject: {user: b}, roles: [orders-db], "
                  "expect: {decision: deny}}]",
         "give `subject` or `as`, not both"},
        {SUBJECTS "tests: [{name: a, as: anna, time: noon, roles: [orders-db], "
                  "expect: {decision: deny}}]",
         "a_test.yaml:5:35: `noon` is no time"},
        {SUBJECTS "tests: [{name: a, as: anna, request: {role: orders-db, binding: forever}, "
                  "expect: {decision: deny}}]",
         "`forever` is no binding"},
        {SUBJECTS "tests: [{name: a, as: anna, request: {path: a/b}, expect: {decision: deny}}]",
         "needs a `backend`"},
        {SUBJECTS "tests: [{name: a, as: anna, request: {path: a, backend: v, role: orders-db}, "
                  "expect: {decision: deny}}]",
         "for a `role` or for a `path`"},
        {SUBJECTS "tables: [{name: t, roles: [orders-db], expect: {anna: deny allow}}]",
         "this row has 2 decisions, but there are 1 roles"},
        {SUBJECTS "tables: [{name: t, roles: [orders-db], expect: {anna: denied}}]",
         "a_test.yaml:5:55: `denied` is no decision"},
        {SUBJECTS "tables: [{name: t, roles: [orders-db], expect: {bob: deny}}]",
         "`bob` is none of `subjects`"},
        {"subjects: {a: {usr: x}}", "unknown key `usr`: did you mean `user`?"},
    };
    size_t i;

    (void)state;
    for (i = 0; i < ARRAY_LEN(cases_of); i++) {
        yaml_errors_fini(&f.errors);
        yaml_errors_init(&f.errors);
        assert_int_equal(read_text(cases_of[i].text), ERR_INVALID);
        buf_add_char(&f.errors.text, '\0');
        if (strstr(buf_str(&f.errors.text).ptr, cases_of[i].message) == NULL) {
            fail_msg("%s: %s", cases_of[i].text, buf_str(&f.errors.text).ptr);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        T(test_decisions_and_their_details_are_compared),
        T(test_what_differs_is_told_with_both_values),
        T(test_tests_spread_over_callers_and_roles),
        T(test_tables_are_callers_by_roles),
        T(test_defaults_fill_in_what_a_test_does_not_say),
        T(test_paths_are_tested_too),
        T(test_mistakes_are_told_with_their_place),
#undef T
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
