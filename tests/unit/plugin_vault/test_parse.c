/* What goes in: configuration, parameters, answers. */
#include "config.h"
#include "fake_host.h"
#include "fields.h"
#include "params.h"
#include "reply.h"
#include "request.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void test_parameters_that_reach_elsewhere_are_refused(void **state)
{
    static const struct {
        const char *params;
        const char *word; /* of the reason; NULL: fine */
    } cases[] = {
        {"{\"path\":\"database/creds/orders\"}", NULL},
        {"{\"path\":\"a/b.c-d_e@f\",\"method\":\"get\",\"params\":{\"ttl\":60}}", NULL},
        {"{\"path\":\"aws/sts/x\",\"method\":\"post\",\"params\":{\"tags\":[\"a\"]}}", NULL},
        {"{\"path\":\"a/...\"}", NULL},
        {"{\"path\":\"a/..b\"}", NULL},
        {"{}", "path"},
        {"[]", "object"},
        {"{\"path\":1}", "path"},
        {"{\"path\":\"\"}", "512"},
        {"{\"path\":\"/a\"}", "leading"},
        {"{\"path\":\"v1/a\"}", "leading"},
        {"{\"path\":\"a//b\"}", "empty segment"},
        {"{\"path\":\"a/\"}", "empty segment"},
        {"{\"path\":\"../a\"}", "\"..\""},
        {"{\"path\":\"a/../b\"}", "\"..\""},
        {"{\"path\":\"a/..\"}", "\"..\""},
        {"{\"path\":\"a/./b\"}", "\"..\""},
        {"{\"path\":\"a?b=c\"}", "character"},
        {"{\"path\":\"a#b\"}", "character"},
        {"{\"path\":\"a%2fb\"}", "character"},
        {"{\"path\":\"a b\"}", "character"},
        {"{\"path\":\"a\\nb\"}", "character"},
        {"{\"path\":\"a\\\\b\"}", "character"},
        {"{\"path\":\"\\u00e4\"}", "character"},
        {"{\"path\":\"a\",\"metod\":\"get\"}", "did you mean \"method\""},
        {"{\"path\":\"a\",\"verb\":\"get\"}", "unknown key"},
        {"{\"path\":\"a\",\"method\":\"put\"}", "get, post"},
        {"{\"path\":\"a\",\"method\":1}", "get, post"},
        {"{\"path\":\"a\",\"params\":[]}", "object"},
        {"{\"path\":\"a\",\"params\":{\"x\":{}}}", "params.x"},
        {"{\"path\":\"a\",\"params\":{\"\":1}}", "params."},
        {"{\"path\":\"a\",\"path\":\"b\"}", "object"},
        {"{\"path\":\"a\",\"refresh\":\"1h30m\",\"revoke\":false}", NULL},
        {"{\"path\":\"a\",\"refresh\":30}", NULL},
        {"{\"path\":\"a\",\"refresh\":\"soon\"}", "refresh: a duration"},
        {"{\"path\":\"a\",\"refresh\":\"0s\"}", "refresh: a duration"},
        {"{\"path\":\"a\",\"refresh\":-1}", "refresh: a duration"},
        {"{\"path\":\"a\",\"refresh\":true}", "refresh: a duration"},
        {"{\"path\":\"a\",\"refresh\":\"366d\"}", "refresh: a duration"},
        {"{\"path\":\"a\",\"revoke\":\"no\"}", "revoke: true or false"},
        {"{\"path\":\"a\",\"refesh\":1}", "did you mean \"refresh\""},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct vault_params params;
        struct plugin_text detail = {{0}};
        int rc = vault_params_parse(plugin_str(cases[i].params), &params, &detail);

        if (cases[i].word == NULL) {
            assert_int_equal(rc, 0);
            vault_params_fini(&params);
        } else {
            assert_int_equal(rc, -1);
            if (strstr(detail.bytes, cases[i].word) == NULL) {
                fail_msg("%s: %s", cases[i].params, detail.bytes);
            }
        }
    }
}

static void test_configurations_are_read_or_say_what_is_wrong(void **state)
{
    static const struct {
        const char *config;
        const char *word; /* of the reason; NULL: fine */
    } cases[] = {
        {"{\"auth\":{\"method\":\"token\",\"token_env\":\"T\"}}", NULL},
        {"{\"auth\":{\"method\":\"token\",\"token_credential\":\"t\"},\"namespace\":\"a/b/\"}",
         NULL},
        {"{\"auth\":{\"method\":\"approle\",\"role_id\":\"x\",\"secret_id_file\":\"/f\"}}", NULL},
        {"{\"auth\":{\"method\":\"approle\",\"role_id_env\":\"X\",\"mount\":\"ci/approle\"}}",
         NULL},
        {"", "object"},
        {"{}", "auth"},
        {"{\"auth\":{}}", "token, approle"},
        {"{\"auth\":{\"method\":\"radius\"}}", "token, approle"},
        {"{\"auth\":{\"method\":\"token\"}}", "token_file"},
        {"{\"auth\":{\"method\":\"token\",\"token\":\"s.x\"}}", "never written"},
        {"{\"auth\":{\"method\":\"approle\",\"role_id\":\"x\",\"secret_id\":\"y\"}}",
         "never written"},
        {"{\"auth\":{\"method\":\"token\",\"token_fil\":\"x\"}}", "did you mean \"token_file\""},
        {"{\"auth\":{\"method\":\"token\",\"token_file\":\"x\",\"token_env\":\"y\"}}", "only one"},
        {"{\"auth\":{\"method\":\"token\",\"token_file\":1}}", "text"},
        {"{\"auth\":{\"method\":\"token\",\"token_file\":\"\"}}", "text"},
        {"{\"auth\":{\"method\":\"approle\",\"secret_id_file\":\"/f\"}}", "exactly one"},
        {"{\"auth\":{\"method\":\"approle\",\"role_id\":\"x\",\"role_id_env\":\"y\"}}",
         "exactly one"},
        {"{\"auth\":{\"method\":\"approle\",\"role_id\":\"x\",\"mount\":\"a/../b\"}}",
         "auth.mount"},
        {"{\"auth\":{\"method\":\"token\",\"token_env\":\"T\"},\"namespace\":\"/a\"}", "namespace"},
        {"{\"auth\":{\"method\":\"token\",\"token_env\":\"T\"},\"namespace\":\"a\\r\\nb\"}",
         "namespace"},
        {"{\"auth\":{\"method\":\"token\",\"token_env\":\"T\"},\"namespaces\":\"a\"}",
         "did you mean \"namespace\""},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct vault_config config;
        struct plugin_text detail = {{0}};
        int rc = vault_config_parse(plugin_str(cases[i].config), &config, &detail);

        assert_int_equal(rc, cases[i].word == NULL ? 0 : -1);
        if (cases[i].word != NULL && strstr(detail.bytes, cases[i].word) == NULL) {
            fail_msg("%s: %s", cases[i].config, detail.bytes);
        }
    }
}

static int parse(const char *body, struct vault_reply *ret_reply, struct plugin_text *detail)
{
    const struct leased_http_reply http = {.size = sizeof(http),
                                           .status = 200,
                                           .body = plugin_str(body)};

    return vault_reply_parse(&http, ret_reply, detail);
}

static void test_answers_of_the_wrong_shape_are_refused(void **state)
{
    static const char *const wrong[] = {
        "SECRET",
        "[\"SECRET\"]",
        "\"SECRET\"",
        "{\"lease_id\":1}",
        "{\"lease_id\":\"a/b\",\"lease_id\":\"a/c\"}",
        "{\"lease_duration\":-1}",
        "{\"lease_duration\":1.5}",
        "{\"lease_duration\":\"60\"}",
        "{\"lease_duration\":1e3}",
        "{\"lease_duration\":3153600001}",
        "{\"lease_duration\":9223372036854775807}",
        "{\"lease_duration\":9223372036854775808}",
        "{\"lease_duration\":true}",
        "{\"renewable\":\"true\"}",
        "{\"renewable\":1}",
        "{\"data\":[]}",
        "{\"data\":\"SECRET\"}",
        "{\"auth\":[]}",
        "{\"warnings\":{}}",
        "{\"warnings\":[1]}",
        "{\"data\":{\"a\":\"\xff\"}}",
        "{\"data\":{\"a\":\"\\u0000\"}}",
        "{\"data\":{\"a\":1,\"a\":2}}",
        "{\"data\":{}} trailing",
        "{\"data\":{}",
    };

    (void)state;
    for (size_t i = 0; i < COUNT(wrong); i++) {
        struct vault_reply reply = {0};
        struct plugin_text detail = {{0}};

        if (parse(wrong[i], &reply, &detail) == 0) {
            fail_msg("taken: %s", wrong[i]);
        }
        assert_true(detail.bytes[0] != '\0');
        assert_null(strstr(detail.bytes, "SECRET"));
    }
}

static void test_a_good_answer_is_read_and_unknown_keys_are_fine(void **state)
{
    struct vault_reply reply;
    struct plugin_text detail;

    (void)state;
    assert_int_equal(parse("{\"request_id\":\"x\",\"lease_id\":\"a/b/c\",\"renewable\":true,"
                           "\"lease_duration\":3600,\"data\":{\"k\":\"v\"},\"wrap_info\":null,"
                           "\"warnings\":[\"TTL exceeded\"],\"auth\":null,\"mount_type\":\"kv\"}",
                           &reply, &detail),
                     0);
    assert_true(plugin_str_eq(reply.lease_id, "a/b/c"));
    assert_true(reply.is_renewable && reply.lease_duration_s == 3600);
    assert_true(vault_reply_is_capped(&reply));
    assert_null(reply.auth);
    vault_reply_fini(&reply);
    assert_int_equal(parse("", &reply, &detail), 0);
    assert_null(reply.data);
    assert_int_equal(parse("{\"lease_id\":null,\"renewable\":null,\"lease_duration\":null,"
                           "\"data\":null,\"warnings\":null}",
                           &reply, &detail),
                     0);
    assert_int_equal(reply.lease_id.len, 0);
    vault_reply_fini(&reply);
}

/* A body of `opening` n times and `closing` n times. */
static char *nested(const char *opening, const char *closing, size_t n)
{
    char *text = calloc(1, n * (strlen(opening) + strlen(closing)) + 2);
    char *at = text;

    assert_non_null(text);
    for (size_t i = 0; i < n; i++) {
        memcpy(at, opening, strlen(opening));
        at += strlen(opening);
    }
    *at++ = '1';
    for (size_t i = 0; i < n; i++) {
        memcpy(at, closing, strlen(closing));
        at += strlen(closing);
    }
    return text;
}

static void test_bombs_are_refused_before_they_are_parsed(void **state)
{
    struct vault_reply reply;
    struct plugin_text detail;
    char *body = nested("{\"a\":", "}", 32);

    (void)state;
    assert_int_equal(parse(body, &reply, &detail), 0);
    vault_reply_fini(&reply);
    free(body);
    body = nested("{\"a\":", "}", 33);
    assert_int_equal(parse(body, &reply, &detail), -1);
    assert_non_null(strstr(detail.bytes, "deeply"));
    free(body);
    body = nested("[", "]", 100000);
    assert_int_equal(parse(body, &reply, &detail), -1);
    free(body);
    body = nested("[1,", "", 21000);
    assert_int_equal(parse(body, &reply, &detail), -1);
    free(body);
    /* Brackets inside texts are text. */
    body = nested("[", "", 40);
    body[0] = '"';
    body[strlen(body) - 1] = '"';
    assert_int_equal(parse(body, &reply, &detail), -1); /* no object, but not for its depth */
    assert_null(strstr(detail.bytes, "deeply"));
    free(body);
}

/* {"a":[1,1,…]}: `count` commas and brackets. */
static char *with_values(size_t count)
{
    char *text = malloc(2 * count + 16);
    size_t len = (size_t)snprintf(text, 16, "{\"a\":[1");

    for (size_t i = 2; i < count; i++) {
        text[len++] = ',';
        text[len++] = '1';
    }
    (void)snprintf(text + len, 3, "]}");
    return text;
}

static int parse_within(const char *body, uint32_t depth_max, uint32_t values_max, uint32_t size)
{
    const struct leased_http_reply http = {.size = size,
                                           .status = 200,
                                           .body = plugin_str(body),
                                           .depth_max = depth_max,
                                           .values_max = values_max};
    struct vault_reply reply = {0};
    struct plugin_text detail = {{0}};
    int rc = vault_reply_parse(&http, &reply, &detail);

    if (rc != 0 && strstr(detail.bytes, "deeply") == NULL) {
        fail_msg("%s", detail.bytes);
    }
    vault_reply_fini(&reply);
    return rc;
}

static void test_the_host_says_how_much_an_answer_may_hold(void **state)
{
    static const struct {
        uint32_t allowed; /* 0: the host doesn't say */
        uint32_t size;    /* of the reply's struct */
        size_t count;
        int rc;
    } cases[] = {
        {0, sizeof(struct leased_http_reply), 20000, 0},
        {0, sizeof(struct leased_http_reply), 20001, -1},
        {655, sizeof(struct leased_http_reply), 655, 0},
        {655, sizeof(struct leased_http_reply), 656, -1},
        {20971, sizeof(struct leased_http_reply), 20971, 0},
        {20971, sizeof(struct leased_http_reply), 20972, -1},
        {83886, sizeof(struct leased_http_reply), 83886, 0},
        {83886, sizeof(struct leased_http_reply), 83887, -1},
        /* A host before 1.5 has other things there. */
        {5, offsetof(struct leased_http_reply, depth_max), 20000, 0},
        {5, offsetof(struct leased_http_reply, depth_max), 20001, -1},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        char *body = with_values(cases[i].count);

        assert_int_equal(parse_within(body, 0, cases[i].allowed, cases[i].size), cases[i].rc);
        free(body);
    }
    for (uint32_t depth = 8; depth <= 64; depth += 28) {
        char *body = nested("{\"a\":", "}", depth);

        assert_int_equal(parse_within(body, depth, 0, sizeof(struct leased_http_reply)), 0);
        assert_int_equal(parse_within(body, depth - 1, 0, sizeof(struct leased_http_reply)), -1);
        free(body);
    }
}

static size_t held_bytes;
static size_t most_bytes;

static void *count_alloc(size_t size)
{
    void *block = malloc(size);

    held_bytes += block != NULL ? malloc_usable_size(block) : 0;
    most_bytes = held_bytes > most_bytes ? held_bytes : most_bytes;
    return block;
}

static void count_free(void *block)
{
    held_bytes -= malloc_usable_size(block);
    free(block);
}

/* The host's limits.answer_memory counts 400 bytes for a value (BACKEND_VALUE_BYTES). */
static void test_a_value_takes_no_more_memory_than_is_counted_for_it(void **state)
{
    static const char *const items[] = {
        "[]",         "{}",           "1",           "1.5",           "\"a\"", "{\"k\":0}",
        "{\"k\":{}}", "{\"k\":\"\"}", "[\"\",\"\"]", "{\"k\":[\"\"]}"};

    (void)state;
    for (size_t i = 0; i < COUNT(items); i++) {
        struct vault_reply reply = {0};
        struct plugin_text detail = {{0}};
        char *body = malloc(8 * 10000 + 10000 * 8 + 64);
        size_t len = (size_t)snprintf(body, 16, "{\"a\":[");
        size_t counted = 2;

        for (size_t n = 0; n < 5000; n++) {
            len += (size_t)snprintf(body + len, 32, "%s%s", n > 0 ? "," : "", items[i]);
        }
        (void)snprintf(body + len, 3, "]}");
        for (const char *at = body; *at != '\0'; at++) {
            counted += *at == ',' || *at == '{' || *at == '[';
        }
        json_set_alloc_funcs(count_alloc, count_free);
        held_bytes = 0;
        most_bytes = 0;
        assert_int_equal(parse(body, &reply, &detail), 0);
        vault_reply_fini(&reply);
        json_set_alloc_funcs(malloc, free);
        if (most_bytes > counted * 400) {
            fail_msg("%s: %zu bytes for %zu values", items[i], most_bytes, counted);
        }
        free(body);
    }
}

static void test_a_compressed_answer_is_refused(void **state)
{
    const struct leased_http_header header = {PLUGIN_STR("content-encoding"), PLUGIN_STR("gzip")};
    const struct leased_http_reply http = {.size = sizeof(http),
                                           .status = 200,
                                           .headers = &header,
                                           .header_count = 1,
                                           .body = PLUGIN_STR("{}")};
    struct vault_reply reply;
    struct plugin_text detail;

    (void)state;
    assert_int_equal(vault_reply_parse(&http, &reply, &detail), -1);
}

static void test_fields_are_texts_and_all_but_the_user_name_is_secret(void **state)
{
    struct vault_fields fields;
    struct plugin_text detail;
    json_t *data = json_pack("{s:s, s:s, s:i, s:b, s:[s], s:n}", "username", "u", "password", "p",
                             "port", 22, "on", 1, "list", "x", "none");

    (void)state;
    assert_int_equal(vault_fields_read(&fake_host, data, NULL, &fields, &detail), 0);
    assert_int_equal(fields.count, 5);
    for (size_t i = 0; i < fields.count; i++) {
        bool is_user = plugin_str_eq(fields.items[i].key, "username");

        assert_int_equal(fields.items[i].flags, is_user ? 0 : LEASED_KV_SECRET);
        if (plugin_str_eq(fields.items[i].key, "port")) {
            assert_true(plugin_str_eq(fields.items[i].value, "22"));
        } else if (plugin_str_eq(fields.items[i].key, "on")) {
            assert_true(plugin_str_eq(fields.items[i].value, "true"));
        } else if (plugin_str_eq(fields.items[i].key, "list")) {
            assert_true(plugin_str_eq(fields.items[i].value, "[\"x\"]"));
        }
    }
    vault_fields_fini(&fields);
    json_decref(data);
    data = json_object();
    assert_int_equal(vault_fields_read(&fake_host, data, NULL, &fields, &detail), LEASED_INVALID);
    vault_fields_fini(&fields);
    for (int i = 0; i < 33; i++) {
        char name[8];

        (void)snprintf(name, sizeof(name), "k%d", i);
        assert_int_equal(json_object_set_new(data, name, json_integer(i)), 0);
    }
    assert_int_equal(vault_fields_read(&fake_host, data, NULL, &fields, &detail), LEASED_INVALID);
    vault_fields_fini(&fields);
    json_decref(data);
    assert_int_equal(host_block_count(), 0);
}

static void test_a_query_is_encoded_and_bounded(void **state)
{
    struct vault_request request;
    struct vault_params params;
    struct plugin_text detail;
    char huge[5000];

    (void)state;
    assert_int_equal(
        vault_params_parse(PLUGIN_STR("{\"path\":\"aws/sts/x\",\"params\":{\"ttl\":\"1h\",\"a b\":"
                                      "\"c&d=e/\\u00e4\",\"n\":60,\"t\":false}}"),
                           &params, &detail),
        0);
    assert_int_equal(vault_request_init_params(&fake_host, &params, &request), 0);
    assert_string_equal(request.path, "/v1/aws/sts/x?ttl=1h&a%20b=c%26d%3De%2F%C3%A4&n=60&t=false");
    assert_null(request.body);
    assert_true(request.creates);
    vault_request_fini(&fake_host, &request);
    vault_params_fini(&params);
    (void)snprintf(huge, sizeof(huge), "{\"path\":\"a\",\"params\":{\"x\":\"%04500d\"}}", 1);
    assert_int_equal(vault_params_parse(plugin_str(huge), &params, &detail), 0);
    assert_int_equal(vault_request_init_params(&fake_host, &params, &request), -1);
    vault_params_fini(&params);
    assert_int_equal(host_block_count(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parameters_that_reach_elsewhere_are_refused),
        cmocka_unit_test(test_configurations_are_read_or_say_what_is_wrong),
        cmocka_unit_test(test_answers_of_the_wrong_shape_are_refused),
        cmocka_unit_test(test_a_good_answer_is_read_and_unknown_keys_are_fine),
        cmocka_unit_test(test_bombs_are_refused_before_they_are_parsed),
        cmocka_unit_test(test_the_host_says_how_much_an_answer_may_hold),
        cmocka_unit_test(test_a_value_takes_no_more_memory_than_is_counted_for_it),
        cmocka_unit_test(test_a_compressed_answer_is_refused),
        cmocka_unit_test(test_fields_are_texts_and_all_but_the_user_name_is_secret),
        cmocka_unit_test(test_a_query_is_encoded_and_bounded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
