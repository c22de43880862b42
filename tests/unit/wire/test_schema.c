/* Tables to structs: values, defaults, and one clear error for each mistake, all in one go. */
#include "wire/schema.h"

#include "base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

struct inner {
    const struct yaml_node *node;
    uint64_t size_bytes;
    uint64_t mode;
};

struct thing {
    const struct yaml_node *node;
    char *name;
    char *address;
    uint64_t count;
};

struct sample {
    const struct yaml_node *node;
    bool flag;
    uint64_t count;
    char *text;
    char *name;
    uint64_t wait_ms;
    struct units_rate rate;
    uint64_t percent;
    int kind;
    struct schema_strings words;
    struct schema_strings serve;
    struct schema_pairs pairs;
    struct inner inner;
    struct inner maybe;
    struct schema_list list;
    struct schema_list map;
    char *json;
};

static const struct schema_field inner_fields[] = {
    {.key = "size",
     .type = SCHEMA_SIZE,
     .offset = offsetof(struct inner, size_bytes),
     .min = 1024,
     .max = 1048576,
     .default_text = "64KiB"},
    {.key = "mode", .type = SCHEMA_MODE, .offset = offsetof(struct inner, mode), .max = 0777},
    {0},
};
static const struct schema_object inner_table = {.name = "inner",
                                                 .size = sizeof(struct inner),
                                                 .fields = inner_fields};

static const struct schema_field thing_fields[] = {
    {.key = "address",
     .type = SCHEMA_STRING,
     .offset = offsetof(struct thing, address),
     .flags = SCHEMA_REQUIRED},
    {.key = "count",
     .type = SCHEMA_UINT,
     .offset = offsetof(struct thing, count),
     .default_text = "3"},
    {0},
};
static const struct schema_object thing_table = {.name = "a thing",
                                                 .size = sizeof(struct thing),
                                                 .fields = thing_fields};
static const struct schema_object open_table = {
    .name = "a thing", .size = sizeof(struct thing), .fields = thing_fields, .is_open = true};

static const struct schema_enum_value kinds[] = {
    {"small", 1}, {"large", 2}, {"huge", SCHEMA_VALUE_UNSUPPORTED}, {NULL, 0}};
static const struct schema_enum_value serves[] = {
    {"native", 1}, {"metrics", 2}, {"vault", SCHEMA_VALUE_UNSUPPORTED}, {NULL, 0}};

#define AT(member) .offset = offsetof(struct sample, member)
static const struct schema_field sample_fields[] = {
    {.key = "flag", .type = SCHEMA_BOOL, AT(flag), .default_text = "true"},
    {.key = "count", .type = SCHEMA_UINT, AT(count), .min = 1, .max = 10, .default_text = "5"},
    {.key = "text", .type = SCHEMA_STRING, AT(text), .max = 16},
    {.key = "name", .type = SCHEMA_NAME, AT(name)},
    {.key = "wait",
     .type = SCHEMA_DURATION,
     AT(wait_ms),
     .min = 1000,
     .max = 60000,
     .default_text = "20s"},
    {.key = "rate", .type = SCHEMA_RATE, AT(rate), .default_text = "50/s"},
    {.key = "percent",
     .type = SCHEMA_PERCENT,
     AT(percent),
     .min = 10,
     .max = 90,
     .default_text = "50%"},
    {.key = "kind", .type = SCHEMA_ENUM, AT(kind), .values = kinds, .default_text = "small"},
    {.key = "words", .type = SCHEMA_STRINGS, AT(words)},
    {.key = "serve",
     .type = SCHEMA_STRINGS,
     AT(serve),
     .values = serves,
     .default_text = "native,metrics"},
    {.key = "pairs", .type = SCHEMA_PAIRS, AT(pairs)},
    {.key = "inner", .type = SCHEMA_OBJECT, AT(inner), .object = &inner_table},
    {.key = "maybe",
     .type = SCHEMA_OBJECT,
     AT(maybe),
     .object = &inner_table,
     .min = 1,
     .flags = SCHEMA_OR_NONE},
    {.key = "list", .type = SCHEMA_LIST, AT(list), .object = &thing_table},
    {.key = "map", .type = SCHEMA_MAP, AT(map), .object = &thing_table},
    {.key = "json", .type = SCHEMA_JSON, AT(json)},
    {.key = "later", .flags = SCHEMA_UNSUPPORTED, .doc = "it comes with the next one"},
    {0},
};
static const struct schema_object sample_table = {.name = "the sample",
                                                  .size = sizeof(struct sample),
                                                  .fields = sample_fields};

struct fixture {
    struct yaml_errors errors;
    struct yaml_document *document;
    struct sample sample;
    size_t bytes_before;
};

static int setup(void **state)
{
    static struct fixture fixture;

    fixture = (struct fixture){.bytes_before = mem_in_use_bytes()};
    yaml_errors_init(&fixture.errors);
    *state = &fixture;
    return 0;
}

static void reset(struct fixture *f)
{
    schema_fini(&sample_table, &f->sample);
    yaml_free(f->document);
    f->document = NULL;
    yaml_errors_fini(&f->errors);
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    reset(f);
    return mem_in_use_bytes() == f->bytes_before ? 0 : -1;
}

static int decode(struct fixture *f, const char *text)
{
    int r = yaml_parse("c", str_of(text), &f->document, &f->errors);

    return r != 0 ? r
                  : schema_decode(&sample_table, yaml_root(f->document), &f->sample, &f->errors);
}

static void expect_errors(struct fixture *f, const char *text, const char *errors)
{
    reset(f);
    assert_int_equal(decode(f, text), ERR_INVALID);
    assert_string_equal(buf_str(&f->errors.text).ptr, errors);
}

static void test_each_type_is_decoded(void **state)
{
    struct fixture *f = *state;
    const struct thing *things;

    assert_int_equal(
        decode(f, "flag: false\ncount: 7\ntext: some text\nname: orders-db\nwait: 1m\nrate: 10/m\n"
                  "percent: 80%\nkind: large\nwords: [a, 'b c']\nserve: metrics\n"
                  "pairs: {host: db, port: 5432}\ninner: {size: 128KiB, mode: 0640}\n"
                  "list: [{address: x, count: 9}]\nmap: {one: {address: y}, two: {address: z}}\n"
                  "json: {a: [1]}\n"),
        0);
    assert_false(f->sample.flag);
    assert_int_equal(f->sample.count, 7);
    assert_string_equal(f->sample.text, "some text");
    assert_string_equal(f->sample.name, "orders-db");
    assert_int_equal(f->sample.wait_ms, 60000);
    assert_int_equal(f->sample.rate.count, 10);
    assert_int_equal(f->sample.rate.per_ms, 60000);
    assert_int_equal(f->sample.percent, 80);
    assert_int_equal(f->sample.kind, 2);
    assert_int_equal(f->sample.words.count, 2);
    assert_string_equal(f->sample.words.items[1], "b c");
    assert_int_equal(f->sample.serve.count, 1);
    assert_string_equal(f->sample.serve.items[0], "metrics");
    assert_string_equal(f->sample.pairs.items[1].name, "port");
    assert_string_equal(f->sample.pairs.items[1].value, "5432");
    assert_int_equal(f->sample.inner.size_bytes, 131072);
    assert_int_equal(f->sample.inner.mode, 0640);
    things = f->sample.list.items;
    assert_int_equal(things[0].count, 9);
    assert_null(things[0].name);
    things = f->sample.map.items;
    assert_int_equal(f->sample.map.count, 2);
    assert_string_equal(things[1].name, "two");
    assert_string_equal(things[1].address, "z");
    assert_int_equal(things[1].count, 3);
    assert_string_equal(f->sample.json, "{\"a\":[1]}");
}

static void test_what_is_absent_gets_its_default(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(decode(f, ""), 0);
    assert_true(f->sample.flag);
    assert_int_equal(f->sample.count, 5);
    assert_null(f->sample.text);
    assert_int_equal(f->sample.wait_ms, 20000);
    assert_int_equal(f->sample.rate.count, 50);
    assert_int_equal(f->sample.percent, 50);
    assert_int_equal(f->sample.kind, 1);
    assert_int_equal(f->sample.serve.count, 2);
    assert_null(f->sample.inner.node);
    assert_int_equal(f->sample.inner.size_bytes, 65536);
    assert_null(f->sample.json);
}

static void test_empty_containers_are_fine(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(decode(f, "inner:\nlist:\nmap:\npairs:\nwords: []\n"), 0);
    assert_int_equal(f->sample.list.count, 0);
    assert_int_equal(f->sample.inner.size_bytes, 65536);
}

static void test_none_is_as_if_nothing_stood_there(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(decode(f, "maybe: none\n"), 0);
    assert_null(f->sample.maybe.node);
    expect_errors(f, "maybe:\n", "c:1:1: `maybe` is empty\n");
    expect_errors(f, "inner: none\n",
                  "c:1:8: inner: expected a mapping with the keys of inner, found `none`\n");
}

static void test_an_item_that_is_nothing_is_no_object(void **state)
{
    expect_errors(*state, "list: [~]\nmap: {a: }\n",
                  "c:1:8: expected a mapping with the keys of a thing, found nothing\n"
                  "c:2:7: a: expected a mapping with the keys of a thing, found nothing\n");
}

static void test_an_unknown_key_names_the_one_that_was_meant(void **state)
{
    expect_errors(*state, "cuont: 1\n", "c:1:1: unknown key `cuont`: did you mean `count`?\n");
}

static void test_an_unknown_key_like_no_other_lists_what_is_known(void **state)
{
    expect_errors(*state, "inner: {colour: red}\n",
                  "c:1:9: unknown key `colour` in inner; known: size, mode\n");
}

static void test_a_misspelt_required_key_is_one_error(void **state)
{
    expect_errors(*state, "list: [{adress: x}]\n",
                  "c:1:9: unknown key `adress`: did you mean `address`?\n");
}

static void test_a_missing_required_key_is_reported_at_its_object(void **state)
{
    expect_errors(*state, "list:\n  - count: 1\nmap:\n  one: {}\n",
                  "c:2:5: `address` is missing in a thing\n"
                  "c:4:3: `address` is missing in a thing\n");
}

static void test_an_unsupported_key_says_so(void **state)
{
    expect_errors(*state, "later: [1]\n",
                  "c:1:1: `later` is not supported by this version: it comes with the next one\n");
}

static void test_unsupported_words_say_so(void **state)
{
    expect_errors(*state, "kind: huge\nserve: [native, vault]\n",
                  "c:1:7: kind: `huge` is not supported by this version\n"
                  "c:2:17: `vault` is not supported by this version\n");
}

struct mistake {
    const char *text;
    const char *error;
};

static void test_each_wrong_value_says_what_was_expected(void **state)
{
    static const struct mistake mistakes[] = {
        {"flag: yes", "c:1:7: flag: expected true or false, found `yes`\n"},
        {"flag: 'true'", "c:1:7: flag: expected true or false, found `true`\n"},
        {"count: x", "c:1:8: count: expected a whole number from 1 to 10, found `x`\n"},
        {"count: 11", "c:1:8: count: expected a whole number from 1 to 10, found `11`\n"},
        {"count: -1", "c:1:8: count: expected a whole number from 1 to 10, found `-1`\n"},
        {"count: [1]", "c:1:8: count: expected a whole number from 1 to 10, found a list\n"},
        {"count:", "c:1:1: count: expected a whole number from 1 to 10, found nothing\n"},
        {"text: {a: 1}", "c:1:7: text: expected text of at most 16 bytes, found a mapping\n"},
        {"text: ''", "c:1:7: text: expected text of at most 16 bytes, found an empty text\n"},
        {"text: 12345678901234567",
         "c:1:7: text: expected text of at most 16 bytes, found `12345678901234567`\n"},
        {"name: Orders",
         "c:1:7: name: expected a name (small letters, digits, `-` and `_`, at most 64), "
         "found `Orders`\n"},
        {"wait: ten",
         "c:1:7: wait: expected a duration such as 90s, 15m or 1h30m from 1s to 1m, found "
         "`ten`\n"},
        {"wait: 2h",
         "c:1:7: wait: expected a duration such as 90s, 15m or 1h30m from 1s to 1m, found "
         "`2h`\n"},
        {"rate: 5", "c:1:7: rate: expected a rate such as 50/s, 10/m or 20/h, found `5`\n"},
        {"rate: 0/s", "c:1:7: rate: expected a rate such as 50/s, 10/m or 20/h, found `0/s`\n"},
        {"percent: 50",
         "c:1:10: percent: expected a percentage such as 50% from 10% to 90%, found `50`\n"},
        {"percent: 5%",
         "c:1:10: percent: expected a percentage such as 50% from 10% to 90%, found `5%`\n"},
        {"kind: lage",
         "c:1:7: kind: expected one of `small`, `large`, found `lage`: did you mean `large`?\n"},
        {"kind: [large]", "c:1:7: kind: expected one of `small`, `large`, found a list\n"},
        {"serve: [natve]",
         "c:1:9: expected one of `native`, `metrics`, found `natve`: did you mean `native`?\n"},
        {"words: {a: b}", "c:1:8: words: expected a list of texts, found a mapping\n"},
        {"words: [[a]]", "c:1:9: expected text, found a list\n"},
        {"words:", "c:1:1: words: expected a list of texts, found nothing\n"},
        {"pairs: [a]", "c:1:8: pairs: expected a mapping of words to texts, found a list\n"},
        {"pairs: {a: [1]}", "c:1:12: a: expected text, found a list\n"},
        {"inner: 5", "c:1:8: inner: expected a mapping with the keys of inner, found `5`\n"},
        {"inner: {size: 5}",
         "c:1:15: size: expected a size such as 64MiB from 1KiB to 1MiB, found `5`\n"},
        {"inner: {size: big}",
         "c:1:15: size: expected a size such as 64MiB from 1KiB to 1MiB, found `big`\n"},
        {"inner: {mode: 0888}",
         "c:1:15: mode: expected a file mode such as \"0660\" from 0000 to 0777, "
         "found `0888`\n"},
        {"inner: {mode: 4755}",
         "c:1:15: mode: expected a file mode such as \"0660\" from 0000 to 0777, "
         "found `4755`\n"},
        {"list: {a: 1}", "c:1:7: list: expected a list, found a mapping\n"},
        {"list: [x]", "c:1:8: expected a mapping with the keys of a thing, found `x`\n"},
        {"map: [1]", "c:1:6: map: expected a mapping from names, found a list\n"},
        {"map: {A: {address: x}}", "c:1:7: expected a name (small letters, digits, `-` and `_`, at "
                                   "most 64), found `A`\n"},
        {"[1]", "c:1:1: expected a mapping with the keys of the sample, found a list\n"},
    };
    size_t i;

    for (i = 0; i < ARRAY_LEN(mistakes); i++) {
        expect_errors(*state, mistakes[i].text, mistakes[i].error);
    }
}

/* One letter left out of each key: it must be recognised, but for the shortest. */
static void test_each_key_misspelt_is_found(void **state)
{
    const struct schema_field *field;
    struct fixture *f = *state;

    for (field = sample_fields; field->key != NULL; field++) {
        char text[64];
        char expected[128];

        (void)snprintf(text, sizeof(text), "%.2s%s: x\n", field->key, field->key + 3);
        (void)snprintf(expected, sizeof(expected), "c:1:1: unknown key `%.2s%s`: did you mean `%s`",
                       field->key, field->key + 3, field->key);
        reset(f);
        assert_int_equal(decode(f, text), ERR_INVALID);
        assert_int_equal(f->errors.count, 1);
        if (strncmp(buf_str(&f->errors.text).ptr, expected, strlen(expected)) != 0) {
            fail_msg("%s: %s", text, buf_str(&f->errors.text).ptr);
        }
    }
}

static void test_all_mistakes_are_reported_in_one_go(void **state)
{
    expect_errors(*state,
                  "flag: maybe\nwords: [ok, {}]\nlist:\n  - address: [1]\n  - count: x\n"
                  "inner: {sise: 1}\nflag: true\n",
                  "c:7:1: `flag` is given twice\n"
                  "c:1:7: flag: expected true or false, found `maybe`\n"
                  "c:2:13: expected text, found a mapping\n"
                  "c:4:14: address: expected text, found a list\n"
                  "c:5:12: count: expected a whole number, found `x`\n"
                  "c:5:5: `address` is missing in a thing\n"
                  "c:6:9: unknown key `sise`: did you mean `size`?\n");
}

static void test_an_alias_is_one_error_whatever_its_field(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(decode(f, "count: *a\nlist: *b\nwords: [*c]\nmap: {x: *d}\ninner: *e\n"), 0);
    assert_int_equal(f->errors.count, 5);
    assert_int_equal(f->sample.count, 5);
}

static void test_a_wrong_value_leaves_the_default(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(decode(f, "wait: ten\n"), ERR_INVALID);
    assert_int_equal(f->sample.wait_ms, 20000);
}

static void test_an_open_table_keeps_other_keys(void **state)
{
    struct fixture *f = *state;
    struct thing thing = {0};

    assert_int_equal(
        yaml_parse("c", str_of("address: x\nauth: {a: 1}\n"), &f->document, &f->errors), 0);
    assert_int_equal(schema_decode(&open_table, yaml_root(f->document), &thing, &f->errors), 0);
    assert_non_null(yaml_get(thing.node, "auth"));
    schema_fini(&open_table, &thing);
}

static void test_suggestions_are_the_closest_and_never_far(void **state)
{
    static const char *const words[] = {"ttl", "max_ttl", "renew_at", "user", NULL};

    (void)state;
    assert_string_equal(schema_suggest(STR("tll"), words), "ttl");
    assert_string_equal(schema_suggest(STR("renewat"), words), "renew_at");
    assert_string_equal(schema_suggest(STR("max-ttl"), words), "max_ttl");
    assert_string_equal(schema_suggest(STR("tlt"), words), "ttl");
    assert_null(schema_suggest(STR("abc"), words));
    assert_null(schema_suggest(STR("overlap"), words));
    assert_null(schema_suggest(STR(""), words));
}

static int fail_at;

static int fail_countdown(size_t size)
{
    (void)size;
    return --fail_at == 0;
}

static void test_running_out_of_memory_is_an_error_at_each_allocation(void **state)
{
    struct fixture *f = *state;
    int first;
    int r = ERR_NOMEM;

    assert_int_equal(yaml_parse("c",
                                str_of("text: t\nwords: [a, b]\npairs: {a: b}\njson: [1]\n"
                                       "map: {one: {address: x}}\nlist: [{address: y}]\n"),
                                &f->document, &f->errors),
                     0);
    for (first = 1; r == ERR_NOMEM && first < 100; first++) {
        schema_fini(&sample_table, &f->sample);
        fail_at = first;
        mem_set_fail_hook(fail_countdown);
        r = schema_decode(&sample_table, yaml_root(f->document), &f->sample, &f->errors);
        mem_set_fail_hook(NULL);
    }
    assert_int_equal(r, 0);
    assert_true(first > 10);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_each_type_is_decoded),
        TEST(test_none_is_as_if_nothing_stood_there),
        TEST(test_what_is_absent_gets_its_default),
        TEST(test_empty_containers_are_fine),
        TEST(test_an_item_that_is_nothing_is_no_object),
        TEST(test_an_unknown_key_names_the_one_that_was_meant),
        TEST(test_an_unknown_key_like_no_other_lists_what_is_known),
        TEST(test_a_misspelt_required_key_is_one_error),
        TEST(test_a_missing_required_key_is_reported_at_its_object),
        TEST(test_an_unsupported_key_says_so),
        TEST(test_unsupported_words_say_so),
        TEST(test_each_wrong_value_says_what_was_expected),
        TEST(test_each_key_misspelt_is_found),
        TEST(test_all_mistakes_are_reported_in_one_go),
        TEST(test_an_alias_is_one_error_whatever_its_field),
        TEST(test_a_wrong_value_leaves_the_default),
        TEST(test_an_open_table_keeps_other_keys),
        TEST(test_suggestions_are_the_closest_and_never_far),
        TEST(test_running_out_of_memory_is_an_error_at_each_allocation),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
