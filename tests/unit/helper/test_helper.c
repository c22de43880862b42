/* The helper process: what it runs and what it doesn't, and how each run ends. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "unit/helper/helper_fixture.h"

#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

static int set_up(void **state)
{
    *state = calloc(1, sizeof(struct helper_fixture));
    return *state == NULL;
}

static int tear_down(void **state)
{
    fixture_end(*state);
    free(*state);
    return 0;
}

static void test_what_a_program_prints_comes_back(void **state)
{
    struct helper_fixture *fixture = *state;
    struct run_message end;

    fixture_add_shell(fixture, "command", "echo '{\"a\": 1}'; echo careful >&2");
    fixture_start(fixture);
    end = fixture_run(fixture, "command");
    assert_int_equal(end.outcome, RUN_EXITED);
    assert_int_equal(end.exit_code, 0);
    assert_string_equal(fixture_output(&end), "{\"a\": 1}\n");
    assert_string_equal(fixture_text(&end), "careful");
}

static void test_a_failure_has_its_code_and_the_first_line_of_stderr(void **state)
{
    struct helper_fixture *fixture = *state;
    struct run_message end;

    fixture_add_shell(fixture, "command",
                      "echo secret; printf '\\n no \\033[31maccount \\377\\nmore\\n' >&2; exit 77");
    fixture_start(fixture);
    end = fixture_run(fixture, "command");
    assert_int_equal(end.outcome, RUN_EXITED);
    assert_int_equal(end.exit_code, 77);
    assert_int_equal(end.output.len, 0);
    assert_string_equal(fixture_text(&end), "no ?[31maccount ?");
}

static void test_only_programs_of_the_table_are_run(void **state)
{
    static const char *const others[] = {"revoke_command", "comman", "/bin/sh", "command "};
    struct helper_fixture *fixture = *state;
    struct run_message message = {
        .kind = RUN_START, .id = 1, .backend = STR("other"), .program = STR("command")};
    struct run_message end;
    size_t i;

    fixture_add_shell(fixture, "command", "echo ran");
    fixture_start(fixture);
    for (i = 0; i < ARRAY_LEN(others); i++) {
        end = fixture_run(fixture, others[i]);
        assert_int_equal(end.outcome, RUN_NOT_STARTED);
        assert_non_null(strstr(fixture_text(&end), "not a program that the configuration named"));
    }
    fixture_send(fixture, &message);
    end = fixture_receive(fixture);
    assert_int_equal(end.outcome, RUN_NOT_STARTED);
}

static void test_a_program_that_is_missing_is_told(void **state)
{
    static const char *const argv[] = {"/nonexistent/program", NULL};
    static const char *const no_program[] = {"/etc/passwd", NULL};
    struct helper_fixture *fixture = *state;
    struct run_message end;

    fixture_add(fixture, "command", argv);
    fixture_add(fixture, "data", no_program);
    fixture_start(fixture);
    end = fixture_run(fixture, "command");
    assert_int_equal(end.outcome, RUN_NOT_STARTED);
    assert_string_equal(fixture_text(&end), "could not be run: No such file or directory");
    end = fixture_run(fixture, "data");
    assert_int_equal(end.outcome, RUN_NOT_STARTED);
    assert_string_equal(fixture_text(&end), "could not be run: Permission denied");
}

static void test_values_are_variables_and_nothing_else(void **state)
{
    struct helper_fixture *fixture = *state;
    struct helper_program *program = fixture_add_shell(fixture, "command", "env | sort");
    struct run_message message = {
        .kind = RUN_START, .id = 1, .backend = STR("tool"), .program = STR("command")};
    struct run_message end;

    program->environment[0] = mem_strdup("HOME=/var/lib/tool");
    program->environment[1] = mem_strdup("TOOL_ACCOUNT=7");
    assert_int_equal(setenv("SECRET_OF_THE_DAEMON", "s3cr3t", 1), 0);
    fixture_start(fixture);
    message.values[RUN_VARIABLE_ROLE] = STR("deploy");
    message.values[RUN_VARIABLE_REASON] = STR("$(id) `id` ; id | 'id' \"PATH=/tmp");
    message.values[RUN_VARIABLE_UID] = STR("1000");
    fixture_send(fixture, &message);
    end = fixture_receive(fixture);
    assert_int_equal(end.outcome, RUN_EXITED);
    /* PWD, OLDPWD, SHLVL and _ are some shells' own. */
    assert_non_null(strstr(fixture_output(&end), "HOME=/var/lib/tool\n"
                                                 "LANG=C\n"
                                                 "LEASED_REASON=$(id) `id` ; id | 'id' "
                                                 "\"PATH=/tmp\n"
                                                 "LEASED_ROLE=deploy\n"
                                                 "LEASED_UID=1000\n"));
    assert_non_null(strstr(fixture_output(&end), "\nPATH=/usr/bin:/bin\n"));
    assert_non_null(strstr(fixture_output(&end), "\nTOOL_ACCOUNT=7\n"));
    assert_null(strstr(fixture_output(&end), "SECRET_OF_THE_DAEMON"));
    assert_null(strstr(fixture_output(&end), "LEASED_USER"));
}

static void test_its_stdin_is_what_it_is_given_or_empty(void **state)
{
    static char most[RUN_INPUT_MAX_BYTES];
    struct helper_fixture *fixture = *state;
    struct run_message message = {
        .kind = RUN_START, .id = 1, .backend = STR("tool"), .program = STR("count")};
    struct run_message end;

    (void)fixture_add_shell(fixture, "count", "wc -c");
    (void)fixture_add_shell(fixture, "copy", "cat");
    fixture_start(fixture);
    end = fixture_run(fixture, "count");
    assert_string_equal(fixture_output(&end), "0\n");
    memset(most, 'a', sizeof(most));
    message.input = (struct str){.ptr = most, .len = sizeof(most)};
    fixture_send(fixture, &message);
    end = fixture_receive(fixture);
    assert_string_equal(fixture_output(&end), "32768\n");
    message.program = STR("copy");
    message.input = STR("{\"password\":\"x\"}");
    fixture_send(fixture, &message);
    end = fixture_receive(fixture);
    assert_string_equal(fixture_output(&end), "{\"password\":\"x\"}");
}

static void test_a_program_gets_three_descriptors_and_no_privileges(void **state)
{
    struct helper_fixture *fixture = *state;
    struct run_message end;
    int leaked = dup(STDIN_FILENO); /* inheritable */

    fixture_add_shell(fixture, "command",
                      "cd /proc/self/fd || exit 1; for i in *; do test -e $i && echo -n \"$i \"; "
                      "done; echo; readlink 0; ulimit -c; ulimit -n; "
                      "grep NoNewPrivs /proc/self/status; umask; "
                      /* 32 and 33 are libc's own, which nobody may set; 2560: USR1 and USR2. */
                      "for i in SigBlk SigIgn; do m=$(grep $i /proc/self/status); "
                      "echo $i $((0x${m##*[!0-9a-f]} & ~0x180000000)); done; "
                      "test $(cut -d' ' -f5 /proc/$$/stat) = $$ && echo leads; "
                      "test $(cut -d' ' -f6 /proc/$$/stat) = $$ && echo own session");
    fixture_start(fixture);
    (void)close(leaked);
    end = fixture_run(fixture, "command");
    assert_int_equal(end.outcome, RUN_EXITED);
    assert_string_equal(fixture_output(&end), "0 1 2 \n/dev/null\n0\n1024\nNoNewPrivs:\t1\n0077\n"
                                              "SigBlk 0\nSigIgn 2560\nleads\nown session\n");
}

static void test_what_takes_too_long_is_killed_with_its_group(void **state)
{
    struct helper_fixture *fixture = *state;
    struct run_message end;
    char path[] = "/tmp/leased-helper-XXXXXX";
    char line[256];
    char number[32] = "";
    int fd = mkstemp(path);

    assert_true(fd >= 0);
    (void)snprintf(line, sizeof(line), "sleep 1000 & echo $! > %s; trap '' TERM; echo x; wait",
                   path);
    fixture_add_shell(fixture, "command", line)->timeout_ms = 300;
    fixture_start(fixture);
    end = fixture_run(fixture, "command");
    assert_int_equal(end.outcome, RUN_KILLED);
    assert_string_equal(fixture_text(&end), "took too long and was killed");
    assert_int_equal(end.output.len, 0);
    assert_true(read(fd, number, sizeof(number) - 1) > 0);
    fixture_await_gone((pid_t)strtol(number, NULL, 10));
    (void)close(fd);
    (void)unlink(path);
}

static void test_what_a_program_leaves_behind_is_killed_and_not_waited_for(void **state)
{
    struct helper_fixture *fixture = *state;
    struct run_message end;

    fixture_add_shell(fixture, "command", "sleep 1000 & echo $!");
    fixture_start(fixture);
    end = fixture_run(fixture, "command");
    assert_int_equal(end.outcome, RUN_EXITED);
    fixture_await_gone((pid_t)strtol(fixture_output(&end), NULL, 10));
}

static void test_output_has_a_largest_size(void **state)
{
    struct helper_fixture *fixture = *state;
    struct run_message end;

    fixture_add_shell(fixture, "most", "head -c 65536 /dev/zero | tr '\\0' x");
    fixture_add_shell(fixture, "more", "head -c 65537 /dev/zero | tr '\\0' x");
    fixture_add_shell(fixture, "endless", "yes");
    fixture_add_shell(fixture, "chatty", "head -c 1000000 /dev/zero >&2; echo done");
    fixture_start(fixture);
    end = fixture_run(fixture, "most");
    assert_int_equal(end.outcome, RUN_EXITED);
    assert_int_equal(end.output.len, RUN_OUTPUT_MAX_BYTES);
    end = fixture_run(fixture, "more");
    assert_int_equal(end.outcome, RUN_KILLED);
    assert_string_equal(fixture_text(&end), "printed more than 64 KiB and was killed");
    assert_int_equal(end.output.len, 0);
    end = fixture_run(fixture, "endless");
    assert_int_equal(end.outcome, RUN_KILLED);
    end = fixture_run(fixture, "chatty");
    assert_int_equal(end.outcome, RUN_EXITED);
    assert_string_equal(fixture_output(&end), "done\n");
    assert_int_equal(end.text.len, RUN_TEXT_MAX_BYTES);
}

static void test_a_signal_is_an_end_before_its_time(void **state)
{
    struct helper_fixture *fixture = *state;
    struct run_message end;

    fixture_add_shell(fixture, "command", "echo half; kill -SEGV $$");
    fixture_start(fixture);
    end = fixture_run(fixture, "command");
    assert_int_equal(end.outcome, RUN_KILLED);
    assert_string_equal(fixture_text(&end), "was ended by signal 11");
    assert_int_equal(end.output.len, 0);
}

static void test_a_cancelled_run_is_killed_and_still_ends(void **state)
{
    struct helper_fixture *fixture = *state;
    struct run_message end;

    fixture_add_shell(fixture, "slow", "sleep 1000");
    fixture_add_shell(fixture, "quick", "echo quick");
    fixture_start(fixture);
    fixture_ask(fixture, 1, "slow");
    fixture_ask(fixture, 2, "quick");
    end = fixture_receive(fixture);
    assert_int_equal(end.id, 2);
    fixture_send(fixture, &(struct run_message){.kind = RUN_CANCEL, .id = 2});
    fixture_send(fixture, &(struct run_message){.kind = RUN_CANCEL, .id = 1});
    end = fixture_receive(fixture);
    assert_int_equal(end.id, 1);
    assert_int_equal(end.outcome, RUN_CANCELED);
}

static void test_many_run_at_once_and_each_gets_its_own_output(void **state)
{
    struct helper_fixture *fixture = *state;
    struct run_message message = {.kind = RUN_START,
                                  .backend = STR("tool"),
                                  .program = STR("command")};
    bool is_seen[RUN_COUNT_MAX] = {false};
    uint32_t i;

    fixture_add_shell(fixture, "command", "head -c 40000 /dev/zero; echo $LEASED_UID");
    fixture_start(fixture);
    for (i = 0; i < RUN_COUNT_MAX; i++) {
        char uid[8];

        (void)snprintf(uid, sizeof(uid), "%u", i);
        message.id = i;
        message.values[RUN_VARIABLE_UID] = str_of(uid);
        fixture_send(fixture, &message);
    }
    for (i = 0; i < RUN_COUNT_MAX; i++) {
        struct run_message end = fixture_receive(fixture);
        char tail[16];

        assert_true(end.id < RUN_COUNT_MAX && !is_seen[end.id]);
        is_seen[end.id] = true;
        (void)snprintf(tail, sizeof(tail), "%u\n", end.id);
        assert_int_equal(end.output.len, 40000 + strlen(tail));
        assert_memory_equal(end.output.ptr + 40000, tail, strlen(tail));
    }
}

/* -1: it may not be looked at, which is as it should be. */
static int descriptor_count(pid_t pid)
{
    char path[64];
    const struct dirent *entry;
    DIR *folder;
    int count = 0;

    (void)snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
    folder = opendir(path);
    while (folder != NULL && (entry = readdir(folder)) != NULL) {
        count += entry->d_name[0] != '.';
    }
    return folder != NULL && closedir(folder) == 0 ? count : -1;
}

static void test_nothing_is_left_open_after_many_runs(void **state)
{
    static const char *const names[] = {"quick", "missing", "endless", "unknown"};
    static const char *const argv[] = {"/nonexistent/program", NULL};
    struct helper_fixture *fixture = *state;
    size_t i;

    fixture_add_shell(fixture, "quick", "echo x; sleep 1000 & exit 1");
    fixture_add_shell(fixture, "endless", "exec yes");
    fixture_add(fixture, "missing", argv);
    fixture_start(fixture);
    for (i = 0; i < 40; i++) {
        (void)fixture_run(fixture, names[i % ARRAY_LEN(names)]);
    }
    assert_int_equal(descriptor_count(fixture->helper.pid), geteuid() == 0 ? 4 : -1);
}

static void test_a_user_that_it_may_not_become_is_told(void **state)
{
    struct helper_fixture *fixture = *state;
    struct helper_program *program = fixture_add_shell(fixture, "command", "id -u; id -G");
    struct run_message end;

    program->has_user = true;
    program->uid = 65532;
    program->gid = 65533;
    program->groups[0] = 65533;
    program->group_count = 1;
    fixture_start(fixture);
    end = fixture_run(fixture, "command");
    if (geteuid() == 0) {
        assert_int_equal(end.outcome, RUN_EXITED);
        assert_string_equal(fixture_output(&end), "65532\n65533\n");
    } else {
        assert_int_equal(end.outcome, RUN_NOT_STARTED);
        assert_string_equal(fixture_text(&end), "may not run as the user that it is configured "
                                                "for: Operation not permitted");
    }
}

static void test_when_the_daemon_is_gone_all_is(void **state)
{
    struct helper_fixture *fixture = *state;
    char path[] = "/tmp/leased-helper-XXXXXX";
    char slow[128];
    char wait[128];
    char number[32] = "";
    int fd = mkstemp(path);
    pid_t pid;

    assert_true(fd >= 0);
    (void)snprintf(slow, sizeof(slow), "echo $$ > %s; exec sleep 1000", path);
    (void)snprintf(wait, sizeof(wait), "while ! test -s %s; do :; done", path);
    fixture_add_shell(fixture, "slow", slow);
    fixture_add_shell(fixture, "wait", wait);
    fixture_start(fixture);
    fixture_ask(fixture, 7, "slow");
    (void)fixture_run(fixture, "wait");
    assert_true(read(fd, number, sizeof(number) - 1) > 0);
    pid = (pid_t)strtol(number, NULL, 10);
    assert_true(fixture_lives(pid));
    (void)close(fixture->helper.fd);
    fixture->helper.fd = -1;
    fixture_await_gone(fixture->helper.pid);
    fixture_await_gone(pid);
    (void)close(fd);
    (void)unlink(path);
}

static void test_signals_for_the_daemon_leave_it_alone(void **state)
{
    static const int numbers[] = {SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGUSR2};
    struct helper_fixture *fixture = *state;
    struct run_message end;
    size_t i;

    fixture_add_shell(fixture, "command", "echo alive");
    fixture_start(fixture);
    (void)fixture_run(fixture, "command"); /* it has come so far that it ignores them */
    for (i = 0; i < ARRAY_LEN(numbers); i++) {
        assert_int_equal(kill(fixture->helper.pid, numbers[i]), 0);
    }
    end = fixture_run(fixture, "command");
    assert_string_equal(fixture_output(&end), "alive\n");
}

/* A log rotation that sends its signal to the whole unit. */
static void test_signals_for_the_daemon_end_no_program(void **state)
{
    struct helper_fixture *fixture = *state;
    struct run_message end;

    fixture_add_shell(fixture, "command", "kill -USR1 $$; kill -USR2 $$; echo on");
    fixture_start(fixture);
    end = fixture_run(fixture, "command");
    assert_int_equal(end.outcome, RUN_EXITED);
    assert_string_equal(fixture_output(&end), "on\n");
}

static void test_a_daemon_that_breaks_the_rules_is_left(void **state)
{
    struct helper_fixture *fixture = *state;

    fixture_add_shell(fixture, "command", "echo alive");
    fixture_start(fixture);
    assert_int_equal(send(fixture->helper.fd, "garbage", 7, MSG_NOSIGNAL), 7);
    fixture_await_gone(fixture->helper.pid);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        TEST(test_what_a_program_prints_comes_back),
        TEST(test_a_failure_has_its_code_and_the_first_line_of_stderr),
        TEST(test_only_programs_of_the_table_are_run),
        TEST(test_a_program_that_is_missing_is_told),
        TEST(test_values_are_variables_and_nothing_else),
        TEST(test_its_stdin_is_what_it_is_given_or_empty),
        TEST(test_a_program_gets_three_descriptors_and_no_privileges),
        TEST(test_what_takes_too_long_is_killed_with_its_group),
        TEST(test_what_a_program_leaves_behind_is_killed_and_not_waited_for),
        TEST(test_output_has_a_largest_size),
        TEST(test_a_signal_is_an_end_before_its_time),
        TEST(test_a_cancelled_run_is_killed_and_still_ends),
        TEST(test_many_run_at_once_and_each_gets_its_own_output),
        TEST(test_nothing_is_left_open_after_many_runs),
        TEST(test_a_user_that_it_may_not_become_is_told),
        TEST(test_when_the_daemon_is_gone_all_is),
        TEST(test_signals_for_the_daemon_leave_it_alone),
        TEST(test_signals_for_the_daemon_end_no_program),
        TEST(test_a_daemon_that_breaks_the_rules_is_left),
#undef TEST
    };

    if (!fixture_has_pidfds()) {
        return fixture_leave_out();
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
