/* Paths of an issuer's own API: patterns, and what rules say about them. */
#include "policy_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "access/paths.h"

static struct fixture fixture;

static int setup(void **state)
{
    (void)state;
    fixture_init(&fixture);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    fixture_fini(&fixture);
    return 0;
}

static enum access_outcome ask(const char *path, uint32_t needs)
{
    const struct access_path_request request = {.backend = "vault-a",
                                                .path = str_of(path),
                                                .needs = needs,
                                                .wall_ms = INT64_C(1767225600000)};

    memset(&fixture.decision, 0x5a, sizeof(fixture.decision));
    access_policy_decide_path(fixture.policy, &fixture.identity, &request, &fixture.decision);
    assert_true((fixture.decision.outcome == ACCESS_ALLOW) == (fixture.decision.detail[0] == '\0'));
    return fixture.decision.outcome;
}

static void test_a_pattern_is_read_as_vault_reads_it(void **state)
{
    static const struct {
        const char *pattern;
        const char *path;
        bool matches;
    } cases[] = {
        {"secret/a", "secret/a", true},
        {"secret/a", "secret/ab", false},
        {"secret/a", "secret/", false},
        {"secret/*", "secret/a/b", true},
        {"secret/*", "secret/", true},
        {"secret/*", "secret", false},
        {"secret/a*", "secret/abc/d", true},
        {"*", "anything/at/all", true},
        {"+/data/x", "kv/data/x", true},
        {"+/data/x", "a/b/data/x", false},
        {"a/+/c", "a//c", false},
        {"a/+", "a/b", true},
        {"a/+", "a/b/c", false},
        {"a/+/*", "a/b/c/d", true},
        {"a/b+", "a/b+", true},
        {"a/b+", "a/bc", false},
        {"a/+b", "a/xb", false},
        {"", "", true},
        {"+*", "ab/c", true},
        {"a/+", "a/", false},
    };
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        if (access_path_matches(str_of(cases[i].pattern), str_of(cases[i].path)) !=
            cases[i].matches) {
            fail_msg("%s and %s", cases[i].pattern, cases[i].path);
        }
    }
}

static void test_mistakes_in_paths_are_told(void **state)
{
    static const struct {
        const char *entry;
        const char *text;
    } cases[] = {
        {"{path: /secret/x, capabilities: [read]}", "without the leading / and v1/"},
        {"{path: v1/secret/x, capabilities: [read]}", "without the leading / and v1/"},
        {"{path: 'a/*/b', capabilities: [read]}", "a * can stand at the end only"},
        {"{path: a, capabilities: [reed]}", "did you mean `read`"},
        {"{path: a}", "`capabilities` is missing"},
        {"{capabilities: [read]}", "`path` is missing"},
    };
    char text[256];
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        (void)snprintf(text, sizeof(text), "rules: [{subjects: [{user: alice}], paths: [%s]}]",
                       cases[i].entry);
        fixture_mistakes(&fixture, text);
        if (strstr(buf_str(&fixture.errors.text).ptr, cases[i].text) == NULL) {
            fail_msg("%s: %s", cases[i].entry, buf_str(&fixture.errors.text).ptr);
        }
    }
}

static void test_nothing_is_allowed_by_default(void **state)
{
    (void)state;
    fixture_policy(&fixture, "rules: [{subjects: [{user: alice}], roles: [orders-db]}]");
    assert_int_equal(ask("secret/a", ACCESS_CAN_READ), ACCESS_DENY);
    assert_null(fixture.decision.rule);
}

static void test_an_entry_gives_what_it_lists_and_no_more(void **state)
{
    (void)state;
    fixture_policy(&fixture, "rules:\n"
                             "- name: kv\n"
                             "  subjects: [{user: alice}]\n"
                             "  paths:\n"
                             "  - {path: 'secret/data/team/*', capabilities: [read, update]}\n"
                             "  - {path: secret/metadata/team, capabilities: list}\n"
                             "  - {path: sys/rotate, capabilities: [update]}\n");
    assert_int_equal(ask("secret/data/team/a", ACCESS_CAN_READ), ACCESS_ALLOW);
    assert_string_equal(fixture.decision.rule, "kv");
    assert_int_equal(ask("secret/data/team/a", ACCESS_CAN_DELETE), ACCESS_DENY);
    assert_int_equal(ask("secret/data/other", ACCESS_CAN_READ), ACCESS_DENY);
    assert_int_equal(ask("secret/metadata/team/", ACCESS_CAN_LIST), ACCESS_ALLOW);
    assert_int_equal(ask("secret/metadata/team/", ACCESS_CAN_READ), ACCESS_DENY);
    assert_int_equal(ask("sys/rotate", ACCESS_CAN_UPDATE | ACCESS_CAN_SUDO), ACCESS_DENY);
    assert_int_equal(access_policy_capabilities(
                         fixture.policy, &fixture.identity,
                         &(struct access_path_request){.backend = "vault-a",
                                                       .path = STR("secret/data/team/a")}),
                     ACCESS_CAN_READ | ACCESS_CAN_UPDATE);
}

static void test_a_deny_wins_wherever_it_stands(void **state)
{
    (void)state;
    fixture_policy(&fixture, "rules:\n"
                             "- {name: all, subjects: [{user: alice}], paths: [{path: 'secret/*',\n"
                             "   capabilities: [read, delete]}]}\n"
                             "- {name: not-this, effect: deny, subjects: [{user: '*'}],\n"
                             "   paths: [{path: secret/a, capabilities: [read]}]}\n");
    assert_int_equal(ask("secret/b", ACCESS_CAN_READ), ACCESS_ALLOW);
    assert_int_equal(ask("secret/a", ACCESS_CAN_READ), ACCESS_DENY);
    assert_string_equal(fixture.decision.rule, "not-this");
    assert_int_equal(ask("secret/a", ACCESS_CAN_DELETE), ACCESS_ALLOW);
    /* Vault reads some of its own paths with a slash at their end, too. */
    assert_int_equal(ask("secret/a/", ACCESS_CAN_READ), ACCESS_DENY);
    assert_string_equal(fixture.decision.rule, "not-this");
    assert_int_equal(ask("secret/a/b", ACCESS_CAN_READ), ACCESS_ALLOW);
}

static void test_an_entry_may_be_for_one_backend(void **state)
{
    (void)state;
    fixture_policy(&fixture, "rules: [{subjects: [{user: alice}], paths: [{path: a,\n"
                             "  capabilities: [read], backend: vault-b},\n"
                             " {path: b, capabilities: [read], backend: vault-a}]}]");
    assert_int_equal(ask("a", ACCESS_CAN_READ), ACCESS_DENY);
    assert_int_equal(ask("b", ACCESS_CAN_READ), ACCESS_ALLOW);
}

static void test_other_callers_get_nothing(void **state)
{
    (void)state;
    fixture_policy(&fixture, "rules: [{subjects: [{user: orders}], paths: [{path: a,\n"
                             "  capabilities: [read]}]}]");
    assert_int_equal(ask("a", ACCESS_CAN_READ), ACCESS_DENY);
}

static void test_a_required_reason_cannot_be_given(void **state)
{
    (void)state;
    fixture_policy(&fixture, "rules: [{name: why, subjects: [{user: alice}], paths: [{path: a,\n"
                             "  capabilities: [read]}], require: {reason: '^OPS'}}]");
    assert_int_equal(ask("a", ACCESS_CAN_READ), ACCESS_REASON_REQUIRED);
    assert_string_equal(fixture.decision.rule, "why");
}

static void test_neither_ticket_nor_approval_can_be_given(void **state)
{
    (void)state;
    fixture_policy(&fixture, "rules:\n"
                             "- {name: t, subjects: [{user: alice}], paths: [{path: a,\n"
                             "   capabilities: [read]}], require: {ticket: '^OPS'}}\n"
                             "- {name: a, subjects: [{user: alice}], paths: [{path: b,\n"
                             "   capabilities: [read]}], require: {approval: {from: [{uid: 0}]}}}");
    assert_int_equal(ask("a", ACCESS_CAN_READ), ACCESS_REASON_REQUIRED);
    assert_int_equal(ask("b", ACCESS_CAN_READ), ACCESS_REASON_REQUIRED);
    assert_string_equal(fixture.decision.detail,
                        "rule a requires an approval, which a call of a path can't give");
}

static void test_a_closed_window_opens_no_path(void **state)
{
    (void)state;
    fixture_policy(&fixture,
                   "rules:\n"
                   "- {subjects: [{user: alice}], paths: [{path: a,\n"
                   "   capabilities: [read]}], require: {window: {hours: '08:00-19:00'}}}\n"
                   "- {subjects: [{user: alice}], paths: [{path: b,\n"
                   "   capabilities: [read]}], require: {window: {hours: '00:00-01:00'}}}");
    assert_int_equal(ask("a", ACCESS_CAN_READ), ACCESS_DENY);
    assert_string_equal(fixture.decision.limit, "window");
    assert_int_equal(ask("b", ACCESS_CAN_READ), ACCESS_ALLOW);
}

static void test_observed_rules_open_and_close_no_path(void **state)
{
    (void)state;
    fixture_policy(&fixture, "rules:\n"
                             "- {subjects: [{user: alice}], paths: [{path: a,\n"
                             "   capabilities: [read]}], mode: observe}\n"
                             "- {subjects: [{user: alice}], paths: [{path: b,\n"
                             "   capabilities: [read]}]}\n"
                             "- {subjects: [{user: alice}], paths: [{path: b,\n"
                             "   capabilities: [read]}], effect: deny, mode: observe}\n");
    assert_int_equal(ask("a", ACCESS_CAN_READ), ACCESS_DENY);
    assert_false(access_policy_touches(fixture.policy, &fixture.identity, "vault-a", STR("a")));
    assert_int_equal(ask("b", ACCESS_CAN_READ), ACCESS_ALLOW);
}

static void test_paths_count_for_the_digest(void **state)
{
    char digest[65];

    (void)state;
    fixture_policy(&fixture, "rules: [{subjects: [{user: alice}], paths: [{path: a,\n"
                             "  capabilities: [read]}]}]");
    (void)snprintf(digest, sizeof(digest), "%s", access_policy_digest(fixture.policy));
    fixture_policy(&fixture, "rules: [{subjects: [{user: alice}], paths: [{path: a,\n"
                             "  capabilities: [read, list]}]}]");
    assert_string_not_equal(digest, access_policy_digest(fixture.policy));
}

#define path_test(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        path_test(test_a_pattern_is_read_as_vault_reads_it),
        path_test(test_mistakes_in_paths_are_told),
        path_test(test_nothing_is_allowed_by_default),
        path_test(test_an_entry_gives_what_it_lists_and_no_more),
        path_test(test_a_deny_wins_wherever_it_stands),
        path_test(test_an_entry_may_be_for_one_backend),
        path_test(test_other_callers_get_nothing),
        path_test(test_a_required_reason_cannot_be_given),
        path_test(test_neither_ticket_nor_approval_can_be_given),
        path_test(test_a_closed_window_opens_no_path),
        path_test(test_observed_rules_open_and_close_no_path),
        path_test(test_paths_count_for_the_digest),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
