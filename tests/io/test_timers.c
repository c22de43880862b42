/* Timers, deferred calls and the clock on the real loop: their order, and that none of them starves
 * another. */
#include "io/loop_fixture.h"

#include "base/mem.h"
#include "io/io_internal.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

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
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
