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
        struct vault_text detail = {{0}};
        int rc = vault_params_parse(vault_str(cases[i].params), &params, &detail);

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
        struct vault_text detail = {{0}};
        int rc = vault_config_parse(vault_str(cases[i].config), &config, &detail);

        assert_int_equal(rc, cases[i].word == NULL ? 0 : -1);
        if (cases[i].word != NULL && strstr(detail.bytes, cases[i].word) == NULL) {
            fail_msg("%s: %s", cases[i].config, detail.bytes);
        }
    }
}

static int parse(const char *body, struct vault_reply *ret_reply, struct vault_text *detail)
{
    const struct leased_http_reply http = {.size = sizeof(http),
                                           .status = 200,
                                           .body = vault_str(body)};

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
        struct vault_text detail = {{0}};

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
    struct vault_text detail;

    (void)state;
    assert_int_equal(parse("{\"request_id\":\"x\",\"lease_id\":\"a/b/c\",\"renewable\":true,"
                           "\"lease_duration\":3600,\"data\":{\"k\":\"v\"},\"wrap_info\":null,"
                           "\"warnings\":[\"TTL exceeded\"],\"auth\":null,\"mount_type\":\"kv\"}",
                           &reply, &detail),
                     0);
    assert_true(vault_str_eq(reply.lease_id, "a/b/c"));
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
    struct vault_text detail;
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

static void test_a_compressed_answer_is_refused(void **state)
{
    const struct leased_http_header header = {VAULT_STR("content-encoding"), VAULT_STR("gzip")};
    const struct leased_http_reply http = {.size = sizeof(http),
                                           .status = 200,
                                           .headers = &header,
                                           .header_count = 1,
                                           .body = VAULT_STR("{}")};
    struct vault_reply reply;
    struct vault_text detail;

    (void)state;
    assert_int_equal(vault_reply_parse(&http, &reply, &detail), -1);
}

static void test_fields_are_texts_and_all_but_the_user_name_is_secret(void **state)
{
    struct vault_fields fields;
    struct vault_text detail;
    json_t *data = json_pack("{s:s, s:s, s:i, s:b, s:[s], s:n}", "username", "u", "password", "p",
                             "port", 22, "on", 1, "list", "x", "none");

    (void)state;
    assert_int_equal(vault_fields_read(&fake_host, data, NULL, &fields, &detail), 0);
    assert_int_equal(fields.count, 5);
    for (size_t i = 0; i < fields.count; i++) {
        bool is_user = vault_str_eq(fields.items[i].key, "username");

        assert_int_equal(fields.items[i].flags, is_user ? 0 : LEASED_KV_SECRET);
        if (vault_str_eq(fields.items[i].key, "port")) {
            assert_true(vault_str_eq(fields.items[i].value, "22"));
        } else if (vault_str_eq(fields.items[i].key, "on")) {
            assert_true(vault_str_eq(fields.items[i].value, "true"));
        } else if (vault_str_eq(fields.items[i].key, "list")) {
            assert_true(vault_str_eq(fields.items[i].value, "[\"x\"]"));
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
    struct vault_text detail;
    char huge[5000];

    (void)state;
    assert_int_equal(
        vault_params_parse(VAULT_STR("{\"path\":\"aws/sts/x\",\"params\":{\"ttl\":\"1h\",\"a b\":"
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
    assert_int_equal(vault_params_parse(vault_str(huge), &params, &detail), 0);
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
        cmocka_unit_test(test_a_compressed_answer_is_refused),
        cmocka_unit_test(test_fields_are_texts_and_all_but_the_user_name_is_secret),
        cmocka_unit_test(test_a_query_is_encoded_and_bounded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
