/* Bundles of policy files: what may be in one, and that it comes back as it was. */
#include "wire/policy_copy.h"

#include "base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

static int add(struct policy_bundle *bundle, const char *name, const char *text)
{
    struct err e = {.code = 0};
    int r = policy_bundle_add(bundle, str_of(name), str_of(text), &e);

    assert_int_equal(r, e.code);
    assert_true(r == 0 || e.text[0] != '\0');
    return r;
}

static int read_text(const char *text, struct policy_bundle **ret_bundle)
{
    struct json_t *object;
    int r = policy_bundle_load(str_of(text), &object, NULL);

    if (r == 0) {
        r = policy_bundle_read(object, ret_bundle, NULL);
        json_decref(object);
    }
    return r;
}

static void test_files_stand_in_the_order_of_their_names(void **state)
{
    struct policy_bundle *bundle = policy_bundle_new();

    (void)state;
    assert_int_equal(add(bundle, "teams/b.yaml", "b"), 0);
    assert_int_equal(add(bundle, "a.yaml", "a"), 0);
    assert_int_equal(add(bundle, "teams/a.yaml", ""), 0);
    assert_int_equal(add(bundle, "a.yaml", "again"), ERR_INVALID);
    assert_int_equal(bundle->file_count, 3);
    assert_string_equal(bundle->files[0].name, "a.yaml");
    assert_string_equal(bundle->files[1].name, "teams/a.yaml");
    assert_string_equal(bundle->files[2].name, "teams/b.yaml");
    policy_bundle_free(bundle);
}

static void test_names_lead_nowhere_else(void **state)
{
    static const char *const names[] = {
        "", "/a.yaml", "../a.yaml", "a/../b", "a//b", "a/", ".git/config", "./a", "a\\b", "a\nb",
    };
    struct policy_bundle *bundle = policy_bundle_new();
    size_t i;

    (void)state;
    for (i = 0; i < ARRAY_LEN(names); i++) {
        assert_int_equal(add(bundle, names[i], ""), ERR_INVALID);
    }
    assert_int_equal(policy_bundle_add(bundle, (struct str){.ptr = "a\0b", .len = 3}, STR(""),
                                       NULL),
                     ERR_INVALID);
    policy_bundle_free(bundle);
}

static void test_it_has_limits(void **state)
{
    struct policy_bundle *bundle = policy_bundle_new();
    char *large = mem_calloc(1, POLICY_BUNDLE_TEXT_MAX_BYTES);
    struct str text = {.ptr = large, .len = POLICY_BUNDLE_TEXT_MAX_BYTES};
    size_t i;

    (void)state;
    for (i = 0; i < POLICY_BUNDLE_FILES_MAX; i++) {
        char name[16];

        (void)snprintf(name, sizeof(name), "%zu.yaml", i);
        assert_int_equal(add(bundle, name, "x"), 0);
    }
    assert_int_equal(add(bundle, "more.yaml", ""), ERR_LIMIT);
    policy_bundle_free(bundle);
    bundle = policy_bundle_new();
    assert_int_equal(add(bundle, "a", "x"), 0);
    assert_int_equal(policy_bundle_add(bundle, STR("b"), text, NULL), ERR_LIMIT);
    text.len--;
    assert_int_equal(policy_bundle_add(bundle, STR("b"), text, NULL), 0);
    policy_bundle_free(bundle);
    mem_free(large);
}

/* As teams write them: a job and the people behind it, limits and what is asked of them. */
static void rule_write(struct buf *out, size_t i)
{
    buf_printf(out,
               "  - name: team-%05zu-payments-api-prod\n"
               "    subjects:\n"
               "      - user: gitlab-runner\n"
               "        jwt: {issuer: gitlab, claims: {project_path: \"acme/payments-%05zu/*\", "
               "ref_protected: \"true\"}}\n"
               "      - {group: team-%05zu-oncall}\n"
               "    roles: [payments-%05zu-db, \"payments-%05zu-staging-*\"]\n"
               "    limits: {duration: 30m, ttl: 1h, live: 3}\n"
               "    require:\n"
               "      reason: \"^[A-Z]+-[0-9]+\"\n"
               "      approval: {from: [{group: team-%05zu-leads}], count: 1}\n",
               i, i, i, i, i, i);
}

static void test_ten_thousand_rules_fit(void **state)
{
    struct policy_bundle *bundle = policy_bundle_new();
    struct json_out json;
    char name[16];
    size_t i;
    BUF_AUTO text;
    BUF_AUTO body;

    (void)state;
    buf_init(&text, POLICY_BUNDLE_TEXT_MAX_BYTES);
    buf_init(&body, POLICY_BUNDLE_BODY_MAX_BYTES);
    for (i = 0; i < 10000; i++) {
        if (i % 1000 == 0) {
            buf_reset(&text);
            buf_add_c(&text, "rules:\n");
        }
        rule_write(&text, i);
        if (i % 1000 == 999) {
            (void)snprintf(name, sizeof(name), "%zu.yaml", i);
            assert_int_equal(policy_bundle_add(bundle, str_of(name), buf_str(&text), NULL), 0);
        }
    }
    json_out_init(&json, &body);
    json_out_object_open(&json, NULL);
    policy_bundle_write(bundle, &json);
    json_out_object_close(&json);
    assert_int_equal(buf_status(&body), 0);
    policy_bundle_free(bundle);
}

static void test_what_is_written_is_read_as_the_same(void **state)
{
    static const char text[] =
        "{\"files\":[{\"name\":\"a.yaml\",\"text\":\"rules:\\n  - \\\"x\\\"\\n\"},"
        "{\"name\":\"t/b.yaml\",\"text\":\"\"}],\"revision\":\"4f2a+dirty\"}";
    char digests[2][POLICY_BUNDLE_DIGEST_BYTES + 1];
    struct policy_bundle *bundle = NULL;
    struct policy_bundle *copy;
    struct json_out json;
    BUF_AUTO out;

    (void)state;
    buf_init(&out, 4096);
    assert_int_equal(read_text(text, &bundle), 0);
    json_out_init(&json, &out);
    json_out_object_open(&json, NULL);
    policy_bundle_write(bundle, &json);
    json_out_object_close(&json);
    assert_string_equal(out.bytes, text);
    copy = policy_bundle_dup(bundle);
    assert_non_null(copy);
    assert_int_equal(policy_bundle_digest(bundle, digests[0]), 0);
    assert_int_equal(policy_bundle_digest(copy, digests[1]), 0);
    assert_string_equal(digests[0], digests[1]);
    assert_string_equal(copy->revision, "4f2a+dirty");
    assert_int_equal(add(copy, "z", ""), 0);
    assert_int_equal(policy_bundle_digest(copy, digests[1]), 0);
    assert_string_not_equal(digests[0], digests[1]);
    policy_bundle_free(copy);
    policy_bundle_free(bundle);
}

static void test_one_file_can_be_the_one_that_counts(void **state)
{
    static const char text[] = "{\"files\":[{\"name\":\"a\",\"text\":\"\"},{\"name\":\"b\","
                               "\"text\":\"\"}],\"main\":\"b\",\"revision\":null}";
    char digests[2][POLICY_BUNDLE_DIGEST_BYTES + 1];
    struct policy_bundle *bundle = NULL;
    struct policy_bundle *copy;
    struct json_out json;
    BUF_AUTO out;

    (void)state;
    buf_init(&out, 4096);
    assert_int_equal(read_text(text, &bundle), 0);
    json_out_init(&json, &out);
    json_out_object_open(&json, NULL);
    policy_bundle_write(bundle, &json);
    json_out_object_close(&json);
    assert_string_equal(out.bytes, text);
    copy = policy_bundle_dup(bundle);
    assert_non_null(copy);
    assert_string_equal(copy->main, "b");
    assert_int_equal(policy_bundle_set_main(copy, STR("c"), NULL), ERR_INVALID);
    assert_int_equal(policy_bundle_set_main(copy, STR("a"), NULL), 0);
    assert_int_equal(policy_bundle_digest(bundle, digests[0]), 0);
    assert_int_equal(policy_bundle_digest(copy, digests[1]), 0);
    assert_string_not_equal(digests[0], digests[1]);
    policy_bundle_free(copy);
    policy_bundle_free(bundle);
}

static void test_what_is_no_bundle_is_refused(void **state)
{
    static const char *const texts[] = {
        "",
        "[]",
        "{}",
        "{\"files\":[]}",
        "{\"files\":{}}",
        "{\"files\":[1]}",
        "{\"files\":[{\"name\":\"a\"}]}",
        "{\"files\":[{\"name\":\"a\",\"text\":\"\",\"mode\":1}]}",
        "{\"files\":[{\"name\":\"a\",\"text\":\"\"},{\"name\":\"a\",\"text\":\"\"}]}",
        "{\"files\":[{\"name\":\"a\",\"text\":\"\"}],\"revision\":1}",
        "{\"files\":[{\"name\":\"a\",\"text\":\"\"}],\"revision\":\"a b\"}",
        "{\"files\":[{\"name\":\"a\",\"text\":\"\"}],\"files\":[]}",
        "{\"files\":[{\"name\":\"a\",\"text\":\"\"}],\"main\":\"b\"}",
        "{\"files\":[{\"name\":\"a\",\"text\":\"\"}],\"main\":[\"a\"]}",
        "{\"files\":[[[[[]]]]]}",
    };
    struct policy_bundle *bundle = NULL;
    size_t i;

    (void)state;
    for (i = 0; i < ARRAY_LEN(texts); i++) {
        assert_int_equal(read_text(texts[i], &bundle), ERR_INVALID);
    }
    assert_null(bundle);
}

static void test_a_copy_that_was_changed_is_damaged(void **state)
{
    struct policy_bundle *bundle = policy_bundle_new();
    struct policy_copy *copy = policy_copy_new(bundle);
    struct policy_copy *again = NULL;
    struct err e = {.code = 0};
    BUF_AUTO out;

    (void)state;
    buf_init(&out, POLICY_COPY_MAX_BYTES);
    assert_int_equal(add(bundle, "a.yaml", "rules: []"), 0);
    copy->observed = policy_bundle_dup(bundle);
    assert_int_equal(add(copy->observed, "b.yaml", "admins: []"), 0);
    (void)snprintf(copy->id, sizeof(copy->id), "0123456789abcdef0123456789abcdef");
    (void)snprintf(copy->applied_by, sizeof(copy->applied_by), "unix:root");
    copy->applied_wall_ms = 1234567890123;
    assert_int_equal(policy_copy_write(copy, &out), 0);
    assert_int_equal(policy_copy_read(buf_str(&out), &again, NULL), 0);
    assert_string_equal(again->id, copy->id);
    assert_string_equal(again->applied_by, "unix:root");
    assert_int_equal(again->applied_wall_ms, 1234567890123);
    assert_int_equal(again->bundle->file_count, 1);
    assert_int_equal(again->observed->file_count, 2);
    policy_copy_free(again);
    memcpy(strstr(out.bytes, "rules"), "RULES", 5);
    assert_int_equal(policy_copy_read(buf_str(&out), &again, &e), ERR_INVALID);
    assert_non_null(strstr(e.text, "aren't those that were written"));
    assert_int_equal(policy_copy_read((struct str){.ptr = out.bytes, .len = out.len / 2}, &again,
                                      &e),
                     ERR_INVALID);
    buf_reset(&out);
    copy->is_seed = true;
    assert_int_equal(policy_copy_write(copy, &out), 0);
    assert_int_equal(policy_copy_read(buf_str(&out), &again, NULL), 0);
    assert_true(again->is_seed);
    assert_null(again->bundle);
    assert_int_equal(again->observed->file_count, 2);
    policy_copy_free(again);
    policy_copy_free(copy);
}

static int without_leaks(void **state)
{
    (void)state;
    assert_int_equal(mem_in_use_bytes(), 0);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_files_stand_in_the_order_of_their_names, without_leaks),
        cmocka_unit_test_teardown(test_names_lead_nowhere_else, without_leaks),
        cmocka_unit_test_teardown(test_it_has_limits, without_leaks),
        cmocka_unit_test_teardown(test_ten_thousand_rules_fit, without_leaks),
        cmocka_unit_test(test_a_copy_that_was_changed_is_damaged),
        cmocka_unit_test(test_what_is_written_is_read_as_the_same),
        cmocka_unit_test(test_one_file_can_be_the_one_that_counts),
        cmocka_unit_test(test_what_is_no_bundle_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
