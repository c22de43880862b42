/* The whole daemon on the real loop, without a backend: up, told to the service manager, and down
 * again with nothing left. */
#include "daemon/daemon.h"

#include "unit/daemon/daemon_fixture.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sysexits.h>
#include <unistd.h>

#define SETTINGS DAEMON_FIXTURE_SETTINGS

static void test_sigterm_ends_it_with_both_records_and_no_socket(void **state)
{
    static const struct daemon_step steps[] = {{.signum = SIGTERM}, {0}};
    struct config_fixture *f = *state;
    const char *trail;
    bool was_ready;

    config_fixture_write(f, "c.yaml", SETTINGS);
    assert_int_equal(daemon_fixture_run(f, steps, &was_ready), 0);
    assert_true(was_ready);
    trail = daemon_fixture_file(f, "audit.jsonl");
    assert_non_null(strstr(trail, "\"event\":\"daemon.started\""));
    assert_non_null(strstr(strstr(trail, "daemon.started"), "\"event\":\"daemon.stopped\""));
    config_fixture_write(f, "run/leased.sock", "gone, or this would fail");
}

static void test_a_second_signal_ends_it_too(void **state)
{
    static const struct daemon_step steps[] = {{.signum = SIGINT}, {.signum = SIGTERM}, {0}};
    struct config_fixture *f = *state;
    bool was_ready;

    config_fixture_write(f, "c.yaml", SETTINGS);
    assert_int_equal(daemon_fixture_run(f, steps, &was_ready), 0);
}

static void test_reopen_and_reload_leave_it_running(void **state)
{
    static const struct daemon_step steps[] = {
        {.signum = SIGUSR1}, {.signum = SIGHUP}, {.signum = SIGTERM}, {0}};
    struct config_fixture *f = *state;
    bool was_ready;

    config_fixture_write(f, "c.yaml", SETTINGS);
    assert_int_equal(daemon_fixture_run(f, steps, &was_ready), 0);
    assert_non_null(strstr(daemon_fixture_file(f, "audit.jsonl"), "daemon.stopped"));
}

static void test_a_listener_that_cannot_be_opened_ends_the_start(void **state)
{
    static const struct daemon_step steps[] = {{0}};
    struct config_fixture *f = *state;
    bool was_ready;

    config_fixture_write(f, "file", "");
    config_fixture_write(f, "c.yaml",
                         "listeners: [{unix: '%D/a/leased.sock'}, {unix: '%D/file/b'}]\n"
                         "audit: [{sink: file, path: '%D/audit.jsonl'}]\n");
    assert_int_equal(daemon_fixture_run(f, steps, &was_ready), EX_CANTCREAT);
    assert_string_equal(daemon_fixture_file(f, "audit.jsonl"), "");
}

static void test_a_trail_that_cannot_be_written_ends_the_start(void **state)
{
    static const struct daemon_step steps[] = {{0}};
    struct config_fixture *f = *state;
    bool was_ready;

    config_fixture_write(f, "c.yaml",
                         "listeners: [{unix: '%D/run/leased.sock'}]\n"
                         "audit: [{sink: file, path: '%D/none/audit.jsonl'}]\n");
    assert_int_equal(daemon_fixture_run(f, steps, &was_ready), EX_CANTCREAT);
}

static void test_a_backend_that_is_down_never_blocks_the_start(void **state)
{
    static const struct daemon_step steps[] = {{.signum = SIGTERM}, {0}};
    struct config_fixture *f = *state;
    bool was_ready;

    config_fixture_write(f, "token", "secret");
    config_fixture_write(f, "c.yaml",
                         SETTINGS "backends: {v: {plugin: vault, address: 'http://127.0.0.1:1',\n"
                                  "               auth: {method: token, token_file: '%D/token'}}}\n"
                                  "roles: {r: {backend: v, path: a/b}}\n");
    assert_int_equal(daemon_fixture_run(f, steps, &was_ready), 0);
    assert_true(was_ready);
}

static void test_the_service_manager_is_told(void **state)
{
    static const struct daemon_step steps[] = {{.signum = SIGTERM}, {0}};
    struct config_fixture *f = *state;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    char text[256];
    ssize_t size;
    bool was_ready;

    (void)snprintf(address.sun_path, sizeof(address.sun_path), "%s/notify", f->folder);
    assert_int_equal(bind(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(setenv("NOTIFY_SOCKET", address.sun_path, 1), 0);
    assert_int_equal(setenv("WATCHDOG_USEC", "30000000", 1), 0);
    config_fixture_write(f, "c.yaml", SETTINGS);
    assert_int_equal(daemon_fixture_run(f, steps, &was_ready), 0);
    assert_int_equal(unsetenv("NOTIFY_SOCKET"), 0);
    assert_int_equal(unsetenv("WATCHDOG_USEC"), 0);
    size = recv(fd, text, sizeof(text) - 1, 0);
    assert_true(size > 0);
    text[size] = '\0';
    assert_non_null(strstr(text, "READY=1"));
    size = recv(fd, text, sizeof(text) - 1, 0);
    assert_true(size > 0);
    text[size] = '\0';
    assert_string_equal(text, "WATCHDOG=1");
    size = recv(fd, text, sizeof(text) - 1, 0);
    assert_true(size > 0);
    text[size] = '\0';
    assert_non_null(strstr(text, "STOPPING=1"));
    /* stop_timeout, the last resort, and some more. */
    assert_non_null(strstr(text, "EXTEND_TIMEOUT_USEC=45000000"));
    (void)close(fd);
}

int main(void)
{
#define TEST(name)                                                                                 \
    cmocka_unit_test_setup_teardown(name, config_fixture_setup, config_fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_sigterm_ends_it_with_both_records_and_no_socket),
        TEST(test_a_second_signal_ends_it_too),
        TEST(test_reopen_and_reload_leave_it_running),
        TEST(test_a_listener_that_cannot_be_opened_ends_the_start),
        TEST(test_a_trail_that_cannot_be_written_ends_the_start),
        TEST(test_a_backend_that_is_down_never_blocks_the_start),
        TEST(test_the_service_manager_is_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
