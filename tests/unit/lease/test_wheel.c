/* The timing wheel against a plain table of deadlines, on random histories and in the corners of 64
 * bits. */
#include "lease/wheel.h"
#include "support/slowdown.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define ENTRIES 300
#define DAY_MS 86400000ULL

struct item {
    struct wheel_entry entry;
    bool is_armed;
    uint64_t when_ms;
    uint32_t fired_count;
};

/* What a callback does besides being counted. */
enum habit {
    HABIT_NONE,
    HABIT_CANCEL_OTHER,
    HABIT_REARM_SELF,
    HABIT_REARM_OTHER,
    HABIT_RANDOM,
};

static struct {
    struct wheel wheel;
    struct item items[ENTRIES];
    uint64_t now_ms;
    uint64_t random_state;
    enum habit habit;
    uint64_t last_when_ms;
    uint32_t fired_total;
} t;

static uint64_t next_random(void)
{
    uint64_t z = t.random_state += 0x9e3779b97f4a7c15ULL;

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31);
}

static uint64_t add_saturated(uint64_t a, uint64_t b)
{
    return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

static void arm(struct item *item, uint64_t when_ms)
{
    wheel_arm(&t.wheel, &item->entry, when_ms);
    item->is_armed = true;
    item->when_ms = when_ms;
}

static void cancel(struct item *item)
{
    wheel_cancel(&t.wheel, &item->entry);
    item->is_armed = false;
}

/* Deadlines as leases have them: now, soon, minutes, days, and at the end of time. */
static uint64_t random_when(void)
{
    uint64_t r = next_random();

    switch (r % 8) {
    case 0:
        return t.now_ms - (r >> 8) % 5 * (t.now_ms > 5);
    case 1:
        return add_saturated(t.now_ms, (r >> 8) % 3);
    case 2:
        return add_saturated(t.now_ms, (r >> 8) % 70);
    case 3:
    case 4:
        return add_saturated(t.now_ms, (r >> 8) % 10000);
    case 5:
        return add_saturated(t.now_ms, (r >> 8) % DAY_MS);
    case 6:
        return add_saturated(t.now_ms, (r >> 8) % (60 * DAY_MS));
    default:
        return add_saturated(t.now_ms, r >> ((r >> 3) % 63));
    }
}

static void habit_run(struct item *item)
{
    struct item *other = &t.items[next_random() % ENTRIES];
    enum habit habit = t.habit;

    if (habit == HABIT_RANDOM) {
        habit = (enum habit)(next_random() % HABIT_RANDOM);
    }
    if (habit == HABIT_CANCEL_OTHER) {
        cancel(other);
    } else if (habit == HABIT_REARM_SELF) {
        arm(item, add_saturated(t.now_ms, 1 + next_random() % 1000));
    } else if (habit == HABIT_REARM_OTHER) {
        arm(other, random_when());
    }
}

static void fire(struct wheel *wheel, struct wheel_entry *entry)
{
    struct item *item = (struct item *)(void *)entry;

    assert_ptr_equal(wheel, &t.wheel);
    assert_true(item->is_armed);
    assert_false(wheel_is_armed(entry));
    assert_true(item->when_ms <= t.now_ms);
    item->is_armed = false;
    item->fired_count++;
    t.fired_total++;
    t.last_when_ms = item->when_ms;
    habit_run(item);
}

static void start(uint64_t now_ms, uint64_t seed)
{
    memset(&t, 0, sizeof(t));
    t.now_ms = now_ms;
    t.random_state = seed;
    wheel_init(&t.wheel, now_ms, fire);
}

/* What the sorted list says: the first deadline that is armed. */
static uint64_t first_deadline(void)
{
    uint64_t first = UINT64_MAX;
    size_t i;

    for (i = 0; i < ENTRIES; i++) {
        if (t.items[i].is_armed && t.items[i].when_ms < first) {
            first = t.items[i].when_ms;
        }
    }
    return first;
}

static void advance(uint64_t now_ms)
{
    size_t i;

    t.now_ms = now_ms;
    wheel_advance(&t.wheel, now_ms);
    wheel_check(&t.wheel);
    for (i = 0; i < ENTRIES; i++) {
        assert_int_equal(t.items[i].is_armed, wheel_is_armed(&t.items[i].entry));
        /* Only what a callback has armed for the past may still wait. */
        if (t.habit == HABIT_NONE && t.items[i].is_armed) {
            assert_true(t.items[i].when_ms > now_ms);
        }
    }
    assert_true(wheel_next_ms(&t.wheel) <= first_deadline() || wheel_next_ms(&t.wheel) <= now_ms);
}

static void random_step(void)
{
    struct item *item = &t.items[next_random() % ENTRIES];
    uint64_t r = next_random();

    if (r % 16 < 8) {
        arm(item, random_when());
    } else if (r % 16 < 11) {
        cancel(item);
    } else if (r % 16 < 15) {
        advance(add_saturated(t.now_ms, (r >> 8) % 200));
    } else {
        advance(add_saturated(t.now_ms, (r >> 8) % (3 * DAY_MS)));
    }
    assert_true(wheel_next_ms(&t.wheel) <= first_deadline() || wheel_next_ms(&t.wheel) <= t.now_ms);
}

static void random_history(uint64_t now_ms, uint64_t seed, enum habit habit)
{
    unsigned steps = slowed(20000);
    unsigned i;

    start(now_ms, seed);
    t.habit = habit;
    for (i = 0; i < steps; i++) {
        random_step();
        if (i % 97 == 0) {
            wheel_check(&t.wheel);
        }
    }
    assert_true(t.fired_total > 0);
}

static void test_wheel_agrees_with_a_sorted_list(void **state)
{
    static const uint64_t starts[] = {
        0, 1, 63, 4096, 1ULL << 32, UINT64_MAX - 400 * DAY_MS, UINT64_MAX - 1000000};
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(starts) / sizeof(starts[0]); i++) {
        random_history(starts[i], 7 * i + 1, HABIT_NONE);
        random_history(starts[i], 7 * i + 2, HABIT_RANDOM);
    }
}

static void test_entries_fire_in_the_order_of_their_deadlines(void **state)
{
    uint64_t previous_ms = 0;
    size_t i;

    (void)state;
    start(5, 3);
    for (i = 0; i < ENTRIES; i++) {
        arm(&t.items[i], 6 + next_random() % DAY_MS);
    }
    while (t.fired_total < ENTRIES) {
        uint32_t before = t.fired_total;

        advance(wheel_next_ms(&t.wheel));
        if (t.fired_total > before) {
            assert_true(t.last_when_ms >= previous_ms);
            previous_ms = t.last_when_ms;
        }
    }
    assert_int_equal(wheel_count(&t.wheel), 0);
    assert_true(wheel_next_ms(&t.wheel) == WHEEL_NEVER);
}

static void test_a_jump_of_days_fires_all_that_was_due_and_nothing_else(void **state)
{
    size_t i;

    (void)state;
    start(1000, 4);
    for (i = 0; i < ENTRIES; i++) {
        arm(&t.items[i], 1000 + i * DAY_MS / 10);
    }
    advance(1000 + 10 * DAY_MS);
    assert_int_equal(t.fired_total, 101);
    assert_int_equal(wheel_count(&t.wheel), ENTRIES - 101);
}

static void test_the_last_millisecond_of_the_clock_is_reached(void **state)
{
    (void)state;
    start(UINT64_MAX - 5, 5);
    arm(&t.items[0], UINT64_MAX);
    arm(&t.items[1], UINT64_MAX - 5);
    arm(&t.items[2], UINT64_MAX - 1);
    advance(UINT64_MAX - 5);
    assert_int_equal(t.items[1].fired_count, 1);
    advance(UINT64_MAX - 1);
    assert_int_equal(t.items[2].fired_count, 1);
    assert_int_equal(t.items[0].fired_count, 0);
    advance(UINT64_MAX);
    assert_int_equal(t.items[0].fired_count, 1);
    arm(&t.items[0], UINT64_MAX);
    advance(UINT64_MAX);
    assert_int_equal(t.items[0].fired_count, 2);
}

static void test_moving_a_deadline_out_defers_it(void **state)
{
    (void)state;
    start(0, 6);
    arm(&t.items[0], 100);
    arm(&t.items[0], 5000);
    advance(4999);
    assert_int_equal(t.fired_total, 0);
    advance(5000);
    assert_int_equal(t.fired_total, 1);
}

static void test_moving_a_deadline_in_brings_it_forward(void **state)
{
    (void)state;
    start(0, 6);
    arm(&t.items[0], 5000);
    arm(&t.items[0], 9000);
    arm(&t.items[0], 100);
    assert_true(wheel_next_ms(&t.wheel) <= 100);
    advance(100);
    assert_int_equal(t.fired_total, 1);
}

static void test_a_deadline_in_the_past_is_due_at_the_next_advance(void **state)
{
    (void)state;
    start(1000, 7);
    arm(&t.items[0], 3);
    assert_int_equal(wheel_next_ms(&t.wheel), 1000);
    assert_int_equal(t.fired_total, 0);
    advance(1000);
    assert_int_equal(t.fired_total, 1);
}

static void fire_again_now(struct wheel *wheel, struct wheel_entry *entry)
{
    t.fired_total++;
    wheel_arm(wheel, entry, wheel->now_ms);
}

static void test_a_callback_that_arms_itself_for_now_does_not_hang_the_loop(void **state)
{
    (void)state;
    start(1000, 8);
    wheel_init(&t.wheel, 1000, fire_again_now);
    wheel_arm(&t.wheel, &t.items[0].entry, 1500);
    wheel_advance(&t.wheel, 2000);
    assert_int_equal(t.fired_total, 1);
    assert_int_equal(wheel_next_ms(&t.wheel), 2000);
    wheel_advance(&t.wheel, 2000);
    assert_int_equal(t.fired_total, 2);
    wheel_cancel(&t.wheel, &t.items[0].entry);
    wheel_check(&t.wheel);
}

static void fire_cancel_rest(struct wheel *wheel, struct wheel_entry *entry)
{
    size_t i;

    (void)entry;
    t.fired_total++;
    for (i = 0; i < ENTRIES; i++) {
        wheel_cancel(wheel, &t.items[i].entry);
    }
}

static void test_what_a_callback_cancels_does_not_fire_in_the_same_millisecond(void **state)
{
    size_t i;

    (void)state;
    start(0, 9);
    wheel_init(&t.wheel, 0, fire_cancel_rest);
    for (i = 0; i < ENTRIES; i++) {
        wheel_arm(&t.wheel, &t.items[i].entry, 777);
    }
    wheel_advance(&t.wheel, 100000);
    assert_int_equal(t.fired_total, 1);
    assert_int_equal(wheel_count(&t.wheel), 0);
    wheel_check(&t.wheel);
}

static void test_cancel_is_fine_on_an_entry_that_is_not_armed(void **state)
{
    (void)state;
    start(0, 10);
    wheel_cancel(&t.wheel, &t.items[0].entry);
    arm(&t.items[0], 50);
    cancel(&t.items[0]);
    cancel(&t.items[0]);
    advance(100);
    assert_int_equal(t.fired_total, 0);
    assert_int_equal(wheel_count(&t.wheel), 0);
}

static void test_time_does_not_move_back(void **state)
{
    (void)state;
    start(5000, 11);
    arm(&t.items[0], 6000);
    wheel_advance(&t.wheel, 4000);
    wheel_check(&t.wheel);
    assert_int_equal(t.wheel.now_ms, 5000);
    advance(6000);
    assert_int_equal(t.fired_total, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_wheel_agrees_with_a_sorted_list),
        cmocka_unit_test(test_entries_fire_in_the_order_of_their_deadlines),
        cmocka_unit_test(test_a_jump_of_days_fires_all_that_was_due_and_nothing_else),
        cmocka_unit_test(test_the_last_millisecond_of_the_clock_is_reached),
        cmocka_unit_test(test_moving_a_deadline_out_defers_it),
        cmocka_unit_test(test_moving_a_deadline_in_brings_it_forward),
        cmocka_unit_test(test_a_deadline_in_the_past_is_due_at_the_next_advance),
        cmocka_unit_test(test_a_callback_that_arms_itself_for_now_does_not_hang_the_loop),
        cmocka_unit_test(test_what_a_callback_cancels_does_not_fire_in_the_same_millisecond),
        cmocka_unit_test(test_cancel_is_fine_on_an_entry_that_is_not_armed),
        cmocka_unit_test(test_time_does_not_move_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
