/* Policies from the texts of their files: what counts, what is included, variables. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

#include "access/source.h"
#include "base/mem.h"

static const char *const roles[] = {"orders-db", "orders-ro", "staging-a", NULL};
static const struct access_known known = {.roles = roles};

#define RULE(name, role) "rules: [{name: " name ", subjects: [{user: a}], roles: " role "}]\n"

struct result {
    struct access_policy *policy;
    struct yaml_errors errors;
};

static int setup(void **state)
{
    static struct result result;

    result.policy = NULL;
    yaml_errors_init(&result.errors);
    *state = &result;
    return 0;
}

static int teardown(void **state)
{
    struct result *result = *state;

    access_policy_free(result->policy);
    yaml_errors_fini(&result->errors);
    return 0;
}

static int compile(struct result *result, const struct policy_file *files, size_t count,
                   const char *main)
{
    const struct access_source source = {
        .folder = "/p", .main = main, .files = files, .file_count = count};

    return access_policy_compile(&source, &known, NULL, &result->policy, &result->errors);
}

static void expect_mistake(struct result *result, const struct policy_file *files, size_t count,
                           const char *errors)
{
    assert_int_equal(compile(result, files, count, NULL), ERR_INVALID);
    assert_string_equal(buf_str(&result->errors.text).ptr, errors);
}

static void expect_valid(struct result *result, const struct policy_file *files, size_t count)
{
    if (compile(result, files, count, NULL) != 0) {
        fail_msg("%s", buf_str(&result->errors.text).ptr);
    }
}

/* The rule that lets user `user` have the role. */
static const char *decides(const struct result *result, const char *role, const char *user)
{
    const struct access_request request = {.role = role,
                                           .role_binding = ACCESS_BINDING_PROCESS,
                                           .role_max_ttl_ms = 1000};
    struct access_identity identity = {.listener = "local"};
    struct access_decision decision;

    memcpy(identity.user, user, strlen(user));
    access_policy_decide(result->policy, &identity, &request, &decision);
    return decision.outcome == ACCESS_ALLOW ? decision.rule : "";
}

static void test_files_at_the_top_count_in_the_order_of_their_names(void **state)
{
    const struct policy_file files[] = {
        {"b.yaml", STR(RULE("b", "orders-db"))},
        {"a.yaml", STR(RULE("a", "orders-db"))},
        {"a_test.yaml", STR("nonsense")},
        {"README.md", STR("nonsense")},
        {"teams/x.yaml", STR(RULE("x", "nonsense"))},
    };

    expect_valid(*state, files, ARRAY_LEN(files));
    assert_string_equal(decides(*state, "orders-db", "a"), "a");
}

static void test_one_file_can_be_meant(void **state)
{
    const struct policy_file files[] = {
        {"a.yaml", STR(RULE("a", "orders-db"))},
        {"main.cfg", STR("include: teams/x.yaml\n")},
        {"teams/x.yaml", STR(RULE("x", "orders-db"))},
    };

    assert_int_equal(compile(*state, files, ARRAY_LEN(files), "main.cfg"), 0);
    assert_string_equal(decides(*state, "orders-db", "a"), "x");
}

static void test_a_main_file_that_is_not_there_is_a_mistake(void **state)
{
    struct result *result = *state;

    assert_int_equal(compile(result, NULL, 0, "main.yaml"), ERR_INVALID);
    assert_string_equal(buf_str(&result->errors.text).ptr, "/p: holds no file main.yaml\n");
}

static void test_included_files_come_behind_and_once(void **state)
{
    const struct policy_file files[] = {
        {"a.yaml", STR("include: [\"teams/*.yaml\", teams/x.yaml]\n" RULE("a", "orders-db"))},
        {"teams/x.yaml", STR("include: ./deep/z.yaml\n" RULE("x", "[orders-db, orders-ro]"))},
        {"teams/y.yaml", STR(RULE("y", "[orders-ro, staging-a]"))},
        {"teams/y_test.yaml", STR("nonsense")},
        {"teams/deep/z.yaml", STR(RULE("z", "staging-a"))},
        {"teams/deep/left.yaml", STR(RULE("left", "nonsense"))},
    };

    expect_valid(*state, files, ARRAY_LEN(files));
    assert_string_equal(decides(*state, "orders-db", "a"), "a");
    assert_string_equal(decides(*state, "orders-ro", "a"), "x");
    assert_string_equal(decides(*state, "staging-a", "a"), "z");
}

static void test_mistakes_in_includes_are_told(void **state)
{
    static const struct {
        const char *text;
        const char *errors;
    } cases[] = {
        {"include: ../x.yaml", "/p/a.yaml:1:10: expected the way to a file in this folder or "
                               "below, without `..`, found `../x.yaml`\n"},
        {"include: [/etc/x.yaml]", "/p/a.yaml:1:11: expected the way to a file in this folder or "
                                   "below, without `..`, found `/etc/x.yaml`\n"},
        {"include: [teams/z.yaml]", "/p/a.yaml:1:11: there is no file `teams/z.yaml` in the "
                                    "policy's folder: did you mean `teams/x.yaml`?\n"},
        {"include: \"none/*.yaml\"",
         "/p/a.yaml:1:10: there is no file `none/*.yaml` in the policy's folder\n"},
        {"inclde: x", "/p/a.yaml:1:1: unknown key `inclde`: did you mean `include`?\n"},
        {"include: []", "/p/a.yaml:1:1: `include` is empty\n"},
        {"include: a.yaml",
         "/p/a.yaml:1:10: `a.yaml` includes this file, so it can't be included here\n"},
    };
    size_t i;

    for (i = 0; i < ARRAY_LEN(cases); i++) {
        const struct policy_file files[] = {{"a.yaml", str_of(cases[i].text)},
                                            {"teams/x.yaml", STR(RULE("x", "orders-db"))}};

        expect_mistake(*state, files, ARRAY_LEN(files), cases[i].errors);
        assert_int_equal(teardown(state), 0);
        assert_int_equal(setup(state), 0);
    }
}

static void test_files_that_include_each_other_are_a_mistake(void **state)
{
    const struct policy_file files[] = {
        {"a.yaml", STR("include: teams/x.yaml\n")},
        {"teams/x.yaml", STR("include: deep/y.yaml\n")},
        {"teams/deep/y.yaml", STR("include: z.yaml\n")},
        {"teams/deep/z.yaml", STR("include: z.yaml\n")},
    };

    expect_mistake(*state, files, ARRAY_LEN(files),
                   "/p/teams/deep/z.yaml:1:10: `teams/deep/z.yaml` includes this file, so it can't "
                   "be included here\n");
}

static void test_all_files_that_cannot_be_read_are_told(void **state)
{
    const struct policy_file files[] = {{"a.yaml", STR("rules: [\n")},
                                        {"b.yaml", STR("rules: {\n")}};
    struct result *result = *state;

    assert_int_equal(compile(result, files, ARRAY_LEN(files), NULL), ERR_INVALID);
    assert_int_equal(result->errors.count, 2);
}

/* --- variables --- */

static void test_variables_stand_in_texts_and_lists(void **state)
{
    const struct policy_file files[] = {
        {"a.yaml", STR("vars:\n"
                       "  prod: [orders-db, orders-ro]\n"
                       "  who: alice\n"
                       "  long: 2h\n"
                       "  n: 3\n"
                       "rules:\n"
                       "- name: one\n"
                       "  subjects: [{user: \"${who}-adm\"}, {user: \"${who}\"}]\n"
                       "  roles: [\"${prod}\", staging-a]\n"
                       "  limits: {duration: \"${long}\", live: \"${n}\"}\n"
                       "- name: two\n"
                       "  subjects: [{user: bob}]\n"
                       "  roles: ${prod}\n"
                       "- name: three\n"
                       "  subjects: [{user: carol}]\n"
                       "  roles: [staging-a]\n"
                       "  require: {reason: \"^[$]$${x}\"}\n")},
    };

    expect_valid(*state, files, ARRAY_LEN(files));
    assert_string_equal(decides(*state, "orders-ro", "alice"), "one");
    assert_string_equal(decides(*state, "staging-a", "alice-adm"), "one");
    assert_string_equal(decides(*state, "orders-db", "bob"), "two");
    assert_string_equal(decides(*state, "staging-a", "bob"), "");
}

static void test_a_variable_gives_the_same_digest_as_its_value(void **state)
{
    const struct policy_file with[] = {
        {"a.yaml", STR("vars: {r: orders-db}\n" RULE("a", "\"${r}\""))}};
    const struct policy_file without[] = {{"a.yaml", STR(RULE("a", "orders-db"))}};
    struct result *result = *state;
    char digest[80];

    expect_valid(result, with, 1);
    (void)snprintf(digest, sizeof(digest), "%s", access_policy_digest(result->policy));
    access_policy_free(result->policy);
    expect_valid(result, without, 1);
    assert_string_equal(access_policy_digest(result->policy), digest);
}

static void test_the_nearest_variable_counts(void **state)
{
    const struct policy_file files[] = {
        {"a.yaml", STR("include: \"teams/*.yaml\"\nvars: {r: orders-db, only: staging-a}\n")},
        {"teams/own.yaml", STR("vars: {r: orders-ro}\n" RULE("own", "\"${r}\""))},
        {"teams/x.yaml", STR(RULE("x", "\"${r}\""))},
        {"z.yaml", STR(RULE("z", "\"${only}\""))},
    };

    expect_valid(*state, files, ARRAY_LEN(files));
    assert_string_equal(decides(*state, "orders-ro", "a"), "own");
    assert_string_equal(decides(*state, "orders-db", "a"), "x");
    assert_string_equal(decides(*state, "staging-a", "a"), "z");
}

static void test_mistakes_with_variables_are_told(void **state)
{
    static const struct {
        const char *text;
        const char *errors;
    } cases[] = {
        {"vars: {role: orders-db}\n" RULE("a", "\"${rol}\""),
         "/p/a.yaml:2:49: there is no variable `rol`: did you mean `role`?\n"},
        {RULE("a", "\"${completely}\""), "/p/a.yaml:1:49: there is no variable `completely`\n"},
        {RULE("a", "\"${role\""), "/p/a.yaml:1:49: `${` begins the name of a variable, such as "
                                  "${NAME}; `$${` is `${`\n"},
        {"vars: {rs: [a, b]}\n" RULE("a", "\"x-${rs}\""),
         "/p/a.yaml:2:49: `rs` is a list: it can only stand by itself, as a whole item\n"},
        {"vars: [a]\n", "/p/a.yaml:1:7: expected a mapping of names to texts or lists, found a "
                        "list\n"},
        {"vars: {a b: c}\n", "/p/a.yaml:1:8: `a b` is no name of a variable: letters, digits, `_` "
                             "and `-`\n"},
        {"vars: {a: {b: c}}\n",
         "/p/a.yaml:1:11: a: expected a text or a list of texts, found a mapping\n"},
        {"vras: {}\n", "/p/a.yaml:1:1: unknown key `vras`: did you mean `vars`?\n"},
    };
    size_t i;

    for (i = 0; i < ARRAY_LEN(cases); i++) {
        const struct policy_file files[] = {{"a.yaml", str_of(cases[i].text)}};

        expect_mistake(*state, files, ARRAY_LEN(files), cases[i].errors);
        assert_int_equal(teardown(state), 0);
        assert_int_equal(setup(state), 0);
    }
}

static void test_a_variable_of_two_other_files_is_a_mistake(void **state)
{
    const struct policy_file files[] = {
        {"a.yaml", STR(RULE("a", "\"${r}\""))},
        {"b.yaml", STR("vars: {r: orders-db}\n")},
        {"c.yaml", STR("vars: {r: orders-ro}\n")},
    };

    expect_mistake(*state, files, ARRAY_LEN(files),
                   "/p/a.yaml:1:49: there are two variables `r`, in /p/b.yaml and in /p/c.yaml\n");
}

static void test_texts_do_not_grow_without_end(void **state)
{
    struct policy_file file = {.name = "a.yaml"};
    struct result *result = *state;
    BUF_AUTO text;
    int i;

    buf_init(&text, 1 << 20);
    buf_add_c(&text, "vars: {v: \"");
    for (i = 0; i < 4000; i++) {
        buf_add_char(&text, 'x');
    }
    buf_add_c(&text, "\"}\nrules:\n");
    for (i = 0; i < 2000; i++) {
        buf_add_c(&text, "- {subjects: [{user: \"${v}\"}], roles: orders-db}\n");
    }
    assert_int_equal(buf_status(&text), 0);
    file.text = buf_str(&text);
    assert_int_equal(compile(result, &file, 1, NULL), ERR_INVALID);
    assert_non_null(strstr(buf_str(&result->errors.text).ptr,
                           "variables make the texts of this file longer by 4194304 bytes"));
}

static int fail_countdown;

static int fail_at(size_t size)
{
    (void)size;
    return fail_countdown > 0 && --fail_countdown == 0;
}

static void test_no_memory_gives_no_policy_and_leaks_nothing(void **state)
{
    const struct policy_file files[] = {
        {"a.yaml", STR("include: teams/x.yaml\nvars: {l: [orders-db, orders-ro], u: alice}\n")},
        {"teams/x.yaml", STR("rules: [{subjects: [{user: \"${u}\"}], roles: [\"${l}\"]}]\n")},
    };
    struct result *result = *state;
    int r = ERR_NOMEM;
    int n;

    for (n = 1; r != 0; n++) {
        size_t before = mem_in_use_bytes();

        fail_countdown = n;
        mem_set_fail_hook(fail_at);
        r = compile(result, files, ARRAY_LEN(files), NULL);
        mem_set_fail_hook(NULL);
        if (r != 0) {
            assert_int_equal(r, ERR_NOMEM);
            assert_int_equal(mem_in_use_bytes(), before);
        }
    }
    assert_true(n > 20);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_files_at_the_top_count_in_the_order_of_their_names),
        TEST(test_one_file_can_be_meant),
        TEST(test_a_main_file_that_is_not_there_is_a_mistake),
        TEST(test_included_files_come_behind_and_once),
        TEST(test_mistakes_in_includes_are_told),
        TEST(test_files_that_include_each_other_are_a_mistake),
        TEST(test_all_files_that_cannot_be_read_are_told),
        TEST(test_variables_stand_in_texts_and_lists),
        TEST(test_a_variable_gives_the_same_digest_as_its_value),
        TEST(test_the_nearest_variable_counts),
        TEST(test_mistakes_with_variables_are_told),
        TEST(test_a_variable_of_two_other_files_is_a_mistake),
        TEST(test_texts_do_not_grow_without_end),
        TEST(test_no_memory_gives_no_policy_and_leaks_nothing),
    };

    return cmocka_run_group_tests_name("source", tests, NULL, NULL);
}
