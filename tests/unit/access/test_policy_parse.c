/* Policy files: what is accepted, and that every mistake is told with its place. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "policy_fixture.h"

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

struct mistake {
    const char *text;
    const char *expected; /* the whole output, without the newline at its end */
};

static void check_mistakes(struct fixture *f, const struct mistake *mistakes, size_t count)
{
    size_t i;

    for (i = 0; i < count; i++) {
        char expected[1024];

        fixture_mistakes(f, mistakes[i].text);
        (void)snprintf(expected, sizeof(expected), "%s\n", mistakes[i].expected);
        assert_string_equal(buf_str(&f->errors.text).ptr, expected);
    }
}

static void test_the_documented_example_is_read(void **state)
{
    struct fixture *f = *state;

    fixture_policy(f, "rules:\n"
                      "  - name: ci-migrations\n"
                      "    subjects:                       # any of\n"
                      "      - {user: orders, unit: orders.service}\n"
                      "      - group: dba\n"
                      "    roles: [orders-db, \"staging-*\"]\n"
                      "    effect: allow\n"
                      "    limits: {duration: 30m, ttl: 1h, live: 3, binding: [process, none]}\n"
                      "    require:\n"
                      "      reason: \"^[A-Z]+-[0-9]+\"\n"
                      "admins:\n"
                      "  - {subjects: [{group: wheel}], may: [read, revoke, policy, reload]}\n");
    assert_int_equal(access_policy_rule_count(f->policy), 1);
    f->request.reason = "OPS-1";
    assert_int_equal(fixture_decide(f), ACCESS_ALLOW);
    assert_string_equal(f->decision.rule, "ci-migrations");
}

static void test_mistakes_in_subjects_are_told(void **state)
{
    static const struct mistake mistakes[] = {
        {"rules: [{subjects: [{unit: a.service}], roles: orders-db}]",
         "p.yaml:1:21: a subject that names a `unit` must name a `user` or `group` too"},
        {"rules: [{subjects: [{container: \"*\", listener: local}], roles: orders-db}]",
         "p.yaml:1:21: a subject that names a `container` must name a `user` or `group` too"},
        {"rules: [{subjects: [{}], roles: orders-db}]",
         "p.yaml:1:21: this subject names nobody; for everybody, write `{user: \"*\"}`"},
        {"rules: [{subjects: [], roles: orders-db}]", "p.yaml:1:10: `subjects` is empty"},
        {"rules: [{subjects: [{usr: alice}], roles: orders-db}]",
         "p.yaml:1:22: unknown key `usr`: did you mean `user`?"},
        {"rules: [{subjects: [{uid: 2000-1999}], roles: orders-db}]",
         "p.yaml:1:27: uid: expected a whole number, or two with a `-` between them and the smaller "
         "one first, from 0 to 4294967294, found `2000-1999`"},
        {"rules: [{subjects: [{gid: \"5-\"}], roles: orders-db}]",
         "p.yaml:1:27: gid: expected a whole number, or two with a `-` between them and the smaller "
         "one first, from 0 to 4294967294, found `5-`"},
        {"rules: [{subjects: [{image: a}], roles: orders-db}]",
         "p.yaml:1:21: a subject that names a `image` must name a `user` or `group` too"},
        {"rules: [{subjects: [{user: alice, exe: /bin/sh}], roles: orders-db}]",
         "p.yaml:1:35: `exe` is not supported by this version: there are no rules on executables, "
         "because any process can run an allowed program and let it hand over the credential; use "
         "`unit`"},
        {"rules: [{subjects: [{user: alice, jwt: {issuer: x}}], roles: orders-db}]",
         "p.yaml:1:49: there is no issuer `x`"},
        {"admins: [{subjects: [{unit: a.service}]}]",
         "p.yaml:1:22: a subject that names a `unit` must name a `user` or `group` too"},
        {"admins: [{unit: a.service}]",
         "p.yaml:1:10: a subject that names a `unit` must name a `user` or `group` too"},
        {"admins: [{subjects: [], may: read}]", "p.yaml:1:11: `subjects` is empty"},
        {"admins: [{may: read}]", "p.yaml:1:10: `subjects` is missing in admins"},
    };

    check_mistakes(*state, mistakes, ARRAY_LEN(mistakes));
}

static void test_mistakes_in_rules_are_told(void **state)
{
    static const struct mistake mistakes[] = {
        {"rules: [{subjects: [{user: a}], roles: [orders-db, order-db]}]",
         "p.yaml:1:52: unknown role `order-db`: did you mean `orders-db`?"},
        {"rules: [{subjects: [{user: a}], roles: \"prod-*\"}]",
         "p.yaml:1:40: no role matches `prod-*`"},
        {"rules: [{subjects: [{user: a}], roles: completely-else}]",
         "p.yaml:1:40: unknown role `completely-else`"},
        {"rules: [{subjects: [{user: a}], roles: []}]", "p.yaml:1:33: `roles` is empty"},
        {"rules: [{subjects: [{user: a}]}]", "p.yaml:1:9: `roles` or `paths` is missing in a rule"},
        {"rules:\n- {name: x, subjects: [{user: a}], roles: \"*\"}\n"
         "- {name: x, subjects: [{user: a}], roles: \"*\"}",
         "p.yaml:3:10: there is a rule `x` already"},
        {"rules:\n- {name: rule-2, subjects: [{user: a}], roles: \"*\"}\n"
         "- {subjects: [{user: a}], roles: \"*\"}",
         "p.yaml:3:3: there is a rule `rule-2` already"},
        {"rules: [{subjects: [{user: a}], roles: \"*\", mode: observed}]",
         "p.yaml:1:51: mode: expected one of `active`, `observe`, found `observed`: did you mean "
         "`observe`?"},
        {"rules: [{subjects: [{user: a}], roles: \"*\", limits: {issue: 20/y}}]",
         "p.yaml:1:61: issue: expected a rate such as 50/s, 10/m or 20/h, found `20/y`"},
        {"rules: [{subjects: [{user: a}], roles: \"*\", limits: {min_remainin: 1h}}]",
         "p.yaml:1:54: unknown key `min_remainin`: did you mean `min_remaining`?"},
        {"rules: [{subjects: [{user: a}], roles: \"*\", require: {tiket: x}}]",
         "p.yaml:1:55: unknown key `tiket`: did you mean `ticket`?"},
        {"rules: [{subjects: [{user: a}], roles: \"*\", require: {ticket: \"[\"}}]",
         "p.yaml:1:63: this is no regular expression: missing terminating ] for character class, "
         "at character 2"},
        {"rules: [{subjects: [{user: a}], roles: \"*\", require: {approval: {count: 1}}}]",
         "p.yaml:1:55: `from` is missing in approval"},
        {"rules: [{subjects: [{user: a}], roles: \"*\", require: {approval: {from: []}}}]",
         "p.yaml:1:66: `from` is empty"},
        {"rules: [{subjects: [{user: a}], roles: \"*\", require: {approval: {from: [{usr: b}]}}}]",
         "p.yaml:1:74: unknown key `usr`: did you mean `user`?"},
        {"rules: [{subjects: [{user: a}], roles: \"*\", require: {approval: {form: [{user: b}]}}}]",
         "p.yaml:1:66: unknown key `form`: did you mean `from`?"},
        {"rules: [{subjects: [{user: a}], roles: \"*\", brake_glass: true}]",
         "p.yaml:1:45: unknown key `brake_glass`: did you mean `break_glass`?"},
        {"rules: [{subjects: [{user: a}], roles: \"*\", break_glass: true}]",
         "p.yaml:1:45: a rule with `break_glass` needs `limits.duration`: how long it may last\n"
         "p.yaml:1:45: a rule with `break_glass` needs `require.approval`: who must look at it "
         "afterwards"},
        {"rules: [{subjects: [{user: a}], roles: \"*\", effect: deny, break_glass: true}]",
         "p.yaml:1:59: `break_glass` has no effect in a rule that denies"},
        {"rules: [{subjects: [{user: a}], roles: \"*\", paths: [{path: \"a/*\", capabilities: "
         "read}], break_glass: true, limits: {duration: 1h}, require: {approval: {from: [{user: "
         "b}]}}}]",
         "p.yaml:1:45: `paths` has no effect in a rule with `break_glass`"},
        {"rules: [{subjects: [{user: a}], roles: \"*\", require: }]",
         "p.yaml:1:45: `require` is empty"},
        {"rules: [{subjects: [{user: a}], roles: \"*\", require: {window: {day: mon}}}]",
         "p.yaml:1:64: unknown key `day`: did you mean `days`?"},
        {"rules: [{subjects: [{user: a}], roles: \"*\", require: {window: }}]",
         "p.yaml:1:55: `window` is empty"},
        {"rules: [{subjects: [{user: a}], roles: \"*\", require: {reason: \"a(b\"}}]",
         "p.yaml:1:63: this is no regular expression: missing closing parenthesis, at character 4"},
        {"rules: [{subjects: [{user: a}], roles: \"*\", limits: {binding: [process, thread]}}]",
         "p.yaml:1:73: `thread` is no binding; possible are process, parent, session, unit, "
         "connection, none, pid:N, pid:* and comm:NAME"},
        {"rules: [{subjects: [{user: a}], roles: \"*\", effect: deny, limits: {live: 3}}]",
         "p.yaml:1:59: `limits` has no effect in a rule that denies"},
    };

    check_mistakes(*state, mistakes, ARRAY_LEN(mistakes));
}

static void test_a_text_that_is_too_long_is_told_so(void **state)
{
    struct fixture *f = *state;
    char text[4200];

    (void)snprintf(text, sizeof(text), "rules: [{roles: ['*'], subjects: [{user: '%04097d'}]}]", 0);
    fixture_mistakes(f, text);
    assert_string_equal(buf_str(&f->errors.text).ptr,
                        "p.yaml:1:42: user: expected text of at most 4096 bytes, found "
                        "`000000000000000000000000000000000000000000000000…`\n");
}

static void test_mistakes_of_the_whole_are_told(void **state)
{
    static const struct mistake mistakes[] = {
        {"rule: []", "p.yaml:1:1: unknown key `rule`: did you mean `rules`?"},
        {"mode: observed",
         "p.yaml:1:7: mode: expected one of `active`, `observe`, found `observed`: "
         "did you mean `observe`?"},
        {"persons: [alice]",
         "p.yaml:1:10: expected a mapping of names to subjects or lists of them, found a list"},
        {"persons: {alice: [{usr: alice}]}",
         "p.yaml:1:20: unknown key `usr`: did you mean `user`?"},
        {"persons: {alice: [~]}", "p.yaml:1:19: expected a subject, found nothing"},
        {"persons: {alice: []}", "p.yaml:1:18: alice: expected a subject or a list of them"},
        {"persons: {alice: }", "p.yaml:1:11: alice: expected a subject or a list of them"},
        {"admins: {user: alice}", "p.yaml:1:9: expected a list, found a mapping"},
    };

    check_mistakes(*state, mistakes, ARRAY_LEN(mistakes));
}

static void test_all_mistakes_are_told_at_once(void **state)
{
    struct fixture *f = *state;

    fixture_mistakes(f, "rules:\n"
                        "- {subjects: [{unit: x.service}], roles: [nope, orders-db]}\n"
                        "- {subjects: [{user: a}], roles: \"*\", effect: maybe}\n"
                        "- {subjects: [{user: a}], roles: \"*\", limits: {duration: long}}\n"
                        "admins: [{subjects: [{user: a}], may: [everything]}]\n");
    assert_int_equal(f->errors.count, 5);
}

/* Where the mapping is a part of another file, its unknown keys are reported there, and only there.
 */
static void test_an_inline_policy_leaves_unknown_keys_to_its_owner(void **state)
{
    static const char *const no_roles[] = {NULL};
    struct fixture *f = *state;
    struct yaml_document *document = NULL;
    const struct yaml_node *node;

    assert_int_equal(
        yaml_parse("c.yaml", STR("policies: {path: x, rules: []}"), &document, &f->errors), 0);
    node = yaml_get(yaml_root(document), "policies");
    assert_int_equal(access_policy_parse(&(struct access_nodes){.items = &node, .count = 1},
                                         &(struct access_known){.roles = no_roles}, NULL,
                                         &f->policy, &f->errors),
                     0);
    yaml_free(document);
}

static void test_rules_without_a_name_are_numbered_over_all_files(void **state)
{
    struct fixture *f = *state;

    fixture_policies(f, "rules: [{subjects: [{user: bob}], roles: \"*\"}]",
                     "rules: [{subjects: [{user: alice}], roles: \"*\"}]");
    assert_int_equal(fixture_decide(f), ACCESS_ALLOW);
    assert_string_equal(f->decision.rule, "rule-2");
}

static void digest_of(struct fixture *f, const char *text, char out[65])
{
    fixture_policy(f, text);
    (void)snprintf(out, 65, "%s", access_policy_digest(f->policy));
    assert_int_equal(strlen(out), 64);
}

static void test_the_digest_is_of_the_meaning(void **state)
{
    static const char plain[] = "rules: [{subjects: [{user: a, gid: 0}], roles: \"*\"}]";
    static const char *const same[] = {
        "# a comment\nrules:\n- roles: ['*']\n  name: rule-1\n  effect: allow\n  subjects:\n"
        "  - {gid: 0, user: \"a\"}\nadmins: []\n",
    };
    static const char *const others[] = {
        "rules: [{subjects: [{user: b, gid: 0}], roles: \"*\"}]",
        "rules: [{subjects: [{user: a}], roles: \"*\"}]",
        "rules: [{subjects: [{user: a}, {gid: 0}], roles: \"*\"}]",
        "rules: [{subjects: [{user: a, gid: 0}], roles: orders-db}]",
        "rules: [{subjects: [{user: a, gid: 0}], roles: \"*\", effect: deny}]",
        "rules: [{subjects: [{user: a, gid: 0}], roles: \"*\", limits: {live: 1}}]",
        "rules: [{subjects: [{user: a, gid: 0}], roles: \"*\", require: {reason: x}}]",
        "rules: [{subjects: [{user: a, gid: 0}], roles: \"*\"}]\nadmins: [{user: a}]",
        "rules: [{subjects: [{user: a, gid: 0}], roles: \"*\", limits: {binding: none}}]",
    };
    struct fixture *f = *state;
    char digest[65];
    char other[65];
    size_t i;

    digest_of(f, plain, digest);
    for (i = 0; i < ARRAY_LEN(same); i++) {
        digest_of(f, same[i], other);
        assert_string_equal(digest, other);
    }
    for (i = 0; i < ARRAY_LEN(others); i++) {
        digest_of(f, others[i], other);
        assert_string_not_equal(digest, other);
    }
}

static void test_too_many_rules_are_refused(void **state)
{
    struct fixture *f = *state;
    const struct yaml_node *nodes[8];
    struct yaml_document *document = NULL;
    BUF_AUTO text;
    size_t i;

    buf_init(&text, 1 << 20);
    buf_add_c(&text, "rules:\n");
    for (i = 0; i < 8193; i++) {
        buf_add_c(&text, "- {subjects: [{uid: 1}], roles: \"*\"}\n");
    }
    assert_int_equal(buf_status(&text), 0);
    assert_int_equal(yaml_parse("p.yaml", buf_str(&text), &document, &f->errors), 0);
    for (i = 0; i < ARRAY_LEN(nodes); i++) {
        nodes[i] = yaml_root(document);
    }
    assert_int_equal(
        access_policy_parse(&(struct access_nodes){.items = nodes, .count = ARRAY_LEN(nodes)},
                            &(struct access_known){.roles = NULL}, NULL, &f->policy, &f->errors),
        ERR_INVALID);
    assert_string_equal(buf_str(&f->errors.text).ptr,
                        "p.yaml:1:1: there are 65544 rules; at most 65536 are possible\n");
    yaml_free(document);
}

static int fail_countdown;

static int fail_at(size_t size)
{
    (void)size;
    return fail_countdown > 0 && --fail_countdown == 0;
}

static void test_no_memory_gives_no_policy_and_leaks_nothing(void **state)
{
    static const char text[] =
        "rules:\n"
        "- {name: a, subjects: [{user: alice, unit: x, group: g}], roles: [\"*\", orders-db],\n"
        "   limits: {live: 1, binding: [none]}, require: {reason: \"^x\", ticket: \"^y\",\n"
        "   approval: {from: [{group: dba}]}}}\n"
        "- {subjects: [{uid: 1}], roles: \"*\", effect: deny}\n"
        "admins: [{subjects: [{group: wheel}], may: [read]}, {uid: 3}]\n"
        "persons: {alice: [{user: alice}, {uid: 5}], bob: {user: bob}}\n";
    static const char *const roles[] = {"orders-db", "b", NULL};
    struct fixture *f = *state;
    struct yaml_document *document = NULL;
    const struct yaml_node *node;
    int r = ERR_NOMEM;
    int n;

    assert_int_equal(yaml_parse("p.yaml", STR(text), &document, &f->errors), 0);
    node = yaml_root(document);
    for (n = 1; r != 0; n++) {
        size_t before = mem_in_use_bytes();

        fail_countdown = n;
        mem_set_fail_hook(fail_at);
        r = access_policy_parse(&(struct access_nodes){.items = &node, .count = 1},
                                &(struct access_known){.roles = roles}, NULL, &f->policy,
                                &f->errors);
        mem_set_fail_hook(NULL);
        if (r != 0) {
            assert_int_equal(r, ERR_NOMEM);
            assert_null(f->policy);
            assert_int_equal(mem_in_use_bytes(), before);
        }
    }
    assert_true(n > 20);
    yaml_free(document);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_the_documented_example_is_read),
        TEST(test_mistakes_in_subjects_are_told),
        TEST(test_mistakes_in_rules_are_told),
        TEST(test_a_text_that_is_too_long_is_told_so),
        TEST(test_mistakes_of_the_whole_are_told),
        TEST(test_all_mistakes_are_told_at_once),
        TEST(test_an_inline_policy_leaves_unknown_keys_to_its_owner),
        TEST(test_rules_without_a_name_are_numbered_over_all_files),
        TEST(test_the_digest_is_of_the_meaning),
        TEST(test_too_many_rules_are_refused),
        TEST(test_no_memory_gives_no_policy_and_leaks_nothing),
    };

    return cmocka_run_group_tests_name("policy_parse", tests, NULL, NULL);
}
