/* What the process uses, and how busy the loop is. */
#include "io/loop_fixture.h"

#include "env/usage.h"
#include "io/io_internal.h"

#include <fcntl.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static uint64_t clock_us(clockid_t id)
{
    struct timespec now;

    assert_int_equal(clock_gettime(id, &now), 0);
    return (uint64_t)now.tv_sec * 1000000U + (uint64_t)now.tv_nsec / 1000U;
}

static void test_memory_descriptors_time_and_start_are_those_of_this_process(void **state)
{
    struct loop *loop = *state;
    struct env_usage before;
    struct env_usage after;
    int fd;

    env_usage(loop->env, &before);
    fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    env_usage(loop->env, &after);
    assert_int_equal(close(fd), 0);
    assert_true(before.resident_bytes > 100U * 1024);
    assert_true(before.virtual_bytes >= before.resident_bytes);
    assert_int_equal(after.open_fds, before.open_fds + 1);
    assert_true(before.open_fds > 3);
    assert_true(before.max_fds > before.open_fds);
    assert_true(before.start_wall_ms <= env_wall_ms(loop->env));
    assert_true(before.start_wall_ms > env_wall_ms(loop->env) - 60000);
    assert_true(after.cpu_us > 0);
    assert_true(after.cpu_us <= clock_us(CLOCK_PROCESS_CPUTIME_ID));
    assert_int_equal(after.connections, 0);
}

struct work {
    struct env_timer timer;
    uint64_t took_us;
    bool is_done;
};

/* Busy for 30 ms, as seen by the clock of this thread. */
static void work(struct env_timer *timer)
{
    struct work *work = timer->user;
    uint64_t started_us = clock_us(CLOCK_MONOTONIC);

    while (clock_us(CLOCK_MONOTONIC) - started_us < 30000) {
        /* nothing else runs meanwhile */
    }
    work->took_us = clock_us(CLOCK_MONOTONIC) - started_us;
    work->is_done = true;
}

static void test_what_holds_the_loop_up_is_seen_and_waiting_is_not(void **state)
{
    struct loop *loop = *state;
    struct env *env = loop->env;
    struct work works = {.timer = {.fn = work, .user = &works}};
    struct env_usage usage;
    uint64_t started_us = clock_us(CLOCK_MONOTONIC);
    uint64_t took_us;

    env_timer_arm(env, &works.timer, env_now_ms(env) + 200);
    loop_until(loop, &works.is_done);
    io_run_once(loop->io, false);
    env_usage(env, &usage);
    took_us = clock_us(CLOCK_MONOTONIC) - started_us;
    assert_true(usage.loop_lag_us >= works.took_us);
    /* The 200 ms in which there was nothing to do don't count. */
    assert_true(usage.loop_lag_us <= took_us - 150000);
}

#define LOOP_TEST(test) cmocka_unit_test_setup_teardown(test, loop_setup, loop_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        LOOP_TEST(test_memory_descriptors_time_and_start_are_those_of_this_process),
        LOOP_TEST(test_what_holds_the_loop_up_is_seen_and_waiting_is_not),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
