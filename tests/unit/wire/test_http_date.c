/* Dates in HTTP headers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/err.h"
#include "wire/http_date.h"

static void test_a_date_is_read(void **state)
{
    int64_t wall_ms = 0;

    (void)state;
    assert_int_equal(http_date_parse(STR("Sun, 06 Nov 1994 08:49:37 GMT"), &wall_ms), 0);
    assert_int_equal(wall_ms, INT64_C(784111777000));
    assert_int_equal(http_date_parse(STR("Thu, 29 Feb 2024 23:59:59 GMT"), &wall_ms), 0);
    assert_int_equal(wall_ms, INT64_C(1709251199000));
}

static void test_what_is_no_date_is_refused(void **state)
{
    static const char *const wrong[] = {
        "",
        "Sun, 06 Nov 1994 08:49:37",
        "Sunday, 06-Nov-94 08:49:37 GMT",
        "Sun Nov  6 08:49:37 1994",
        "Sun, 06 nov 1994 08:49:37 GMT",
        "Sun, 31 Feb 2024 08:49:37 GMT",
        "Sun, 06 Nov 1994 24:49:37 GMT",
        "Sun, xx Nov 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 08:49:37 CET",
        "Sun, 06 Nov 19940 8:49:37 GMT",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        int64_t wall_ms = 7;

        assert_int_equal(http_date_parse(str_of(wrong[i]), &wall_ms), ERR_INVALID);
        assert_int_equal(wall_ms, 7);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_date_is_read),
        cmocka_unit_test(test_what_is_no_date_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
