/* YAML to trees: positions, what is refused, merging, and the way to JSON. */
#include "wire/yaml.h"

#include "base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

struct fixture {
    struct yaml_errors errors;
    struct yaml_document *document;
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

static int teardown(void **state)
{
    struct fixture *f = *state;

    yaml_free(f->document);
    yaml_errors_fini(&f->errors);
    return mem_in_use_bytes() == f->bytes_before ? 0 : -1;
}

static int parse(struct fixture *f, const char *text)
{
    return yaml_parse("c.yaml", str_of(text), &f->document, &f->errors);
}

static const char *errors_of(struct fixture *f)
{
    return buf_str(&f->errors.text).ptr;
}

static void expect_json(const struct yaml_node *node, const char *json)
{
    BUF_AUTO out;

    buf_init(&out, 65536);
    assert_int_equal(yaml_to_json(node, NULL, &out), 0);
    assert_string_equal(buf_str(&out).ptr, json);
}

static void expect_place(const struct yaml_node *node, uint32_t line, uint32_t column)
{
    assert_non_null(node);
    assert_int_equal(node->line, line);
    assert_int_equal(node->column, column);
}

static void test_each_node_knows_its_place(void **state)
{
    struct fixture *f = *state;
    const struct yaml_node *root;
    const struct yaml_node *list;

    assert_int_equal(parse(f, "a: 1\nlist:\n  - x\n  - \"y\"\n  -\nc: {d: , e: 'z'}\n"), 0);
    root = yaml_root(f->document);
    expect_place(root, 1, 1);
    expect_place(yaml_get(root, "a"), 1, 4);
    list = yaml_get(root, "list");
    expect_place(list, 3, 3);
    assert_int_equal(list->key_line, 2);
    assert_int_equal(list->key_column, 1);
    expect_place(list->first, 3, 5);
    expect_place(list->first->next, 4, 5);
    assert_int_equal(list->first->next->next->type, YAML_NULL);
    expect_place(yaml_get(yaml_get(root, "c"), "e"), 6, 13);
    assert_string_equal(list->first->file, "c.yaml");
}

static void test_an_empty_value_stands_at_its_key(void **state)
{
    struct fixture *f = *state;
    const struct yaml_node *empty;

    assert_int_equal(parse(f, "a: 1\nempty:\nb: 2\n"), 0);
    empty = yaml_get(yaml_root(f->document), "empty");
    assert_int_equal(empty->type, YAML_NULL);
    expect_place(empty, 2, 1);
}

static void test_null_is_plain_null_only(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(parse(f, "[~, null, Null, NULL, '', \"null\", nULL]"), 0);
    expect_json(yaml_root(f->document), "[null,null,null,null,\"\",\"null\",\"nULL\"]");
}

static void test_an_empty_document_is_null(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(parse(f, "# nothing\n"), 0);
    assert_int_equal(yaml_root(f->document)->type, YAML_NULL);
    expect_place(yaml_root(f->document), 1, 1);
}

static void test_a_slice_without_bytes_is_an_empty_document(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(yaml_parse("c.yaml", (struct str){0}, &f->document, &f->errors), 0);
    assert_int_equal(yaml_root(f->document)->type, YAML_NULL);
}

static void test_every_duplicate_key_is_reported_and_the_first_counts(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(parse(f, "a: 1\nb: {x: 1, x: 2, x: 3}\na: 4\n"), 0);
    assert_int_equal(f->errors.count, 3);
    assert_string_equal(errors_of(f), "c.yaml:2:11: `x` is given twice\n"
                                      "c.yaml:2:17: `x` is given twice\n"
                                      "c.yaml:3:1: `a` is given twice\n");
    expect_json(yaml_root(f->document), "{\"a\":1,\"b\":{\"x\":1}}");
}

static void test_aliases_anchors_and_tags_are_refused_and_all_reported(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(parse(f, "a: &x [1]\nb: *x\nc: !!str 1\nd: !own {}\n"), 0);
    assert_int_equal(f->errors.count, 4);
    assert_non_null(strstr(errors_of(f), "c.yaml:2:5: aliases"));
    assert_true(yaml_get(yaml_root(f->document), "b")->is_refused);
}

static void test_the_first_syntax_error_ends_the_parse(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(parse(f, "a: \"open\nb: [\n"), ERR_INVALID);
    assert_int_equal(f->errors.count, 1);
    assert_non_null(strstr(errors_of(f), "c.yaml:"));
    assert_null(f->document);
}

struct refusal {
    const char *text;
    const char *error;
};

static void test_what_is_no_plain_tree_is_refused(void **state)
{
    static const struct refusal refusals[] = {
        {"a: 1\n---\nb: 2\n", "c.yaml:2:1: only one document"},
        {"? [a]\n: b\n", "a key must be a word"},
        {"*x : 1\n", "aliases"},
        {": 1\n", "expected a key"},
        {"a: \x01\n", "c.yaml:1:4: control characters"},
        {"a: \"\\0\"\n", "NUL"},
        {"ok: 1\na: \xff\n", "c.yaml:2:4: not valid UTF-8"},
        {"a: \xc0\x80\n", "not valid UTF-8"},
        {"a: \xed\xa0\x80\n", "not valid UTF-8"},
        {"a: \xf4\x90\x80\x80\n", "not valid UTF-8"},
    };
    struct fixture *f = *state;
    size_t i;

    for (i = 0; i < ARRAY_LEN(refusals); i++) {
        yaml_errors_fini(&f->errors);
        assert_int_equal(parse(f, refusals[i].text), ERR_INVALID);
        if (strstr(errors_of(f), refusals[i].error) == NULL) {
            fail_msg("%s: %s", refusals[i].text, errors_of(f));
        }
    }
}

static void test_depth_is_limited(void **state)
{
    struct fixture *f = *state;
    char text[YAML_DEPTH_MAX + 2];

    memset(text, '[', YAML_DEPTH_MAX + 1);
    text[YAML_DEPTH_MAX + 1] = '\0';
    assert_int_equal(parse(f, text), ERR_INVALID);
    assert_non_null(strstr(errors_of(f), "nested more than 32 levels"));
}

static void test_the_greatest_depth_is_accepted(void **state)
{
    struct fixture *f = *state;
    char text[2 * YAML_DEPTH_MAX + 1];

    memset(text, '[', YAML_DEPTH_MAX);
    memset(text + YAML_DEPTH_MAX, ']', YAML_DEPTH_MAX);
    text[2 * YAML_DEPTH_MAX] = '\0';
    assert_int_equal(parse(f, text), 0);
}

static void test_size_is_limited(void **state)
{
    struct fixture *f = *state;
    char *text = mem_alloc(YAML_INPUT_MAX_BYTES + 1);

    memset(text, '\n', YAML_INPUT_MAX_BYTES + 1);
    assert_int_equal(yaml_parse("c.yaml",
                                (struct str){.ptr = text, .len = YAML_INPUT_MAX_BYTES + 1},
                                &f->document, &f->errors),
                     ERR_TOO_LARGE);
    assert_string_equal(errors_of(f), "c.yaml: larger than 1048576 bytes\n");
    assert_int_equal(yaml_parse("c.yaml", (struct str){.ptr = text, .len = YAML_INPUT_MAX_BYTES},
                                &f->document, &f->errors),
                     0);
    mem_free(text);
}

static void test_many_keys_take_linear_time(void **state)
{
    struct fixture *f = *state;
    BUF_AUTO text;
    int i;

    buf_init(&text, YAML_INPUT_MAX_BYTES);
    for (i = 0; i < 80000; i++) {
        buf_printf(&text, "k%d:\n", i);
    }
    assert_int_equal(buf_status(&text), 0);
    assert_int_equal(yaml_parse("c.yaml", buf_str(&text), &f->document, &f->errors), 0);
    assert_int_equal(f->errors.count, 0);
}

static void test_json_is_a_subset(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(parse(f, "{\"a\": [1, true, null, \"x\\u0041\"], \"b\": {}}"), 0);
    expect_json(yaml_root(f->document), "{\"a\":[1,true,null,\"xA\"],\"b\":{}}");
}

static void test_numbers_that_json_would_change_stay_texts(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(parse(f, "[0, -7, 1.5, 0660, 1e9, 90s, '5', 1., .5, +1, 0x10, "
                              "1234567890123456789, True]"),
                     0);
    expect_json(yaml_root(f->document),
                "[0,-7,1.5,\"0660\",\"1e9\",\"90s\",\"5\",\"1.\",\".5\",\"+1\",\"0x10\","
                "\"1234567890123456789\",\"True\"]");
}

static void test_json_leaves_the_named_keys_out_at_the_top_only(void **state)
{
    static const char *const without[] = {"plugin", NULL};
    struct fixture *f = *state;
    BUF_AUTO out;

    buf_init(&out, 1024);
    assert_int_equal(parse(f, "plugin: vault\nauth: {plugin: x}\n"), 0);
    assert_int_equal(yaml_to_json(yaml_root(f->document), without, &out), 0);
    assert_string_equal(buf_str(&out).ptr, "{\"auth\":{\"plugin\":\"x\"}}");
}

static void test_json_leaves_refused_nodes_out(void **state)
{
    struct fixture *f = *state;
    const struct yaml_node *root;

    assert_int_equal(parse(f, "a: 1\nb: [2, 3]\n"), 0);
    root = yaml_root(f->document);
    yaml_refuse(f->document, yaml_get(root, "a"));
    yaml_refuse(f->document, yaml_get(root, "b")->first);
    expect_json(root, "{\"b\":[3]}");
}

static int parse_second(struct fixture *f, const char *text)
{
    struct yaml_document *second = NULL;
    int r = yaml_parse("d.yaml", str_of(text), &second, &f->errors);

    assert_int_equal(r, 0);
    r = yaml_merge(f->document, second, &f->errors);
    if (r != 0) {
        yaml_free(second);
    }
    return r;
}

static void test_merging_appends_lists_and_unites_mappings(void **state)
{
    struct fixture *f = *state;
    const struct yaml_node *root;

    assert_int_equal(parse(f, "l: [1]\nm: {a: 1}\n"), 0);
    assert_int_equal(parse_second(f, "l: [2]\nm: {b: 2}\nn: 3\n"), 0);
    root = yaml_root(f->document);
    expect_json(root, "{\"l\":[1,2],\"m\":{\"a\":1,\"b\":2},\"n\":3}");
    assert_string_equal(yaml_get(root, "n")->file, "d.yaml");
    assert_int_equal(f->errors.count, 0);
}

static void test_a_key_that_two_files_give_is_an_error_that_names_both(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(parse(f, "m: {a: 1}\n"), 0);
    assert_int_equal(parse_second(f, "m: {a: 2}\n"), 0);
    assert_string_equal(errors_of(f), "d.yaml:1:5: `a` is given already at c.yaml:1:5\n");
}

static void test_merging_with_empty_files_changes_nothing(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(parse(f, ""), 0);
    assert_int_equal(parse_second(f, "a: 1\n"), 0);
    assert_int_equal(parse_second(f, "# empty\n"), 0);
    expect_json(yaml_root(f->document), "{\"a\":1}");
}

static void test_merging_needs_mappings(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(parse(f, "a: 1\n"), 0);
    assert_int_equal(parse_second(f, "[1]\n"), ERR_INVALID);
    assert_string_equal(errors_of(f),
                        "d.yaml:1:1: expected a mapping at the top of a file that is merged with "
                        "others\n");
}

static void test_errors_past_the_limit_are_counted_only(void **state)
{
    struct fixture *f = *state;
    size_t lines = 0;
    const char *c;
    int i;

    for (i = 0; i < YAML_ERRORS_MAX + 5; i++) {
        yaml_error_in(&f->errors, "x", 1, 1, "wrong");
    }
    for (c = errors_of(f); *c != '\0'; c++) {
        lines += *c == '\n' ? 1 : 0;
    }
    assert_int_equal(f->errors.count, YAML_ERRORS_MAX + 5);
    assert_int_equal(lines, YAML_ERRORS_MAX);
}

static void test_error_texts_hold_no_control_characters(void **state)
{
    struct fixture *f = *state;

    yaml_error_in(&f->errors, "x", 1, 1,
                  "a\x1b[2Jb\xc2\x9b"
                  "c\n");
    assert_string_equal(errors_of(f), "x:1:1: a?[2Jb??c?\n");
}

static void test_descriptions_are_short_and_end_between_characters(void **state)
{
    struct fixture *f = *state;
    char out[YAML_DESCRIBE_MAX_BYTES];

    assert_int_equal(
        parse(f, "[x, '12345678901234567890123456789012345678901234567é9', {}, [], ~]"), 0);
    assert_string_equal(yaml_describe(yaml_root(f->document)->first, out), "`x`");
    assert_string_equal(yaml_describe(yaml_root(f->document)->first->next, out),
                        "`12345678901234567890123456789012345678901234567…`");
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

    for (first = 1; r == ERR_NOMEM && first < 100; first++) {
        fail_at = first;
        mem_set_fail_hook(fail_countdown);
        r = parse(f, "a: 1\nb: {c: [x]}\n");
        mem_set_fail_hook(NULL);
    }
    assert_int_equal(r, 0);
    assert_true(first > 8);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_each_node_knows_its_place),
        TEST(test_an_empty_value_stands_at_its_key),
        TEST(test_null_is_plain_null_only),
        TEST(test_an_empty_document_is_null),
        TEST(test_a_slice_without_bytes_is_an_empty_document),
        TEST(test_every_duplicate_key_is_reported_and_the_first_counts),
        TEST(test_aliases_anchors_and_tags_are_refused_and_all_reported),
        TEST(test_the_first_syntax_error_ends_the_parse),
        TEST(test_what_is_no_plain_tree_is_refused),
        TEST(test_depth_is_limited),
        TEST(test_the_greatest_depth_is_accepted),
        TEST(test_size_is_limited),
        TEST(test_many_keys_take_linear_time),
        TEST(test_json_is_a_subset),
        TEST(test_numbers_that_json_would_change_stay_texts),
        TEST(test_json_leaves_the_named_keys_out_at_the_top_only),
        TEST(test_json_leaves_refused_nodes_out),
        TEST(test_merging_appends_lists_and_unites_mappings),
        TEST(test_a_key_that_two_files_give_is_an_error_that_names_both),
        TEST(test_merging_with_empty_files_changes_nothing),
        TEST(test_merging_needs_mappings),
        TEST(test_errors_past_the_limit_are_counted_only),
        TEST(test_error_texts_hold_no_control_characters),
        TEST(test_descriptions_are_short_and_end_between_characters),
        TEST(test_running_out_of_memory_is_an_error_at_each_allocation),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
