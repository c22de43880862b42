/* Policies are checked and tested without a daemon, and what is found can be read by people and by
 * programs. */
#include "fake_daemon.h"

#include "cli/cli.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#define RULES                                                                                      \
    "rules:\n"                                                                                     \
    "  - {name: dev, subjects: [{group: dev}], roles: [staging], limits: {duration: 2h}}\n"        \
    "  - {name: dba, subjects: [{group: dba}], roles: [\"prod-*\"], require: {reason: \"^OPS-\"}}\n"
#define TESTS                                                                                      \
    "tests:\n"                                                                                     \
    "  - {name: a, subject: {user: a, group: dev}, request: {role: staging},\n"                    \
    "     expect: {decision: allow, rule: dev, duration: 2h}}\n"

static char top[64];

static const char *path_of(const char *name)
{
    static char path[128];

    (void)snprintf(path, sizeof(path), "%s/%s", top, name);
    return path;
}

static void put(const char *name, const char *text)
{
    FILE *file = fopen(path_of(name), "we");

    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static void read_back(const char *name, char out[4096])
{
    FILE *file = fopen(path_of(name), "re");
    size_t count;

    assert_non_null(file);
    count = fread(out, 1, 4095, file);
    out[count] = '\0';
    assert_int_equal(fclose(file), 0);
}

static int setup(void **state)
{
    (void)state;
    (void)snprintf(top, sizeof(top), "/tmp/test_policy.XXXXXX");
    assert_non_null(mkdtemp(top));
    assert_int_equal(mkdir(path_of("p"), 0700), 0);
    put("p/rules.yaml", RULES);
    put("p/a_test.yaml", TESTS);
    put("leased.yaml", "issuers: {ci: {}}\n"
                       "roles:\n"
                       "  staging: {max_ttl: 8h}\n"
                       "  prod-db: {share: role, binding: unit}\n");
    return 0;
}

static int teardown(void **state)
{
    char command[128];

    (void)state;
    (void)snprintf(command, sizeof(command), "rm -rf %s", top);
    return system(command);
}

static const struct lease_result *run_policy(const char *what, const char *option)
{
    char folder[128];
    char config[128];
    const char *const words[] = {"policy", what, folder, "--config", config, option, NULL};

    (void)snprintf(folder, sizeof(folder), "%s/p", top);
    (void)snprintf(config, sizeof(config), "%s/leased.yaml", top);
    return run_lease(NULL, words);
}

static void expect(const struct lease_result *result, int exit_code, const char *part)
{
    if (result->exit_code != exit_code || strstr(result->out, part) == NULL) {
        fail_msg("%d\n%s\n%s", result->exit_code, result->out, result->err);
    }
}

static void test_a_sound_policy_is_ok(void **state)
{
    (void)state;
    expect(run_policy("check", NULL), CLI_OK, "ok: 2 rules, 1 tests, 0 mistakes, 0 warnings\n");
    expect(run_policy("test", NULL), CLI_OK, "a_test.yaml: 1 passed\n1 passed, 0 failed\n");
}

/* A rule that denies is lost if nobody notices that its file isn't read. */
static void test_a_file_in_a_folder_below_is_included_or_told(void **state)
{
    (void)state;
    assert_int_equal(mkdir(path_of("p/teams"), 0700), 0);
    put("p/teams/x.yaml", "rules: [{effect: deny, subjects: [{user: a}], roles: [staging]}]\n");
    expect(run_policy("check", NULL), CLI_OK, "/p/teams/x.yaml:1:1: warning: this file doesn't ");
    expect(run_policy("check", "--strict"), CLI_FAILED, "1 warnings\n");
    put("p/rules.yaml", "include: teams/*.yaml\n" RULES);
    expect(run_policy("check", "--strict"), CLI_OK, "ok: 3 rules, 1 tests, 0 mistakes, 0 warn");
}

static void test_mistakes_have_places_and_guesses(void **state)
{
    (void)state;
    put("p/rules.yaml", "rules:\n  - {name: x, subjects: [{usr: a}], roles: [stagin]}\n");
    expect(run_policy("check", NULL), CLI_FAILED,
           "/p/rules.yaml:2:27: unknown key `usr`: did you mean `user`?\n");
    expect(run_policy("check", NULL), CLI_FAILED,
           "/p/rules.yaml:2:45: unknown role `stagin`: did you mean `staging`?\n");
    expect(
        run_policy("check", "--output=json"), CLI_FAILED,
        "\"line\":2,\"column\":45,\"message\":\"unknown role `stagin`: did you mean `staging`?\"");
    expect(run_policy("test", NULL), CLI_FAILED, "nothing is tested");
    expect(run_policy("test", "--output=json"), CLI_FAILED, "\"ok\":false}");
}

static void test_mistakes_in_tests_are_found_by_check(void **state)
{
    (void)state;
    put("p/a_test.yaml", "tests:\n  - {name: a, subject: {user: a}, request: {role: staging},\n"
                         "     expect: {decision: allow, rule: devs}}\n");
    expect(run_policy("check", NULL), CLI_FAILED, "/p/a_test.yaml:3:38: there is no rule `devs`\n");
}

static void test_warnings_count_when_they_are_asked_to(void **state)
{
    (void)state;
    put("p/rules.yaml", RULES "admins: [{user: \"*\"}]\n");
    expect(run_policy("check", NULL), CLI_OK, ":4:10: warning: this is everybody on this machine");
    expect(run_policy("check", "--strict"), CLI_FAILED, "not ok: 2 rules, 1 tests, 0 mistakes, 1");
    expect(run_policy("check", "--output=json"), CLI_OK, "\"level\":\"warning\"");
}

static void test_a_failure_says_what_each_rule_says(void **state)
{
    const struct lease_result *result;

    (void)state;
    put("p/a_test.yaml", "tests:\n  - {name: a, subject: {user: a, group: dba}, request: {role: "
                         "prod-db, reason: x}, expect: {decision: allow}}\n");
    result = run_policy("test", NULL);
    expect(result, CLI_FAILED, "FAIL  ");
    expect(result, CLI_FAILED,
           "/p/a_test.yaml:2:5: a\n      expected allow, got reason_required\n");
    expect(result, CLI_FAILED, "rule dba decides: the reason doesn't match ^OPS-");
    expect(result, CLI_FAILED, "0 passed, 1 failed\n");
}

static void test_coverage_names_the_rules_without_tests(void **state)
{
    (void)state;
    expect(run_policy("test", "--coverage"), CLI_OK, "coverage: 1 of 2 rules, 50 %\n");
    expect(run_policy("test", "--coverage"), CLI_OK,
           "/p/rules.yaml:3:5: rule dba is touched by no test\n");
    expect(run_policy("test", "--coverage-min=50%"), CLI_OK, "1 passed");
    expect(run_policy("test", "--coverage-min=51"), CLI_FAILED,
           "not ok: less than 51 % of the rules are tested\n");
    expect(run_policy("test", "--output=json"), CLI_OK, "\"untouched\":[{\"rule\":\"dba\"");
    assert_int_equal(run_policy("test", "--coverage-min=much")->exit_code, CLI_USAGE);
}

static void test_results_are_written_for_ci_systems(void **state)
{
    char option[160];
    char text[4096];

    (void)state;
    put("p/a_test.yaml", "tests:\n  - {name: \"<a> & \\\"b\\\"\\e\", subject: {user: a}, roles: "
                         "[staging], expect: {decision: allow}}\n");
    (void)snprintf(option, sizeof(option), "--junit=%s/out.xml", top);
    expect(run_policy("test", option), CLI_FAILED, "1 failed");
    read_back("out.xml", text);
    assert_non_null(strstr(text, "<testsuites name=\"policy\" tests=\"1\" failures=\"1\""));
    assert_non_null(strstr(text, "name=\"&lt;a&gt; &amp; &quot;b&quot;?\""));
    assert_non_null(strstr(text, "message=\"expected allow, got deny\""));
    expect(run_policy("test", "--junit=/nonexistent/x"), CLI_FAILED, "1 failed");
}

static void test_without_a_configuration_any_role_may_be_named(void **state)
{
    const struct lease_result *result = RUN_LEASE(NULL, "policy", "test", path_of("p"));

    (void)state;
    expect(result, CLI_OK, "1 passed, 0 failed\n");
    assert_non_null(strstr(result->err, "aren't known"));
}

#define RECORD(more) "{\"v\":1,\"seq\":1,\"time\":\"2026-11-30T10:00:00.000Z\"," more "}\n"
#define DIFFERS(user, now, would)                                                                  \
    RECORD("\"event\":\"observe.differs\",\"outcome\":\"" now "\",\"identity\":{\"user\":\"" user  \
           "\"},\"role\":\"staging\",\"observed\":{\"outcome\":\"" would "\"},\"count\":2")
#define LIMITS                                                                                     \
    RECORD(                                                                                        \
        "\"event\":\"observe.differs\",\"outcome\":\"allow\",\"identity\":{\"user\":\"eve\"},"     \
        "\"role\":\"staging\",\"observed\":{\"outcome\":\"allow\",\"limits\":\"ttl 5m instead of " \
        "1h\"}")
#define PATH                                                                                       \
    RECORD("\"event\":\"observe.differs\",\"outcome\":\"allow\",\"identity\":{\"user\":\"finn\"}," \
           "\"backend\":\"vault-a\",\"reason\":\"read\",\"observed\":{\"outcome\":\"denied\"}")

static const struct lease_result *run_diff(const char *option)
{
    char folder[128];
    char config[128];
    char trail[128];
    const char *const words[] = {"policy",  "diff", folder, "--config", config,
                                 "--audit", trail,  option, NULL};

    (void)snprintf(folder, sizeof(folder), "%s/p", top);
    (void)snprintf(config, sizeof(config), "%s/leased.yaml", top);
    (void)snprintf(trail, sizeof(trail), "%s/audit.jsonl", top);
    return run_lease(NULL, words);
}

static void test_what_an_observed_policy_would_change_is_summed_up(void **state)
{
    const struct lease_result *result;

    (void)state;
    put("audit.jsonl",
        DIFFERS("anna", "allow", "denied") DIFFERS("ben", "allow", "approval")
            DIFFERS("anna", "allow", "denied") DIFFERS("cleo", "denied", "allow")
                DIFFERS("dan", "denied", "approval") LIMITS PATH PATH "{\"v\":1,\"se");
    result = run_diff(NULL);
    expect(result, CLI_OK,
           "2 callers would lose staging: anna (denied, now allow, 6 times), ben (approval, now "
           "allow, 3 times)\n");
    expect(result, CLI_OK, "1 caller would gain staging: cleo (allow, now denied, 3 times)\n");
    expect(result, CLI_OK, "1 caller would be answered otherwise for staging: dan (");
    expect(result, CLI_OK,
           "1 caller would have other limits on staging: eve (ttl 5m instead of 1h; now allow, 1 "
           "times)\n");
    expect(result, CLI_OK, "1 caller would lose paths of vault-a: finn (denied, now allow, 2 ");
    result = run_diff("--output=json");
    expect(result, CLI_OK, "\"caller\":\"ben\",\"change\":\"loses\"");
    expect(result, CLI_OK, "\"records\":8,\"other_lines\":1}");
    assert_int_equal(run_diff("--since=soon")->exit_code, CLI_USAGE);
}

static void test_a_file_without_one_record_is_no_trail(void **state)
{
    const struct lease_result *result;

    (void)state;
    put("audit.jsonl", "root:x:0:0:root:/root:/bin/bash\n{\"a\":1}\n");
    result = run_diff(NULL);
    assert_int_equal(result->exit_code, CLI_FAILED);
    assert_non_null(strstr(result->err, "audit.jsonl: holds no audit record\n"));
    put("audit.jsonl", "");
    assert_int_equal(run_diff(NULL)->exit_code, CLI_OK);
}

static void test_without_a_trail_it_is_the_one_that_leased_writes(void **state)
{
    char status[256];
    struct fake_daemon daemon;
    const struct lease_result *result;

    (void)state;
    put("audit.jsonl", DIFFERS("anna", "allow", "denied"));
    (void)snprintf(status, sizeof(status),
                   "{\"audit\":{\"sinks\":[{\"sink\":\"stdout\"},{\"sink\":\"%s/audit.jsonl\"}]}}",
                   top);
    fake_daemon_start(&daemon,
                      (const struct fake_route[]){{"GET /leased/v1/status ", 200, NULL,
                                                   "{\"audit\":{\"ready\":true}}", 1},
                                                  {"GET /leased/v1/status ", 200, NULL, status, 0}},
                      2);
    result = RUN_LEASE(&daemon, "policy", "diff");
    assert_int_equal(result->exit_code, CLI_FAILED);
    assert_non_null(strstr(result->err, "name one with --audit"));
    expect(RUN_LEASE(&daemon, "policy", "diff"), CLI_OK,
           "1 caller would lose staging: anna (denied, now allow, 3 times)\n");
    fake_daemon_stop(&daemon);
}

static void test_what_nobody_uses_is_named(void **state)
{
    const char *policy =
        "rules:\n"
        "  - {name: dev, subjects: [{group: dev}, {user: old}], roles: [staging]}\n"
        "  - {name: dba, subjects: [{group: dba}], roles: [prod-db]}\n";
    char option[160];
    const struct lease_result *result;

    (void)state;
    put("p/rules.yaml", policy);
    put("audit.jsonl", RECORD("\"event\":\"grant.created\",\"identity\":{\"uid\":7,\"user\":"
                              "\"anna\"},\"role\":\"staging\",\"policy\":{\"rule\":\"dev\"}"));
    result = run_diff(NULL);
    expect(result, CLI_OK,
           "/p/rules.yaml:2:42: warning: subject 2 of rule dev was not used in this audit trail\n");
    expect(result, CLI_OK, "/p/rules.yaml:3:5: warning: rule dba was not used");
    expect(result, CLI_OK, "/leased.yaml:4:12: warning: role prod-db was not used");
    assert_null(strstr(result->out, "role staging"));
    (void)snprintf(option, sizeof(option), "--audit=%s/audit.jsonl", top);
    result = run_policy("check", option);
    expect(result, CLI_OK, "rule dba was not used");
    assert_non_null(strstr(result->err, "1 subject can't be told to be used or not: groups"));
}

static void test_what_cannot_be_read_is_said(void **state)
{
    const struct lease_result *result = RUN_LEASE(NULL, "policy", "check", "/nonexistent/p");

    (void)state;
    assert_int_equal(result->exit_code, CLI_FAILED);
    assert_non_null(strstr(result->err, "/nonexistent/p: could not be read"));
    put("leased.yaml", "roles: [\n");
    result = run_policy("check", NULL);
    assert_int_equal(result->exit_code, CLI_FAILED);
    assert_non_null(strstr(result->err, "leased.yaml:2:"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        T(test_a_sound_policy_is_ok),
        T(test_a_file_in_a_folder_below_is_included_or_told),
        T(test_mistakes_have_places_and_guesses),
        T(test_mistakes_in_tests_are_found_by_check),
        T(test_warnings_count_when_they_are_asked_to),
        T(test_a_failure_says_what_each_rule_says),
        T(test_coverage_names_the_rules_without_tests),
        T(test_results_are_written_for_ci_systems),
        T(test_without_a_configuration_any_role_may_be_named),
        T(test_what_an_observed_policy_would_change_is_summed_up),
        T(test_a_file_without_one_record_is_no_trail),
        T(test_without_a_trail_it_is_the_one_that_leased_writes),
        T(test_what_nobody_uses_is_named),
        T(test_what_cannot_be_read_is_said),
#undef T
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
