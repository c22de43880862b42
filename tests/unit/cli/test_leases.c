/* The commands about leases that exist, and how their answers look. */
#include "fake_daemon.h"

#include "base/mem.h"
#include "cli/cli.h"
#include "cli/show.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define LEASE                                                                                      \
    "{\"id\":\"l-1\",\"role\":\"orders-db\",\"backend\":\"bao\",\"state\":\"active\","             \
    "\"issued_at\":\"2026-11-22T20:30:00.000Z\",\"expires_at\":\"2026-11-23T00:37:30.000Z\","      \
    "\"renewals\":3,\"renewable\":true,\"last_error\":null,\"successor\":null,"                    \
    "\"grants\":[\"g-1\",\"g-2\"]}"
#define GRANT                                                                                      \
    "{\"id\":\"g-1\",\"role\":\"orders-db\",\"lease\":\"l-1\",\"state\":\"held\","                 \
    "\"identity\":{\"uid\":1,\"user\":\"bob\",\"pid\":77},\"binding\":\"process,pid:9\","          \
    "\"created_at\":\"2026-11-22T20:34:00.000Z\",\"until\":null,\"reason\":\"a\\u001b[2Jb\"}"
#define LEASES "/leased/v1/leases"
#define WITH_DAEMON(...)                                                                           \
    struct fake_daemon daemon;                                                                     \
    const struct fake_route routes[] = {__VA_ARGS__};                                              \
    const struct lease_result *result;                                                             \
    (void)state;                                                                                   \
    fake_daemon_start(&daemon, routes, ARRAY_LEN(routes))

static void test_ls_is_an_aligned_table_with_relative_times(void **state)
{
    WITH_DAEMON({"GET " LEASES, 200, NULL, "{\"items\":[" LEASE "],\"next\":null}", 0});

    result = RUN_LEASE(&daemon, "ls");
    assert_int_equal(result->exit_code, CLI_OK);
    assert_string_equal(result->out,
                        "LEASE  ROLE       STATE   GRANTS  ISSUED  EXPIRES  RENEWALS  LAST ERROR\n"
                        "l-1    orders-db  active  2       5m ago  in 4h2m  3         -\n");
    fake_daemon_stop(&daemon);
}

static void test_ls_follows_the_cursor_to_the_end(void **state)
{
    WITH_DAEMON({"GET " LEASES "?limit=1000 ", 200, NULL,
                 "{\"items\":[" LEASE "],\"next\":\"l-1\"}", 0},
                {"GET " LEASES "?limit=1000&cursor=l-1 ", 200, NULL,
                 "{\"items\":[{\"id\":\"l-2\"}],\"next\":null}", 0});

    result = RUN_LEASE(&daemon, "ls", "-o", "json");
    assert_int_equal(result->exit_code, CLI_OK);
    assert_non_null(strstr(result->out, "\"id\": \"l-1\""));
    assert_non_null(strstr(result->out, "\"id\": \"l-2\""));
    fake_daemon_stop(&daemon);
}

static void test_an_empty_list_is_headings_or_an_empty_array(void **state)
{
    WITH_DAEMON({"GET " LEASES, 200, NULL, "{\"items\":[],\"next\":null}", 0});

    result = RUN_LEASE(&daemon, "ls");
    assert_int_equal(result->exit_code, CLI_OK);
    assert_memory_equal(result->out, "LEASE  ROLE", 11);
    result = RUN_LEASE(&daemon, "ls", "-o", "json");
    assert_string_equal(result->out, "[]\n");
    fake_daemon_stop(&daemon);
}

static void test_grants_show_their_holders_and_cannot_drive_the_terminal(void **state)
{
    WITH_DAEMON({"GET /leased/v1/grants", 200, NULL, "{\"items\":[" GRANT "],\"next\":null}", 0});

    result = RUN_LEASE(&daemon, "ls", "--grants");
    assert_int_equal(result->exit_code, CLI_OK);
    assert_non_null(strstr(result->out, "bob   77   process,pid:9  1m ago   -      a\\x1b[2Jb"));
    assert_null(strchr(result->out, '\033'));
    fake_daemon_stop(&daemon);
}

static void test_show_tells_every_member_and_chooses_by_the_id(void **state)
{
    WITH_DAEMON({"GET /leased/v1/grants/g-1 ", 200, NULL, GRANT, 0},
                {"GET " LEASES "/l-1 ", 200, NULL, LEASE, 0});

    result = RUN_LEASE(&daemon, "show", "g-1");
    assert_int_equal(result->exit_code, CLI_OK);
    assert_non_null(strstr(result->out, "identity.user  bob\n"));
    result = RUN_LEASE(&daemon, "show", "l-1");
    assert_int_equal(result->exit_code, CLI_OK);
    assert_non_null(strstr(result->out, "grants      g-1, g-2\n"));
    assert_non_null(strstr(result->out, "expires_at  2026-11-23T00:37:30.000Z (in 4h2m)\n"));
    fake_daemon_stop(&daemon);
}

static void test_show_of_an_unknown_id_is_not_found(void **state)
{
    WITH_DAEMON({"GET ", 404, NULL, "{\"code\":\"not_found\",\"detail\":\"no such lease\"}", 0});

    result = RUN_LEASE(&daemon, "show", "l-9");
    assert_int_equal(result->exit_code, CLI_NOT_FOUND);
    assert_string_equal(result->err, "lease: could not show l-9: not_found: no such lease\n");
    fake_daemon_stop(&daemon);
}

static void test_renew_and_rotate_post_without_a_body(void **state)
{
    WITH_DAEMON({"POST " LEASES "/l-1/renew ", 200, NULL, LEASE, 0},
                {"POST " LEASES "/l-1/rotate ", 202, NULL, LEASE, 0});

    result = RUN_LEASE(&daemon, "renew", "l-1");
    assert_int_equal(result->exit_code, CLI_OK);
    assert_int_equal(fake_daemon_count(&daemon, "Content-Length: 0\r\n"), 1);
    result = RUN_LEASE(&daemon, "rotate", "l-1");
    assert_int_equal(result->exit_code, CLI_TEMPORARY);
    assert_int_equal(RUN_LEASE(&daemon, "renew", "g-1")->exit_code, CLI_USAGE);
    fake_daemon_stop(&daemon);
}

static void test_revoke_waits_for_the_issuer_and_tries_all(void **state)
{
    WITH_DAEMON({"DELETE " LEASES "/l-1?wait=30 ", 200, NULL, LEASE, 0},
                {"DELETE /leased/v1/grants/g-1?wait=30 ", 202, NULL, GRANT, 0},
                {"DELETE " LEASES "/l-2?wait=30 ", 404, NULL, "{\"code\":\"not_found\"}", 0},
                {"DELETE " LEASES "/l-1 ", 202, NULL, LEASE, 0});

    result = RUN_LEASE(&daemon, "revoke", "l-2", "l-1");
    assert_int_equal(result->exit_code, CLI_NOT_FOUND);
    assert_string_equal(result->out, "l-1 ended\n");
    result = RUN_LEASE(&daemon, "revoke", "g-1");
    assert_int_equal(result->exit_code, CLI_TEMPORARY);
    assert_non_null(strstr(result->err, "has not confirmed the end of g-1 yet"));
    result = RUN_LEASE(&daemon, "revoke", "l-1", "--wait", "0");
    assert_int_equal(result->exit_code, CLI_OK);
    assert_string_equal(result->out, "l-1 ending\n");
    assert_int_equal(RUN_LEASE(&daemon, "revoke", "l-1", "--wait", "11m")->exit_code, CLI_USAGE);
    fake_daemon_stop(&daemon);
}

static void test_status_lists_backends_and_ready_tells_by_exit_code(void **state)
{
    WITH_DAEMON(
        {"GET /leased/v1/status ", 200, NULL,
         "{\"status\":\"degraded\",\"you\":{\"admin\":false},\"backends\":[{\"name\":"
         "\"bao\",\"plugin\":\"vault\",\"up\":false,\"last_error\":\"sealed\","
         "\"breaker\":{\"state\":\"open\"},\"addresses\":[{\"address\":\"https://a\",\"up\":"
         "false,\"last_error\":\"sealed\"},{\"address\":\"https://b\",\"up\":true}]}]}",
         0},
        {"GET /readyz ", 503, NULL, "not ready: starting or stopping\n", 1},
        {"GET /readyz ", 200, NULL, "ok\n", 0});

    result = RUN_LEASE(&daemon, "status");
    assert_int_equal(result->exit_code, CLI_OK);
    assert_string_equal(result->out, "status     degraded\nyou.admin  no\n\n"
                                     "BACKEND  PLUGIN  STATE  BREAKER  LOGIN EXPIRES  LAST ERROR\n"
                                     "bao      vault   down   open     -              sealed\n\n"
                                     "ADDRESS    STATE  ASKED AGAIN  LAST ERROR\n"
                                     "https://a  down   -            sealed\n"
                                     "https://b  up     -            -\n");
    result = RUN_LEASE(&daemon, "status", "--ready");
    assert_int_equal(result->exit_code, CLI_TEMPORARY);
    assert_non_null(strstr(result->err, "503: not ready: starting or stopping"));
    assert_int_equal(RUN_LEASE(&daemon, "status", "--ready")->exit_code, CLI_OK);
    fake_daemon_stop(&daemon);
}

static void test_times_are_relative_in_at_most_two_units(void **state)
{
    static const int64_t now_ms = FAKE_CLOCK_WALL_MS;
    char out[SHOW_TIME_MAX_BYTES];

    (void)state;
    assert_string_equal(show_time("2026-11-22T20:35:00Z", now_ms, out), "in 0s");
    assert_string_equal(show_time("2026-11-22T20:36:30.999Z", now_ms, out), "in 1m30s");
    assert_string_equal(show_time("2026-11-25T22:37:30Z", now_ms, out), "in 3d2h");
    assert_string_equal(show_time("2026-11-22T18:34:01Z", now_ms, out), "2h ago");
    assert_string_equal(show_time("yesterday", now_ms, out), "-");
    assert_string_equal(show_time(NULL, now_ms, out), "-");
}

static void test_colors_are_outside_of_the_alignment(void **state)
{
    static const char *const headers[] = {"A", "B"};
    struct table table;
    BUF_AUTO out;

    (void)state;
    buf_init(&out, CLI_OUTPUT_MAX_BYTES);
    table_init(&table, 2, headers, true);
    table_add(&table, "\xC3\xA4\xC3\xB6", TABLE_RED);
    table_add(&table, "x", TABLE_PLAIN);
    assert_int_equal(table_print(&table, &out), 0);
    assert_string_equal(out.bytes, "A   B\n\033[31m\xC3\xA4\xC3\xB6\033[0m  x\n");
    table_fini(&table);
}

static void test_output_that_cannot_be_written_is_a_failure(void **state)
{
    char *argv[] = {(char[]){"lease"}, (char[]){"version"}, NULL};
    int full;

    (void)state;
    assert_int_equal(access("/dev/full", W_OK), 0);
    full = open("/dev/full", O_WRONLY | O_CLOEXEC);
    assert_int_equal(cli_run(2, argv, full, full), CLI_FAILED);
    (void)close(full);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ls_is_an_aligned_table_with_relative_times),
        cmocka_unit_test(test_ls_follows_the_cursor_to_the_end),
        cmocka_unit_test(test_an_empty_list_is_headings_or_an_empty_array),
        cmocka_unit_test(test_grants_show_their_holders_and_cannot_drive_the_terminal),
        cmocka_unit_test(test_show_tells_every_member_and_chooses_by_the_id),
        cmocka_unit_test(test_show_of_an_unknown_id_is_not_found),
        cmocka_unit_test(test_renew_and_rotate_post_without_a_body),
        cmocka_unit_test(test_revoke_waits_for_the_issuer_and_tries_all),
        cmocka_unit_test(test_status_lists_backends_and_ready_tells_by_exit_code),
        cmocka_unit_test(test_times_are_relative_in_at_most_two_units),
        cmocka_unit_test(test_colors_are_outside_of_the_alignment),
        cmocka_unit_test(test_output_that_cannot_be_written_is_a_failure),
    };

    if (client_global_init() != 0) {
        return 1;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
