/* What plugins share of OAuth: addresses, answers with a token and its end, refusals. */
#include "common/endpoint.h"
#include "common/oauth.h"

#include "base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#define NOW_S 1700000000
#define DATE "Tue, 14 Nov 2023 22:13:20 GMT" /* NOW_S */

static int64_t wall_ms_now = NOW_S * INT64_C(1000);

static int64_t wall_ms(leased_host_context *context)
{
    (void)context;
    return wall_ms_now;
}

static const struct leased_host host = {.size = sizeof(host),
                                        .wall_ms = wall_ms,
                                        .secret_alloc = mem_alloc,
                                        .secret_free = mem_free,
                                        .alloc = mem_alloc};
static struct plugin_works works = {.host = &host};
static struct plugin_work work = {.works = &works};

static struct leased_http_reply reply_of(uint32_t status, const char *body,
                                         const struct leased_http_header *header)
{
    return (struct leased_http_reply){.size = sizeof(struct leased_http_reply),
                                      .status = status,
                                      .headers = header,
                                      .header_count = header != NULL ? 1 : 0,
                                      .body = {body, strlen(body)}};
}

/* --- addresses -------------------------------------------------------------------------------- */

static void test_an_address_is_taken_apart(void **state)
{
    static const struct {
        const char *url;
        const char *address;
        const char *path;
    } cases[] = {
        {"https://a.example", "https://a.example", ""},
        {"https://a.example:8443/x/y", "https://a.example:8443", "/x/y"},
        {"http://127.0.0.1:80/token", "http://127.0.0.1:80", "/token"},
        {"http://localhost/", "http://localhost", "/"},
        {"http://[::1]:9", "http://[::1]:9", ""},
        {"http://169.254.169.254", "http://169.254.169.254", ""},
        {"http://metadata.google.internal", "http://metadata.google.internal", ""},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct plugin_endpoint endpoint;

        assert_null(
            plugin_endpoint_parse(plugin_str(cases[i].url), PLUGIN_ENDPOINT_METADATA, &endpoint));
        assert_string_equal(endpoint.address, cases[i].address);
        assert_string_equal(endpoint.path, cases[i].path);
    }
    assert_string_equal(plugin_endpoint_host("https://a.example:1"), "a.example:1");
}

static void test_an_address_that_leads_elsewhere_is_refused(void **state)
{
    static const char *const urls[] = {
        "",
        "a.example",
        "ftp://a.example",
        "https://",
        "https://user@a.example",
        "https://a.example?x",
        "https://a.example/x?y",
        "https://a.example/x#y",
        "https://a.example/../x",
        "https://a.example:",
        "https://a.example:x",
        "https://a.example:123456",
        "https://a.example\\b",
        "https://a b.example",
        "http://a.example",
        "http://127.evil.example",
        "http://127.0.0.1.evil.example",
        "http://localhost.evil.example",
        "http://169.254.169.254",
        "http://metadata.google.internal",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++) {
        struct plugin_endpoint endpoint;

        if (plugin_endpoint_parse(plugin_str(urls[i]), 0, &endpoint) == NULL) {
            fail_msg("%s is accepted", urls[i]);
        }
    }
}

/* --- answers ---------------------------------------------------------------------------------- */

/* {"exp": 1700000500} */
#define JWT "e30.eyJleHAiOjE3MDAwMDA1MDB9.c2ln"

static void test_the_earliest_end_counts(void **state)
{
    static const struct {
        const char *body;
        int64_t life_s;
    } cases[] = {
        {"{\"t\":\"x\",\"expires_in\":60}", 60},
        {"{\"t\":\"x\",\"expires_in\":\"60\",\"token_type\":\"bearer\"}", 60},
        {"{\"t\":\"x\",\"expires_in\":60.9}", 60},
        {"{\"t\":\"x\",\"expires_on\":\"1700000100\"}", 100},
        {"{\"t\":\"x\",\"expires_on\":1700000100,\"expires_in\":3600}", 100},
        {"{\"t\":\"x\",\"expires_on\":1700003600,\"expires_in\":50}", 50},
        {"{\"t\":\"x\",\"expireTime\":\"2023-11-14T22:14:20Z\"}", 60},
        {"{\"t\":\"x\",\"expires_in\":999999999}", 172800},
        {"{\"t\":\"" JWT "\"}", 500},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct leased_http_reply reply = reply_of(200, cases[i].body, NULL);
        struct plugin_token token;

        assert_null(plugin_oauth_token(&work, &reply, "t", &token));
        assert_int_equal(token.life_s, cases[i].life_s);
        assert_int_equal(token.ends_s, NOW_S + cases[i].life_s);
        plugin_token_fini(&token);
    }
    assert_int_equal(mem_in_use_bytes(), 0);
}

static void test_an_answer_without_token_or_end_is_refused(void **state)
{
    static const char *const bodies[] = {
        "",
        "[]",
        "{\"t\":\"x\",\"expires_in\":60",
        "{}",
        "{\"t\":1,\"expires_in\":60}",
        "{\"t\":\"\",\"expires_in\":60}",
        "{\"t\":\"a b\",\"expires_in\":60}",
        "{\"t\":\"a\\nb\",\"expires_in\":60}",
        "{\"t\":\"a\\u00e9\",\"expires_in\":60}",
        "{\"t\":\"x\"}",
        "{\"t\":\"x\",\"expires_in\":0}",
        "{\"t\":\"x\",\"expires_in\":-5}",
        "{\"t\":\"x\",\"expires_in\":\"soon\"}",
        "{\"t\":\"x\",\"expires_in\":1e300}",
        "{\"t\":\"x\",\"expires_in\":{}}",
        "{\"t\":\"x\",\"expires_on\":1600000000}",
        "{\"t\":\"x\",\"expireTime\":\"tomorrow\"}",
        "{\"t\":\"x\",\"expireTime\":5}",
        "{\"t\":\"x\",\"expires_in\":60,\"token_type\":\"pop\"}",
        "{\"t\":\"x\",\"expires_in\":60,\"token_type\":5}",
        "{\"t\":\"a..b\"}",
        "{\"t\":\"a.!!.b\"}",
        "{\"t\":\"a.e30.b\"}",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
        struct leased_http_reply reply = reply_of(200, bodies[i], NULL);
        struct plugin_token token;

        if (plugin_oauth_token(&work, &reply, "t", &token) == NULL) {
            fail_msg("%s is accepted", bodies[i]);
        }
    }
    assert_int_equal(mem_in_use_bytes(), 0);
}

static void test_the_issuers_clock_counts_where_it_says_the_time(void **state)
{
    const struct leased_http_header date = {PLUGIN_STR("date"), PLUGIN_STR(DATE)};
    struct leased_http_reply reply =
        reply_of(200, "{\"t\":\"x\",\"expires_on\":1700000100}", &date);
    struct plugin_token token;
    int64_t skew_s = 0;

    (void)state;
    wall_ms_now += 600000;
    assert_null(plugin_oauth_token(&work, &reply, "t", &token));
    assert_int_equal(token.life_s, 100);
    plugin_token_fini(&token);
    assert_true(plugin_oauth_corrects_clock(&work, &reply, &skew_s));
    assert_int_equal(skew_s, -600);
    assert_false(plugin_oauth_corrects_clock(&work, &reply, &skew_s));
    reply.header_count = 0;
    skew_s = 0;
    assert_false(plugin_oauth_corrects_clock(&work, &reply, &skew_s));
    wall_ms_now -= 600000;
}

static void test_a_bare_token_is_a_jwt_with_an_end(void **state)
{
    struct leased_http_reply reply = reply_of(200, JWT "\n", NULL);
    struct plugin_token token;

    (void)state;
    assert_null(plugin_oauth_bare_token(&work, &reply, &token));
    assert_int_equal(token.life_s, 500);
    assert_int_equal(token.text.len, strlen(JWT));
    plugin_token_fini(&token);
    reply = reply_of(200, "<html>sign in</html>", NULL);
    assert_non_null(plugin_oauth_bare_token(&work, &reply, &token));
    reply = reply_of(200, "", NULL);
    assert_non_null(plugin_oauth_bare_token(&work, &reply, &token));
}

/* --- refusals --------------------------------------------------------------------------------- */

static void test_a_refusals_class_is_told_by_status_and_code(void **state)
{
    static const struct {
        uint32_t status;
        const char *body;
        int32_t expected;
        const char *text;
    } cases[] = {
        {400, "{\"error\":\"invalid_grant\",\"error_description\":\"no\"}", LEASED_DENIED,
         "idp answered with HTTP status 400: invalid_grant: no"},
        {401, "{\"error\":\"invalid_client\"}", LEASED_DENIED,
         "idp answered with HTTP status 401: invalid_client"},
        {400, "{\"error\":\"invalid_scope\"}", LEASED_INVALID,
         "idp answered with HTTP status 400: invalid_scope"},
        {400, "{\"error\":\"temporarily_unavailable\"}", LEASED_RETRY,
         "idp answered with HTTP status 400: temporarily_unavailable"},
        {403, "{\"error\":{\"code\":403,\"message\":\"may not\",\"status\":\"PERMISSION_DENIED\"}}",
         LEASED_DENIED, "idp answered with HTTP status 403: PERMISSION_DENIED: may not"},
        {404, "{\"error\":{\"message\":\"none\",\"status\":\"NOT_FOUND\"}}", LEASED_INVALID,
         "idp answered with HTTP status 404: NOT_FOUND: none"},
        {401, "{\"statusCode\":401,\"message\":\"who?\"}", LEASED_DENIED,
         "idp answered with HTTP status 401: who?"},
        {400, "<html>", LEASED_RETRY, "idp answered with HTTP status 400"},
        {302, "", LEASED_RETRY, "idp answered with HTTP status 302"},
        {403, "", LEASED_DENIED, "idp answered with HTTP status 403"},
        {503, "{\"error\":\"invalid_grant\"}", LEASED_RETRY,
         "idp answered with HTTP status 503: invalid_grant"},
        {429, "", LEASED_RETRY, "idp answered with HTTP status 429"},
        {400, "{\"error\":\"a\\nb\",\"error_description\":\"c\\u0007\\u007fd\"}", LEASED_INVALID,
         "idp answered with HTTP status 400: a b: c  d"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct leased_http_reply reply = reply_of(cases[i].status, cases[i].body, NULL);
        struct plugin_refusal refusal;

        plugin_oauth_refused(&reply, "idp", plugin_str("s3cret"), &refusal);
        assert_string_equal(refusal.detail.bytes, cases[i].text);
        assert_int_equal(refusal.status, cases[i].expected);
    }
    assert_int_equal(mem_in_use_bytes(), 0);
}

static void test_a_pause_that_is_asked_for_is_kept(void **state)
{
    static const struct {
        const char *value;
        uint64_t expected_ms;
    } cases[] = {
        {"7", 7000},
        {"0", 0},
        {"Tue, 14 Nov 2023 22:13:50 GMT", 0}, /* by whose clock? */
        {"99999999999999999999", 0},
        {"soon", 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const struct leased_http_header header = {PLUGIN_STR("retry-after"),
                                                  plugin_str(cases[i].value)};
        struct leased_http_reply reply = reply_of(429, "", &header);
        struct plugin_refusal refusal;

        plugin_oauth_refused(&reply, "idp", (struct leased_str){0}, &refusal);
        assert_int_equal(refusal.retry_after_ms, cases[i].expected_ms);
        assert_int_equal(refusal.status,
                         cases[i].expected_ms > 0 ? LEASED_RETRY_AFTER : LEASED_RETRY);
    }
}

static void test_microsofts_number_is_found(void **state)
{
    static const char *const bodies[] = {
        "{\"error\":\"invalid_client\",\"error_codes\":[7000222]}",
        "{\"error\":\"invalid_client\",\"error_description\":\"AADSTS7000222: expired\"}",
    };
    struct plugin_refusal refusal;

    (void)state;
    for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
        struct leased_http_reply reply = reply_of(401, bodies[i], NULL);

        plugin_oauth_refused(&reply, "idp", (struct leased_str){0}, &refusal);
        assert_int_equal(refusal.code, 7000222);
    }
}

static void test_what_echoes_the_secret_is_not_repeated(void **state)
{
    struct plugin_refusal refusal;
    struct leased_http_reply reply =
        reply_of(400, "{\"error\":\"invalid_grant\",\"error_description\":\"bad: s3cret!\"}", NULL);
    char body[1000] = "{\"error\":\"invalid_grant\",\"error_description\":\"";

    (void)state;
    plugin_oauth_refused(&reply, "idp", plugin_str("s3cret"), &refusal);
    assert_string_equal(refusal.detail.bytes, "idp answered with HTTP status 400");
    /* A long sentence is cut, between characters. */
    for (size_t i = 0; i < 200; i++) {
        (void)snprintf(body + strlen(body), sizeof(body) - strlen(body), "\xc3\xa9");
    }
    (void)snprintf(body + strlen(body), sizeof(body) - strlen(body), "\"}");
    reply = reply_of(400, body, NULL);
    plugin_oauth_refused(&reply, "idp", plugin_str("s3cret"), &refusal);
    assert_true(strlen(refusal.detail.bytes) < 300);
    assert_int_equal((unsigned char)refusal.detail.bytes[strlen(refusal.detail.bytes) - 1], 0xa9);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_address_is_taken_apart),
        cmocka_unit_test(test_an_address_that_leads_elsewhere_is_refused),
        cmocka_unit_test(test_the_earliest_end_counts),
        cmocka_unit_test(test_an_answer_without_token_or_end_is_refused),
        cmocka_unit_test(test_the_issuers_clock_counts_where_it_says_the_time),
        cmocka_unit_test(test_a_bare_token_is_a_jwt_with_an_end),
        cmocka_unit_test(test_a_refusals_class_is_told_by_status_and_code),
        cmocka_unit_test(test_a_pause_that_is_asked_for_is_kept),
        cmocka_unit_test(test_microsofts_number_is_found),
        cmocka_unit_test(test_what_echoes_the_secret_is_not_repeated),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
