/* What is wrong with a policy although it compiles is told with its place, and what is right isn't
 * complained about. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "access/lint.h"
#include "policy_fixture.h"

#include <stdio.h>
#include <string.h>

static struct fixture f;
static char told[8192];

static const struct yaml_node somewhere = {.file = "leased.yaml", .line = 7, .column = 3};
static const struct access_role_facts facts[] = {
    {.name = "orders-db", .max_ttl_ms = 24 * FIXTURE_HOUR_MS, .node = &somewhere},
    {.name = "staging-a", .max_ttl_ms = 24 * FIXTURE_HOUR_MS, .node = &somewhere},
    {.name = "staging-b", .max_ttl_ms = 0, .is_shared = true, .node = &somewhere},
};

static int setup(void **state)
{
    (void)state;
    fixture_init(&f);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    fixture_fini(&f);
    return 0;
}

static void tell(void *user, const struct access_finding *finding)
{
    size_t used = strlen(told);

    (void)user;
    (void)snprintf(told + used, sizeof(told) - used, "%u:%u: %s%s\n", finding->node->line,
                   finding->node->column, finding->is_error ? "" : "warning: ", finding->text);
}

static const char *look_at(const char *policy, bool knows_roles)
{
    const struct access_roles roles = {.items = facts,
                                       .count = ARRAY_LEN(facts),
                                       .are_known = knows_roles};
    struct yaml_document *document = NULL;
    const struct yaml_node *root;

    fixture_policy(&f, policy);
    assert_int_equal(yaml_parse("p.yaml", str_of(policy), &document, &f.errors), 0);
    root = yaml_root(document);
    told[0] = '\0';
    assert_int_equal(access_policy_lint(&(struct access_lint){
                         .policy = f.policy,
                         .nodes = &(struct access_nodes){.items = &root, .count = 1},
                         .roles = &roles,
                         .wall_ms = 1767614400000,
                         .fn = tell,
                     }),
                     0);
    yaml_free(document);
    return told;
}

static void expect(const char *policy, const char *part)
{
    if (strstr(look_at(policy, false), part) == NULL) {
        fail_msg("%s:\n%s", policy, told);
    }
}

static void expect_nothing(const char *policy)
{
    if (look_at(policy, false)[0] != '\0') {
        fail_msg("%s:\n%s", policy, told);
    }
}

#define R(name, rest) "  - {name: " name ", " rest "}\n"
#define BOTH(a, b) "rules:\n" R("a", a) R("b", b)

static void test_rules_that_are_never_reached_are_found(void **state)
{
    static const char *const policies[] = {
        BOTH("subjects: [{user: \"*\", group: dev}], roles: [orders-db]",
             "subjects: [{user: anna, group: dev}], roles: [orders-db]"),
        BOTH("subjects: [{group: \"d*\"}], roles: [\"*\"]",
             "subjects: [{group: dev}, {group: \"db*\"}], roles: [orders-db, \"staging-*\"]"),
        BOTH("subjects: [{user: anna}], roles: [orders-db]",
             "subjects: [{user: anna}], roles: [orders-db], require: {reason: \"^x\"}"),
        BOTH("subjects: [{user: anna}], roles: [orders-db], limits: {duration: 2h, live: 3}",
             "subjects: [{user: anna}], roles: [orders-db], limits: {duration: 1h, live: 3}"),
        BOTH("subjects: [{user: anna}], roles: [orders-db], require: {reason: \"^x\"}",
             "subjects: [{user: anna, unit: u}], roles: [orders-db], require: {reason: \"^x\", "
             "ticket: \"^y$\"}"),
        BOTH("subjects: [{user: anna}], roles: [orders-db], require: {approval: {from: [{group: "
             "dba}]}}",
             "subjects: [{user: anna}], roles: [orders-db], require: {approval: {from: [{group: "
             "x}], count: 2}}"),
        BOTH("subjects: [{user: ci, jwt: {issuer: gitlab, claims: {p: \"acme/*\"}}}], roles: "
             "[orders-db]",
             "subjects: [{user: ci, jwt: {issuer: gitlab, claims: {p: [acme/x, acme/y], r: main}}}"
             "], roles: [orders-db]"),
        BOTH("subjects: [{uid: 1000-1999}], roles: [orders-db], effect: deny",
             "subjects: [{uid: 1500}], roles: [orders-db], effect: deny"),
        BOTH("subjects: [{user: a, container: \"*\"}], roles: [orders-db]",
             "subjects: [{user: a, container: c}], roles: [orders-db]"),
    };
    size_t i;

    (void)state;
    for (i = 0; i < ARRAY_LEN(policies); i++) {
        expect(policies[i], "3:5: rule b is never reached: rule a (p.yaml:2)");
    }
    /* One with approval is asked behind those without, wherever it stands. */
    expect(BOTH("subjects: [{user: anna}], roles: [orders-db], require: {approval: {from: [{group: "
                "dba}]}}",
                "subjects: [{user: anna}], roles: [orders-db]"),
           "2:5: rule a is never reached: rule b (p.yaml:3)");
    expect(BOTH("subjects: [{user: anna}], roles: [orders-db]",
                "subjects: [{user: \"a*\"}], roles: [\"*\"], effect: deny"),
           "2:5: rule a never allows anything: rule b (p.yaml:3) denies all of it");
}

static void test_rules_that_decide_something_are_let_through(void **state)
{
    static const char *const policies[] = {
        BOTH("subjects: [{user: anna}], roles: [orders-db]",
             "subjects: [{user: \"a*\"}], roles: [orders-db]"),
        BOTH("subjects: [{user: anna}], roles: [orders-db]",
             "subjects: [{user: anna}], roles: [staging-a]"),
        BOTH("subjects: [{user: anna}], roles: [orders-db]",
             "subjects: [{user: anna}, {user: ben}], roles: [orders-db]"),
        BOTH("subjects: [{user: anna}], roles: [orders-db], limits: {duration: 1h}",
             "subjects: [{user: anna}], roles: [orders-db], require: {reason: \"^x\"}"),
        BOTH("subjects: [{user: anna}], roles: [orders-db], require: {reason: \"^x\"}",
             "subjects: [{user: anna}], roles: [orders-db], require: {ticket: \"^x$\"}"),
        BOTH("subjects: [{user: anna}], roles: [orders-db]",
             "subjects: [{user: anna}], roles: [orders-db], limits: {binding: [none]}"),
        BOTH("subjects: [{user: anna}], roles: [orders-db], limits: {live: 1}",
             "subjects: [{user: anna}], roles: [orders-db]"),
        /* Not of callers in containers. */
        BOTH("subjects: [{user: anna}], roles: [orders-db]",
             "subjects: [{user: anna, container: c}], roles: [orders-db]"),
        BOTH("subjects: [{user: anna, jwt: {issuer: gitlab, claims: {a: b}}}], roles: [orders-db], "
             "effect: deny",
             "subjects: [{user: anna}], roles: [orders-db]"),
        BOTH("subjects: [{user: anna}], roles: [orders-db], mode: observe",
             "subjects: [{user: anna}], roles: [orders-db]"),
        BOTH("subjects: [{user: anna}], roles: [orders-db]",
             "subjects: [{user: anna}], roles: [orders-db], break_glass: true, limits: {duration: "
             "15m}, require: {approval: {from: [{group: dba}]}}"),
        BOTH("subjects: [{tls: {san: \"spiffe://a/*\"}}], roles: [orders-db]",
             "subjects: [{user: anna}], roles: [orders-db]"),
    };
    size_t i;

    (void)state;
    for (i = 0; i < ARRAY_LEN(policies); i++) {
        expect_nothing(policies[i]);
    }
}

static void test_subjects_that_mean_too_many_are_found(void **state)
{
    static const struct {
        const char *subject;
        const char *message;
    } cases[] = {
        {"{user: \"*\"}", "2:26: warning: this is everybody on this machine"},
        {"{uid: 0-4294967294}", "this is everybody on this machine"},
        {"{group: \"*\"}", "this is everybody on this machine"},
        {"{uid: 0}", "this is every process of root"},
        {"{user: root}", "this is every process of root"},
        {"{listener: local}", "this is everybody who reaches this listener"},
        {"{jwt: {issuer: gitlab}}", "this is every job that this issuer vouches for"},
        {"{jwt: {issuer: gitlab, claims: {p: \"*\"}}}", "this is every job"},
        {"{tls: {san: \"*\"}}", "this is everybody with a certificate"},
        {"{user: root, unit: a.service}", NULL},
        {"{user: \"*\", group: dba}", NULL},
        {"{uid: 1000-1999}", NULL},
        {"{listener: pod, uid: 7}", NULL},
        {"{jwt: {issuer: gitlab, claims: {p: acme/x}}}", NULL},
    };
    char policy[512];
    size_t i;

    (void)state;
    for (i = 0; i < ARRAY_LEN(cases); i++) {
        (void)snprintf(policy, sizeof(policy),
                       "rules:\n  - {name: a, subjects: [%s], roles: [orders-db]}\n",
                       cases[i].subject);
        if (cases[i].message != NULL) {
            expect(policy, cases[i].message);
        } else {
            expect_nothing(policy);
        }
    }
    expect_nothing("admins:\n  - {user: root}\n");
    expect("admins:\n  - {user: \"*\"}\n", "2:5: warning: this is everybody");
    expect("admins:\n  - {subjects: [{user: \"*\"}], may: [read]}\n", "2:17: warning: this is");
    expect("rules:\n  - {subjects: [{user: a}], roles: [orders-db], require: {approval: {from: "
           "[{user: \"*\"}]}}}\n",
           "2:77: warning: this is everybody");
    expect_nothing("rules:\n  - {subjects: [{user: \"*\"}], roles: [orders-db], effect: deny}\n");
}

static void test_expressions_are_looked_at(void **state)
{
    (void)state;
    expect("rules:\n  - {subjects: [{user: a}], roles: [orders-db], require: {reason: "
           "\"^(a+)+$\"}}\n",
           "2:67: this expression can take exponential time: what is repeated at character 3");
    expect("rules:\n  - {subjects: [{user: a}], roles: [orders-db], require: {reason: "
           "\"OPS-[0-9]+\"}}\n",
           "isn't anchored");
    expect("rules:\n  - {subjects: [{user: a}], roles: [orders-db], require: {ticket: "
           "\"^OPS-[0-9]+\"}}\n",
           "isn't anchored");
    expect("rules:\n  - {subjects: [{user: a}], roles: [orders-db], require: {reason: "
           "\"^(?<n>a)\\\\k<n>\"}}\n",
           "warning: whether this expression can take exponential time isn't known");
}

#define WINDOW(window) "subjects: [{user: a}], roles: [orders-db], require: {window: " window "}"

static void test_windows_that_never_open_or_overlap_are_found(void **state)
{
    (void)state;
    expect("rules:\n" R("a", WINDOW("{dates: [2020-01-01]}")), "this window never opens");
    expect("rules:\n" R("a", WINDOW("{hours: [\"08:00-12:00\", \"11:00-14:00\"]}")),
           "warning: two of the hours of this window overlap");
    expect(BOTH(WINDOW("{hours: \"08:00-12:00\"}"), WINDOW("{hours: \"11:00-14:00\"}")),
           "3:5: warning: the window of rule b overlaps that of rule a (p.yaml:2)");
    expect(BOTH(WINDOW("{hours: \"08:00-12:00\"}"), WINDOW("{hours: \"08:00-12:00\"}")),
           "3:5: rule b is never reached");
    expect_nothing(BOTH(WINDOW("{hours: \"08:00-12:00\"}"), WINDOW("{hours: \"12:00-14:00\"}")));
    expect_nothing(BOTH(WINDOW("{days: mon-fri}"),
                        "subjects: [{user: a}], roles: [staging-a], require: {window: {days: "
                        "mon}}"));
    expect_nothing(BOTH(WINDOW("{days: mon-fri}"), "subjects: [{user: a}], roles: [orders-db]"));
}

static void test_a_ttl_on_a_shared_role_is_a_mistake(void **state)
{
    (void)state;
    expect("rules:\n  - {subjects: [{user: a}], roles: [\"staging-*\"], limits: {ttl: 1h}}\n",
           "2:65: `ttl` limits role staging-b, which is shared");
}

static void test_roles_that_nobody_may_have_are_found(void **state)
{
    const char *policy = "rules:\n"
                         "  - {subjects: [{user: a}], roles: [staging-a, staging-b]}\n"
                         "  - {subjects: [{user: b}], roles: [orders-db], mode: observe}\n"
                         "  - {subjects: [{user: a}], roles: [staging-b], effect: deny}\n";

    (void)state;
    assert_string_equal(look_at(policy, true),
                        "7:3: warning: nobody may have role orders-db: no rule allows it\n"
                        "7:3: warning: nobody may have role staging-b: no rule allows it\n");
    expect_nothing(policy);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        T(test_rules_that_are_never_reached_are_found),
        T(test_rules_that_decide_something_are_let_through),
        T(test_subjects_that_mean_too_many_are_found),
        T(test_expressions_are_looked_at),
        T(test_windows_that_never_open_or_overlap_are_found),
        T(test_a_ttl_on_a_shared_role_is_a_mistake),
        T(test_roles_that_nobody_may_have_are_found),
#undef T
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
