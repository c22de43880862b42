/* Reloads: all or nothing, each part on its own, and nothing left behind. */
#include "unit/daemon/daemon_fixture.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define SETTINGS DAEMON_FIXTURE_SETTINGS
#define BACKEND(name, token)                                                                       \
    name                                                                                           \
        ": {plugin: vault, address: 'http://127.0.0.1:1', auth: {method: token, token_env: " token \
        "}}"
#define RELOADED "\"event\":\"config.reloaded\""
#define REJECTED "\"event\":\"config.rejected\""

static void run(struct config_fixture *f, const char *first, const struct daemon_step *steps)
{
    bool was_ready;

    config_fixture_write(f, "c.yaml", first);
    assert_int_equal(daemon_fixture_run(f, steps, &was_ready), 0);
}

static void test_a_reload_without_a_change_changes_nothing(void **state)
{
    static const struct daemon_step steps[] = {{.signum = SIGHUP}, {.signum = SIGTERM}, {0}};

    run(*state, SETTINGS, steps);
    assert_int_equal(daemon_fixture_trail_has(*state, RELOADED), 1);
    assert_int_equal(daemon_fixture_trail_has(*state, "\"reason\":\"config sha256:"), 1);
}

static void test_each_mistake_leaves_everything_as_it_was(void **state)
{
    static const struct daemon_step steps[] = {
        {.config = "listeners: [", .signum = SIGHUP},
        {.config = "", .signum = SIGHUP},
        {.config = SETTINGS "roles: {r: {backend: nowhere}}\n", .signum = SIGHUP},
        {.config = SETTINGS "roles: {r: }\n", .signum = SIGHUP},
        {.config = SETTINGS "backends: {v: }\n", .signum = SIGHUP},
        {.config = "listeners: [~]\n" DAEMON_FIXTURE_AUDIT, .signum = SIGHUP},
        {.config = SETTINGS "limits: {leases: 5}\n", .signum = SIGHUP},
        {.config = SETTINGS BACKEND("backends: {v", "NEW_VARIABLE") "}\n", .signum = SIGHUP},
        {.config = SETTINGS "  # a comment\n", .signum = SIGHUP},
        {.signum = SIGTERM},
        {0},
    };

    run(*state, SETTINGS, steps);
    assert_int_equal(daemon_fixture_trail_has(*state, REJECTED), 8);
    assert_int_equal(daemon_fixture_trail_has(*state, RELOADED), 1);
    assert_int_equal(daemon_fixture_trail_has(*state, "the variable NEW_VARIABLE was wiped"), 1);
    assert_int_equal(daemon_fixture_trail_has(*state, "`leases` can't be changed"), 1);
}

static void second_is_there(struct config_fixture *f)
{
    assert_true(daemon_fixture_answers(f, "run/second.sock"));
    assert_true(daemon_fixture_answers(f, "run/leased.sock"));
}

static void second_is_gone(struct config_fixture *f)
{
    assert_false(daemon_fixture_answers(f, "run/second.sock"));
    assert_true(daemon_fixture_answers(f, "run/leased.sock"));
}

static void test_listeners_come_change_and_go(void **state)
{
    static const struct daemon_step steps[] = {
        {.config =
             "listeners: [{unix: '%D/run/leased.sock'}, {unix: '%D/run/second.sock'}]\n" DAEMON_FIXTURE_AUDIT,
         .signum = SIGHUP},
        {.check = second_is_there},
        {.config =
             "listeners: [{name: other, unix: '%D/run/second.sock', serve: metrics}, {unix: '%D/run/leased.sock'}]\n"
             "limits: {clients: 7}\n" DAEMON_FIXTURE_AUDIT,
         .signum = SIGHUP},
        {.check = second_is_there},
        {.config = SETTINGS, .signum = SIGHUP},
        {.check = second_is_gone},
        {.signum = SIGTERM},
        {0},
    };

    run(*state, SETTINGS, steps);
    assert_int_equal(daemon_fixture_trail_has(*state, RELOADED), 3);
}

static void test_a_listener_that_cannot_be_opened_refuses_the_reload(void **state)
{
    static const struct daemon_step steps[] = {
        {.config =
             "listeners: [{unix: '%D/run/second.sock'}, {name: a, unix: '%D/run/leased.sock'}, "
             "{unix: '%D/c.yaml/b'}]\n" DAEMON_FIXTURE_AUDIT,
         .signum = SIGHUP},
        {.check = second_is_gone},
        {.config = SETTINGS, .signum = SIGHUP},
        {.check = second_is_gone},
        {.signum = SIGTERM},
        {0},
    };

    run(*state, SETTINGS, steps);
    assert_int_equal(daemon_fixture_trail_has(*state, REJECTED), 1);
    assert_int_equal(daemon_fixture_trail_has(*state, RELOADED), 1);
}

static void test_backends_and_roles_come_change_and_go(void **state)
{
    static const struct daemon_step steps[] = {
        {.config = SETTINGS BACKEND("backends: {v", "T") "}\nroles: {r: {backend: v, path: a/b}}\n",
         .signum = SIGHUP},
        {.config = SETTINGS BACKEND("backends: {v", "T") ", " BACKEND(
             "w", "T") "}\nroles: {r: {backend: w, path: a/b}, s: {backend: v, path: c/d}}\n",
         .signum = SIGHUP},
        {.config = SETTINGS BACKEND("backends: {w", "T") "}\nroles: {r: {backend: w, path: a/c}}\n",
         .signum = SIGHUP},
        {.config = SETTINGS, .signum = SIGHUP},
        {.signum = SIGTERM},
        {0},
    };

    run(*state, SETTINGS BACKEND("backends: {v", "T") "}\n", steps);
    assert_int_equal(daemon_fixture_trail_has(*state, RELOADED), 4);
}

static void test_the_service_manager_hears_of_it(void **state)
{
    static const struct daemon_step steps[] = {{.signum = SIGHUP}, {.signum = SIGTERM}, {0}};
    struct config_fixture *f = *state;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    char text[4][256] = {{0}};
    size_t i;

    (void)snprintf(address.sun_path, sizeof(address.sun_path), "%s/notify", f->folder);
    assert_int_equal(bind(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(setenv("NOTIFY_SOCKET", address.sun_path, 1), 0);
    run(f, SETTINGS, steps);
    assert_int_equal(unsetenv("NOTIFY_SOCKET"), 0);
    for (i = 0; i < 4; i++) {
        assert_true(recv(fd, text[i], sizeof(text[i]) - 1, 0) > 0);
    }
    assert_memory_equal(text[0], "READY=1\n", 8);
    assert_memory_equal(text[1], "RELOADING=1\nMONOTONIC_USEC=", 27);
    assert_memory_equal(text[2], "READY=1\n", 8);
    assert_memory_equal(text[3], "STOPPING=1\n", 11);
    (void)close(fd);
}

int main(void)
{
#define TEST(name)                                                                                 \
    cmocka_unit_test_setup_teardown(name, config_fixture_setup, config_fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_a_reload_without_a_change_changes_nothing),
        TEST(test_each_mistake_leaves_everything_as_it_was),
        TEST(test_listeners_come_change_and_go),
        TEST(test_a_listener_that_cannot_be_opened_refuses_the_reload),
        TEST(test_backends_and_roles_come_change_and_go),
        TEST(test_the_service_manager_hears_of_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
