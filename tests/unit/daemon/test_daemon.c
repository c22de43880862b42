/* The whole daemon on the real loop, without a backend: up, told to the service manager, and down
 * again with nothing left. */
#include "daemon/daemon.h"

#include "base/mem.h"
#include "unit/daemon/config_fixture.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sysexits.h>
#include <unistd.h>

/* A running daemon and what is done to it, one step per timer. */
struct run {
    struct config_fixture *f;
    struct io *io;
    struct env_timer timer;
    const int *signals; /* ended by 0 */
    bool was_ready;
};

static bool socket_answers(struct run *run)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int r;

    (void)snprintf(address.sun_path, sizeof(address.sun_path), "%s/run/leased.sock",
                   run->f->folder);
    r = connect(fd, (const struct sockaddr *)&address, sizeof(address));
    (void)close(fd);
    return r == 0;
}

static void step(struct env_timer *timer)
{
    struct run *run = timer->user;

    run->was_ready = run->was_ready || socket_answers(run);
    if (*run->signals != 0) {
        assert_int_equal(raise(*run->signals++), 0);
        env_timer_arm(io_env(run->io), timer, env_now_ms(io_env(run->io)) + 1);
    }
}

/* Reads the fixture's c.yaml, and runs it while the signals arrive one after the other. */
static int daemon_exit_code(struct config_fixture *f, const int *signals, bool *ret_was_ready)
{
    struct run run = {.f = f, .signals = signals};
    struct daemon_options options = {.registry = f->registry};
    bool is_forced;
    int exit_code;

    if (config_fixture_load(f, "c.yaml") != 0) {
        fail_msg("%s", config_fixture_errors(f));
    }
    options.config = f->config;
    assert_int_equal(io_new(&run.io, NULL), 0);
    options.io = run.io;
    run.timer.fn = step;
    run.timer.user = &run;
    env_timer_arm(io_env(run.io), &run.timer, env_now_ms(io_env(run.io)) + 1);
    exit_code = daemon_run(&options, &is_forced);
    env_timer_disarm(io_env(run.io), &run.timer);
    assert_false(is_forced);
    assert_int_equal(io_close(run.io), 0);
    *ret_was_ready = run.was_ready;
    return exit_code;
}

/* The file of the fixture's folder; static. */
static const char *file_read(struct config_fixture *f, const char *name)
{
    static char text[65536];
    char path[128];
    FILE *file;
    size_t size;

    (void)snprintf(path, sizeof(path), "%s/%s", f->folder, name);
    file = fopen(path, "re");
    assert_non_null(file);
    size = fread(text, 1, sizeof(text) - 1, file);
    text[size] = '\0';
    (void)fclose(file);
    return text;
}

#define SETTINGS                                                                                   \
    "listeners: [{unix: '%D/run/leased.sock'}]\n"                                                  \
    "audit: [{sink: file, path: '%D/audit.jsonl'}]\n"

static void test_sigterm_ends_it_with_both_records_and_no_socket(void **state)
{
    static const int signals[] = {SIGTERM, 0};
    struct config_fixture *f = *state;
    const char *trail;
    bool was_ready;

    config_fixture_write(f, "c.yaml", SETTINGS);
    assert_int_equal(daemon_exit_code(f, signals, &was_ready), 0);
    assert_true(was_ready);
    trail = file_read(f, "audit.jsonl");
    assert_non_null(strstr(trail, "\"event\":\"daemon.started\""));
    assert_non_null(strstr(strstr(trail, "daemon.started"), "\"event\":\"daemon.stopped\""));
    config_fixture_write(f, "run/leased.sock", "gone, or this would fail");
}

static void test_a_second_signal_ends_it_too(void **state)
{
    static const int signals[] = {SIGINT, SIGTERM, 0};
    struct config_fixture *f = *state;
    bool was_ready;

    config_fixture_write(f, "c.yaml", SETTINGS);
    assert_int_equal(daemon_exit_code(f, signals, &was_ready), 0);
}

static void test_reopen_and_reload_leave_it_running(void **state)
{
    static const int signals[] = {SIGUSR1, SIGHUP, SIGTERM, 0};
    struct config_fixture *f = *state;
    bool was_ready;

    config_fixture_write(f, "c.yaml", SETTINGS);
    assert_int_equal(daemon_exit_code(f, signals, &was_ready), 0);
    assert_non_null(strstr(file_read(f, "audit.jsonl"), "daemon.stopped"));
}

static void test_a_listener_that_cannot_be_opened_ends_the_start(void **state)
{
    static const int signals[] = {0};
    struct config_fixture *f = *state;
    bool was_ready;

    config_fixture_write(f, "file", "");
    config_fixture_write(f, "c.yaml",
                         "listeners: [{unix: '%D/a/leased.sock'}, {unix: '%D/file/b'}]\n"
                         "audit: [{sink: file, path: '%D/audit.jsonl'}]\n");
    assert_int_equal(daemon_exit_code(f, signals, &was_ready), EX_CANTCREAT);
    assert_string_equal(file_read(f, "audit.jsonl"), "");
}

static void test_a_trail_that_cannot_be_written_ends_the_start(void **state)
{
    static const int signals[] = {0};
    struct config_fixture *f = *state;
    bool was_ready;

    config_fixture_write(f, "c.yaml",
                         "listeners: [{unix: '%D/run/leased.sock'}]\n"
                         "audit: [{sink: file, path: '%D/none/audit.jsonl'}]\n");
    assert_int_equal(daemon_exit_code(f, signals, &was_ready), EX_CANTCREAT);
}

static void test_a_backend_that_is_down_never_blocks_the_start(void **state)
{
    static const int signals[] = {SIGTERM, 0};
    struct config_fixture *f = *state;
    bool was_ready;

    config_fixture_write(f, "token", "secret");
    config_fixture_write(f, "c.yaml",
                         SETTINGS "backends: {v: {plugin: vault, address: 'http://127.0.0.1:1',\n"
                                  "               auth: {method: token, token_file: '%D/token'}}}\n"
                                  "roles: {r: {backend: v, path: a/b}}\n");
    assert_int_equal(daemon_exit_code(f, signals, &was_ready), 0);
    assert_true(was_ready);
}

static void test_the_service_manager_is_told(void **state)
{
    static const int signals[] = {SIGTERM, 0};
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
    assert_int_equal(daemon_exit_code(f, signals, &was_ready), 0);
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
