/* The command line: what is understood, and what a mistake is told. Help and completion know every
 * command. */
#include "fake_daemon.h"

#include "base/check.h"
#include "cli/cli.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MISTAKE(part, ...)                                                                         \
    do {                                                                                           \
        const struct lease_result *result = RUN_LEASE(NULL, __VA_ARGS__);                          \
        assert_int_equal(result->exit_code, CLI_USAGE);                                            \
        assert_non_null(strstr(result->err, part));                                                \
        assert_string_equal(result->out, "");                                                      \
    } while (0)

static void test_mistakes_are_64_and_say_what_to_type(void **state)
{
    (void)state;
    MISTAKE("unknown command 'gte'; did you mean 'get'?", "gte", "db");
    MISTAKE("unknown command 'frobnicate'", "frobnicate");
    MISTAKE("unknown command 'frobnicate'", "help", "frobnicate");
    MISTAKE("'policy' is several commands: see `lease help policy`", "policy");
    MISTAKE("'policy' is several commands: see `lease help policy`", "policy", "chekc", "dir");
    MISTAKE("too few arguments: lease get ROLE", "get");
    MISTAKE("too many arguments", "show", "a", "b");
    MISTAKE("only with -o template=FILE", "get", "a", "b", "-o", "env");
    MISTAKE("unknown option --fro; did you mean --for?", "get", "a", "--fro", "3m");
    MISTAKE("unknown option -x", "get", "a", "-x");
    MISTAKE("--for needs a value: DURATION", "get", "a", "--for");
    MISTAKE("--for is given twice", "get", "a", "--for", "1m", "--for=2m");
    MISTAKE("'soon' is no duration", "get", "a", "--for", "soon");
    MISTAKE("--ready takes no value", "status", "--ready=1");
    MISTAKE("unknown format 'yaml'; known: table, json, env", "get", "a", "-o", "yaml");
    MISTAKE("unknown format 'env'; known here: table, json", "ls", "-o", "env");
    MISTAKE("is not FIELD=NAME", "get", "a", "--map", "password");
    MISTAKE("none of unix:///PATH", "status", "--addr", "ftp://host:9912");
    MISTAKE("LEASED_CLIENT_CERT", "status", "--addr", "https://host:9912");
    MISTAKE("plain http goes to loopback only", "status", "--addr", "http://host:9911");
    MISTAKE("plain http goes to loopback only", "status", "--addr", "http://127.0.0.1.example:1");
    MISTAKE("not a host and a port", "status", "--addr", "http://localhost:9911/path");
    MISTAKE("not a host and a port", "status", "--addr", "http://a@localhost:9911");
    MISTAKE("not a host and a port", "status", "--addr", "http://");
    MISTAKE("must be absolute", "status", "--socket", "leased.sock");
    MISTAKE("exclude each other", "status", "--socket", "/a", "--addr", "unix:///a");
    MISTAKE("unknown shell 'tcsh'", "completion", "tcsh");
}

static void test_a_socket_path_that_does_not_fit_is_refused_not_cut(void **state)
{
    char path[140];

    (void)state;
    memset(path, 'x', sizeof(path) - 1);
    path[0] = '/';
    path[sizeof(path) - 1] = '\0';
    MISTAKE("longer than 107 bytes", "status", "--socket", path);
}

static void test_no_command_prints_the_overview_to_stderr(void **state)
{
    const struct lease_result *result = run_lease(NULL, (const char *const[]){NULL});

    (void)state;
    assert_int_equal(result->exit_code, CLI_USAGE);
    assert_string_equal(result->out, "");
    assert_non_null(strstr(result->err, "usage: lease COMMAND"));
}

static void test_options_may_stand_before_the_command_and_between_its_words(void **state)
{
    const struct lease_result *result;

    (void)state;
    result = RUN_LEASE(NULL, "audit", "--socket", "/nonexistent/a", "verify", "/nonexistent/b");
    assert_int_equal(result->exit_code, CLI_FAILED);
    assert_non_null(strstr(result->err, "/nonexistent/b: could not be opened"));
    result = RUN_LEASE(NULL, "--socket", "/nonexistent/a", "status");
    assert_int_equal(result->exit_code, CLI_UNREACHABLE);
    assert_non_null(strstr(result->err, "/nonexistent/a"));
    result = RUN_LEASE(NULL, "--addr=unix:///nonexistent/b", "status");
    assert_non_null(strstr(result->err, "/nonexistent/b"));
    result = RUN_LEASE(NULL, "-o", "json", "--token-env", "NONE", "--socket", "/a", "blocks");
    assert_int_equal(result->exit_code, CLI_FAILED);
    assert_non_null(strstr(result->err, "there is no job token in NONE"));
    result = RUN_LEASE(NULL, "--ready", "--wait", "0", "--socket", "/nonexistent/c", "status");
    assert_non_null(strstr(result->err, "/nonexistent/c"));
    result = RUN_LEASE(NULL, "--wait", "request", "db", "--socket", "/nonexistent/d");
    assert_non_null(strstr(result->err, "/nonexistent/d"));
}

static void test_the_address_comes_from_the_environment_unless_given(void **state)
{
    (void)state;
    assert_int_equal(setenv("LEASED_ADDR", "unix:///nonexistent/env", 1), 0);
    assert_non_null(strstr(RUN_LEASE(NULL, "status")->err, "/nonexistent/env"));
    assert_non_null(
        strstr(RUN_LEASE(NULL, "status", "--socket", "/nonexistent/arg")->err, "/nonexistent/arg"));
    assert_int_equal(setenv("LEASED_ADDR", "", 1), 0);
    assert_non_null(
        strstr(RUN_LEASE(NULL, "status", "--socket", "/nonexistent/arg")->err, "/nonexistent/arg"));
    (void)unsetenv("LEASED_ADDR");
}

static void test_two_dashes_end_the_options(void **state)
{
    const struct lease_result *result =
        RUN_LEASE(NULL, "--socket", "/nonexistent/a", "show", "--", "--help");

    (void)state;
    assert_int_equal(result->exit_code, CLI_UNREACHABLE);
    assert_non_null(strstr(result->err, "could not show --help"));
}

static void test_every_command_has_help_that_names_its_options(void **state)
{
    const struct command *command;

    (void)state;
    for (command = commands; command->name != NULL; command++) {
        struct str second = str_of(command->name);
        struct str first = str_cut(&second, ' ');
        char words[2][32];
        const struct lease_result *result;
        size_t id;

        (void)snprintf(words[0], sizeof(words[0]), "%.*s", STR_ARG(first));
        (void)snprintf(words[1], sizeof(words[1]), "%.*s", STR_ARG(second));
        result = second.ptr != NULL ? RUN_LEASE(NULL, words[0], words[1], "--help")
                                    : RUN_LEASE(NULL, words[0], "-h");
        assert_int_equal(result->exit_code, CLI_OK);
        assert_non_null(strstr(result->out, command->usage));
        for (id = 0; id < OPTION_COUNT; id++) {
            char option[32];

            (void)snprintf(option, sizeof(option), "--%s ", option_specs[id].name);
            if ((command->options & OPTION_BIT(id)) != 0) {
                assert_non_null(strstr(result->out, option));
            }
        }
        assert_non_null(strstr(RUN_LEASE(NULL, "help")->out, command->summary));
    }
}

static void test_commands_that_share_a_word_have_help_together(void **state)
{
    const struct lease_result *result = RUN_LEASE(NULL, "help", "policy");

    (void)state;
    assert_int_equal(result->exit_code, CLI_OK);
    assert_non_null(strstr(result->out, "policy check "));
    assert_non_null(strstr(result->out, "policy apply "));
    assert_null(strstr(result->out, "audit verify"));
    assert_null(strstr(result->out, "  get "));
    result = RUN_LEASE(NULL, "audit", "--help");
    assert_int_equal(result->exit_code, CLI_OK);
    assert_non_null(strstr(result->out, "audit verify "));
    assert_int_equal(RUN_LEASE(NULL, "--socket", "/nonexistent/a", "audit", "-h")->exit_code,
                     CLI_OK);
}

static void test_the_overview_tells_every_exit_code(void **state)
{
    (void)state;
    assert_non_null(
        strstr(RUN_LEASE(NULL, "--help")->out, "0 ok, 1 failed, 2 a plan found changes, 3 denied"));
}

static void test_completion_knows_every_command_and_option(void **state)
{
    static const char *const shells[] = {"bash", "zsh", "fish"};
    size_t i;

    (void)state;
    for (i = 0; i < ARRAY_LEN(shells); i++) {
        const struct lease_result *result = RUN_LEASE(NULL, "completion", shells[i]);
        const struct command *command;
        size_t id;

        assert_int_equal(result->exit_code, CLI_OK);
        for (command = commands; command->name != NULL; command++) {
            struct str rest = str_of(command->name);
            struct str first = str_cut(&rest, ' ');
            char word[32];

            (void)snprintf(word, sizeof(word), "%.*s", STR_ARG(first));
            assert_non_null(strstr(result->out, word));
        }
        for (id = 0; id < OPTION_COUNT; id++) {
            assert_non_null(strstr(result->out, option_specs[id].name));
        }
    }
}

/* A shell that is there must take the script, and complete with it. */
static void test_bash_completes_with_the_script(void **state)
{
    static const char probe[] = "eval \"$SCRIPT\"; COMP_WORDS=(lease st); COMP_CWORD=1; _lease; "
                                "echo ${COMPREPLY[*]}; COMP_WORDS=(lease get db -o dot); "
                                "COMP_CWORD=4; _lease; echo ${COMPREPLY[*]}; "
                                "COMP_WORDS=(lease ledger d); COMP_CWORD=2; _lease; "
                                "echo ${COMPREPLY[0]}";
    char line[256] = "";
    char command[1024];
    FILE *shell;

    (void)state;
    assert_int_equal(setenv("SCRIPT", RUN_LEASE(NULL, "completion", "bash")->out, 1), 0);
    (void)snprintf(command, sizeof(command), "bash -c '%s'", probe);
    shell = popen(command, "r");
    assert_non_null(shell);
    assert_non_null(fgets(line, sizeof(line), shell));
    assert_string_equal(line, "status\n");
    assert_non_null(fgets(line, sizeof(line), shell));
    assert_string_equal(line, "dotenv\n");
    /* The second word of several commands with one first. */
    assert_non_null(fgets(line, sizeof(line), shell));
    assert_string_equal(line, "dump\n");
    assert_int_equal(pclose(shell), 0);
    (void)unsetenv("SCRIPT");
}

static void test_shells_that_are_here_find_no_mistake_in_their_script(void **state)
{
    static const char *const shells[] = {"bash", "zsh", "fish"};
    char command[128];
    size_t i;

    (void)state;
    for (i = 0; i < ARRAY_LEN(shells); i++) {
        const char *script = RUN_LEASE(NULL, "completion", shells[i])->out;
        FILE *shell;

        (void)snprintf(command, sizeof(command),
                       "if command -v %s >/dev/null; then %s -n; else "
                       "cat >/dev/null; fi",
                       shells[i], shells[i]);
        shell = popen(command, "w");
        assert_non_null(shell);
        assert_true(fputs(script, shell) >= 0);
        assert_int_equal(pclose(shell), 0);
    }
}

static void test_version_is_a_line_or_json(void **state)
{
    (void)state;
    assert_memory_equal(RUN_LEASE(NULL, "version")->out, "lease ", 6);
    assert_memory_equal(RUN_LEASE(NULL, "--version")->out, "lease ", 6);
    assert_memory_equal(RUN_LEASE(NULL, "-V")->out, "lease ", 6);
    assert_memory_equal(RUN_LEASE(NULL, "version", "-o", "json")->out, "{\"version\":\"", 12);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mistakes_are_64_and_say_what_to_type),
        cmocka_unit_test(test_a_socket_path_that_does_not_fit_is_refused_not_cut),
        cmocka_unit_test(test_no_command_prints_the_overview_to_stderr),
        cmocka_unit_test(test_options_may_stand_before_the_command_and_between_its_words),
        cmocka_unit_test(test_the_address_comes_from_the_environment_unless_given),
        cmocka_unit_test(test_two_dashes_end_the_options),
        cmocka_unit_test(test_every_command_has_help_that_names_its_options),
        cmocka_unit_test(test_commands_that_share_a_word_have_help_together),
        cmocka_unit_test(test_the_overview_tells_every_exit_code),
        cmocka_unit_test(test_completion_knows_every_command_and_option),
        cmocka_unit_test(test_bash_completes_with_the_script),
        cmocka_unit_test(test_shells_that_are_here_find_no_mistake_in_their_script),
        cmocka_unit_test(test_version_is_a_line_or_json),
    };

    (void)unsetenv("LEASED_ADDR");
    if (client_global_init() != 0) {
        return 1;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
