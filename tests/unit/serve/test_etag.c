/* If-None-Match: lists, weak tags and what is none. */
#include "serve/etag.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static bool names(const char *header)
{
    return etag_is_named(str_of(header), STR("\"l-1.2\""));
}

static void test_a_tag_is_found_alone_and_in_a_list(void **state)
{
    (void)state;
    assert_true(names("\"l-1.2\""));
    assert_true(names("  \"l-1.2\"  "));
    assert_true(names("\"l-1.1\", \"l-1.2\""));
    assert_true(names("\"l-1.2\",\"l-1.3\""));
    assert_true(names("W/\"l-1.2\""));
    assert_true(names("\"a,b\", W/\"l-1.2\" "));
    assert_true(names("*"));
}

static void test_another_tag_or_something_else_names_nothing(void **state)
{
    (void)state;
    assert_false(names(""));
    assert_false(names(","));
    assert_false(names("l-1.2"));
    assert_false(names("\"l-1.20\""));
    assert_false(names("\"l-1.2"));
    assert_false(names("w/\"l-1.2\""));
    assert_false(names("\"*\""));
    assert_false(names("W/"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_tag_is_found_alone_and_in_a_list),
        cmocka_unit_test(test_another_tag_or_something_else_names_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
