/* JSON Schema from tables: each type as editors understand it, and objects that are closed unless
 * their table is open. */
#include "wire/schema_json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <jansson.h>

#define HOUR_MS 3600000U

static const struct schema_enum_value colours[] = {
    {"red", 1},
    {"blue", SCHEMA_VALUE_UNSUPPORTED},
    {0},
};

static const struct schema_field inner_fields[] = {
    {.key = "must", .type = SCHEMA_NAME, .flags = SCHEMA_REQUIRED, .doc = "is \"needed\""},
    {.key = "later", .type = SCHEMA_BOOL, .flags = SCHEMA_UNSUPPORTED, .doc = "wait"},
    {0},
};
static const struct schema_object inner = {.name = "an inner", .fields = inner_fields};

static const struct schema_field open_fields[] = {
    {.key = "own", .type = SCHEMA_STRING, .flags = SCHEMA_REQUIRED_BY_OWNER, .min = 2, .max = 9},
    {0},
};
static const struct schema_object open_table = {.name = "x",
                                                .fields = open_fields,
                                                .is_open = true};

static const struct schema_field one_fields[] = {{.key = "one", .type = SCHEMA_BOOL}, {0}};
static const struct schema_object related = {.name = "related",
                                             .fields = one_fields,
                                             .relations_json = "\"minProperties\":1"};

static const struct schema_field fields[] = {
    {.key = "flag", .type = SCHEMA_BOOL, .default_text = "true"},
    {.key = "count", .type = SCHEMA_UINT, .min = 1, .max = 5, .default_text = "3"},
    {.key = "life",
     .type = SCHEMA_DURATION,
     .min = 1500,
     .max = HOUR_MS,
     .default_text = "2s",
     .doc = "how long"},
    {.key = "size", .type = SCHEMA_SIZE, .max = 1024},
    {.key = "rate", .type = SCHEMA_RATE, .default_text = "5/s"},
    {.key = "part", .type = SCHEMA_PERCENT, .max = 90},
    {.key = "mode", .type = SCHEMA_MODE},
    {.key = "access", .type = SCHEMA_MODE, .min = 0600, .max = 0777},
    {.key = "path", .type = SCHEMA_STRING, .pattern = "^/"},
    {.key = "some", .type = SCHEMA_LIST, .min = 1, .object = &related},
    {.key = "texts", .type = SCHEMA_STRINGS, .min = 1, .pattern = "^a"},
    {.key = "colour", .type = SCHEMA_ENUM, .values = colours, .default_text = "red"},
    {.key = "words", .type = SCHEMA_STRINGS, .values = colours, .default_text = "a,b"},
    {.key = "pairs", .type = SCHEMA_PAIRS},
    {.key = "object", .type = SCHEMA_OBJECT, .object = &inner},
    {.key = "maybe", .type = SCHEMA_OBJECT, .object = &inner, .flags = SCHEMA_OR_NONE},
    {.key = "list", .type = SCHEMA_LIST, .object = &inner},
    {.key = "map", .type = SCHEMA_MAP, .object = &open_table},
    {.key = "two", .type = SCHEMA_JSON, .object = &inner, .other_object = &open_table},
    {.key = "any", .type = SCHEMA_JSON},
    {0},
};
static const struct schema_object table = {.name = "a test", .fields = fields};

static int setup(void **state)
{
    BUF_AUTO text;

    buf_init(&text, 65536);
    schema_json_write(&table, "the title", &text);
    assert_int_equal(buf_status(&text), 0);
    *state = json_loadb(text.bytes, text.len, JSON_REJECT_DUPLICATES, NULL);
    return *state != NULL ? 0 : -1;
}

static int teardown(void **state)
{
    json_decref(*state);
    return 0;
}

/* The member `key` of properties is this JSON. */
static void expect_property(json_t *root, const char *key, const char *expected)
{
    json_t *found = json_object_get(json_object_get(root, "properties"), key);
    json_t *wanted = json_loads(expected, 0, NULL);

    assert_non_null(wanted);
    if (json_equal(found, wanted) == 0) {
        char *text = json_dumps(found, JSON_COMPACT);

        print_error("%s: %s\n", key, text);
        free(text);
        fail();
    }
    json_decref(wanted);
}

static void test_the_root_names_the_draft_and_is_closed(void **state)
{
    json_t *root = *state;

    assert_string_equal(json_string_value(json_object_get(root, "$schema")),
                        "https://json-schema.org/draft/2020-12/schema");
    assert_string_equal(json_string_value(json_object_get(root, "title")), "the title");
    assert_true(json_is_false(json_object_get(root, "additionalProperties")));
    assert_null(json_object_get(root, "required"));
}

static void test_scalars_have_type_range_and_default(void **state)
{
    expect_property(*state, "flag", "{\"type\":\"boolean\",\"default\":true}");
    expect_property(
        *state, "count",
        "{\"type\":[\"string\",\"integer\"],\"pattern\":\"^(0*([1-5]))$\",\"minimum\":1,"
        "\"maximum\":5,\"default\":3}");
    expect_property(*state, "colour", "{\"enum\":[\"red\"],\"default\":\"red\"}");
    expect_property(*state, "rate",
                    "{\"type\":\"string\",\"pattern\":\"^0*[1-9][0-9]{0,8}/[smhd]$\",\"default\":"
                    "\"5/s\"}");
    expect_property(*state, "part",
                    "{\"description\":\"0% to 90%\",\"type\":\"string\",\"pattern\":"
                    "\"^(0*(0|[1-9]|[1-8][0-9]|90)%)$\"}");
    expect_property(*state, "access",
                    "{\"description\":\"0600 to 0777\",\"type\":[\"string\",\"integer\"],"
                    "\"pattern\":\"^(0{0,2}([6-7][0-7][0-7]))$\",\"minimum\":384,"
                    "\"maximum\":777}");
}

static void test_a_text_with_units_has_a_pattern_and_its_range_in_words(void **state)
{
    json_t *life = json_object_get(json_object_get(*state, "properties"), "life");

    assert_string_equal(json_string_value(json_object_get(life, "description")),
                        "how long; 1s500ms to 1h");
    assert_non_null(json_object_get(life, "pattern"));
    /* Bare numbers are seconds; a part of one counts as one. */
    assert_int_equal(json_integer_value(json_object_get(life, "minimum")), 2);
    assert_int_equal(json_integer_value(json_object_get(life, "maximum")), 3600);
}

static void test_lists_and_texts_say_what_their_owner_wants(void **state)
{
#define TEXT "\"type\":\"string\",\"minLength\":1"
    expect_property(*state, "path", "{" TEXT ",\"pattern\":\"^/\"}");
    expect_property(*state, "texts",
                    "{\"anyOf\":[{" TEXT ",\"pattern\":\"^a\"},{\"type\":\"array\",\"items\":{" TEXT
                    ",\"pattern\":\"^a\"},\"minItems\":1}]}");
    expect_property(
        *state, "some",
        "{\"type\":\"array\",\"minItems\":1,\"items\":{\"type\":\"object\",\"properties\":"
        "{\"one\":{\"type\":\"boolean\"}},\"additionalProperties\":false,"
        "\"minProperties\":1}}");
}

static void test_words_may_be_one_or_a_list(void **state)
{
    expect_property(*state, "words",
                    "{\"anyOf\":[{\"enum\":[\"red\"]},{\"type\":\"array\",\"items\":{\"enum\":"
                    "[\"red\"]}}],\"default\":[\"a\",\"b\"]}");
}

#define INNER                                                                                                               \
    "\"type\":\"object\",\"properties\":{\"must\":{\"description\":\"is \\\"needed\\\"\",\"type\":"                         \
    "[\"string\",\"integer\",\"boolean\"],\"pattern\":\"^[a-z0-9][a-z0-9_-]{0,63}$\",\"minimum\":0},\"later\":{\"not\":{}," \
    "\"description\":\"not supported by this version: wait\"}},\"required\":[\"must\"],"                                    \
    "\"additionalProperties\":false"
#define OPEN                                                                                           \
    "\"type\":\"object\",\"properties\":{\"own\":{\"type\":[\"string\",\"number\",\"boolean\"],"       \
    "\"minLength\":2,\"maxLength\":9}},\"required\":[\"own\"],\"description\":\"other keys belong to " \
    "the plugin, and are checked by `leased --check` only\""

static void test_an_object_is_closed_and_what_is_not_supported_fits_nothing(void **state)
{
    expect_property(*state, "object", "{" INNER "}");
    expect_property(*state, "maybe", "{\"anyOf\":[{\"const\":\"none\"},{" INNER "}]}");
    expect_property(*state, "list", "{\"type\":[\"array\",\"null\"],\"items\":{" INNER "}}");
}

static void test_an_open_table_accepts_other_keys(void **state)
{
    expect_property(*state, "map",
                    "{\"type\":[\"object\",\"null\"],\"propertyNames\":{\"pattern\":"
                    "\"^[a-z0-9][a-z0-9_-]{0,63}$\"},\"additionalProperties\":{" OPEN "}}");
}

static void test_entries_that_their_owner_decodes_may_have_two_forms(void **state)
{
    expect_property(*state, "two",
                    "{\"type\":[\"array\",\"null\"],\"items\":{\"anyOf\":[{" INNER "},{" OPEN
                    "}]}}");
    expect_property(*state, "any", "{}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_root_names_the_draft_and_is_closed),
        cmocka_unit_test(test_scalars_have_type_range_and_default),
        cmocka_unit_test(test_a_text_with_units_has_a_pattern_and_its_range_in_words),
        cmocka_unit_test(test_lists_and_texts_say_what_their_owner_wants),
        cmocka_unit_test(test_words_may_be_one_or_a_list),
        cmocka_unit_test(test_an_object_is_closed_and_what_is_not_supported_fits_nothing),
        cmocka_unit_test(test_an_open_table_accepts_other_keys),
        cmocka_unit_test(test_entries_that_their_owner_decodes_may_have_two_forms),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
