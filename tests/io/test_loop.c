/* The loop itself: signals, calls from other threads, and its end. */
#include "io/loop_fixture.h"

#include "io/io_internal.h"

#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

static void on_post(void *user)
{
    bool *is_run = user;

    *is_run = true;
}

struct arrivals {
    int signum;
    unsigned count;
    bool is_here;
};

static void on_signal(void *user, int signum)
{
    struct arrivals *arrivals = user;

    arrivals->signum = signum;
    arrivals->count++;
    arrivals->is_here = true;
}

static void test_a_signal_arrives_in_the_loop(void **state)
{
    struct loop *loop = *state;
    struct arrivals arrivals = {0};

    assert_int_equal(io_signal_start(loop->io, SIGUSR1, on_signal, &arrivals), 0);
    assert_int_equal(kill(getpid(), SIGUSR1), 0);
    loop_until(loop, &arrivals.is_here);
    assert_int_equal(arrivals.signum, SIGUSR1);
    assert_int_equal(arrivals.count, 1);
    assert_true(io_signal_start(loop->io, 9999, on_signal, &arrivals) < 0);
}

static void test_sigpipe_is_ignored(void **state)
{
    struct sigaction action;

    (void)state;
    assert_int_equal(sigaction(SIGPIPE, NULL, &action), 0);
    assert_true(action.sa_handler == SIG_IGN);
}

struct poster {
    struct env *env;
    pthread_t loop_thread;
    unsigned posted;
    unsigned run;
    bool is_on_loop_thread;
    bool is_complete;
};

static void on_posted(void *user)
{
    struct poster *poster = user;

    poster->is_on_loop_thread = pthread_equal(pthread_self(), poster->loop_thread) != 0;
    poster->run++;
    poster->is_complete = poster->run == 1000;
}

static void *post_many(void *user)
{
    struct poster *poster = user;

    for (unsigned i = 0; i < 1000; i++) {
        if (env_post(poster->env, on_posted, poster) == 0) {
            poster->posted++;
        }
    }
    return NULL;
}

static void test_calls_posted_by_a_thread_run_on_the_loop_each_once(void **state)
{
    struct loop *loop = *state;
    struct poster poster = {.env = loop->env, .loop_thread = pthread_self()};
    pthread_t thread;

    assert_int_equal(pthread_create(&thread, NULL, post_many, &poster), 0);
    loop_until(loop, &poster.is_complete);
    assert_int_equal(pthread_join(thread, NULL), 0);
    loop_turns(loop, 3);
    assert_int_equal(poster.posted, 1000);
    assert_int_equal(poster.run, 1000);
    assert_true(poster.is_on_loop_thread);
}

static void test_a_call_posted_before_the_end_still_runs(void **state)
{
    struct loop *loop = *state;
    bool is_run = false;

    assert_int_equal(env_post(loop->env, on_post, &is_run), 0);
    assert_int_equal(io_close(loop->io), 0);
    loop->io = NULL;
    assert_true(is_run);
}

struct late {
    struct env *env;
    struct env_deferred deferred;
    int post_status;
    int signal_status;
    struct io *io;
};

static void start_late(struct env_deferred *deferred)
{
    struct late *late = deferred->user;

    late->post_status = env_post(late->env, on_post, NULL);
    late->signal_status = io_signal_start(late->io, SIGUSR2, on_signal, NULL);
}

static void test_nothing_starts_while_the_loop_closes(void **state)
{
    struct loop *loop = *state;
    struct late late = {.env = loop->env, .io = loop->io};

    late.deferred = (struct env_deferred){.fn = start_late, .user = &late};
    env_defer(loop->env, &late.deferred);
    assert_int_equal(io_close(loop->io), 0);
    loop->io = NULL;
    assert_int_equal(late.post_status, ERR_CLOSED);
    assert_int_equal(late.signal_status, ERR_CLOSED);
}

static void test_a_forgotten_handle_is_reported_and_the_loop_can_be_closed_again(void **state)
{
    struct loop *loop = *state;
    uint32_t owner = 0x74657374U;
    uv_timer_t forgotten;

    assert_int_equal(uv_timer_init(io_uv(loop->io), &forgotten), 0);
    forgotten.data = &owner;
    assert_int_equal(io_close(loop->io), ERR_BUSY);
    uv_close((uv_handle_t *)&forgotten, NULL);
    assert_int_equal(io_close(loop->io), 0);
    loop->io = NULL;
}

static void test_random_bytes_differ(void **state)
{
    struct loop *loop = *state;
    unsigned char a[64] = {0};
    unsigned char b[64] = {0};

    env_random(loop->env, a, sizeof(a));
    env_random(loop->env, b, sizeof(b));
    assert_memory_not_equal(a, b, sizeof(a));
}

static void test_wall_time_is_unix_time(void **state)
{
    struct loop *loop = *state;
    int64_t before = (int64_t)time(NULL);
    int64_t wall_ms = env_wall_ms(loop->env);

    assert_true(wall_ms / 1000 >= before && wall_ms / 1000 <= before + 60);
}

static void test_names_of_users_and_groups_are_found(void **state)
{
    struct loop *loop = *state;
    char name[ENV_NAME_MAX_BYTES];

    assert_int_equal(env_user_name(loop->env, 0, name), 0);
    assert_string_equal(name, "root");
    assert_int_equal(env_group_name(loop->env, 0, name), 0);
    assert_string_equal(name, "root");
    assert_int_equal(env_user_name(loop->env, 0x7fff0000U, name),
                     ERR_NOT_FOUND); /* The same slot. */
    assert_int_equal(env_user_name(loop->env, 0, name), 0);
    assert_int_equal(env_user_name(loop->env, 3999999999U, name), ERR_NOT_FOUND);
    assert_int_equal(env_group_name(loop->env, 3999999999U, name), ERR_NOT_FOUND);
}

/* Whoever takes "unknown" for "nobody" would forget a rule that denies him. */
static void test_a_name_that_can_not_be_looked_up_is_no_missing_name(void **state)
{
    struct loop *loop = *state;
    const uint32_t id = 1;
    char name[ENV_NAME_MAX_BYTES];
    struct rlimit old;
    struct rlimit none;

    assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
    none = (struct rlimit){.rlim_cur = 0, .rlim_max = old.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    assert_int_equal(env_user_name(loop->env, id, name), ERR_UNAVAILABLE);
    assert_int_equal(env_group_name(loop->env, id, name), ERR_UNAVAILABLE);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
    assert_int_equal(env_user_name(loop->env, id, name), 0);
    assert_int_equal(env_group_name(loop->env, id, name), 0);
}

#define LOOP_TEST(test) cmocka_unit_test_setup_teardown(test, loop_setup, loop_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        /* First: later libc has modules loaded that answer "nobody" without a descriptor. */
        LOOP_TEST(test_a_name_that_can_not_be_looked_up_is_no_missing_name),
        LOOP_TEST(test_a_signal_arrives_in_the_loop),
        LOOP_TEST(test_sigpipe_is_ignored),
        LOOP_TEST(test_calls_posted_by_a_thread_run_on_the_loop_each_once),
        LOOP_TEST(test_a_call_posted_before_the_end_still_runs),
        LOOP_TEST(test_nothing_starts_while_the_loop_closes),
        LOOP_TEST(test_a_forgotten_handle_is_reported_and_the_loop_can_be_closed_again),
        LOOP_TEST(test_random_bytes_differ),
        LOOP_TEST(test_wall_time_is_unix_time),
        LOOP_TEST(test_names_of_users_and_groups_are_found),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
