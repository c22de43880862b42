/* Parameters of requests: query strings and JSON bodies say the same things and are refused alike.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

#include "serve/params.h"

#define ALL_PARAMS 0x1ffU

static int query(const char *text, struct serve_params *params, struct err *e)
{
    params_init(params);
    return params_parse_query(str_of(text), ALL_PARAMS, params, e);
}

static int body(const char *text, struct serve_params *params, struct err *e)
{
    params_init(params);
    return params_parse_json(str_of(text), ALL_PARAMS, params, e);
}

static void test_query_fills_every_parameter(void **state)
{
    struct serve_params params;
    struct err e;

    (void)state;
    assert_int_equal(
        query("duration=30m&reason=OPS-1%20fix+it&ticket=T-9&binding=process,pid:77&wait=5"
              "&binding=comm:Runner&min_remaining=90&limit=7&cursor=l-1",
              &params, &e),
        0);
    assert_int_equal(params.duration_ms, 1800000);
    assert_string_equal(params.reason, "OPS-1 fix it");
    assert_string_equal(params.ticket, "T-9");
    assert_int_equal(params.binding_count, 3);
    assert_int_equal(params.bindings[1].kind, ACCESS_BINDING_PID);
    assert_int_equal(params.bindings[1].pid, 77);
    assert_string_equal(params.bindings[2].name, "Runner");
    assert_int_equal(params.wait_ms, 5000);
    assert_int_equal(params.min_remaining_ms, 90000);
    assert_int_equal(params.limit, 7);
    assert_string_equal(params.cursor, "l-1");
}

static void test_body_says_the_same(void **state)
{
    struct serve_params params;
    struct err e;

    (void)state;
    assert_int_equal(
        body("{\"role\":\"orders-db\",\"duration\":1800,\"reason\":\"x\",\"ticket\":null,"
             "\"binding\":[\"process\",\"none\"]}",
             &params, &e),
        0);
    assert_string_equal(params.role, "orders-db");
    assert_int_equal(params.duration_ms, 1800000);
    assert_string_equal(params.ticket, "");
    assert_int_equal(params.binding_count, 2);
}

static void test_wrong_queries_are_refused_with_the_parameter_named(void **state)
{
    static const struct {
        const char *text;
        const char *says;
    } cases[] = {
        {"duraton=5m", "unknown parameter \"duraton\""},
        {"duration=5m&duration=6m", "given twice"},
        {"duration=soon", "duration"},
        {"duration=0", "more than 0"},
        {"duration=-5", "duration"},
        {"wait=601", "wait is more than 600"},
        {"limit=0", "limit"},
        {"limit=1001", "limit"},
        {"binding=exe", "binding \"exe\""},
        {"binding=none,none,none,none,none", "more than 4"},
        {"reason=%00", "reason has a control character"},
        {"reason=two%0Alines", "reason has a control character"},
        {"reason=%zz", "badly encoded"},
    };
    struct serve_params params;
    struct err e;
    size_t i;

    (void)state;
    for (i = 0; i < ARRAY_LEN(cases); i++) {
        assert_int_equal(query(cases[i].text, &params, &e), ERR_INVALID);
        assert_non_null(strstr(e.text, cases[i].says));
    }
}

static void test_too_long_texts_are_refused(void **state)
{
    char text[1200] = "reason=";
    struct serve_params params;
    struct err e;

    (void)state;
    memset(text + 7, 'x', LEASE_REASON_MAX_BYTES);
    assert_int_equal(query(text, &params, &e), 0);
    memset(text + 7, 'x', LEASE_REASON_MAX_BYTES + 1);
    assert_int_equal(query(text, &params, &e), ERR_INVALID);
    assert_non_null(strstr(e.text, "reason is longer than 256 bytes"));
    memset(text + 7, 'x', 1100);
    assert_int_equal(query(text, &params, &e), ERR_INVALID);
    assert_non_null(strstr(e.text, "reason is longer than"));
}

static void test_wrong_bodies_are_refused(void **state)
{
    static const char *const wrong[] = {
        "",
        "[]",
        "{",
        "{\"role\":\"a\",\"role\":\"b\"}",
        "{\"role\":{}}",
        "{\"role\":true}",
        "{\"role\":1}",
        "{\"reason\":1}",
        "{\"ticket\":1}",
        "{\"binding\":1}",
        "{\"duration\":-1}",
        "{\"duration\":1.5}",
        "{\"binding\":[1]}",
        "{\"nosuch\":\"x\"}",
        "{\"reason\":\"a\\u0000b\"}",
        "{\"reason\":\"a\\nb\"}",
        "{\"ticket\":\"a\\u007fb\"}",
        "{\"role\":\"x\"} trailing",
    };
    struct serve_params params;
    struct err e;
    size_t i;

    (void)state;
    for (i = 0; i < ARRAY_LEN(wrong); i++) {
        assert_int_equal(body(wrong[i], &params, &e), ERR_INVALID);
    }
}

/* 64 KiB of these would be parsed for milliseconds, and everybody waits meanwhile. */
static void test_bodies_with_many_values_or_levels_are_refused_unparsed(void **state)
{
    static const struct {
        const char *start;
        const char *each;
        int count;
    } cases[] = {
        {"{\"role\":[", "{},", 20000}, {"{\"role\":[", "[],", 20000}, {"{\"role\":[", "1,", 64},
        {"{\"role\":", "[", 2000},     {"{\"role\":", "[", 4},        {"{", "\"a\":1,", 64},
    };
    struct serve_params params;
    struct err e;
    size_t i;

    (void)state;
    for (i = 0; i < ARRAY_LEN(cases); i++) {
        BUF_AUTO text;
        int n;

        buf_init(&text, 128U * 1024U);
        buf_add_c(&text, cases[i].start);
        for (n = 0; n < cases[i].count; n++) {
            buf_add_c(&text, cases[i].each);
        }
        assert_int_equal(buf_status(&text), 0);
        assert_int_equal(body(text.bytes, &params, &e), ERR_INVALID);
        assert_non_null(strstr(e.text, "more than 64 values, or more than 4 levels"));
    }
}

static void test_a_name_that_is_not_allowed_is_unknown(void **state)
{
    struct serve_params params;
    struct err e;

    (void)state;
    params_init(&params);
    assert_int_equal(params_parse_query(STR("wait=5"), PARAM_LIMIT, &params, &e), ERR_INVALID);
    assert_non_null(strstr(e.text, "unknown parameter \"wait\""));
    assert_int_equal(params_parse_query(STR("wait=5"), PARAM_LIMIT | PARAM_WAIT, &params, &e), 0);
    assert_int_equal(params_parse_json(STR("{\"limit\":5}"), PARAM_ROLE, &params, &e), ERR_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_query_fills_every_parameter),
        cmocka_unit_test(test_body_says_the_same),
        cmocka_unit_test(test_wrong_queries_are_refused_with_the_parameter_named),
        cmocka_unit_test(test_too_long_texts_are_refused),
        cmocka_unit_test(test_wrong_bodies_are_refused),
        cmocka_unit_test(test_bodies_with_many_values_or_levels_are_refused_unparsed),
        cmocka_unit_test(test_a_name_that_is_not_allowed_is_unknown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
