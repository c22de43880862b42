/* The command line of leased. */
#include "daemon/options.h"

#include "base/log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define ARGS_MAX 8

static int parse(const char *const *words, struct options *ret_options, struct err *e)
{
    static char texts[ARGS_MAX][64];
    char *argv[ARGS_MAX + 1] = {NULL};
    int argc = 0;

    for (; words[argc] != NULL; argc++) {
        assert_true(argc < ARGS_MAX);
        memcpy(texts[argc], words[argc], strlen(words[argc]) + 1);
        argv[argc] = texts[argc];
    }
    return options_parse(argc, argv, ret_options, e);
}

#define PARSE(options, e, ...) parse((const char *const[]){"leased", __VA_ARGS__, NULL}, options, e)

static void test_without_options_the_daemon_runs(void **state)
{
    struct options options;

    (void)state;
    assert_int_equal(parse((const char *const[]){"leased", NULL}, &options, NULL), 0);
    assert_int_equal(options.action, OPTIONS_RUN);
    assert_null(options.config_path);
    assert_false(options.has_log_level);
}

static void test_options_are_taken_in_each_spelling(void **state)
{
    struct options options;

    (void)state;
    assert_int_equal(PARSE(&options, NULL, "--config", "/a", "--check", "--log-level=warn"), 0);
    assert_string_equal(options.config_path, "/a");
    assert_int_equal(options.action, OPTIONS_CHECK);
    assert_int_equal(options.log_level, LOG_LEVEL_WARN);
    assert_int_equal(PARSE(&options, NULL, "-c/b"), 0);
    assert_string_equal(options.config_path, "/b");
    assert_int_equal(PARSE(&options, NULL, "--config=/c", "-V"), 0);
    assert_int_equal(options.action, OPTIONS_VERSION);
}

static void test_dev_goes_without_a_configuration(void **state)
{
    struct options options;
    struct err e = {0};

    (void)state;
    assert_int_equal(PARSE(&options, NULL, "--dev"), 0);
    assert_true(options.is_dev);
    assert_int_equal(options.action, OPTIONS_RUN);
    assert_int_equal(PARSE(&options, &e, "--dev", "--config", "/a"), ERR_INVALID);
    assert_string_equal(e.text, "--dev has a configuration of its own: leave --config out");
}

static void test_schema_is_the_configuration_s_unless_it_says_policy(void **state)
{
    struct options options;
    struct err e = {0};

    (void)state;
    assert_int_equal(PARSE(&options, NULL, "--schema"), 0);
    assert_int_equal(options.action, OPTIONS_SCHEMA);
    assert_int_equal(PARSE(&options, NULL, "--schema=policy"), 0);
    assert_int_equal(options.action, OPTIONS_POLICY_SCHEMA);
    assert_int_equal(PARSE(&options, &e, "--schema=roles"), ERR_INVALID);
    assert_string_equal(e.text, "--schema is of config or policy, not roles");
}

static void test_help_wins_over_check(void **state)
{
    struct options options;

    (void)state;
    assert_int_equal(PARSE(&options, NULL, "--help", "--check"), 0);
    assert_int_equal(options.action, OPTIONS_HELP);
}

static void expect_mistake(const char *first, const char *second, const char *text)
{
    struct options options = {.config_path = "untouched"};
    struct err e = {0};

    assert_int_equal(parse((const char *const[]){"leased", first, second, NULL}, &options, &e),
                     ERR_INVALID);
    assert_string_equal(e.text, text);
    assert_string_equal(options.config_path, "untouched");
}

static void test_each_mistake_is_named(void **state)
{
    (void)state;
    expect_mistake("--confg=/a", NULL, "unknown option --confg=/a");
    expect_mistake("-x", NULL, "unknown option -x");
    expect_mistake("--config", NULL, "--config needs a value");
    expect_mistake("-c", NULL, "-c needs a value");
    expect_mistake("--check", "more", "unexpected argument more");
    expect_mistake("--log-level", "loud", "--log-level is debug, info, warn or error, not loud");
}

static void test_help_names_every_option(void **state)
{
    static const char *const words[] = {"--config", "--check", "--log-level",
                                        "--help",   "75",      "--version"};
    size_t i;
    BUF_AUTO text;

    (void)state;
    buf_init(&text, 4096);
    options_help(&text);
    for (i = 0; i < ARRAY_LEN(words); i++) {
        assert_non_null(strstr(buf_str(&text).ptr, words[i]));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_without_options_the_daemon_runs),
        cmocka_unit_test(test_options_are_taken_in_each_spelling),
        cmocka_unit_test(test_dev_goes_without_a_configuration),
        cmocka_unit_test(test_schema_is_the_configuration_s_unless_it_says_policy),
        cmocka_unit_test(test_help_wins_over_check),
        cmocka_unit_test(test_each_mistake_is_named),
        cmocka_unit_test(test_help_names_every_option),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
