/* Slices, buffers, errors, secrets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/secret.h"
#include "base/str.h"

static void test_cut_gives_head_and_rest(void **state)
{
    struct str rest = STR("a:b::c");

    (void)state;
    assert_true(str_eq_c(str_cut(&rest, ':'), "a"));
    assert_true(str_eq_c(str_cut(&rest, ':'), "b"));
    assert_true(str_eq_c(str_cut(&rest, ':'), ""));
    assert_non_null(rest.ptr);
    assert_true(str_eq_c(str_cut(&rest, ':'), "c"));
    assert_null(rest.ptr);
    assert_int_equal(str_cut(&rest, ':').len, 0);
}

static void test_a_text_is_cut_behind_a_whole_character(void **state)
{
    static const char text[] = "a\xc3\xa4\xe2\x82\xac"; /* one, two and three bytes */
    static const size_t lengths[] = {0, 1, 1, 3, 3, 3, 6, 6};
    size_t i;

    (void)state;
    for (i = 0; i < ARRAY_LEN(lengths); i++) {
        assert_int_equal(str_shorten(STR(text), i).len, lengths[i]);
    }
    assert_int_equal(str_shorten(STR("\x80\x80\x80"), 2).len, 0); /* no text at all */
}

static void test_trim_takes_blanks_of_both_ends(void **state)
{
    (void)state;
    assert_true(str_eq_c(str_trim(STR(" \t a b \r\n")), "a b"));
    assert_int_equal(str_trim(STR(" \n")).len, 0);
}

static void test_number_takes_digits_only_and_sees_overflow(void **state)
{
    uint64_t value = 7;

    (void)state;
    assert_int_equal(str_parse_u64(STR("18446744073709551615"), &value), 0);
    assert_true(value == UINT64_MAX);
    assert_int_equal(str_parse_u64(STR("18446744073709551616"), &value), ERR_RANGE);
    assert_int_equal(str_parse_u64(STR(""), &value), ERR_INVALID);
    assert_int_equal(str_parse_u64(STR("+5"), &value), ERR_INVALID);
    assert_int_equal(str_parse_u64(STR("5 "), &value), ERR_INVALID);
    assert_true(value == UINT64_MAX); /* outputs are untouched on failure */
}

static void test_glob_matches_stars_only(void **state)
{
    static const struct {
        const char *pattern;
        const char *text;
        bool matches;
    } cases[] = {
        {"", "", true},
        {"*", "", true},
        {"*", "anything", true},
        {"a*", "a", true},
        {"a*c", "abc", true},
        {"a*c", "ab", false},
        {"*-db", "x-db", true},
        {"a*b*c", "aXbYbZc", true},
        {"a?c", "abc", false},
        {"[a]", "a", false},
        {"staging-*", "staging", false},
        {"**", "x", true},
        {"*a*a*a*a*b", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", false},
    };
    size_t i;

    (void)state;
    for (i = 0; i < ARRAY_LEN(cases); i++) {
        assert_int_equal(str_glob(str_of(cases[i].pattern), str_of(cases[i].text)),
                         cases[i].matches);
    }
}

static void test_distance_counts_edits_up_to_the_limit(void **state)
{
    (void)state;
    assert_int_equal(str_distance(STR("adress"), STR("address"), 3), 1);
    assert_int_equal(str_distance(STR("kitten"), STR("sitting"), 3), 3);
    assert_int_equal(str_distance(STR("abc"), STR("xyz123"), 2), 3);
    assert_int_equal(str_distance(STR(""), STR(""), 0), 0);
}

static void test_buffer_refuses_more_than_its_maximum_and_says_so_at_the_end(void **state)
{
    struct buf buf;

    (void)state;
    buf_init(&buf, 5);
    buf_add_c(&buf, "12345");
    assert_int_equal(buf_status(&buf), 0);
    buf_add_char(&buf, '6');
    assert_int_equal(buf_status(&buf), ERR_TOO_LARGE);
    buf_add_c(&buf, "");
    assert_int_equal(buf_status(&buf), ERR_TOO_LARGE);
    assert_true(str_eq_c(buf_str(&buf), "12345"));
    assert_null(buf_steal(&buf));
    buf_fini(&buf);
}

static void test_buffer_grows_and_stays_terminated(void **state)
{
    struct buf buf;
    char *text;
    int i;

    (void)state;
    buf_init(&buf, 100000);
    for (i = 0; i < 1000; i++) {
        buf_printf(&buf, "%d,", i);
    }
    assert_int_equal(buf_status(&buf), 0);
    assert_int_equal(strlen(buf_str(&buf).ptr), buf_str(&buf).len);
    text = buf_steal(&buf);
    assert_non_null(text);
    assert_int_equal(strncmp(text, "0,1,2,", 6), 0);
    mem_free(text);
    assert_int_equal(buf_str(&buf).len, 0);
}

static int fail_all(size_t size)
{
    (void)size;
    return 1;
}

static void test_buffer_reports_a_failed_allocation(void **state)
{
    struct buf buf;

    (void)state;
    buf_init(&buf, 100);
    mem_set_fail_hook(fail_all);
    buf_add_c(&buf, "x");
    mem_set_fail_hook(NULL);
    assert_int_equal(buf_status(&buf), ERR_NOMEM);
    buf_fini(&buf);
}

static void test_errors_have_texts_and_can_be_wrapped(void **state)
{
    struct err e;

    (void)state;
    assert_int_equal(err_set(&e, ERR_DENIED, "by %s", "rule"), ERR_DENIED);
    assert_int_equal(err_wrap(&e, ERR_IO, "could not renew %d", 1), ERR_DENIED);
    assert_string_equal(e.text, "could not renew 1: by rule");
    assert_int_equal(err_wrap(NULL, ERR_IO, "x"), ERR_IO);
    assert_string_equal(err_str(ERR_DENIED), "denied");
    assert_string_equal(err_str(-2), "No such file or directory");
    assert_string_equal(err_str(-99999), "unknown error");
}

static void test_long_error_text_is_cut(void **state)
{
    struct err e;
    char text[2000];

    (void)state;
    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    assert_int_equal(err_set(&e, ERR_IO, "%s", text), ERR_IO);
    assert_int_equal(strlen(e.text), sizeof(e.text) - 1);
    assert_int_equal(err_wrap(&e, ERR_IO, "%s", text), ERR_IO);
}

static void test_secret_is_compared_whole_and_gone_after_fini(void **state)
{
    struct secret secret;
    size_t before = mem_in_use_bytes();

    (void)state;
    secret_init(&secret);
    assert_true(secret_is_empty(&secret));
    assert_int_equal(secret_set(&secret, STR("hunter2")), 0);
    assert_true(secret_eq(&secret, STR("hunter2")));
    assert_false(secret_eq(&secret, STR("hunter3")));
    assert_false(secret_eq(&secret, STR("hunter")));
    assert_true(str_eq_c(secret_view(&secret), "hunter2"));
    secret_fini(&secret);
    assert_true(secret_is_empty(&secret));
    assert_int_equal(mem_in_use_bytes(), before);
}

static void test_failed_set_keeps_the_old_secret(void **state)
{
    struct secret secret;

    (void)state;
    secret_init(&secret);
    assert_int_equal(secret_set(&secret, STR("old")), 0);
    mem_set_fail_hook(fail_all);
    assert_int_equal(secret_set(&secret, STR("new")), ERR_NOMEM);
    mem_set_fail_hook(NULL);
    assert_true(secret_eq(&secret, STR("old")));
    secret_fini(&secret);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_text_is_cut_behind_a_whole_character),
        cmocka_unit_test(test_cut_gives_head_and_rest),
        cmocka_unit_test(test_trim_takes_blanks_of_both_ends),
        cmocka_unit_test(test_number_takes_digits_only_and_sees_overflow),
        cmocka_unit_test(test_glob_matches_stars_only),
        cmocka_unit_test(test_distance_counts_edits_up_to_the_limit),
        cmocka_unit_test(test_buffer_refuses_more_than_its_maximum_and_says_so_at_the_end),
        cmocka_unit_test(test_buffer_grows_and_stays_terminated),
        cmocka_unit_test(test_buffer_reports_a_failed_allocation),
        cmocka_unit_test(test_errors_have_texts_and_can_be_wrapped),
        cmocka_unit_test(test_long_error_text_is_cut),
        cmocka_unit_test(test_secret_is_compared_whole_and_gone_after_fini),
        cmocka_unit_test(test_failed_set_keeps_the_old_secret),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
