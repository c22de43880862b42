/* What differs between two decoded objects, and what may not. */
#include "wire/schema_compare.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

#include "base/mem.h"

struct inner {
    const struct yaml_node *node;
    uint64_t count;
};

struct item {
    const struct yaml_node *node;
    char *name;
    bool flag;
};

struct whole {
    const struct yaml_node *node;
    char *text;
    uint64_t life_ms;
    struct units_rate rate;
    struct schema_strings words;
    struct schema_pairs pairs;
    int colour;
    struct inner inner;
    struct schema_list items;
    char *json;
};

static const struct schema_enum_value colours[] = {{"red", 1}, {"blue", 2}, {0}};
static const struct schema_field inner_fields[] = {
    {"count", SCHEMA_UINT, offsetof(struct inner, count), .flags = SCHEMA_RESTART},
    {0},
};
static const struct schema_object inner_table = {.name = "inner",
                                                 .size = sizeof(struct inner),
                                                 .fields = inner_fields};
static const struct schema_field item_fields[] = {
    {"flag", SCHEMA_BOOL, offsetof(struct item, flag), .flags = 0},
    {0},
};
static const struct schema_object item_table = {.name = "item",
                                                .size = sizeof(struct item),
                                                .fields = item_fields};
static const struct schema_field fields[] = {
    {"text", SCHEMA_STRING, offsetof(struct whole, text), .flags = 0},
    {"life", SCHEMA_DURATION, offsetof(struct whole, life_ms), .flags = 0},
    {"rate", SCHEMA_RATE, offsetof(struct whole, rate), .flags = 0},
    {"words", SCHEMA_STRINGS, offsetof(struct whole, words), .flags = SCHEMA_RESTART},
    {"pairs", SCHEMA_PAIRS, offsetof(struct whole, pairs), .flags = 0},
    {"colour", SCHEMA_ENUM, offsetof(struct whole, colour), .values = colours},
    {"inner", SCHEMA_OBJECT, offsetof(struct whole, inner), .object = &inner_table},
    {"items", SCHEMA_MAP, offsetof(struct whole, items), .object = &item_table},
    {"json", SCHEMA_JSON, offsetof(struct whole, json), .flags = 0},
    {.key = "later", .flags = SCHEMA_UNSUPPORTED},
    {0},
};
static const struct schema_object table = {.name = "whole",
                                           .size = sizeof(struct whole),
                                           .fields = fields};

#define BASE                                                                                       \
    "{text: a, life: 60s, rate: 5/s, words: [x, y], pairs: {k: v}, colour: red, inner: {count: "   \
    "1}, items: {one: {flag: true}, two: {flag: false}}, json: [1]}"

struct two {
    struct yaml_document *documents[2];
    struct whole wholes[2];
    struct yaml_errors errors;
};

static void two_open(struct two *two, const char *one, const char *other)
{
    const char *const texts[] = {one, other};
    size_t i;

    memset(two, 0, sizeof(*two));
    yaml_errors_init(&two->errors);
    for (i = 0; i < 2; i++) {
        assert_int_equal(yaml_parse("f", str_of(texts[i]), &two->documents[i], &two->errors), 0);
        assert_int_equal(
            schema_decode(&table, yaml_root(two->documents[i]), &two->wholes[i], &two->errors), 0);
    }
}

static void two_close(struct two *two)
{
    size_t i;

    for (i = 0; i < 2; i++) {
        schema_fini(&table, &two->wholes[i]);
        yaml_free(two->documents[i]);
    }
    yaml_errors_fini(&two->errors);
}

static bool is_equal(const char *one, const char *other)
{
    struct two two;
    bool result;

    two_open(&two, one, other);
    result = schema_is_equal(&table, &two.wholes[0], &two.wholes[1]);
    two_close(&two);
    return result;
}

static void test_how_a_value_is_written_does_not_count(void **state)
{
    (void)state;
    assert_true(is_equal(BASE, BASE));
    assert_true(is_equal("{life: 60s, words: x}", "{words: [\"x\"], life: 1m}"));
}

static void test_each_type_that_differs_is_seen(void **state)
{
    static const char *const differents[][2] = {
        {"{text: a}", "{text: b}"},
        {"{text: a}", "{}"},
        {"{life: 1s}", "{life: 2s}"},
        {"{rate: 5/s}", "{rate: 5/m}"},
        {"{words: [x, y]}", "{words: [x]}"},
        {"{words: [x, y]}", "{words: [x, z]}"},
        {"{pairs: {a: 1}}", "{pairs: {a: 2}}"},
        {"{pairs: {a: 1}}", "{pairs: {b: 1}}"},
        {"{colour: red}", "{colour: blue}"},
        {"{inner: {count: 1}}", "{inner: {count: 2}}"},
        {"{items: {a: {flag: true}}}", "{items: {a: {flag: false}}}"},
        {"{items: {a: {flag: true}}}", "{items: {b: {flag: true}}}"},
        {"{items: {a: {flag: true}}}", "{items: {}}"},
        {"{json: [1]}", "{json: [2]}"},
    };
    size_t i;

    (void)state;
    for (i = 0; i < ARRAY_LEN(differents); i++) {
        if (is_equal(differents[i][0], differents[i][1])) {
            fail_msg("%s and %s are equal", differents[i][0], differents[i][1]);
        }
    }
}

static void expect_report(const char *one, const char *other, const char *expected)
{
    struct two two;

    two_open(&two, one, other);
    schema_report_restart(&table, &two.wholes[0], &two.wholes[1], &two.errors);
    assert_string_equal(buf_str(&two.errors.text).ptr, expected);
    two_close(&two);
}

static void test_what_needs_a_restart_is_told_at_its_new_place(void **state)
{
    (void)state;
    expect_report("{text: a, words: [x]}", "{text: b, words: [x]}", "");
    expect_report("{words: [x]}", "{text: b,\n  words: [y]}",
                  "f:2:3: `words` can't be changed without a restart\n");
    expect_report("{inner: {count: 1}}", "{inner: {\n count: 2}}",
                  "f:2:2: `count` can't be changed without a restart\n");
}

static void test_what_needs_a_restart_and_is_gone_is_told_where_it_would_stand(void **state)
{
    (void)state;
    expect_report("{inner: {count: 1}}", "{text: b}",
                  "f:1:1: `count` can't be changed without a restart\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_how_a_value_is_written_does_not_count),
        cmocka_unit_test(test_each_type_that_differs_is_seen),
        cmocka_unit_test(test_what_needs_a_restart_is_told_at_its_new_place),
        cmocka_unit_test(test_what_needs_a_restart_and_is_gone_is_told_where_it_would_stand),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
