/* What the ledger keeps of what a caller has used up. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "wire/ledger_clock.h"
#include "wire/ledger_rate.h"

static const struct ledger_rate FULL = {
    .identity = "local/uid:500",
    .rule = "few",
    .count = 20,
    .per_ms = 3600000,
    .level = 7200000,
    .clock = {.written_wall_ms = 5, .written_ms = 6, .boot = "b"},
};

static int write_and_read(const struct ledger_rate *rate, struct buf *out,
                          struct ledger_rate *ret_rate)
{
    struct err e = {.code = 0};
    int r;

    buf_init(out, 4096);
    assert_int_equal(ledger_rate_write(rate, out), 0);
    r = ledger_rate_read(buf_str(out), ret_rate, &e);
    assert_true(r == 0 || e.text[0] != '\0');
    return r;
}

static void test_what_was_written_is_read(void **state)
{
    struct ledger_rate rate;
    struct buf out;

    (void)state;
    assert_int_equal(write_and_read(&FULL, &out, &rate), 0);
    assert_string_equal(rate.identity, FULL.identity);
    assert_string_equal(rate.rule, FULL.rule);
    assert_true(rate.count == 20 && rate.per_ms == 3600000 && rate.level == 7200000);
    assert_true(rate.clock.written_wall_ms == 5 && rate.clock.written_ms == 6);
    buf_fini(&out);
}

static void test_numbers_that_are_no_rate_are_refused(void **state)
{
    const struct ledger_rate wrong[] = {
        {.count = 0, .per_ms = 1000, .level = 0},
        {.count = 1, .per_ms = 0, .level = 0},
        {.count = 2, .per_ms = 1000, .level = 2000}, /* nothing was used up */
        {.count = LEDGER_RATE_COUNT_MAX + 1, .per_ms = 1000, .level = 0},
        {.count = 1, .per_ms = LEDGER_RATE_PER_MAX_MS + 1, .level = 0},
    };
    struct ledger_rate rate;
    struct buf out;
    size_t i;

    (void)state;
    for (i = 0; i < ARRAY_LEN(wrong); i++) {
        rate = wrong[i];
        rate.identity = rate.rule = rate.clock.boot = "";
        assert_int_equal(write_and_read(&rate, &out, &rate), ERR_INVALID);
        buf_fini(&out);
    }
}

static void test_what_is_cut_off_or_has_more_is_refused(void **state)
{
    struct ledger_rate rate;
    struct str body;
    struct buf out;

    (void)state;
    assert_int_equal(write_and_read(&FULL, &out, &rate), 0);
    buf_add_char(&out, '\0');
    assert_int_equal(ledger_rate_read(buf_str(&out), &rate, NULL), ERR_INVALID);
    for (body = buf_str(&out), body.len -= 2; body.len > 0; body.len--) {
        assert_int_equal(ledger_rate_read(body, &rate, NULL), ERR_INVALID);
    }
    buf_fini(&out);
}

/* --- how old a record is --- */

static void test_within_a_boot_its_own_clock_says_how_old_it_is(void **state)
{
    const struct ledger_now now = {.now_ms = 106, .wall_ms = INT64_MAX, .boot = "b"};

    (void)state;
    assert_int_equal(ledger_clock_age_ms(&FULL.clock, &now), 100);
}

static void test_in_another_boot_unix_time_does_if_it_is_not_behind(void **state)
{
    const struct ledger_now now = {.now_ms = 1, .wall_ms = 1005, .boot = "c"};
    const struct ledger_now behind = {.now_ms = 100, .wall_ms = 4, .boot = "c"};

    (void)state;
    assert_int_equal(ledger_clock_age_ms(&FULL.clock, &now), 1000);
    assert_int_equal(ledger_clock_age_ms(&FULL.clock, &behind), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_was_written_is_read),
        cmocka_unit_test(test_numbers_that_are_no_rate_are_refused),
        cmocka_unit_test(test_what_is_cut_off_or_has_more_is_refused),
        cmocka_unit_test(test_within_a_boot_its_own_clock_says_how_old_it_is),
        cmocka_unit_test(test_in_another_boot_unix_time_does_if_it_is_not_behind),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
