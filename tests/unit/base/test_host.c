/* Hosts: which forms there are, and which of them are this machine. */
#include "base/host.h"

#include "base/err.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void test_names_and_addresses_are_hosts(void **state)
{
    static const char *const good[] = {"a",        "db.example", "a_b-c.1",
                                       "10.0.0.1", "[::1]",      "[2001:db8::1]"};
    static const char *const bad[] = {"",     "a b",       "a/b", "u@a", "::1",
                                      "[zz]", "[::1",      "[]",  "a:1", "${a}",
                                      "a\tb", "[1.2.3.4]", "a?b", "a#b", "\xc3\xa9"};
    char longest[256];

    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        assert_true(host_is_valid(str_of(good[i])));
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_false(host_is_valid(str_of(bad[i])));
    }
    memset(longest, 'a', sizeof(longest));
    assert_true(host_is_valid((struct str){longest, 253}));
    assert_false(host_is_valid((struct str){longest, 254}));
}

static void test_loopback_is_this_machine_only(void **state)
{
    static const char *const own[] = {"localhost", "127.0.0.1", "127.255.0.9", "[::1]"};
    static const char *const others[] = {"localhost.evil.example",
                                         "127.evil.example",
                                         "127.0.0.1.a",
                                         "128.0.0.1",
                                         "[::]",
                                         "[::2]",
                                         "",
                                         "0.0.0.0",
                                         "LOCALHOST."};

    (void)state;
    for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++) {
        assert_true(host_is_loopback(str_of(own[i])));
    }
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        assert_false(host_is_loopback(str_of(others[i])));
    }
}

static void test_a_port_stands_behind_the_host(void **state)
{
    static const struct {
        const char *text;
        const char *host; /* NULL: refused */
        uint16_t port;
    } cases[] = {
        {"a", "a", 0},          {"a:1", "a", 1},     {"[::1]:65535", "[::1]", 65535},
        {"[::1]", "[::1]", 0},  {"a:", NULL, 0},     {"a:0", NULL, 0},
        {"a:65536", NULL, 0},   {"::1:80", NULL, 0}, {":80", NULL, 0},
        {"[::1]x:80", NULL, 0}, {"a:b", NULL, 0},    {"", NULL, 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct str host = {0};
        uint16_t port = 9;
        int r = host_parse(str_of(cases[i].text), &host, &port);

        assert_int_equal(r, cases[i].host != NULL ? 0 : ERR_INVALID);
        if (r == 0) {
            assert_true(str_eq_c(host, cases[i].host));
            assert_int_equal(port, cases[i].port);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names_and_addresses_are_hosts),
        cmocka_unit_test(test_loopback_is_this_machine_only),
        cmocka_unit_test(test_a_port_stands_behind_the_host),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
