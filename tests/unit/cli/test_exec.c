/* `lease exec`: the environment it makes, the exit codes it passes, the grants it ends. */
#include "exec_daemon.h"

#include "base/mem.h"
#include "cli/cli.h"
#include "cli/exec.h"
#include "cli/exec_environment.h"
#include "cli/exec_internal.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static void test_the_program_has_the_credential_in_its_environment(void **state)
{
    const struct lease_result *result =
        EXEC("orders-db", "--", "sh", "-c",
             "echo \"$ORDERS_DB_USERNAME $ORDERS_DB_PASSWORD $KEPT $0 $#\" > $OUT");

    (void)state;
    assert_string_equal(result->err, "");
    assert_int_equal(result->exit_code, 0);
    exec_assert_out("bob s3 'cret yes sh 0\n");
}

static void test_the_child_asks_and_binds_to_itself_and_to_lease(void **state)
{
    const struct lease_result *result = EXEC("orders-db", "--", "true");

    (void)state;
    assert_int_equal(result->exit_code, 0);
    assert_int_equal(fake_daemon_count(&exec_daemon, "\"binding\":[\"process,parent\"]}"), 1);
}

/* A grant that another job of this user got as well would end for both. */
static void test_each_run_has_a_grant_of_its_own(void **state)
{
    const struct lease_result *result =
        EXEC("orders-db", "--for", "30m", "--reason", "a \"b\"", "--ticket", "OPS-1", "--bind",
             "none", "--bind", "comm:x", "--", "true");

    (void)state;
    assert_string_equal(result->err, "");
    assert_int_equal(result->exit_code, 0);
    assert_int_equal(fake_daemon_count(&exec_daemon, "GET "), 0);
    assert_int_equal(fake_daemon_count(&exec_daemon, "Content-Type: application/json\r\n"), 2);
    assert_int_equal(fake_daemon_count(&exec_daemon,
                                       "\r\n\r\n{\"role\":\"orders-db\",\"duration\":\"30m\","
                                       "\"reason\":\"a \\\"b\\\"\",\"ticket\":\"OPS-1\","
                                       "\"binding\":[\"none\",\"comm:x\"]}"),
                     1);
}

static void test_the_programs_exit_code_is_passed_on(void **state)
{
    (void)state;
    assert_int_equal(EXEC("orders-db", "--", "sh", "-c", "exit 42")->exit_code, 42);
    assert_int_equal(EXEC("orders-db", "--", "sh", "-c", "kill -TERM $$")->exit_code, 128 + 15);
    assert_int_equal(EXEC("orders-db", "--", "sh", "-c", "kill -KILL $$")->exit_code, 128 + 9);
}

static void test_grants_are_ended_when_the_program_has_ended(void **state)
{
    (void)state;
    assert_int_equal(EXEC("orders-db", "other", "--", "true")->exit_code, 0);
    assert_int_equal(fake_daemon_count(&exec_daemon, EXEC_DELETE "g-1?wait=5 "), 1);
    assert_int_equal(fake_daemon_count(&exec_daemon, EXEC_DELETE "g-3?wait=5 "), 1);
}

static void test_without_a_credential_nothing_runs_and_what_was_granted_ends(void **state)
{
    const struct lease_result *result =
        EXEC("orders-db", "denied", "--", "sh", "-c", "echo ran > $OUT");

    (void)state;
    assert_int_equal(result->exit_code, CLI_EXEC_FAILED);
    assert_non_null(strstr(result->err, "could not get denied: denied: no rule"));
    assert_int_equal(access(exec_out_path, F_OK), -1);
    assert_int_equal(fake_daemon_count(&exec_daemon, EXEC_DELETE "g-1"), 1);
}

static void test_a_program_that_is_not_there_is_127_and_one_that_cannot_run_126(void **state)
{
    (void)state;
    assert_int_equal(EXEC("orders-db", "--", "no-such-program-here")->exit_code,
                     CLI_EXEC_NOT_FOUND);
    assert_int_equal(EXEC("orders-db", "--", "/etc")->exit_code, CLI_EXEC_NOT_RUN);
    assert_int_equal(fake_daemon_count(&exec_daemon, EXEC_DELETE "g-1"), 2);
}

static void test_two_roles_that_claim_one_variable_are_an_error(void **state)
{
    const struct lease_result *result = EXEC("orders-db", "orders_db", "--", "true");

    (void)state;
    assert_int_equal(result->exit_code, CLI_EXEC_FAILED);
    assert_non_null(strstr(result->err, "orders-db and orders_db both claim the variable "
                                        "ORDERS_DB_USERNAME"));
    assert_null(strstr(result->err, "cret"));
}

static void test_maps_rename_for_one_role_or_for_all(void **state)
{
    const struct lease_result *result =
        EXEC("orders-db", "orders_db", "--map", "orders_db.username=U", "--map",
             "orders_db.password=P", "--", "sh", "-c", "echo $U $ORDERS_DB_USERNAME > $OUT");

    (void)state;
    assert_string_equal(result->err, "");
    exec_assert_out("bob bob\n");
    result = EXEC("orders-db", "other", "--map", "username=U", "--", "true");
    assert_int_equal(result->exit_code, CLI_EXEC_FAILED);
    assert_non_null(strstr(result->err, "both claim the variable U"));
}

static void test_an_inherited_variable_of_the_same_name_is_replaced(void **state)
{
    (void)state;
    assert_int_equal(setenv("ORDERS_DB_USERNAME", "stale", 1), 0);
    assert_int_equal(EXEC("orders-db", "--", "sh", "-c",
                          "env | grep -c ^ORDERS_DB_USERNAME= > $OUT; "
                          "echo $ORDERS_DB_USERNAME >> $OUT")
                         ->exit_code,
                     0);
    (void)unsetenv("ORDERS_DB_USERNAME");
    exec_assert_out("1\nbob\n");
}

static void test_mistakes_of_usage_are_125_before_anything_is_asked_for(void **state)
{
    (void)state;
    assert_int_equal(EXEC("orders-db")->exit_code, CLI_EXEC_FAILED);
    assert_int_equal(EXEC("orders-db", "--")->exit_code, CLI_EXEC_FAILED);
    assert_int_equal(EXEC("orders-db", "--for", "soon", "--", "true")->exit_code, CLI_EXEC_FAILED);
    assert_int_equal(EXEC("orders-db", "--map", "a=b-c", "--", "true")->exit_code, CLI_EXEC_FAILED);
    assert_int_equal(EXEC("orders-db", "--nonsense", "--", "true")->exit_code, CLI_EXEC_FAILED);
    assert_string_equal(exec_daemon.log, "");
}

static void test_options_of_the_program_are_its_own(void **state)
{
    (void)state;
    assert_int_equal(
        EXEC("orders-db", "--", "sh", "-c", "echo $1 > $OUT", "x", "--help")->exit_code, 0);
    exec_assert_out("--help\n");
}

/* Sends a signal to this process, which plays `lease`, once the program runs. */
static void test_a_signal_to_lease_reaches_the_program(void **state)
{
    const struct lease_result *result;
    char script[256];

    (void)state;
    (void)snprintf(script, sizeof(script),
                   "trap 'echo term > $OUT; exit 3' TERM; (kill -TERM %ld) & "
                   "while :; do wait; done",
                   (long)getpid());
    result = EXEC("orders-db", "--", "sh", "-c", script);
    assert_int_equal(result->exit_code, 3);
    exec_assert_out("term\n");
}

static void read_signal_lines(const char *path, char *out, size_t size)
{
    FILE *file = fopen(path, "re");
    char line[256];

    assert_non_null(file);
    out[0] = '\0';
    while (fgets(line, sizeof(line), file) != NULL) {
        if (strncmp(line, "SigBlk", 6) == 0 || strncmp(line, "SigIgn", 6) == 0) {
            (void)snprintf(out + strlen(out), size - strlen(out), "%s", line);
        }
    }
    (void)fclose(file);
}

static void test_the_program_gets_the_signal_mask_and_dispositions_of_before(void **state)
{
    char before[256];
    char inside[256];

    (void)state;
    read_signal_lines("/proc/self/status", before, sizeof(before));
    assert_int_equal(EXEC("orders-db", "--", "sh", "-c", "cat /proc/self/status > $OUT")->exit_code,
                     0);
    read_signal_lines(exec_out_path, inside, sizeof(inside));
    assert_string_equal(inside, before);
    read_signal_lines("/proc/self/status", inside, sizeof(inside));
    assert_string_equal(inside, before);
}

static void test_what_the_terminal_sent_to_the_group_is_not_doubled(void **state)
{
    const struct exec_signal ctrl_c = {.number = SIGINT, .code = SI_KERNEL};
    const struct exec_signal by_hand = {.number = SIGINT, .code = SI_USER, .sender = 7};
    const struct exec_signal by_child = {.number = SIGTERM, .code = SI_USER, .sender = 42};
    const struct exec_signal hang_up = {.number = SIGHUP, .code = SI_KERNEL};

    (void)state;
    assert_false(exec_must_forward(&ctrl_c, 42, true, false));
    assert_true(exec_must_forward(&ctrl_c, 42, false, false));
    assert_true(exec_must_forward(&by_hand, 42, true, false));
    assert_false(exec_must_forward(&by_child, 42, true, false));
    assert_false(exec_must_forward(&hang_up, 42, true, false));
    assert_true(exec_must_forward(&hang_up, 42, true, true));
}

static int fail_countdown;

static int fail_one(size_t size)
{
    (void)size;
    return fail_countdown-- == 0;
}

static struct exec_settings settings_of_test;

static void set(const char *variable, const char *value)
{
    const struct exec_setting setting = {
        .variable = variable, .value = str_of(value), .role = "r", .what = "f"};

    assert_int_equal(exec_settings_add(&settings_of_test, &setting, NULL), 0);
}

static void test_any_allocation_of_the_environment_may_fail(void **state)
{
    char *const base[] = {(char[]){"A=1"}, (char[]){"B=2"}, NULL};
    char **environment = NULL;
    int status = ERR_NOMEM;
    int n;

    (void)state;
    settings_of_test.count = 0;
    set("C", "s3 'cret");
    for (n = 0; status != 0; n++) {
        assert_in_range(n, 0, 20);
        fail_countdown = n;
        mem_set_fail_hook(fail_one);
        status = exec_environment_new(base, &settings_of_test, &environment);
        mem_set_fail_hook(NULL);
    }
    assert_string_equal(environment[0], "A=1");
    assert_string_equal(environment[2], "C=s3 'cret");
    assert_null(environment[3]);
    exec_environment_free(environment);
}

static void test_what_conflicts_with_aws_credentials_is_removed(void **state)
{
    char *const base[] = {(char[]){"AWS_PROFILE=other"},
                          (char[]){"AWS_SESSION_TOKEN=old"},
                          (char[]){"AWS_CONTAINER_CREDENTIALS_FULL_URI=http://x"},
                          (char[]){"AWS_REGION=eu-west-1"},
                          (char[]){"AWS_ACCESS_KEY_ID=old"},
                          NULL};
    char **environment = NULL;

    (void)state;
    settings_of_test.count = 0;
    set("AWS_ACCESS_KEY_ID", "A");
    set("AWS_SECRET_ACCESS_KEY", "S");
    assert_int_equal(exec_environment_new(base, &settings_of_test, &environment), 0);
    assert_string_equal(environment[0], "AWS_REGION=eu-west-1");
    assert_string_equal(environment[1], "AWS_ACCESS_KEY_ID=A");
    assert_string_equal(environment[2], "AWS_SECRET_ACCESS_KEY=S");
    assert_null(environment[3]);
    exec_environment_free(environment);
}

static void test_options_that_do_not_fit_together_are_told_before_anything_is_asked_for(
    void **state)
{
    static const char *const mistakes[][8] = {
        {"exec", "orders-db", "orders-db", "--", "true", NULL},
        {"exec", "orders-db", "--file", "password", "--", "true", NULL},
        {"exec", "orders-db", "--file", "password=a-b", "--", "true", NULL},
        {"exec", "orders-db", "--file", ":nonsense=A", "--", "true", NULL},
        {"exec", "orders-db", "--file", "other.password=A", "--", "true", NULL},
        {"exec", "orders-db", "other", "--file=:json=A", "--", "true", NULL},
        {"exec", "orders-db", "--signal", "HUP", "--", "true", NULL},
        {"exec", "orders-db", "--file=password=A", "--signal=KILL", "--", "true", NULL},
        {"exec", "orders-db", "--watch", "--bind=process", "--", "true", NULL},
    };
    size_t i;

    (void)state;
    for (i = 0; i < ARRAY_LEN(mistakes); i++) {
        assert_int_equal(run_lease(&exec_daemon, mistakes[i])->exit_code, CLI_EXEC_FAILED);
    }
    assert_string_equal(exec_daemon.log, "");
}

static void test_every_signal_that_can_be_is_passed_on(void **state)
{
    static const int numbers[] = {SIGHUP,  SIGINT,  SIGQUIT, SIGUSR1, SIGUSR2, SIGALRM,
                                  SIGTERM, SIGURG,  SIGXCPU, SIGIO,   SIGPWR,  SIGWINCH,
                                  SIGCONT, SIGTSTP, SIGTTIN, SIGCHLD};
    sigset_t signals;
    size_t i;

    (void)state;
    exec_signals_fill(&signals);
    for (i = 0; i < ARRAY_LEN(numbers); i++) {
        assert_int_equal(sigismember(&signals, numbers[i]), 1);
    }
    assert_int_equal(sigismember(&signals, SIGSEGV), 0);
    assert_int_equal(sigismember(&signals, SIGPIPE), 0);
}

#define EXEC_TEST(test) cmocka_unit_test_setup_teardown(test, exec_daemon_start, exec_daemon_stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        EXEC_TEST(test_the_program_has_the_credential_in_its_environment),
        EXEC_TEST(test_the_child_asks_and_binds_to_itself_and_to_lease),
        EXEC_TEST(test_each_run_has_a_grant_of_its_own),
        EXEC_TEST(test_the_programs_exit_code_is_passed_on),
        EXEC_TEST(test_grants_are_ended_when_the_program_has_ended),
        EXEC_TEST(test_without_a_credential_nothing_runs_and_what_was_granted_ends),
        EXEC_TEST(test_a_program_that_is_not_there_is_127_and_one_that_cannot_run_126),
        EXEC_TEST(test_two_roles_that_claim_one_variable_are_an_error),
        EXEC_TEST(test_maps_rename_for_one_role_or_for_all),
        EXEC_TEST(test_an_inherited_variable_of_the_same_name_is_replaced),
        EXEC_TEST(test_mistakes_of_usage_are_125_before_anything_is_asked_for),
        EXEC_TEST(test_options_of_the_program_are_its_own),
        EXEC_TEST(test_a_signal_to_lease_reaches_the_program),
        EXEC_TEST(test_options_that_do_not_fit_together_are_told_before_anything_is_asked_for),
        cmocka_unit_test(test_every_signal_that_can_be_is_passed_on),
        EXEC_TEST(test_the_program_gets_the_signal_mask_and_dispositions_of_before),
        cmocka_unit_test(test_what_the_terminal_sent_to_the_group_is_not_doubled),
        cmocka_unit_test(test_any_allocation_of_the_environment_may_fail),
        cmocka_unit_test(test_what_conflicts_with_aws_credentials_is_removed),
    };

    (void)setenv("KEPT", "yes", 1);
    if (client_global_init() != 0) {
        return 1;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
