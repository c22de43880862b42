/* The breaker opens, waits, probes and closes. */
#include "backend/breaker.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define NOW_MS 100000U

static const struct breaker_failure down = {.now_ms = NOW_MS, .random = 123456789};
static const struct breaker_failure doubtful = {.is_doubtful = true, .now_ms = NOW_MS};

static void fail_often(struct breaker *breaker, const struct breaker_failure *failure, size_t times)
{
    for (size_t i = 0; i < times; i++) {
        breaker_failed(breaker, failure);
    }
}

static struct breaker opened(void)
{
    struct breaker breaker = {0};

    fail_often(&breaker, &down, BREAKER_FAILURES);
    assert_int_equal(breaker.state, BREAKER_OPEN);
    return breaker;
}

static void test_failures_in_a_row_open_it_and_one_that_is_served_begins_the_row_anew(void **state)
{
    struct breaker breaker = {0};

    (void)state;
    fail_often(&breaker, &down, BREAKER_FAILURES - 1);
    breaker_served(&breaker, NOW_MS);
    fail_often(&breaker, &down, BREAKER_FAILURES - 1);
    assert_int_equal(breaker.state, BREAKER_CLOSED);
    assert_int_equal(breaker_probe_at_ms(&breaker), UINT64_MAX);
    breaker_failed(&breaker, &down);
    assert_int_equal(breaker.state, BREAKER_OPEN);
    assert_int_equal(breaker.opened_total, 1);
    assert_in_range(breaker_probe_at_ms(&breaker), NOW_MS + BREAKER_BACKOFF_LEAST_MS,
                    NOW_MS + BREAKER_BACKOFF_FIRST_MS);
}

static void test_a_probe_that_is_served_closes_it(void **state)
{
    struct breaker breaker = opened();

    (void)state;
    breaker_probe_started(&breaker);
    assert_int_equal(breaker.state, BREAKER_HALF_OPEN);
    assert_int_equal(breaker_probe_at_ms(&breaker), UINT64_MAX); /* one at a time */
    breaker_probe_ended(&breaker, NULL, NOW_MS);
    assert_int_equal(breaker.state, BREAKER_CLOSED);
    fail_often(&breaker, &down, BREAKER_FAILURES - 1);
    assert_int_equal(breaker.state, BREAKER_CLOSED);
}

static void test_a_probe_that_fails_opens_it_for_longer(void **state)
{
    const struct breaker_failure latest = {.now_ms = NOW_MS, .random = UINT64_MAX};
    struct breaker breaker = opened();
    uint64_t most_ms = BREAKER_BACKOFF_FIRST_MS;

    (void)state;
    for (size_t i = 0; i < 10; i++) {
        most_ms = most_ms * 2 < BREAKER_BACKOFF_MAX_MS ? most_ms * 2 : BREAKER_BACKOFF_MAX_MS;
        breaker_probe_started(&breaker);
        breaker_probe_ended(&breaker, &latest, NOW_MS);
        assert_int_equal(breaker.state, BREAKER_OPEN);
        assert_in_range(breaker_probe_at_ms(&breaker), NOW_MS + BREAKER_BACKOFF_LEAST_MS,
                        NOW_MS + most_ms);
    }
    assert_int_equal(breaker.opened_total, 1);
}

static void test_back_off_is_spread_over_its_whole_span(void **state)
{
    uint64_t least_ms = UINT64_MAX;
    uint64_t most_ms = 0;

    (void)state;
    for (uint64_t i = 0; i < 100000; i++) {
        uint64_t delay_ms = breaker_backoff_ms(100, i * 0x9e3779b97f4a7c15U);

        least_ms = delay_ms < least_ms ? delay_ms : least_ms;
        most_ms = delay_ms > most_ms ? delay_ms : most_ms;
    }
    assert_in_range(least_ms, BREAKER_BACKOFF_LEAST_MS, BREAKER_BACKOFF_LEAST_MS + 10);
    assert_in_range(most_ms, BREAKER_BACKOFF_MAX_MS - 10, BREAKER_BACKOFF_MAX_MS);
}

static void test_only_a_served_call_makes_the_next_back_off_short_again(void **state)
{
    const struct breaker_failure latest = {.now_ms = NOW_MS, .random = 14500};
    struct breaker breaker = opened();

    (void)state;
    for (size_t i = 0; i < 6; i++) {
        breaker_probe_started(&breaker);
        breaker_probe_ended(&breaker, &latest, NOW_MS);
    }
    breaker_probe_started(&breaker);
    breaker_probe_ended(&breaker, NULL, NOW_MS);
    fail_often(&breaker, &latest, BREAKER_FAILURES);
    assert_int_equal(breaker_probe_at_ms(&breaker), NOW_MS + BREAKER_BACKOFF_MAX_MS);
    breaker_probe_started(&breaker);
    breaker_probe_ended(&breaker, NULL, NOW_MS);
    breaker_call_served(&breaker);
    fail_often(&breaker, &latest, BREAKER_FAILURES);
    assert_true(breaker_probe_at_ms(&breaker) <= NOW_MS + BREAKER_BACKOFF_FIRST_MS);
}

static void test_the_issuers_word_for_when_to_come_back_counts_within_reason(void **state)
{
    struct breaker_failure failure = {.retry_after_ms = 60000, .now_ms = NOW_MS};
    struct breaker breaker = {0};

    (void)state;
    fail_often(&breaker, &failure, BREAKER_FAILURES);
    assert_int_equal(breaker_probe_at_ms(&breaker), NOW_MS + 60000);
    breaker = (struct breaker){0};
    failure.retry_after_ms = UINT64_MAX;
    fail_often(&breaker, &failure, BREAKER_FAILURES);
    assert_int_equal(breaker_probe_at_ms(&breaker), NOW_MS + BREAKER_RETRY_AFTER_MAX_MS);
}

static void test_doubtful_failures_ask_for_a_probe_instead_of_opening(void **state)
{
    struct breaker breaker = {0};

    (void)state;
    fail_often(&breaker, &doubtful, BREAKER_FAILURES);
    assert_int_equal(breaker.state, BREAKER_CLOSED);
    assert_int_equal(breaker_probe_at_ms(&breaker), NOW_MS);
    breaker_probe_started(&breaker);
    breaker_failed(&breaker, &doubtful);
    assert_int_equal(breaker_probe_at_ms(&breaker), UINT64_MAX); /* one is under way */
    breaker_probe_ended(&breaker, NULL, NOW_MS);
    assert_int_equal(breaker.state, BREAKER_CLOSED);
    /* The next doubt comes as quickly as before; its probe waits. */
    fail_often(&breaker, &doubtful, BREAKER_FAILURES);
    assert_int_equal(breaker_probe_at_ms(&breaker), NOW_MS + BREAKER_DOUBT_INTERVAL_MS);
    breaker_probe_started(&breaker);
    breaker_probe_ended(&breaker, &down, NOW_MS);
    assert_int_equal(breaker.state, BREAKER_OPEN);
    assert_int_equal(breaker.opened_total, 1);
}

static void test_a_served_exchange_ends_a_doubt(void **state)
{
    struct breaker breaker = {0};

    (void)state;
    fail_often(&breaker, &doubtful, BREAKER_FAILURES);
    breaker_probe_started(&breaker);
    breaker_served(&breaker, NOW_MS);
    breaker_probe_ended(&breaker, &down, NOW_MS);
    assert_int_equal(breaker.state, BREAKER_CLOSED);
}

static void test_what_comes_late_changes_nothing_but_a_served_exchange_hastens_the_probe(
    void **state)
{
    struct breaker breaker = opened();
    uint64_t due_ms = breaker_probe_at_ms(&breaker);

    (void)state;
    fail_often(&breaker, &down, 100);
    breaker_probe_ended(&breaker, NULL, NOW_MS);
    assert_int_equal(breaker.state, BREAKER_OPEN);
    assert_int_equal(breaker_probe_at_ms(&breaker), due_ms);
    breaker_served(&breaker, NOW_MS + 1);
    assert_int_equal(breaker.state, BREAKER_OPEN);
    assert_int_equal(breaker_probe_at_ms(&breaker), NOW_MS + 1);
}

static void test_a_probe_that_could_not_be_sent_is_due_again(void **state)
{
    struct breaker breaker = opened();

    (void)state;
    breaker_probe_started(&breaker);
    breaker_probe_dropped(&breaker, NOW_MS + 7);
    assert_int_equal(breaker.state, BREAKER_OPEN);
    assert_int_equal(breaker_probe_at_ms(&breaker), NOW_MS + 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_failures_in_a_row_open_it_and_one_that_is_served_begins_the_row_anew),
        cmocka_unit_test(test_a_probe_that_is_served_closes_it),
        cmocka_unit_test(test_a_probe_that_fails_opens_it_for_longer),
        cmocka_unit_test(test_back_off_is_spread_over_its_whole_span),
        cmocka_unit_test(test_only_a_served_call_makes_the_next_back_off_short_again),
        cmocka_unit_test(test_the_issuers_word_for_when_to_come_back_counts_within_reason),
        cmocka_unit_test(test_doubtful_failures_ask_for_a_probe_instead_of_opening),
        cmocka_unit_test(test_a_served_exchange_ends_a_doubt),
        cmocka_unit_test(
            test_what_comes_late_changes_nothing_but_a_served_exchange_hastens_the_probe),
        cmocka_unit_test(test_a_probe_that_could_not_be_sent_is_due_again),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
