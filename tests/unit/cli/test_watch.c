/* `lease watch`: lines for people and for programs, and coming back. */
#include "fake_daemon.h"

#include "base/mem.h"
#include "cli/cli.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/time.h>

#include <cmocka.h>

#define WATCH "GET /leased/v1/watch"
#define DATA                                                                                       \
    "{\"lease\":\"l-2\",\"grant\":\"g-1\",\"role\":\"orders-db\",\"version\":2,"                   \
    "\"expires_at\":\"2026-11-23T00:37:30.000Z\",\"reason\":null}"
#define GONE                                                                                       \
    "{\"lease\":\"l-2\",\"grant\":\"g-1\",\"role\":\"orders-db\",\"version\":2,"                   \
    "\"expires_at\":null,\"reason\":\"pol\\u001bicy\"}"
#define EVENTS                                                                                     \
    "retry: 700\n\nevent: credential\ndata: " DATA "\nid: 0badcafe-7\n\n: nothing new\n\n"         \
    "event: gone\ndata: " GONE "\nid: 0badcafe-8\n\n"
#define PROBLEM(code) "{\"code\":\"" code "\",\"detail\":\"that is why\"}"
#define WITH_DAEMON(...)                                                                           \
    struct fake_daemon daemon;                                                                     \
    const struct fake_route routes[] = {__VA_ARGS__};                                              \
    const struct lease_result *result;                                                             \
    (void)state;                                                                                   \
    fake_daemon_start(&daemon, routes, ARRAY_LEN(routes))

static void test_events_are_lines_for_people(void **state)
{
    WITH_DAEMON({WATCH " ", 200, NULL, EVENTS, 1}, {WATCH, 403, NULL, PROBLEM("denied"), 0});

    result = RUN_LEASE(&daemon, "watch");
    assert_int_equal(result->exit_code, CLI_DENIED);
    assert_string_equal(result->out,
                        "2026-11-22T20:35:00.000Z  credential  orders-db  version 2  until "
                        "2026-11-23T00:37:30.000Z  l-2  g-1\n"
                        "2026-11-22T20:35:00.000Z  gone  orders-db  version 2  pol\\x1bicy  l-2  "
                        "g-1\n");
    fake_daemon_stop(&daemon);
}

static void test_events_are_one_json_object_a_line(void **state)
{
    WITH_DAEMON({WATCH "?role=orders-db ", 200, NULL, EVENTS, 1},
                {WATCH, 404, NULL, PROBLEM("unknown_role"), 0});

    result = RUN_LEASE(&daemon, "watch", "orders-db", "-o", "json");
    assert_int_equal(result->exit_code, CLI_NOT_FOUND);
    assert_non_null(strstr(result->out, "{\"event\":\"credential\",\"lease\":\"l-2\","));
    assert_non_null(strstr(result->out, "\"reason\":null}\n{\"event\":\"gone\","));
    fake_daemon_stop(&daemon);
}

static void test_it_comes_back_with_the_last_id_when_the_daemon_says(void **state)
{
    uint64_t before_ms = fake_clock_now_ms;
    WITH_DAEMON({WATCH, 200, NULL, EVENTS, 1}, {WATCH, 200, NULL, ": nothing\n\n", 1},
                {WATCH, 403, NULL, PROBLEM("denied"), 0});

    result = RUN_LEASE(&daemon, "watch");
    assert_int_equal(result->exit_code, CLI_DENIED);
    assert_int_equal(fake_daemon_count(&daemon, WATCH), 3);
    assert_int_equal(fake_daemon_count(&daemon, "Last-Event-ID: 0badcafe-8"), 2);
    assert_int_equal(fake_clock_now_ms - before_ms, 1400);
    assert_string_equal(result->err, "lease: could not watch: denied: that is why\n");
    fake_daemon_stop(&daemon);
}

static void test_it_goes_on_trying_once_it_was_there(void **state)
{
    uint64_t before_ms = fake_clock_now_ms;
    WITH_DAEMON({WATCH, 200, NULL, EVENTS, 1}, {WATCH, 0, NULL, NULL, 3},
                {WATCH, 503, NULL, PROBLEM("busy"), 6}, {WATCH, 200, NULL, EVENTS, 1},
                {WATCH, 403, NULL, PROBLEM("denied"), 0});

    result = RUN_LEASE(&daemon, "watch");
    assert_int_equal(result->exit_code, CLI_DENIED);
    assert_int_equal(fake_daemon_count(&daemon, WATCH), 12);
    /* less and less often, and told once */
    assert_in_range(fake_clock_now_ms - before_ms, 60000, 130000);
    assert_string_equal(
        result->err, "lease: could not watch: leased closed the connection before it had answered\n"
                     "lease: could not watch: denied: that is why\n");
    fake_daemon_stop(&daemon);
}

static void test_what_was_never_reached_is_unreachable(void **state)
{
    uint64_t before_ms = fake_clock_now_ms;
    WITH_DAEMON({WATCH, 0, NULL, NULL, 0});

    result = RUN_LEASE(&daemon, "watch");
    assert_int_equal(result->exit_code, CLI_UNREACHABLE);
    assert_int_equal(fake_daemon_count(&daemon, WATCH), 1);
    result = RUN_LEASE(&daemon, "watch", "--wait", "10s");
    assert_int_equal(result->exit_code, CLI_UNREACHABLE);
    assert_in_range(fake_clock_now_ms - before_ms, 10000, 26000);
    fake_daemon_stop(&daemon);
    result = RUN_LEASE(NULL, "--socket", "/nowhere/leased.sock", "watch");
    assert_int_equal(result->exit_code, CLI_UNREACHABLE);
}

static void test_too_many_watchers_are_told_to_come_again(void **state)
{
    WITH_DAEMON({WATCH, 503, NULL, PROBLEM("busy"), 0});

    result = RUN_LEASE(&daemon, "watch");
    assert_int_equal(result->exit_code, CLI_TEMPORARY);
    fake_daemon_stop(&daemon);
}

static void test_what_is_no_event_ends_it(void **state)
{
    WITH_DAEMON({WATCH, 200, NULL, "event: credential\ndata: [1]\n\n", 0});

    result = RUN_LEASE(&daemon, "watch");
    assert_int_equal(result->exit_code, CLI_FAILED);
    assert_string_equal(result->out, "");
    fake_daemon_stop(&daemon);
}

static void interrupt(int signum)
{
    (void)signum;
    (void)raise(SIGINT);
}

static void test_an_interrupt_is_a_good_end(void **state)
{
    const struct itimerval soon = {.it_value = {.tv_usec = 50000}};
    struct sigaction alarm = {.sa_handler = interrupt};
    WITH_DAEMON({WATCH, 200, NULL, ": nothing\n\n", 0});

    assert_int_equal(sigaction(SIGALRM, &alarm, NULL), 0);
    assert_int_equal(setitimer(ITIMER_REAL, &soon, NULL), 0);
    result = RUN_LEASE(&daemon, "watch");
    assert_int_equal(result->exit_code, CLI_OK);
    assert_string_equal(result->err, "");
    fake_daemon_stop(&daemon);
}

static void test_ack_posts_and_takes_leases_alone(void **state)
{
    WITH_DAEMON({"POST /leased/v1/leases/l-2/ack ", 200, NULL, "{\"id\":\"l-2\"}", 0},
                {"POST /leased/v1/leases/l-3/ack ", 409, NULL, PROBLEM("invalid"), 0});

    assert_int_equal(RUN_LEASE(&daemon, "ack", "l-2")->exit_code, CLI_OK);
    assert_int_equal(RUN_LEASE(&daemon, "ack", "l-3")->exit_code, CLI_FAILED);
    result = RUN_LEASE(&daemon, "ack", "g-2");
    assert_int_equal(result->exit_code, CLI_USAGE);
    assert_int_equal(fake_daemon_count(&daemon, "POST "), 2);
    fake_daemon_stop(&daemon);
}

static int setup(void **state)
{
    (void)state;
    return client_global_init();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_events_are_lines_for_people),
        cmocka_unit_test(test_events_are_one_json_object_a_line),
        cmocka_unit_test(test_it_comes_back_with_the_last_id_when_the_daemon_says),
        cmocka_unit_test(test_it_goes_on_trying_once_it_was_there),
        cmocka_unit_test(test_what_was_never_reached_is_unreachable),
        cmocka_unit_test(test_too_many_watchers_are_told_to_come_again),
        cmocka_unit_test(test_what_is_no_event_ends_it),
        cmocka_unit_test(test_an_interrupt_is_a_good_end),
        cmocka_unit_test(test_ack_posts_and_takes_leases_alone),
    };

    return cmocka_run_group_tests(tests, setup, NULL);
}
