/* `lease exec --watch` and --signal: what a rotation does to the program. */
#include "fake_daemon.h"

#include "cli/cli.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define CREDENTIAL(lease, grant, password)                                                         \
    "{\"role\":\"db\",\"lease\":\"" lease "\",\"grant\":\"" grant                                  \
    "\",\"credential\":{\"password\":\"" password "\"}}"
#define EVENT(name, lease)                                                                         \
    "event: " name "\ndata: {\"role\":\"db\",\"lease\":\"" lease "\",\"grant\":\"g-1\","           \
    "\"version\":1,\"reason\":\"duration\"}\n\n"
#define STREAM "Content-Type: text/event-stream\r\n"
#define ISSUE                                                                                      \
    {                                                                                              \
        "POST /leased/v1/leases {\"role\":\"db\",", 201, NULL, CREDENTIAL("l-1", "g-1", "one"), 0  \
    }
#define ACK                                                                                        \
    {                                                                                              \
        "POST /leased/v1/leases/l-2/ack?grant=g-1", 200, NULL, "{}", 0                             \
    }
#define END                                                                                        \
    {                                                                                              \
        "DELETE /leased/v1/grants/", 200, NULL, "{}", 0                                            \
    }

static struct fake_daemon daemon_of_test;
static char out_path[96];

static void start_daemon(const struct fake_route *routes, size_t count)
{
    fake_daemon_start(&daemon_of_test, routes, count);
    (void)snprintf(out_path, sizeof(out_path), "%s/out", daemon_of_test.folder);
    assert_int_equal(setenv("OUT", out_path, 1), 0);
}

static int stop_daemon(void **state)
{
    (void)state;
    (void)unlink(out_path);
    fake_daemon_stop(&daemon_of_test);
    return 0;
}

static void assert_out(const char *wanted)
{
    char text[256] = "";
    FILE *file = fopen(out_path, "re");

    assert_non_null(file);
    (void)!fread(text, 1, sizeof(text) - 1, file);
    (void)fclose(file);
    assert_string_equal(text, wanted);
}

/* Says which password it has, and ends with the second one. */
#define UNTIL_TWO                                                                                  \
    "echo $DB_PASSWORD >> $OUT; [ $DB_PASSWORD = two ] && exit 5; trap 'echo term >> $OUT; exit' " \
    "TERM; while :; do sleep 0.02; done"

/* Waits until lease has said that its grant has ended. */
#define UNTIL_TOLD                                                                                 \
    "for f in /proc/$PPID/fd/*; do case $(readlink $f) in /memfd:err*) err=$f;; esac; done; "      \
    "until grep -q 'has ended' $err; do sleep 0.02; done; "

static void test_a_rotation_starts_the_program_again_with_what_is_new(void **state)
{
    static const struct fake_route routes[] = {
        ISSUE,
        {"GET /leased/v1/watch?role=db", 200, STREAM,
         EVENT("credential", "l-1") EVENT("credential", "l-2"), 1},
        {"GET /leased/v1/credentials/db?binding=parent", 200, NULL, CREDENTIAL("l-2", "g-1", "two"),
         0},
        ACK,
        END,
    };

    (void)state;
    start_daemon(routes, ARRAY_LEN(routes));
    assert_int_equal(
        RUN_LEASE(&daemon_of_test, "exec", "db", "--watch", "--", "sh", "-c", UNTIL_TWO)->exit_code,
        5);
    assert_out("one\nterm\ntwo\n");
    assert_int_equal(fake_daemon_count(&daemon_of_test, "\"binding\":[\"parent\"]"), 1);
    assert_int_equal(fake_daemon_count(&daemon_of_test, "DELETE /leased/v1/grants/g-1"), 1);
}

static void test_a_rotation_changes_the_file_and_is_told_by_signal(void **state)
{
    static const struct fake_route routes[] = {
        ISSUE,
        {"GET /leased/v1/watch?role=db", 200, STREAM, EVENT("credential", "l-2"), 1},
        {"GET /leased/v1/credentials/db?binding=parent", 200, NULL, CREDENTIAL("l-2", "g-1", "two"),
         0},
        ACK,
        END,
    };
    const struct lease_result *result;

    (void)state;
    start_daemon(routes, ARRAY_LEN(routes));
    result = RUN_LEASE(&daemon_of_test, "exec", "db", "--file", "password=P", "--signal", "USR1",
                       "--", "sh", "-c",
                       "trap 'echo $(cat $P) >> $OUT; exit 6' USR1; echo $(cat $P) >> $OUT; "
                       "while :; do sleep 0.02; done");
    assert_int_equal(result->exit_code, 6);
    assert_out("one\ntwo\n");
}

/* What is read instead of a grant that has just ended is another grant, and is given back. */
static void test_a_grant_that_has_ended_is_not_replaced_behind_the_users_back(void **state)
{
    static const struct fake_route routes[] = {
        ISSUE,
        {"GET /leased/v1/watch?role=db", 200, STREAM, EVENT("credential", "l-2"), 1},
        {"GET /leased/v1/credentials/db?binding=parent", 200, NULL, CREDENTIAL("l-9", "g-9", "two"),
         0},
        ACK,
        END,
    };
    const struct lease_result *result;

    (void)state;
    start_daemon(routes, ARRAY_LEN(routes));
    result = RUN_LEASE(&daemon_of_test, "exec", "db", "--watch", "--", "sh", "-c",
                       "echo $DB_PASSWORD >> $OUT; " UNTIL_TOLD "exit 7");
    assert_int_equal(result->exit_code, 7);
    assert_non_null(strstr(result->err, "the grant of db has ended"));
    assert_out("one\n");
    assert_int_equal(fake_daemon_count(&daemon_of_test, "DELETE /leased/v1/grants/g-9"), 1);
    assert_int_equal(fake_daemon_count(&daemon_of_test, "DELETE /leased/v1/grants/g-1"), 1);
}

static void test_the_end_of_a_grant_is_told_and_the_program_goes_on(void **state)
{
    static const struct fake_route routes[] = {
        ISSUE,
        {"GET /leased/v1/watch?role=db", 200, STREAM, EVENT("gone", "l-1"), 1},
        END,
    };
    const struct lease_result *result;

    (void)state;
    start_daemon(routes, ARRAY_LEN(routes));
    result = RUN_LEASE(&daemon_of_test, "exec", "db", "--watch", "--", "sh", "-c",
                       UNTIL_TOLD "echo done > $OUT");
    assert_int_equal(result->exit_code, 0);
    assert_non_null(strstr(result->err, "the grant of db has ended: duration"));
    assert_out("done\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_a_rotation_starts_the_program_again_with_what_is_new,
                                  stop_daemon),
        cmocka_unit_test_teardown(test_a_rotation_changes_the_file_and_is_told_by_signal,
                                  stop_daemon),
        cmocka_unit_test_teardown(test_a_grant_that_has_ended_is_not_replaced_behind_the_users_back,
                                  stop_daemon),
        cmocka_unit_test_teardown(test_the_end_of_a_grant_is_told_and_the_program_goes_on,
                                  stop_daemon),
    };

    if (client_global_init() != 0) {
        return 1;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
