/* The JSON writer, and query strings. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "wire/json_out.h"
#include "wire/query.h"

static void test_writer_puts_commas_and_nulls(void **state)
{
    struct json_out json;
    BUF_AUTO out;

    (void)state;
    buf_init(&out, 1000);
    json_out_init(&json, &out);
    json_out_object_open(&json, NULL);
    json_out_string_c(&json, "a", "x");
    json_out_string_c(&json, "b", NULL);
    json_out_array_open(&json, "c");
    json_out_u64(&json, NULL, 1);
    json_out_u64(&json, NULL, UINT64_MAX);
    json_out_object_open(&json, NULL);
    json_out_object_close(&json);
    json_out_array_close(&json);
    json_out_bool(&json, "d", true);
    json_out_time(&json, "e", 0);
    json_out_member(&json, STR("f\""), STR("g"));
    json_out_object_close(&json);
    assert_string_equal(buf_str(&out).ptr,
                        "{\"a\":\"x\",\"b\":null,\"c\":[1,18446744073709551615,{}],\"d\":true,"
                        "\"e\":null,\"f\\\"\":\"g\"}");
}

/* Whatever bytes go in, one line of valid JSON comes out, and text that was fine reads back the
 * same. */
static void test_any_bytes_become_one_valid_string(void **state)
{
    unsigned seed = 1;
    int round;

    (void)state;
    for (round = 0; round < 2000; round++) {
        char bytes[40];
        struct str text = {.ptr = bytes, .len = (size_t)rand_r(&seed) % sizeof(bytes)};
        BUF_AUTO out;
        json_t *parsed;
        size_t i;

        for (i = 0; i < text.len; i++) {
            bytes[i] = (char)rand_r(&seed);
        }
        buf_init(&out, 1000);
        json_out_add_quoted(&out, text);
        for (i = 0; i < out.len; i++) {
            assert_true((unsigned char)out.bytes[i] >= 0x20);
        }
        parsed = json_loadb(out.bytes, out.len, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
        assert_true(json_is_string(parsed));
        json_decref(parsed);
    }
}

/* Texts are looked at in blocks of eight bytes: each byte value, at each place in and between
 * blocks, comes out as the writer for one byte has it. */
static void test_each_byte_is_judged_alike_at_each_place(void **state)
{
    (void)state;
    for (unsigned byte = 0; byte < 0x80; byte++) {
        char one = (char)byte;
        BUF_AUTO alone;

        buf_init(&alone, 64);
        json_out_add_quoted(&alone, (struct str){.ptr = &one, .len = 1});
        for (size_t len = 1; len <= 25; len++) {
            for (size_t at = 0; at < len; at++) {
                char text[25];
                char want[64];
                struct json_out json;
                BUF_AUTO out;

                memset(text, 'a', sizeof(text));
                text[at] = one;
                buf_init(&out, 64);
                json_out_init(&json, &out);
                json_out_string(&json, NULL, (struct str){.ptr = text, .len = len});
                (void)snprintf(want, sizeof(want), "\"%.*s%.*s%.*s\"", (int)at,
                               "aaaaaaaaaaaaaaaaaaaaaaaaa", (int)(alone.len - 2), alone.bytes + 1,
                               (int)(len - at - 1), "aaaaaaaaaaaaaaaaaaaaaaaaa");
                assert_string_equal(out.bytes, want);
            }
        }
    }
}

static void test_texts_that_hide_their_order_are_escaped(void **state)
{
    BUF_AUTO out;

    (void)state;
    buf_init(&out, 1000);
    json_out_add_quoted(&out, STR("a\xe2\x80\xae"
                                  "b\xd8\x9c\x7f\n\xc3\xa4\xe2\x80\xa8\xff\xf0\x9f\x98\x80"));
    assert_string_equal(buf_str(&out).ptr, "\"a\\u202eb\\u061c\\u007f\\n\xc3\xa4\\u2028\xef\xbf\xbd"
                                           "\xf0\x9f\x98\x80\"");
}

static void test_query_pairs_are_cut_and_decoded(void **state)
{
    struct str rest = STR("a=1&&b=two%20words+x&c&d==");
    struct str key;
    struct str value;
    BUF_AUTO out;

    (void)state;
    buf_init(&out, 100);
    assert_true(query_next(&rest, &key, &value));
    assert_true(str_eq_c(key, "a") && str_eq_c(value, "1"));
    assert_true(query_next(&rest, &key, &value));
    assert_int_equal(query_decode(value, true, &out), 0);
    assert_string_equal(buf_str(&out).ptr, "two words x");
    assert_true(query_next(&rest, &key, &value));
    assert_true(str_eq_c(key, "c") && value.len == 0);
    assert_true(query_next(&rest, &key, &value));
    assert_true(str_eq_c(key, "d") && str_eq_c(value, "="));
    assert_false(query_next(&rest, &key, &value));
}

static void test_broken_escapes_and_control_characters_are_refused(void **state)
{
    static const struct {
        const char *text;
        int status;
    } wrong[] = {{"%", ERR_INVALID}, {"%1", ERR_INVALID},  {"%zz", ERR_INVALID},
                 {"%00", ERR_RANGE}, {"a%0ab", ERR_RANGE}, {"%7f", ERR_RANGE}};
    size_t i;

    (void)state;
    for (i = 0; i < ARRAY_LEN(wrong); i++) {
        BUF_AUTO out;

        buf_init(&out, 100);
        assert_int_equal(query_decode(str_of(wrong[i].text), true, &out), wrong[i].status);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_writer_puts_commas_and_nulls),
        cmocka_unit_test(test_any_bytes_become_one_valid_string),
        cmocka_unit_test(test_each_byte_is_judged_alike_at_each_place),
        cmocka_unit_test(test_texts_that_hide_their_order_are_escaped),
        cmocka_unit_test(test_query_pairs_are_cut_and_decoded),
        cmocka_unit_test(test_broken_escapes_and_control_characters_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
