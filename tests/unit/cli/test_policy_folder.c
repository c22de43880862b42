/* Policies are read whole from the disk, or it is said which file is in the way. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "cli/policy_folder.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char top[64];
static struct policy_folder folder;

static void put(const char *name, const char *text)
{
    char path[256];
    FILE *file;

    (void)snprintf(path, sizeof(path), "%s/%s", top, name);
    file = fopen(path, "we");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static void make_folder(const char *name)
{
    char path[256];

    (void)snprintf(path, sizeof(path), "%s/%s", top, name);
    assert_int_equal(mkdir(path, 0700), 0);
}

static int setup(void **state)
{
    (void)state;
    (void)snprintf(top, sizeof(top), "/tmp/test_policy_folder.XXXXXX");
    assert_non_null(mkdtemp(top));
    make_folder("teams");
    put("b.yaml", "b");
    put("a.yaml", "a");
    put("a_test.yaml", "t");
    put("teams/c.yaml", "c");
    put("README.md", "no policy");
    put(".hidden.yml", "no policy");
    return 0;
}

static int teardown(void **state)
{
    char command[128];

    (void)state;
    policy_folder_fini(&folder);
    (void)snprintf(command, sizeof(command), "rm -rf %s", top);
    return system(command);
}

static void expect_error(const char *path, int code, const char *part)
{
    struct err e = {0};

    assert_int_equal(policy_folder_read(path, &folder, &e), code);
    if (strstr(e.text, part) == NULL) {
        fail_msg("%s", e.text);
    }
}

static void test_a_folder_is_read_with_what_lies_below_it(void **state)
{
    char path[128];

    (void)state;
    (void)snprintf(path, sizeof(path), "%s//", top);
    assert_int_equal(policy_folder_read(path, &folder, NULL), 0);
    assert_string_equal(folder.path, top);
    assert_string_equal(folder.policy->main, "");
    assert_int_equal(folder.policy->file_count, 3);
    assert_string_equal(folder.policy->files[0].name, "a.yaml");
    assert_string_equal(folder.policy->files[2].name, "teams/c.yaml");
    assert_int_equal(folder.tests->file_count, 1);
    assert_true(str_eq_c(folder.tests->files[0].text, "t"));
}

/* What lies beside it may be nobody's policy, and a policy that wasn't named must not be applied.
 */
static void test_a_file_is_read_with_what_it_includes_and_nothing_else(void **state)
{
    char path[128];

    (void)state;
    make_folder("teams/deep");
    put("b.yaml", "include: [teams/c.yaml, 'te*/deep/*.yaml']");
    put("teams/c.yaml", "include: deep/more.yaml");
    put("teams/deep/more.yaml", "rules: []");
    put("teams/deep/more_test.yaml", "t");
    put("compose.yml", "services: {}");
    make_folder("beside");
    put("beside/x.yml", "no policy");
    (void)snprintf(path, sizeof(path), "%s/b.yaml", top);
    assert_int_equal(policy_folder_read(path, &folder, NULL), 0);
    assert_string_equal(folder.path, top);
    assert_string_equal(folder.policy->main, "b.yaml");
    assert_int_equal(folder.policy->file_count, 3);
    assert_string_equal(folder.policy->files[1].name, "teams/c.yaml");
    assert_string_equal(folder.policy->files[2].name, "teams/deep/more.yaml");
    assert_int_equal(folder.tests->file_count, 0);
}

static void test_a_named_file_may_be_called_as_it_likes(void **state)
{
    char path[128];

    (void)state;
    put("policy.json", "{}");
    (void)snprintf(path, sizeof(path), "%s/policy.json", top);
    assert_int_equal(policy_folder_read(path, &folder, NULL), 0);
    assert_string_equal(folder.policy->main, "policy.json");
    assert_int_equal(folder.policy->file_count, 1);
}

static void test_what_cannot_be_read_is_named(void **state)
{
    char path[128];

    (void)state;
    expect_error("/nonexistent/policies", ERR_NOT_FOUND, "/nonexistent/policies: could not be");
    expect_error("/dev/null", ERR_INVALID, "neither a folder nor a regular file");
    make_folder("empty");
    (void)snprintf(path, sizeof(path), "%s/empty", top);
    expect_error(path, ERR_NOT_FOUND, "/empty: holds no *.yaml file");
    make_folder("teams/d.yaml.d");
    put("teams/x.yml", "rules");
    expect_error(top, ERR_INVALID, "teams/x.yml: isn't read: rename it to .yaml");
}

/* What is applied is then what lies in the folder, and what its revision names. */
static void test_a_link_stays_in_its_folder(void **state)
{
    char path[128];
    char out[128];

    (void)state;
    (void)snprintf(path, sizeof(path), "%s/linked.yaml", top);
    assert_int_equal(symlink("teams/c.yaml", path), 0);
    assert_int_equal(policy_folder_read(top, &folder, NULL), 0);
    assert_int_equal(folder.policy->file_count, 4);
    policy_folder_fini(&folder);
    (void)snprintf(out, sizeof(out), "%s/teams/out", top);
    assert_int_equal(symlink("/etc", out), 0);
    expect_error(top, ERR_INVALID, "teams/out: is a link that leads out of the folder");
    assert_int_equal(unlink(out), 0);
    (void)snprintf(out, sizeof(out), "%s/teams/out.yaml", top);
    assert_int_equal(symlink("/etc/passwd", out), 0);
    expect_error(top, ERR_INVALID, "teams/out.yaml: is a link that leads out of the folder");
    assert_int_equal(unlink(out), 0);
    (void)snprintf(out, sizeof(out), "%s/teams/out.txt", top);
    assert_int_equal(symlink("/etc/passwd", out), 0);
    assert_int_equal(policy_folder_read(top, &folder, NULL), 0);
}

static void test_a_link_in_a_circle_ends(void **state)
{
    char path[128];

    (void)state;
    (void)snprintf(path, sizeof(path), "%s/teams/up", top);
    assert_int_equal(symlink("..", path), 0);
    expect_error(top, ERR_LIMIT, "nested more than");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        T(test_a_folder_is_read_with_what_lies_below_it),
        T(test_a_file_is_read_with_what_it_includes_and_nothing_else),
        T(test_a_named_file_may_be_called_as_it_likes),
        T(test_what_cannot_be_read_is_named),
        T(test_a_link_stays_in_its_folder),
        T(test_a_link_in_a_circle_ends),
#undef T
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
