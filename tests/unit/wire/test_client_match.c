/* Which pattern covers which target, and above all, which doesn't. */
#include "wire/client_match.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static bool fits(const char *pattern, const char *target)
{
    return client_match(str_of(pattern), str_of(target));
}

static void test_a_host_covers_all_its_paths(void **state)
{
    (void)state;
    assert_true(fits("github.com", "github.com"));
    assert_true(fits("github.com", "github.com/acme/app.git"));
    assert_true(fits("*.example.com", "git.example.com/x"));
    assert_false(fits("github.com", "github.com.evil.com"));
    assert_false(fits("github.com", "evil.com"));
    assert_false(fits("github.com", ""));
}

static void test_a_path_covers_what_is_below_it(void **state)
{
    (void)state;
    assert_true(fits("github.com/acme/*", "github.com/acme/app.git"));
    assert_true(fits("github.com/acme", "github.com/acme/app.git"));
    assert_true(fits("github.com/acme/app.git", "github.com/acme/app.git/info/lfs"));
    assert_false(fits("github.com/acme", "github.com/acme-evil/app.git"));
    assert_false(fits("github.com/acme/*", "github.com"));
    assert_false(fits("github.com/acme/*", "github.com/evil/acme/app.git"));
}

static void test_a_star_in_the_host_does_not_reach_into_the_path(void **state)
{
    (void)state;
    assert_false(fits("*.example.com", "evil.com/.example.com"));
    assert_false(fits("*.example.com/x", "evil.com/a.example.com/x"));
}

static void test_paths_that_may_mean_another_are_covered_by_hosts_alone(void **state)
{
    (void)state;
    assert_false(fits("github.com/acme/*", "github.com/acme/../evil/x"));
    assert_false(fits("github.com/acme/*", "github.com/acme/./x"));
    assert_false(fits("github.com/acme/*", "github.com/acme//x"));
    assert_false(fits("github.com/acme/*", "github.com/acme/%2e%2e/x"));
    assert_true(fits("github.com", "github.com/acme/../x"));
    assert_true(fits("github.com/acme/*", "github.com/acme/app.git/"));
}

static void test_a_port_must_be_equal(void **state)
{
    (void)state;
    assert_true(fits("localhost:5000", "localhost:5000/x"));
    assert_false(fits("localhost", "localhost:5000"));
    assert_false(fits("localhost:5000", "localhost"));
    assert_false(fits("*", "localhost:5000"));
    assert_true(fits("*:5000", "localhost:5000"));
    assert_true(fits("[::1]:5000", "[::1]:5000"));
    assert_false(fits("[::1]", "[::1]:5000"));
}

static void test_a_pattern_has_no_scheme_capitals_or_blanks(void **state)
{
    (void)state;
    assert_true(client_pattern_is_valid(STR("github.com/Acme/*")));
    assert_true(client_pattern_is_valid(STR("localhost:5000")));
    assert_false(client_pattern_is_valid(STR("https://github.com/acme")));
    assert_false(client_pattern_is_valid(STR("GitHub.com")));
    assert_false(client_pattern_is_valid(STR("github.com/a b")));
    assert_false(client_pattern_is_valid(STR("/acme")));
    assert_false(client_pattern_is_valid(STR("")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_host_covers_all_its_paths),
        cmocka_unit_test(test_a_path_covers_what_is_below_it),
        cmocka_unit_test(test_a_star_in_the_host_does_not_reach_into_the_path),
        cmocka_unit_test(test_paths_that_may_mean_another_are_covered_by_hosts_alone),
        cmocka_unit_test(test_a_port_must_be_equal),
        cmocka_unit_test(test_a_pattern_has_no_scheme_capitals_or_blanks),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
