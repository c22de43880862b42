/* Identities that are assumed are what rules see of a caller who would be like that. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "access/assumed.h"
#include "policy_fixture.h"

#include <string.h>

static struct fixture f;
static struct access_assumed *assumed;

static int setup(void **state)
{
    (void)state;
    fixture_init(&f);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    access_assumed_free(assumed);
    assumed = NULL;
    fixture_fini(&f);
    return 0;
}

static void assume(const char *text)
{
    access_assumed_free(assumed);
    assumed = NULL;
    if (access_assumed_read("t.yaml", str_of(text), &assumed, &f.errors) != 0) {
        fail_msg("%.*s", STR_ARG(buf_str(&f.errors.text)));
    }
    f.identity = *access_assumed_identity(assumed);
}

static bool is_allowed(const char *subject, const char *caller)
{
    char policy[512];

    (void)snprintf(policy, sizeof(policy),
                   "rules:\n  - {subjects: [%s], roles: [orders-db]}\n"
                   "  - {subjects: [{user: \"*\"}], roles: [staging-a]}\n",
                   subject);
    fixture_policy(&f, policy);
    assume(caller);
    return fixture_decide(&f) == ACCESS_ALLOW;
}

static void test_rules_see_what_is_assumed_and_nothing_else(void **state)
{
    static const struct {
        const char *subject;
        const char *fits;
        const char *does_not;
    } cases[] = {
        {"{user: anna}", "{user: anna}", "{user: ann}"},
        {"{uid: 7}", "{uid: 7}", "{user: anna}"},
        {"{uid: 0}", "{user: root}", "{user: root, uid: 7}"},
        {"{group: dba}", "{user: anna, group: [dev, dba]}", "{user: anna, group: dev}"},
        {"{gid: 50}", "{user: anna, gid: [7, 50], group: dev}", "{user: anna}"},
        {"{user: anna, unit: \"a*\"}", "{user: anna, unit: a.service}", "{user: anna}"},
        {"{user: anna, listener: local}", "{user: anna, listener: local}", "{user: anna}"},
        {"{user: anna}", "{user: anna, kind: loopback}", "{user: anna, container: c0ffee}"},
        {"{user: anna, container: \"c*\"}", "{user: anna, container: c0ffee}", "{user: anna}"},
        {"{user: anna, container: \"*\", image: \"a/*\"}", "{user: anna, container: c, image: a/b}",
         "{user: anna, container: c}"},
        {"{uid: 1000-1999}", "{uid: 1999}", "{uid: 2000}"},
        {"{listener: pod}", "{uid: 7, kind: foreign, listener: pod}",
         "{uid: 7, kind: foreign, listener: local}"},
        {"{tls: {san: \"spiffe://a/*\"}}", "{san: [b.example, spiffe://a/b]}",
         "{san: spiffe://b/a}"},
        {"{tls: {san: \"spiffe://a/*\"}}", "{tls: {san: spiffe://a/b}}",
         "{tls: {san: spiffe://b/a}}"},
        {"{user: ci, jwt: {issuer: gitlab, claims: {p: \"acme/*\", n: 3, ok: true, /a/b: x}}}",
         "{user: ci, jwt: {issuer: gitlab, claims: {p: acme/x, n: 3, ok: true, a: {b: x}}}}",
         "{user: ci, jwt: {issuer: gitlab, claims: {p: acme/x, n: 4, ok: true, a: {b: x}}}}"},
        {"{jwt: {issuer: gitlab, claims: {sub: s}}}", "{user: ci, jwt: {issuer: gitlab, sub: s}}",
         "{user: ci}"},
    };
    size_t i;

    (void)state;
    for (i = 0; i < ARRAY_LEN(cases); i++) {
        if (!is_allowed(cases[i].subject, cases[i].fits)) {
            fail_msg("%s should fit %s", cases[i].fits, cases[i].subject);
        }
        if (is_allowed(cases[i].subject, cases[i].does_not)) {
            fail_msg("%s should not fit %s", cases[i].does_not, cases[i].subject);
        }
    }
}

static void test_nobody_in_no_group_is_denied_by_a_rule_on_groups(void **state)
{
    (void)state;
    fixture_policy(&f, "rules:\n  - {subjects: [{group: dba}], roles: [orders-db], effect: deny}\n"
                       "  - {subjects: [{user: \"*\"}], roles: [orders-db]}\n");
    assume("{user: anna}");
    assert_int_equal(fixture_decide(&f), ACCESS_ALLOW);
    assume("{user: anna, group: dba}");
    assert_int_equal(fixture_decide(&f), ACCESS_DENY);
}

static void test_session_and_person_are_kept(void **state)
{
    (void)state;
    assume("{user: ci, jwt: {issuer: gitlab, sub: s, session: \"42\", person: anna}}");
    assert_string_equal(f.identity.claims->session, "42");
    assert_string_equal(f.identity.claims->person, "anna");
    assert_string_equal(f.identity.claims->sub, "s");
}

static void test_mistakes_are_told_with_their_place(void **state)
{
    static const struct {
        const char *text;
        const char *message;
    } cases[] = {
        {"usr: anna", "t.yaml:1:1: unknown key `usr`"},
        {"{}", "t.yaml:1:1: this caller is nobody"},
        {"unit: a.service", "this caller is nobody"},
        {"{user: a, gid: x}", "t.yaml:1:16: `x` is no gid"},
        {"{user: a, san: b}", "has no user, group, unit or container"},
        {"{user: a, kind: tls}", "needs a `san`"},
        {"{user: a, tls: {san: b}}", "has no user, group, unit or container"},
        {"{san: a, tls: {san: b}}", "not both"},
        {"{user: a, kind: unix, san: b}", "only a caller of kind tls"},
        {"{user: a, kind: loopback, unit: u}", "neither unit nor container"},
        {"{user: a, image: b}", "write a `container` too"},
        {"{user: a, unit: u, container: c}", "has no unit"},
        {"{san: a b}", "has no blanks"},
        {"{user: a, jwt: {issuer: gitlab, claims: [1]}}", "expected a mapping"},
        {"{user: a, jwt: {}}", "`issuer` is missing"},
        {"[a", "t.yaml:"},
    };
    size_t i;

    (void)state;
    for (i = 0; i < ARRAY_LEN(cases); i++) {
        yaml_errors_fini(&f.errors);
        yaml_errors_init(&f.errors);
        assert_int_equal(access_assumed_read("t.yaml", str_of(cases[i].text), &assumed, &f.errors),
                         ERR_INVALID);
        buf_add_char(&f.errors.text, '\0');
        if (strstr(buf_str(&f.errors.text).ptr, cases[i].message) == NULL) {
            fail_msg("%s: %s", cases[i].text, buf_str(&f.errors.text).ptr);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        T(test_rules_see_what_is_assumed_and_nothing_else),
        T(test_nobody_in_no_group_is_denied_by_a_rule_on_groups),
        T(test_session_and_person_are_kept),
        T(test_mistakes_are_told_with_their_place),
#undef T
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
