/* How deep and wide a JSON text may be. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "wire/json_bounds.h"

static bool holds(const char *text, size_t depth_max, size_t values_max)
{
    return json_bounds_hold(str_of(text), depth_max, values_max);
}

static void test_depth_is_bounded(void **state)
{
    (void)state;
    assert_true(holds("{\"a\":[{\"b\":[]}]}", 4, 64));
    assert_false(holds("{\"a\":[{\"b\":[[]]}]}", 4, 64));
    assert_true(holds("[[],[],[],[]]", 2, 64));
    assert_false(holds("[[[", 2, 64));
}

static void test_the_number_of_values_is_bounded(void **state)
{
    (void)state;
    assert_true(holds("[1,2,3]", 4, 3));
    assert_false(holds("[1,2,3,4]", 4, 3));
    assert_true(holds("{\"a\":1,\"b\":{}}", 4, 3));
    assert_false(holds("{\"a\":1,\"b\":{},\"c\":1}", 4, 3));
    assert_false(holds("[[],[]]", 4, 3));
}

static void test_what_stands_in_a_string_is_no_value(void **state)
{
    (void)state;
    assert_true(holds("{\"a,,,[[[{{{\":\"]]],,,\"}", 1, 1));
    assert_true(holds("{\"a\\\",[[\":\"\\\\\"}", 1, 1));
    assert_false(holds("{\"a\\\\\":[[]]}", 2, 64));
    assert_true(holds("\"\\", 0, 0));
    assert_true(holds("", 0, 0));
}

static void test_a_bracket_that_closes_nothing_makes_no_room(void **state)
{
    (void)state;
    assert_false(holds("]]]][[[", 2, 64));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_depth_is_bounded),
        cmocka_unit_test(test_the_number_of_values_is_bounded),
        cmocka_unit_test(test_what_stands_in_a_string_is_no_value),
        cmocka_unit_test(test_a_bracket_that_closes_nothing_makes_no_room),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
