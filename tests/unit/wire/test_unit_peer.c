/* Names of service managers' sockets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "wire/unit_peer.h"

#define NAME(text)                                                                                 \
    (struct str)                                                                                   \
    {                                                                                              \
        .ptr = "\0" text, .len = sizeof(text)                                                      \
    }

static void test_unit_and_id_are_found(void **state)
{
    struct unit_peer peer;

    (void)state;
    assert_int_equal(
        unit_peer_parse(NAME("adf9d86b6eda275e/unit/foobar.service/orders.password"), &peer), 0);
    assert_true(str_eq_c(peer.unit, "foobar.service"));
    assert_true(str_eq_c(peer.id, "orders.password"));
    assert_int_equal(unit_peer_parse(NAME("7/unit/a@b\\x2d.service/x"), &peer), 0);
}

static void test_other_names_are_none(void **state)
{
    static const struct str names[] = {
        {.ptr = "", .len = 0},
        {.ptr = "/run/x.sock", .len = 11},
        {.ptr = "a/unit/b/c", .len = 10},
        {.ptr = "\0/unit/b/c", .len = 10},
        {.ptr = "\0A/unit/b/c", .len = 11},
        {.ptr = "\0a/user/b/c", .len = 11},
        {.ptr = "\0a/unit//c", .len = 10},
        {.ptr = "\0a/unit/b/", .len = 10},
        {.ptr = "\0a/unit/b", .len = 9},
        {.ptr = "\0a/unit/b/c/d", .len = 13},
        {.ptr = "\0a/unit/b/c d", .len = 13},
        {.ptr = "\0a/unit/b\0/c", .len = 12},
        {.ptr = "\0adf9d86b6eda275e1/unit/b/c", .len = 27},
    };
    struct unit_peer peer;
    size_t i;

    (void)state;
    for (i = 0; i < ARRAY_LEN(names); i++) {
        assert_int_equal(unit_peer_parse(names[i], &peer), ERR_INVALID);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_unit_and_id_are_found),
        cmocka_unit_test(test_other_names_are_none),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
