/* When leases are renewed and replaced, and how long retries wait. */
#include "lease/schedule.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define MINUTE_MS 60000ULL
#define HOUR_MS (60 * MINUTE_MS)

static struct schedule_life life_of(uint64_t start_ms, uint64_t length_ms)
{
    return (struct schedule_life){.answered_ms = start_ms,
                                  .expires_ms = start_ms + length_ms,
                                  .granted_ms = length_ms,
                                  .min_remaining_ms = 5 * MINUTE_MS,
                                  .renew_at_percent = 50,
                                  .splay_seed = UINT64_MAX / 2};
}

static void test_the_allowance_for_clocks_is_taken_off_each_life(void **state)
{
    (void)state;
    assert_int_equal(schedule_expiry_ms(1000, HOUR_MS, 2000), 1000 + HOUR_MS - 2000);
}

static void test_the_allowance_takes_at_most_a_quarter_of_a_short_life(void **state)
{
    (void)state;
    assert_int_equal(schedule_expiry_ms(0, 4000, 2000), 3000);
    assert_int_equal(schedule_expiry_ms(0, 0, 2000), 0);
}

static void test_a_life_near_the_end_of_the_clock_saturates(void **state)
{
    struct schedule_life life = life_of(UINT64_MAX - 1000, 0);

    (void)state;
    assert_true(schedule_expiry_ms(UINT64_MAX - 1000, HOUR_MS, 2000) == UINT64_MAX);
    life.expires_ms = UINT64_MAX;
    assert_true(schedule_renew_ms(&life) >= life.answered_ms);
    assert_true(schedule_replace_ms(&life) >= life.answered_ms);
    assert_true(schedule_retry_ms(UINT64_MAX - 10, 5000, 0, UINT64_MAX) == UINT64_MAX);
    assert_true(schedule_expiry_ms(5, UINT64_MAX, 0) == 5 + SCHEDULE_LIFE_MAX_MS);
}

static void test_what_is_needed_is_at_most_half_of_what_was_granted(void **state)
{
    (void)state;
    assert_int_equal(schedule_needed_ms(5 * MINUTE_MS, HOUR_MS), 5 * MINUTE_MS);
    assert_int_equal(schedule_needed_ms(16 * MINUTE_MS, 10 * MINUTE_MS), 5 * MINUTE_MS);
}

static void test_renewal_comes_at_renew_at_less_the_splay(void **state)
{
    struct schedule_life life = life_of(0, HOUR_MS);
    uint64_t when_ms = schedule_renew_ms(&life);

    (void)state;
    assert_in_range(when_ms, 27 * MINUTE_MS, 30 * MINUTE_MS);
    life.splay_seed = 0;
    assert_int_equal(schedule_renew_ms(&life), 30 * MINUTE_MS);
}

static void test_the_same_lease_keeps_its_splay(void **state)
{
    struct schedule_life a = life_of(0, HOUR_MS);
    struct schedule_life b = life_of(77, HOUR_MS);

    (void)state;
    assert_int_equal(schedule_renew_ms(&a) + 77, schedule_renew_ms(&b));
}

static void test_renewals_of_a_crowd_are_spread_flat_over_the_window(void **state)
{
    enum { CROWD = 100000, BINS = 20 };
    uint32_t bins[BINS] = {0};
    struct schedule_life life = life_of(0, HOUR_MS);
    uint64_t first_ms = HOUR_MS / 2 - HOUR_MS / 100 * SCHEDULE_SPLAY_PERCENT;
    uint64_t width_ms = HOUR_MS / 100 * SCHEDULE_SPLAY_PERCENT / BINS;
    uint64_t seed = 1;
    uint32_t i;

    (void)state;
    for (i = 0; i < CROWD; i++) {
        uint64_t bin;

        seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
        life.splay_seed = seed;
        bin = (schedule_renew_ms(&life) - first_ms) / width_ms;
        bins[bin < BINS ? bin : BINS - 1]++;
    }
    for (i = 0; i < BINS; i++) {
        assert_in_range(bins[i], CROWD / BINS * 9 / 10, CROWD / BINS * 11 / 10);
    }
}

static void test_renewal_is_never_later_than_min_remaining_allows(void **state)
{
    struct schedule_life life = life_of(0, 10 * MINUTE_MS);

    (void)state;
    life.renew_at_percent = 95;
    life.splay_seed = 0;
    life.min_remaining_ms = 4 * MINUTE_MS;
    assert_true(schedule_renew_ms(&life) <= schedule_latest_ms(&life));
    assert_true(schedule_latest_ms(&life) < 6 * MINUTE_MS);
}

static void test_replacement_comes_late_in_the_life(void **state)
{
    struct schedule_life life = life_of(0, HOUR_MS);

    (void)state;
    assert_in_range(schedule_replace_ms(&life), 48 * MINUTE_MS, 51 * MINUTE_MS);
}

static void test_nothing_is_due_sooner_than_the_floor(void **state)
{
    struct schedule_life life = life_of(5000, 800);

    (void)state;
    assert_int_equal(schedule_renew_ms(&life), 5000 + SCHEDULE_FLOOR_MS);
    assert_int_equal(schedule_replace_ms(&life), 5000 + SCHEDULE_FLOOR_MS);
}

static void test_backoff_grows_with_full_jitter_and_is_bounded(void **state)
{
    uint32_t i;

    (void)state;
    assert_int_equal(schedule_backoff_ms(1, 0), SCHEDULE_FLOOR_MS);
    assert_int_equal(schedule_backoff_ms(1, 2000), 2000);
    assert_int_equal(schedule_backoff_ms(4, 16000), 16000);
    assert_int_equal(schedule_backoff_ms(4, 9000), 9000);
    for (i = 0; i < 100; i++) {
        assert_in_range(schedule_backoff_ms(i, i * 7919ULL * 7919ULL), SCHEDULE_FLOOR_MS,
                        SCHEDULE_BACKOFF_MAX_MS);
    }
    assert_int_equal(schedule_backoff_ms(UINT32_MAX, SCHEDULE_BACKOFF_MAX_MS),
                     SCHEDULE_BACKOFF_MAX_MS);
}

static void test_a_retry_waits_for_what_the_issuer_asked(void **state)
{
    (void)state;
    assert_int_equal(schedule_retry_ms(0, 1500, 30000, HOUR_MS), 30000);
    assert_int_equal(schedule_retry_ms(0, 45000, 30000, HOUR_MS), 45000);
}

static void test_a_retry_is_made_at_the_last_moment_at_the_latest(void **state)
{
    (void)state;
    assert_int_equal(schedule_retry_ms(0, 300000, 0, 60000), 60000);
    assert_int_equal(schedule_retry_ms(0, 300000, 0, 10), SCHEDULE_FLOOR_MS);
    assert_int_equal(schedule_retry_ms(70000, 300000, 0, 60000), 370000);
}

static void test_a_shrinking_or_short_answer_is_capped(void **state)
{
    (void)state;
    assert_true(schedule_is_capped(3000000, 3600000, 0));
    assert_true(schedule_is_capped(3000000, 0, 3600000));
    assert_false(schedule_is_capped(3600000, 3600000, 3600000));
    assert_false(schedule_is_capped(3599000, 3600000, 3600000));
    assert_false(schedule_is_capped(7200000, 0, 3600000));
}

static void test_an_outage_is_ridden_out_from_the_renewal_to_what_must_be_left(void **state)
{
    struct schedule_life life = {.answered_ms = 1000,
                                 .expires_ms = 1000 + 4 * 3600000U,
                                 .granted_ms = 4 * 3600000U,
                                 .min_remaining_ms = 300000,
                                 .renew_at_percent = 50,
                                 .splay_seed = UINT64_MAX};

    (void)state;
    assert_int_equal(schedule_tolerance_ms(&life, true), 2 * 3600000U - 300000U);
    assert_int_equal(schedule_tolerance_ms(&life, false), 36 * 60000U - 300000U);
    life.min_remaining_ms = UINT64_MAX; /* counts as half of the life; a step comes earlier still */
    assert_int_equal(schedule_tolerance_ms(&life, true), 12 * 60000U);
    life.expires_ms = 1000;
    assert_int_equal(schedule_tolerance_ms(&life, true), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_allowance_for_clocks_is_taken_off_each_life),
        cmocka_unit_test(test_the_allowance_takes_at_most_a_quarter_of_a_short_life),
        cmocka_unit_test(test_a_life_near_the_end_of_the_clock_saturates),
        cmocka_unit_test(test_what_is_needed_is_at_most_half_of_what_was_granted),
        cmocka_unit_test(test_renewal_comes_at_renew_at_less_the_splay),
        cmocka_unit_test(test_the_same_lease_keeps_its_splay),
        cmocka_unit_test(test_renewals_of_a_crowd_are_spread_flat_over_the_window),
        cmocka_unit_test(test_renewal_is_never_later_than_min_remaining_allows),
        cmocka_unit_test(test_replacement_comes_late_in_the_life),
        cmocka_unit_test(test_nothing_is_due_sooner_than_the_floor),
        cmocka_unit_test(test_backoff_grows_with_full_jitter_and_is_bounded),
        cmocka_unit_test(test_a_retry_waits_for_what_the_issuer_asked),
        cmocka_unit_test(test_a_retry_is_made_at_the_last_moment_at_the_latest),
        cmocka_unit_test(test_an_outage_is_ridden_out_from_the_renewal_to_what_must_be_left),
        cmocka_unit_test(test_a_shrinking_or_short_answer_is_capped),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
