/* Durations, sizes, rates and times. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <time.h>

#include "base/units.h"

static void test_durations_are_read_as_people_write_them(void **state)
{
    static const struct {
        const char *text;
        uint64_t ms;
    } cases[] = {
        {"90s", 90000},    {"15m", 900000},   {"1h30m", 5400000},
        {"24h", 86400000}, {"7d", 604800000}, {"250ms", 250},
        {"90", 90000},     {"0", 0},          {"1d2h3m4s5ms", 93784005},
    };
    uint64_t ms;
    size_t i;

    (void)state;
    for (i = 0; i < ARRAY_LEN(cases); i++) {
        assert_int_equal(units_parse_duration(str_of(cases[i].text), &ms), 0);
        assert_int_equal(ms, cases[i].ms);
    }
}

static void test_wrong_durations_are_refused(void **state)
{
    static const char *const wrong[] = {"",     "s",   "-5s", "5x",  "5s5", "1m1h", "1.5h",
                                        "1h1h", " 5s", "5 s", "5s ", "ten", "5S"};
    uint64_t ms = 3;
    size_t i;

    (void)state;
    for (i = 0; i < ARRAY_LEN(wrong); i++) {
        assert_int_equal(units_parse_duration(str_of(wrong[i]), &ms), ERR_INVALID);
    }
    assert_int_equal(units_parse_duration(STR("999999999999d"), &ms), ERR_RANGE);
    assert_int_equal(units_parse_duration(STR("36526d"), &ms), ERR_RANGE);
    assert_int_equal(ms, 3);
}

static void test_durations_are_written_so_that_they_read_back(void **state)
{
    static const uint64_t values[] = {0, 1, 999, 1000, 5400000, 93784005, 86400000};
    char text[UNITS_DURATION_MAX_BYTES];
    uint64_t ms;
    size_t i;

    (void)state;
    for (i = 0; i < ARRAY_LEN(values); i++) {
        assert_int_equal(units_parse_duration(str_of(units_format_duration(values[i], text)), &ms),
                         0);
        assert_int_equal(ms, values[i]);
    }
    assert_string_equal(units_format_duration(5400000, text), "1h30m");
    assert_string_equal(units_format_duration(0, text), "0s");
}

static void test_sizes_and_rates(void **state)
{
    uint64_t bytes;
    struct units_rate rate;

    (void)state;
    assert_int_equal(units_parse_size(STR("64MiB"), &bytes), 0);
    assert_int_equal(bytes, 67108864);
    assert_int_equal(units_parse_size(STR("10MB"), &bytes), 0);
    assert_int_equal(bytes, 10000000);
    assert_int_equal(units_parse_size(STR("17"), &bytes), 0);
    assert_int_equal(units_parse_size(STR("5Mb"), &bytes), ERR_INVALID);
    assert_int_equal(units_parse_size(STR("99999999999999GiB"), &bytes), ERR_RANGE);
    assert_int_equal(units_parse_rate(STR("10/m"), &rate), 0);
    assert_int_equal(rate.count, 10);
    assert_int_equal(rate.per_ms, 60000);
    assert_int_equal(units_parse_rate(STR("50/s"), &rate), 0);
    assert_int_equal(units_parse_rate(STR("0/s"), &rate), ERR_RANGE);
    assert_int_equal(units_parse_rate(STR("5/ms"), &rate), ERR_INVALID);
    assert_int_equal(units_parse_rate(STR("5"), &rate), ERR_INVALID);
}

static void test_times_are_written_in_utc_and_read_with_any_offset(void **state)
{
    char text[UNITS_TIME_MAX_BYTES];
    int64_t ms;

    (void)state;
    assert_string_equal(units_format_time(0, text), "1970-01-01T00:00:00.000Z");
    assert_string_equal(units_format_time(-1, text), "1969-12-31T23:59:59.999Z");
    assert_int_equal(units_parse_time(STR("2026-11-22T19:18:29.506069143Z"), &ms), 0);
    assert_string_equal(units_format_time(ms, text), "2026-11-22T19:18:29.506Z");
    assert_int_equal(units_parse_time(STR("2026-11-22T20:18:29+01:00"), &ms), 0);
    assert_string_equal(units_format_time(ms, text), "2026-11-22T19:18:29.000Z");
}

/* Against the C library's calendar: the ends of what can be written, leap years, and days picked by
 * chance. */
static void test_times_agree_with_the_libc_calendar(void **state)
{
    static const int64_t picked[] = {-62167219200000, 253402300799999, 951782400000,
                                     -2203977600000,  1709164800000,   4107542400000};
    uint64_t chance = 1;
    char expected[UNITS_TIME_MAX_BYTES];
    char text[UNITS_TIME_MAX_BYTES];
    int i;

    (void)state;
    for (i = 0; i < 20000; i++) {
        int64_t ms = i < (int)ARRAY_LEN(picked)
                         ? picked[i]
                         : -62167219200000 + (int64_t)((chance >> 8) % 315569520000000U);
        time_t seconds = (time_t)((ms - ((ms % 1000) + 1000) % 1000) / 1000);
        struct tm tm;

        chance = chance * 6364136223846793005U + 1442695040888963407U;
        assert_non_null(gmtime_r(&seconds, &tm));
        (void)snprintf(expected, sizeof(expected), "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ",
                       (tm.tm_year + 1900) % 10000, (tm.tm_mon + 1) % 100, tm.tm_mday % 100,
                       tm.tm_hour % 100, tm.tm_min % 100, tm.tm_sec % 100,
                       (int)(ms - seconds * 1000) % 1000);
        assert_string_equal(units_format_time(ms, text), expected);
    }
    assert_string_equal(units_format_time(253402300800000, text), "invalid");
    assert_string_equal(units_format_time(-62167219200001, text), "invalid");
    assert_string_equal(units_format_time(INT64_MIN, text), "invalid");
}

static void test_wrong_times_are_refused(void **state)
{
    static const char *const wrong[] = {"",
                                        "2026-11-22",
                                        "2026-02-31T00:00:00Z",
                                        "2026-11-22T25:00:00Z",
                                        "0000-01-01T00:00:00+05:30",
                                        "9999-12-31T23:59:59-00:01",
                                        "2026-11-22T19:18:29",
                                        "2026-11-22T19:18:29+1",
                                        "2026-13-01T00:00:00Z",
                                        "2026-11-22T19:18:29Zx"};
    int64_t ms;
    size_t i;

    (void)state;
    for (i = 0; i < ARRAY_LEN(wrong); i++) {
        assert_int_equal(units_parse_time(str_of(wrong[i]), &ms), ERR_INVALID);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_durations_are_read_as_people_write_them),
        cmocka_unit_test(test_wrong_durations_are_refused),
        cmocka_unit_test(test_durations_are_written_so_that_they_read_back),
        cmocka_unit_test(test_sizes_and_rates),
        cmocka_unit_test(test_times_are_written_in_utc_and_read_with_any_offset),
        cmocka_unit_test(test_times_agree_with_the_libc_calendar),
        cmocka_unit_test(test_wrong_times_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
