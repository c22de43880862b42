/* The loop itself: timers, deferred calls, signals, posts, and its end. */
#include "io/loop_fixture.h"

#include "base/mem.h"
#include "env/process.h"
#include "io/io_internal.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define MANY 500U

/* Notes the order in which its timers and deferred calls run. */
struct diary {
    struct env *env;
    int entries[MANY];
    size_t count;
};

struct note {
    struct diary *diary;
    int number;
    struct env_timer timer;
    struct env_deferred deferred;
};

static void write_note(struct note *note)
{
    struct diary *diary = note->diary;

    assert_true(diary->count < MANY);
    diary->entries[diary->count++] = note->number;
}

static void on_note_timer(struct env_timer *timer)
{
    write_note(timer->user);
}

static void on_note_deferred(struct env_deferred *deferred)
{
    write_note(deferred->user);
}

static void note_init(struct note *note, struct diary *diary, int number)
{
    *note = (struct note){.diary = diary, .number = number};
    note->timer.fn = on_note_timer;
    note->timer.user = note;
    note->deferred.fn = on_note_deferred;
    note->deferred.user = note;
}

static void assert_diary(const struct diary *diary, const int *numbers, size_t count)
{
    assert_int_equal(diary->count, count);
    assert_memory_equal(diary->entries, numbers, count * sizeof(numbers[0]));
}

/* Runs until the diary has this many entries. */
static void run_until_written(struct loop *loop, const struct diary *diary, size_t count)
{
    uint64_t start_ms = env_now_ms(loop->env);

    while (diary->count < count) {
        io_run_once(loop->io, true);
        assert_true(env_now_ms(loop->env) - start_ms < LOOP_GUARD_MS);
    }
}

static void test_timers_run_in_the_order_of_their_times(void **state)
{
    struct loop *loop = *state;
    struct diary diary = {.env = loop->env};
    struct note notes[3];
    uint64_t now_ms = env_now_ms(loop->env);

    for (int i = 0; i < 3; i++) {
        note_init(&notes[i], &diary, i);
    }
    env_timer_arm(loop->env, &notes[0].timer, now_ms + 30);
    env_timer_arm(loop->env, &notes[1].timer, now_ms + 10);
    env_timer_arm(loop->env, &notes[2].timer, now_ms + 20);
    run_until_written(loop, &diary, 3);
    assert_diary(&diary, (int[]){1, 2, 0}, 3);
    assert_true(env_now_ms(loop->env) >= now_ms + 30);
}

static void test_timers_of_one_time_run_in_the_order_of_arming(void **state)
{
    struct loop *loop = *state;
    struct diary diary = {.env = loop->env};
    struct note notes[5];
    uint64_t when_ms = env_now_ms(loop->env) + 5;

    for (int i = 0; i < 5; i++) {
        note_init(&notes[i], &diary, i);
        env_timer_arm(loop->env, &notes[i].timer, when_ms);
    }
    env_timer_arm(loop->env, &notes[1].timer, when_ms); /* Moved, so it is the last now. */
    run_until_written(loop, &diary, 5);
    assert_diary(&diary, (int[]){0, 2, 3, 4, 1}, 5);
}

static void test_a_disarmed_timer_does_not_run(void **state)
{
    struct loop *loop = *state;
    struct diary diary = {.env = loop->env};
    struct note notes[3];
    uint64_t now_ms = env_now_ms(loop->env);

    for (int i = 0; i < 3; i++) {
        note_init(&notes[i], &diary, i);
        env_timer_arm(loop->env, &notes[i].timer, now_ms + (uint64_t)i);
    }
    env_timer_disarm(loop->env, &notes[1].timer);
    env_timer_disarm(loop->env, &notes[1].timer);
    run_until_written(loop, &diary, 2);
    assert_diary(&diary, (int[]){0, 2}, 2);
}

struct pair {
    struct env *env;
    struct env_timer first;
    struct env_timer second;
    bool is_first_run;
    bool is_second_run;
};

static void on_first_of_pair(struct env_timer *timer)
{
    struct pair *pair = timer->user;

    pair->is_first_run = true;
    env_timer_disarm(pair->env, &pair->second);
}

static void on_second_of_pair(struct env_timer *timer)
{
    struct pair *pair = timer->user;

    pair->is_second_run = true;
}

static void test_a_due_timer_that_an_earlier_one_disarms_does_not_run(void **state)
{
    struct loop *loop = *state;
    struct pair pair = {.env = loop->env};

    pair.first = (struct env_timer){.fn = on_first_of_pair, .user = &pair};
    pair.second = (struct env_timer){.fn = on_second_of_pair, .user = &pair};
    env_timer_arm(loop->env, &pair.first, 0);
    env_timer_arm(loop->env, &pair.second, 0);
    loop_until(loop, &pair.is_first_run);
    loop_turns(loop, 10);
    assert_false(pair.is_second_run);
}

struct spinner {
    struct env *env;
    struct env_timer timer;
    struct env_deferred deferred;
    unsigned runs;
    unsigned limit;
};

static void on_spin_timer(struct env_timer *timer)
{
    struct spinner *spinner = timer->user;

    spinner->runs++;
    if (spinner->runs < spinner->limit) {
        env_timer_arm(spinner->env, timer, 0); /* Long past. */
    }
}

static void test_a_timer_armed_in_the_past_by_its_callback_runs_in_the_next_turn(void **state)
{
    struct loop *loop = *state;
    struct spinner spinner = {.env = loop->env, .limit = 20};

    spinner.timer = (struct env_timer){.fn = on_spin_timer, .user = &spinner};
    env_timer_arm(loop->env, &spinner.timer, 0);
    while (spinner.runs < spinner.limit) {
        unsigned before = spinner.runs;

        io_run_once(loop->io, true);
        /* libuv runs timers twice in one uv_run: before and after the poll. */
        assert_true(spinner.runs - before <= 2);
    }
}

static void on_post(void *user)
{
    bool *is_run = user;

    *is_run = true;
}

static void test_a_timer_that_is_always_due_does_not_starve_io(void **state)
{
    struct loop *loop = *state;
    struct spinner spinner = {.env = loop->env, .limit = UINT32_MAX};
    bool is_run = false;

    spinner.timer = (struct env_timer){.fn = on_spin_timer, .user = &spinner};
    env_timer_arm(loop->env, &spinner.timer, 0);
    loop_turns(loop, 2);
    assert_int_equal(env_post(loop->env, on_post, &is_run), 0);
    loop_until(loop, &is_run);
    assert_true(spinner.runs < 100);
    env_timer_disarm(loop->env, &spinner.timer);
}

static void test_many_timers_run_in_order_whatever_is_disarmed(void **state)
{
    struct loop *loop = *state;
    struct diary diary = {.env = loop->env};
    struct note *notes = mem_calloc(MANY, sizeof(*notes));
    uint64_t now_ms = env_now_ms(loop->env);
    size_t armed = 0;
    unsigned seed = 1;

    assert_non_null(notes);
    for (unsigned i = 0; i < MANY; i++) {
        unsigned ago_ms = (unsigned)rand_r(&seed) % 50;

        note_init(&notes[i], &diary, (int)i);
        env_timer_arm(loop->env, &notes[i].timer, now_ms - ago_ms);
    }
    for (unsigned i = 0; i < MANY; i++) {
        if (rand_r(&seed) % 3 == 0) {
            env_timer_disarm(loop->env, &notes[i].timer);
        } else {
            armed++;
        }
    }
    run_until_written(loop, &diary, armed);
    for (size_t i = 1; i < armed; i++) {
        const struct env_timer *before = &notes[diary.entries[i - 1]].timer;
        const struct env_timer *after = &notes[diary.entries[i]].timer;

        assert_true(before->when_ms < after->when_ms ||
                    (before->when_ms == after->when_ms && before->sequence < after->sequence));
    }
    mem_free(notes);
}

static int fail_always(size_t size)
{
    (void)size;
    return 1;
}

static void test_timers_run_even_if_memory_was_short_when_they_were_armed(void **state)
{
    struct loop *loop = *state;
    struct diary diary = {.env = loop->env};
    struct note *notes = mem_calloc(200, sizeof(*notes));
    uint64_t now_ms = env_now_ms(loop->env);

    assert_non_null(notes);
    mem_set_fail_hook(fail_always);
    for (int i = 0; i < 200; i++) {
        note_init(&notes[i], &diary, i);
        env_timer_arm(loop->env, &notes[i].timer, now_ms);
    }
    env_timer_disarm(loop->env, &notes[199].timer);
    run_until_written(loop, &diary, 100); /* Still short. */
    mem_set_fail_hook(NULL);
    run_until_written(loop, &diary, 199);
    mem_free(notes);
}

static void test_a_far_timer_is_looked_at_every_30_seconds(void **state)
{
    struct loop *loop = *state;
    struct diary diary = {.env = loop->env};
    struct note note;

    note_init(&note, &diary, 0);
    env_timer_arm(loop->env, &note.timer, env_now_ms(loop->env) + 3600U * 1000U);
    loop_turns(loop, 1);
    assert_true(uv_is_active((uv_handle_t *)&loop->io->timers.uv));
    assert_true(uv_timer_get_due_in(&loop->io->timers.uv) <= IO_TIMER_RECHECK_MS);
    env_timer_disarm(loop->env, &note.timer);
}

static void test_a_loop_without_timers_is_not_woken(void **state)
{
    struct loop *loop = *state;

    loop_turns(loop, 2);
    assert_false(uv_is_active((uv_handle_t *)&loop->io->timers.uv));
}

static void test_the_clock_stands_still_within_a_callback_and_goes_on_between(void **state)
{
    struct loop *loop = *state;
    struct timespec now;
    uint64_t first_ms;

    loop_turns(loop, 1);
    first_ms = env_now_ms(loop->env);
    do {
        assert_int_equal(clock_gettime(CLOCK_BOOTTIME, &now), 0);
    } while ((uint64_t)now.tv_sec * 1000U + (uint64_t)now.tv_nsec / 1000000U <= first_ms + 1);
    assert_int_equal(env_now_ms(loop->env), first_ms);
    loop_turns(loop, 1);
    assert_true(env_now_ms(loop->env) > first_ms);
}

static void test_a_deferred_call_runs_once_in_this_turn_in_order(void **state)
{
    struct loop *loop = *state;
    struct diary diary = {.env = loop->env};
    struct note notes[3];

    for (int i = 0; i < 3; i++) {
        note_init(&notes[i], &diary, i);
        env_defer(loop->env, &notes[i].deferred);
    }
    env_defer(loop->env, &notes[0].deferred);
    env_undefer(&notes[1].deferred);
    env_undefer(&notes[1].deferred);
    assert_int_equal(diary.count, 0);
    loop_turns(loop, 1);
    assert_diary(&diary, (int[]){0, 2}, 2);
}

static void on_spin_deferred(struct env_deferred *deferred)
{
    struct spinner *spinner = deferred->user;

    spinner->runs++;
    if (spinner->runs < spinner->limit) {
        env_defer(spinner->env, deferred);
    }
}

static void test_a_chain_of_deferred_calls_neither_waits_nor_starves_io(void **state)
{
    struct loop *loop = *state;
    struct spinner spinner = {.env = loop->env, .limit = 1000};
    bool is_run = false;

    spinner.deferred = (struct env_deferred){.fn = on_spin_deferred, .user = &spinner};
    env_defer(loop->env, &spinner.deferred);
    assert_int_equal(env_post(loop->env, on_post, &is_run), 0);
    loop_until(loop, &is_run);
    assert_true(spinner.runs < 10);
    /* Would hang in poll if a pending call didn't keep it from waiting. */
    while (spinner.runs < spinner.limit) {
        io_run_once(loop->io, true);
    }
}

static void defer_from_timer(struct env_timer *timer)
{
    struct note *note = timer->user;

    env_defer(note->diary->env, &note->deferred);
}

static void test_a_call_deferred_by_a_timer_runs_before_the_loop_waits(void **state)
{
    struct loop *loop = *state;
    struct diary diary = {.env = loop->env};
    struct note note;

    note_init(&note, &diary, 7);
    note.timer.fn = defer_from_timer;
    env_timer_arm(loop->env, &note.timer, 0);
    run_until_written(loop, &diary, 1);
    assert_diary(&diary, (int[]){7}, 1);
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
    struct env_process_watch watch;
    int status;
};

static void ignore_end(struct env_process_watch *watch)
{
    (void)watch;
}

static void post_late(struct env_process_watch *watch)
{
    struct late *late = watch->user;

    late->status = env_post(late->env, on_post, NULL);
}

static void test_nothing_starts_while_the_loop_closes(void **state)
{
    struct loop *loop = *state;
    struct late late = {.env = loop->env, .status = 0};
    struct env_process self;

    assert_int_equal(env_process_lookup(loop->env, getpid(), &self), 0);
    late.watch = (struct env_process_watch){.pid = self.pid,
                                            .start_ticks = self.start_ticks,
                                            .fn = ignore_end,
                                            .closed = post_late,
                                            .user = &late};
    assert_int_equal(env_process_watch_start(loop->env, &late.watch), 0);
    assert_int_equal(io_close(loop->io), 0); /* Closes the watch that was left open. */
    loop->io = NULL;
    assert_int_equal(late.status, ERR_CLOSED);
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
    assert_int_equal(env_user_name(loop->env, 64, name), ERR_NOT_FOUND); /* The same slot. */
    assert_int_equal(env_user_name(loop->env, 0, name), 0);
    assert_int_equal(env_user_name(loop->env, 3999999999U, name), ERR_NOT_FOUND);
    assert_int_equal(env_group_name(loop->env, 3999999999U, name), ERR_NOT_FOUND);
}

#define LOOP_TEST(test) cmocka_unit_test_setup_teardown(test, loop_setup, loop_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        LOOP_TEST(test_timers_run_in_the_order_of_their_times),
        LOOP_TEST(test_timers_of_one_time_run_in_the_order_of_arming),
        LOOP_TEST(test_a_disarmed_timer_does_not_run),
        LOOP_TEST(test_a_due_timer_that_an_earlier_one_disarms_does_not_run),
        LOOP_TEST(test_a_timer_armed_in_the_past_by_its_callback_runs_in_the_next_turn),
        LOOP_TEST(test_a_timer_that_is_always_due_does_not_starve_io),
        LOOP_TEST(test_many_timers_run_in_order_whatever_is_disarmed),
        LOOP_TEST(test_timers_run_even_if_memory_was_short_when_they_were_armed),
        LOOP_TEST(test_a_far_timer_is_looked_at_every_30_seconds),
        LOOP_TEST(test_a_loop_without_timers_is_not_woken),
        LOOP_TEST(test_the_clock_stands_still_within_a_callback_and_goes_on_between),
        LOOP_TEST(test_a_deferred_call_runs_once_in_this_turn_in_order),
        LOOP_TEST(test_a_chain_of_deferred_calls_neither_waits_nor_starves_io),
        LOOP_TEST(test_a_call_deferred_by_a_timer_runs_before_the_loop_waits),
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
