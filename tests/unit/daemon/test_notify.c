/* What the service manager is told, and when. */
#include "daemon/notify.h"

#include "support/fake_env.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

struct fixture {
    struct fake_env fake;
    struct notify notify;
    char folder[64];
    char path[96];
    int fd;
    char text[256];
};

static int setup(void **state)
{
    static struct fixture fixture;
    struct fixture *f = &fixture;
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    memset(f, 0, sizeof(*f));
    fake_env_init(&f->fake, 1000, 1);
    (void)snprintf(f->folder, sizeof(f->folder), "/tmp/leased-notify-XXXXXX");
    assert_non_null(mkdtemp(f->folder));
    (void)snprintf(f->path, sizeof(f->path), "%.63s/n", f->folder);
    (void)snprintf(address.sun_path, sizeof(address.sun_path), "%.95s", f->path);
    f->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(f->fd, (const struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(setenv("NOTIFY_SOCKET", f->path, 1), 0);
    assert_int_equal(setenv("WATCHDOG_USEC", "30000000", 1), 0);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    notify_fini(&f->notify);
    fake_env_fini(&f->fake);
    (void)close(f->fd);
    (void)unlink(f->path);
    (void)rmdir(f->folder);
    (void)unsetenv("NOTIFY_SOCKET");
    (void)unsetenv("WATCHDOG_USEC");
    (void)unsetenv("WATCHDOG_PID");
    return 0;
}

/* The next message, or "". */
static const char *told(struct fixture *f)
{
    ssize_t size = recv(f->fd, f->text, sizeof(f->text) - 1, 0);

    f->text[size > 0 ? size : 0] = '\0';
    return f->text;
}

static void start(struct fixture *f)
{
    notify_init(&f->notify, &f->fake.env);
    notify_ready(&f->notify, "ready");
    assert_string_equal(told(f), "READY=1\nSTATUS=ready");
}

static void test_the_watchdog_is_fed_twice_in_its_time_by_a_timer_of_the_loop(void **state)
{
    struct fixture *f = *state;
    int i;

    start(f);
    assert_string_equal(told(f), "WATCHDOG=1");
    for (i = 0; i < 3; i++) {
        fake_env_advance(&f->fake, 14999);
        assert_string_equal(told(f), "");
        fake_env_advance(&f->fake, 1);
        assert_string_equal(told(f), "WATCHDOG=1");
        assert_string_equal(told(f), "");
    }
}

static void test_a_loop_that_does_not_turn_feeds_no_watchdog(void **state)
{
    struct fixture *f = *state;

    start(f);
    assert_string_equal(told(f), "WATCHDOG=1");
    f->fake.now_ms += 60000;
    assert_string_equal(told(f), "");
}

static void test_the_watchdog_of_another_process_is_not_fed(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(setenv("WATCHDOG_PID", "1", 1), 0);
    start(f);
    fake_env_advance(&f->fake, 60000);
    assert_string_equal(told(f), "");
}

static void test_our_own_watchdog_is_fed(void **state)
{
    struct fixture *f = *state;
    char pid[16];

    (void)snprintf(pid, sizeof(pid), "%d", (int)getpid());
    assert_int_equal(setenv("WATCHDOG_PID", pid, 1), 0);
    start(f);
    assert_string_equal(told(f), "WATCHDOG=1");
}

static void test_who_stops_asks_for_the_time_that_it_takes(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(unsetenv("WATCHDOG_USEC"), 0);
    start(f);
    notify_stopping(&f->notify, 3625000);
    assert_string_equal(
        told(f), "STOPPING=1\nSTATUS=revoking what is leased\nEXTEND_TIMEOUT_USEC=3625000000");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_the_watchdog_is_fed_twice_in_its_time_by_a_timer_of_the_loop),
        TEST(test_a_loop_that_does_not_turn_feeds_no_watchdog),
        TEST(test_the_watchdog_of_another_process_is_not_fed),
        TEST(test_our_own_watchdog_is_fed),
        TEST(test_who_stops_asks_for_the_time_that_it_takes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
