/* Policies: in the configuration, in a file with what it includes, in a folder. */
#include "unit/daemon/config_fixture.h"

#include "daemon/config_internal.h"

#include <stdio.h>
#include <sys/stat.h>

static void test_policies_are_checked_with_the_rest(void **state)
{
#define POLICY(rules) CONFIG_FIXTURE_ROLE("share: role") "policies:\n  " rules "\n"
    static const struct config_mistake mistakes[] = {
        {POLICY("rules: [{subjects: [{user: a}], roles: [r], limits: {ttl: 1h}}]"),
         "c.yaml:10:56: `ttl` limits a role that is shared: its other holders would get the "
         "shorter life too; set the role's `ttl`, or `share: none`\n"},
        {POLICY("{path: /x, rules: []}"),
         "c.yaml:10:4: give `path` or `rules`, not both\n"
         "c.yaml:10:10: /x could not be read: No such file or directory\n"},
        {POLICY("{ruls: []}"), "c.yaml:10:4: unknown key `ruls`: did you mean `rules`?\n"},
        {POLICY("{path: /x, mode: observe}"),
         "c.yaml:10:4: give `path` or `mode`, not both\n"
         "c.yaml:10:10: /x could not be read: No such file or directory\n"},
    };

    config_fixture_expect_each(*state, mistakes, ARRAY_LEN(mistakes));
}

static void test_policies_are_read_from_a_folder_without_its_tests(void **state)
{
    struct config_fixture *f = *state;
    char path[128];

    (void)snprintf(path, sizeof(path), "%s/policies", f->folder);
    assert_int_equal(mkdir(path, 0700), 0);
    config_fixture_write(f, "policies/a.yaml",
                         "rules: [{name: a, subjects: [{user: root}], roles: [r]}]\n");
    config_fixture_write(f, "policies/b.yaml",
                         "rules: [{name: b, subjects: [{user: root}], roles: [r]}]\n");
    config_fixture_write(f, "policies/b_test.yaml", "nonsense\n");
    config_fixture_write(f, "policies/notes.txt", "nonsense\n");
    config_fixture_expect_valid(f, CONFIG_FIXTURE_ROLE(
                                       "share: none") "policies: {path: '%D/policies'}\n");
    assert_int_equal(access_policy_rule_count(f->config->access.policy), 2);
    config_fixture_write(f, "policies/b.yaml",
                         "rules: [{name: b, subject: [{user: root}], roles: [r]}]\n");
    config_fixture_expect(
        f, CONFIG_FIXTURE_ROLE("share: none") "policies: {path: '%D/policies'}\n",
        "policies/b.yaml:1:19: unknown key `subject`: did you mean `subjects`?\n");
}

static void test_policies_include_what_lies_in_folders_below(void **state)
{
    struct config_fixture *f = *state;
    char path[128];

    (void)snprintf(path, sizeof(path), "%s/policies", f->folder);
    assert_int_equal(mkdir(path, 0700), 0);
    (void)snprintf(path, sizeof(path), "%s/policies/teams", f->folder);
    assert_int_equal(mkdir(path, 0700), 0);
    config_fixture_write(f, "policies/a.yaml", "include: teams/a.yaml\nvars: {who: root}\n");
    config_fixture_write(f, "policies/teams/a.yaml",
                         "rules: [{name: a, subjects: [{user: '${who}'}], roles: [r]}]\n");
    config_fixture_write(f, "policies/teams/b.yaml",
                         "rules: [{name: b, subjects: [{user: root}], roles: [r]}]\n");
    config_fixture_expect_valid(f, CONFIG_FIXTURE_ROLE(
                                       "share: none") "policies: {path: '%D/policies'}\n");
    assert_int_equal(access_policy_rule_count(f->config->access.policy), 1);
    config_fixture_write(f, "policies/teams/a.yaml",
                         "rules: [{name: a, subjects: [{user: '${wo}'}], roles: [r]}]\n");
    config_fixture_expect(
        f, CONFIG_FIXTURE_ROLE("share: none") "policies: {path: '%D/policies'}\n",
        "policies/teams/a.yaml:1:37: there is no variable `wo`: did you mean `who`?\n");
}

static void test_a_file_in_a_folder_below_counts_for_nothing_by_itself(void **state)
{
    struct config_fixture *f = *state;
    char path[128];

    (void)snprintf(path, sizeof(path), "%s/policies", f->folder);
    assert_int_equal(mkdir(path, 0700), 0);
    (void)snprintf(path, sizeof(path), "%s/policies/teams", f->folder);
    assert_int_equal(mkdir(path, 0700), 0);
    config_fixture_write(f, "policies/teams/a.yaml",
                         "rules: [{name: a, subjects: [{user: root}], roles: [r]}]\n");
    config_fixture_expect_valid(f, CONFIG_FIXTURE_ROLE(
                                       "share: none") "policies: {path: '%D/policies'}\n");
    assert_int_equal(access_policy_rule_count(f->config->access.policy), 0);
}

static void test_a_file_of_policies_includes_others(void **state)
{
    struct config_fixture *f = *state;
    char path[128];

    (void)snprintf(path, sizeof(path), "%s/teams", f->folder);
    assert_int_equal(mkdir(path, 0700), 0);
    config_fixture_write(f, "policy.yaml", "include: 'teams/*.yaml'\nvars: {who: root}\n");
    config_fixture_write(f, "teams/a.yaml",
                         "rules: [{name: a, subjects: [{user: '${who}'}], roles: [r]}]\n");
    config_fixture_write(f, "teams/b.yaml", "include: c.yaml\n");
    config_fixture_write(f, "teams/c.yaml",
                         "rules: [{name: c, subjects: [{user: root}], roles: [r]}]\n");
    config_fixture_write(f, "beside.yaml", "nonsense\n");
    config_fixture_write(f, "beside.yml", "nonsense\n");
    config_fixture_expect_valid(f, CONFIG_FIXTURE_ROLE(
                                       "share: none") "policies: {path: '%D/policy.yaml'}\n");
    assert_int_equal(access_policy_rule_count(f->config->access.policy), 2);
    assert_string_equal(f->config->access.copy->bundle->main, "policy.yaml");
    assert_int_equal(f->config->access.copy->bundle->file_count, 4);
    config_fixture_write(f, "teams/c.yaml", "include: ../beside.yaml\n");
    config_fixture_expect(f,
                          CONFIG_FIXTURE_ROLE("share: none") "policies: {path: '%D/policy.yaml'}\n",
                          "teams/c.yaml:1:10: expected the way to a file in this folder or below, "
                          "without `..`, found `../beside.yaml`\n");
}

static void test_a_path_that_leads_nowhere_is_told_where_it_stands(void **state)
{
    config_fixture_expect(
        *state, CONFIG_FIXTURE_ROLE("share: none") "policies: {path: /nonexistent/policies}\n",
        "c.yaml:9:18: /nonexistent/policies could not be read: No such file or directory\n");
}

static void test_a_file_that_is_called_yml_is_a_mistake(void **state)
{
    struct config_fixture *f = *state;
    char path[128];

    (void)snprintf(path, sizeof(path), "%s/policies", f->folder);
    assert_int_equal(mkdir(path, 0700), 0);
    config_fixture_write(f, "policies/a.yaml",
                         "rules: [{name: a, subjects: [{user: root}], roles: [r]}]\n");
    config_fixture_write(f, "policies/.b.yml", "of an editor\n");
    config_fixture_expect_valid(f, CONFIG_FIXTURE_ROLE(
                                       "share: none") "policies: {path: '%D/policies'}\n");
    config_fixture_write(f, "policies/b.yml", "rules: []\n");
    config_fixture_expect(f, CONFIG_FIXTURE_ROLE("share: none") "policies: {path: '%D/policies'}\n",
                          "policies/b.yml: isn't read: rename it to .yaml\n");
}

int main(void)
{
#define TEST(name)                                                                                 \
    cmocka_unit_test_setup_teardown(name, config_fixture_setup, config_fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_policies_are_checked_with_the_rest),
        TEST(test_policies_are_read_from_a_folder_without_its_tests),
        TEST(test_policies_include_what_lies_in_folders_below),
        TEST(test_a_file_in_a_folder_below_counts_for_nothing_by_itself),
        TEST(test_a_file_of_policies_includes_others),
        TEST(test_a_path_that_leads_nowhere_is_told_where_it_stands),
        TEST(test_a_file_that_is_called_yml_is_a_mistake),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
