/* Plans without a daemon: what a trail tells about callers, and what it doesn't. */
#include "fake_daemon.h"

#include "cli/cli.h"
#include "cli/client.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

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

static int setup(void **state)
{
    (void)state;
    (void)snprintf(top, sizeof(top), "/tmp/test_offline.XXXXXX");
    assert_non_null(mkdtemp(top));
    assert_int_equal(mkdir(path_of("before"), 0700), 0);
    assert_int_equal(mkdir(path_of("after"), 0700), 0);
    put("leased.yaml", "issuers:\n  gitlab: {}\n"
                       "roles:\n  db: {max_ttl: 1h}\n  web: {max_ttl: 1h}\n");
    return 0;
}

static int teardown(void **state)
{
    static const char *const names[] = {"before/a.yaml", "after/a.yaml", "before", "after",
                                        "leased.yaml",   "audit.jsonl",  ""};
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        (void)remove(path_of(names[i]));
    }
    return 0;
}

/* The two policies' rules, and the trail. */
static const struct lease_result *plan(const char *before, const char *after, const char *trail)
{
    char text[1024];
    char paths[4][128];

    (void)snprintf(text, sizeof(text), "rules:\n%s", before);
    put("before/a.yaml", text);
    (void)snprintf(text, sizeof(text), "rules:\n%s", after);
    put("after/a.yaml", text);
    put("audit.jsonl", trail);
    (void)snprintf(paths[0], sizeof(paths[0]), "%s", path_of("after"));
    (void)snprintf(paths[1], sizeof(paths[1]), "%s", path_of("before"));
    (void)snprintf(paths[2], sizeof(paths[2]), "%s", path_of("audit.jsonl"));
    (void)snprintf(paths[3], sizeof(paths[3]), "%s", path_of("leased.yaml"));
    return RUN_LEASE(NULL, "policy", "plan", paths[0], "--base", paths[1], "--audit", paths[2],
                     "--config", paths[3]);
}

static void expect(const struct lease_result *result, int exit_code, const char *text)
{
    if (result->exit_code != exit_code || strstr(result->out, text) == NULL) {
        fail_msg("exit %d, expected \"%s\" in:\n%s%s", result->exit_code, text, result->out,
                 result->err);
    }
}

#define RECORD(event, identity, role, more)                                                        \
    "{\"v\":1,\"seq\":1,\"time\":\"2026-11-30T10:00:00.000Z\",\"event\":\"" event                  \
    "\",\"identity\":{" identity "},\"role\":\"" role "\"" more "}\n"
#define ROOT "\"uid\":0,\"user\":\"root\""
#define NOBODY_HERE "\"uid\":7777,\"user\":\"no-such-user\""

#define BY_USER "- {name: all, subjects: [{user: \"*\"}], roles: [web]}\n"
#define DBA "- {name: dba, subjects: [{group: dba}], roles: [db]}\n"
#define ROOTS "- {name: roots, subjects: [{group: root}], roles: [db]}\n"

static void test_groups_of_users_that_this_machine_has_are_looked_up(void **state)
{
    const char *trail = RECORD("grant.created", ROOT, "db", "");
    const struct lease_result *result = plan(ROOTS, DBA, trail);

    (void)state;
    expect(result, CLI_CHANGES, "- root (");
    expect(result, CLI_CHANGES, "db: allow by roots for 1h -> denied");
    expect(result, CLI_CHANGES, "this machine's user database");
    assert_null(strstr(result->out, "Can't be told"));
}

static void test_a_trail_from_elsewhere_says_nothing_about_groups(void **state)
{
    const char *trail = RECORD("grant.created", ROOT, "db", ",\"node\":\"far-away\"");

    (void)state;
    expect(plan(ROOTS, DBA, trail), CLI_CHANGES,
           "db: unknown by roots needs groups -> unknown by dba needs groups");
}

static void test_what_hangs_on_groups_is_unknown_and_not_unchanged(void **state)
{
    const char *trail = RECORD("grant.created", NOBODY_HERE, "db", "");
    const struct lease_result *result = plan(DBA, BY_USER, trail);

    (void)state;
    expect(result, CLI_CHANGES,
           "Can't be told offline, and counts as a change:\n  ? no-such-user (");
    expect(result, CLI_CHANGES, "db: unknown by dba needs groups -> denied");
    expect(result, CLI_CHANGES, "1 decisions can't be told offline");
    assert_null(strstr(result->out, "nothing changes"));
}

static void test_what_hangs_on_claims_is_unknown(void **state)
{
    const char *jwt = "- {name: ci, subjects: [{user: root, jwt: {issuer: gitlab, claims: "
                      "{project: a}}}], roles: [db]}\n";
    const char *with =
        RECORD("grant.created", ROOT ",\"jwt\":{\"iss\":\"i\",\"sub\":\"s\"}", "db", "");
    const char *without = RECORD("grant.denied", ROOT, "db", "");
    const struct lease_result *result = plan(jwt, BY_USER, with);

    (void)state;
    expect(result, CLI_CHANGES, "db: unknown by ci needs claims -> denied");
    expect(plan(jwt, BY_USER, without), CLI_CHANGES, "nothing changes for those who have asked");
}

/* The rule stays as it is: whatever the groups are, so does the decision. */
static void test_what_hangs_on_the_same_rules_before_and_after_is_unchanged(void **state)
{
    const char *trail = RECORD("grant.created", NOBODY_HERE, "db", "");

    (void)state;
    expect(plan(DBA, DBA BY_USER, trail), CLI_CHANGES, "nothing changes for those who have asked");
    expect(plan(DBA, DBA, trail), CLI_OK, "no change");
}

/* A rule before that is certain, or that denies whoever isn't let in anyway. */
static void test_what_is_certain_in_spite_of_it_is_told(void **state)
{
    const char *trail = RECORD("grant.created", NOBODY_HERE, "web", "");

    (void)state;
    expect(plan(BY_USER "- {name: late, subjects: [{group: dba}], roles: [web]}\n",
                "- {name: no, subjects: [{group: dba}], roles: [web], effect: deny}\n", trail),
           CLI_CHANGES, "web: allow by all for 1h -> denied");
}

static void test_the_reason_of_the_last_time_is_tried(void **state)
{
    const char *ops = "- {name: all, subjects: [{user: \"*\"}], roles: [web], require: {reason: "
                      "\"^OPS-\"}}\n";
    const char *trail = RECORD("grant.created", ROOT, "web", ",\"reason\":\"no\"")
        RECORD("grant.created", ROOT, "web", ",\"reason\":\"OPS-7\"")
            RECORD("credential.read", ROOT, "web", "");
    const char *other = RECORD("grant.created", ROOT, "web", ",\"reason\":\"because\"");

    (void)state;
    expect(plan(BY_USER, ops, other), CLI_CHANGES, "allow by all for 1h -> reason_required by all");
    expect(plan(BY_USER, ops, trail), CLI_CHANGES, "nothing changes for those who have asked");
}

static void test_a_change_that_no_decision_shows_is_told_in_words(void **state)
{
    (void)state;
    expect(plan(BY_USER,
                "- {name: all, subjects: [{user: \"*\"}], roles: [web], limits: {issue: 3/h}}\n",
                RECORD("grant.created", ROOT, "web", "")),
           CLI_CHANGES, "\n      3 grants in 1h instead of any number\n");
}

static void test_paths_are_said_not_to_be_tried(void **state)
{
    const char *trail = RECORD("path.called", ROOT, "", "");

    (void)state;
    expect(plan(DBA, ROOTS, trail), CLI_CHANGES, "1 calls of paths can't be tried offline");
}

static void test_without_a_trail_nobody_would_be_tried(void **state)
{
    const struct lease_result *result = RUN_LEASE(NULL, "policy", "plan", "after", "--base", "b");

    (void)state;
    assert_int_equal(result->exit_code, CLI_USAGE);
    assert_non_null(strstr(result->err, "--base needs a trail"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        T(test_groups_of_users_that_this_machine_has_are_looked_up),
        T(test_a_trail_from_elsewhere_says_nothing_about_groups),
        T(test_what_hangs_on_groups_is_unknown_and_not_unchanged),
        T(test_what_hangs_on_claims_is_unknown),
        T(test_what_hangs_on_the_same_rules_before_and_after_is_unchanged),
        T(test_what_is_certain_in_spite_of_it_is_told),
        T(test_the_reason_of_the_last_time_is_tried),
        T(test_a_change_that_no_decision_shows_is_told_in_words),
        T(test_paths_are_said_not_to_be_tried),
        T(test_without_a_trail_nobody_would_be_tried),
#undef T
    };

    if (client_global_init() != 0) {
        return EXIT_FAILURE;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
