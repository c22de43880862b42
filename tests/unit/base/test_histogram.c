/* Values fall where their bound says. */
#include "base/histogram.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static const struct histogram_bounds bounds = {.per_second = 1000,
                                               .count = 3,
                                               .upper = {1, 10, 100}};

static void test_a_value_is_counted_below_the_bound_that_it_equals(void **state)
{
    struct histogram histogram = {0};
    const uint64_t values[] = {0, 1, 2, 10, 11, 100, 101, 5000};

    (void)state;
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        histogram_add(&histogram, &bounds, values[i]);
    }
    for (size_t i = 0; i <= bounds.count; i++) {
        assert_int_equal(histogram.counts[i], 2);
    }
    assert_int_equal(histogram.sum, 5225);
    assert_int_equal(histogram_count(&histogram), 8);
}

static void test_sums_saturate(void **state)
{
    struct histogram histogram = {0};
    struct histogram other = {0};

    (void)state;
    histogram_add(&histogram, &bounds, UINT64_MAX);
    histogram_add(&histogram, &bounds, 5);
    assert_int_equal(histogram.sum, UINT64_MAX);
    histogram_add(&other, &bounds, 7);
    histogram_merge(&other, &histogram);
    assert_int_equal(other.sum, UINT64_MAX);
    assert_int_equal(histogram_count(&other), 3);
}

static void test_every_bound_may_be_used(void **state)
{
    struct histogram_bounds full = {.count = HISTOGRAM_BOUNDS_MAX};
    struct histogram histogram = {0};

    (void)state;
    for (size_t i = 0; i < HISTOGRAM_BOUNDS_MAX; i++) {
        full.upper[i] = i;
    }
    histogram_add(&histogram, &full, HISTOGRAM_BOUNDS_MAX);
    assert_int_equal(histogram.counts[HISTOGRAM_BOUNDS_MAX], 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_value_is_counted_below_the_bound_that_it_equals),
        cmocka_unit_test(test_sums_saturate),
        cmocka_unit_test(test_every_bound_may_be_used),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
