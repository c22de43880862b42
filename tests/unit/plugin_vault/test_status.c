/* Every answer has one class, and which one depends on what was asked. */
#include "fake_host.h"
#include "status.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define CHECK_TOKEN VAULT_STATUS_CHECK_TOKEN

#define I VAULT_CALL_ISSUE
#define N VAULT_CALL_RENEW
#define V VAULT_CALL_REVOKE
#define L VAULT_CALL_LOGIN
#define H VAULT_CALL_HEALTH
#define P VAULT_CALL_PASS

static const struct {
    enum vault_call call;
    uint32_t status;
    const char *body;
    int32_t want;
} classes[] = {
    {I, 400, "{\"errors\":[\"unknown role: x\"]}", LEASED_INVALID},
    {N, 400, "{\"errors\":[\"lease not found\"]}", LEASED_GONE},
    {N, 400, "{\"errors\":[\"lease expired\"]}", LEASED_GONE},
    {N, 400, "{\"errors\":[\"lease is not renewable\"]}", LEASED_DENIED},
    {N, 400, "{\"errors\":[\"something else\"]}", LEASED_INVALID},
    {V, 400, "{\"errors\":[\"invalid lease\"]}", LEASED_GONE},
    {V, 400, "{\"errors\":[\"failed to revoke entry: x: err: no connection\"]}", LEASED_RETRY},
    {I, 400, "{\"errors\":[\"lease not found\"]}", LEASED_INVALID},
    {L, 400, "{\"errors\":[\"invalid role or secret ID\"]}", LEASED_DENIED},
    {L, 400, "{\"errors\":[\"missing secret_id\"]}", LEASED_INVALID},
    {L, 403, "{\"errors\":[\"permission denied\"]}", LEASED_DENIED},
    {I, 403, "{\"errors\":[\"permission denied\"]}", CHECK_TOKEN},
    {N, 403, "{\"errors\":[\"permission denied\"]}", CHECK_TOKEN},
    {V, 403, "{\"errors\":[\"permission denied\"]}", CHECK_TOKEN},
    /* a refusal of something in between says nothing of ours */
    {I, 400, "Client sent an HTTP request to an HTTPS server.", LEASED_RETRY},
    {N, 400, "<html>lease not found</html>", LEASED_RETRY},
    {N, 401, "", LEASED_RETRY},
    {L, 400, "<html>", LEASED_RETRY},
    {L, 403, "<html>", LEASED_RETRY},
    {I, 403, "<html>blocked</html>", LEASED_RETRY},
    {N, 403, "", LEASED_RETRY},
    {V, 403, "{\"message\":\"Forbidden\"}", LEASED_RETRY},
    {P, 403, "", LEASED_RETRY},
    {I, 404, "default backend - 404", LEASED_RETRY},
    {N, 404, "<html>404 Not Found</html>", LEASED_RETRY},
    {H, 404, "", LEASED_RETRY},
    {N, 405, "{\"error\":\"x\"}", LEASED_RETRY},
    {I, 404, "{\"data\":{\"data\":null},\"errors\":null}", LEASED_INVALID},
    {I, 404, "{\"data\":null,\"warnings\":[\"x\"]}", LEASED_INVALID},
    {I, 404, "{\"errors\":[]}", LEASED_INVALID},
    {N, 404, "{\"errors\":[\"unsupported path\"]}", LEASED_INVALID},
    {I, 405, "{\"errors\":[\"unsupported operation\"]}", LEASED_INVALID},
    {I, 408, "", LEASED_LOST},
    {V, 408, "", LEASED_RETRY},
    {I, 412, "{\"errors\":[\"missing \\\"X-Vault-Request\\\" header\"]}", LEASED_INVALID},
    {I, 412, "{\"errors\":[\"required index state not present\"]}", LEASED_RETRY},
    {I, 413, "{\"errors\":[\"http: request body too large\"]}", LEASED_INVALID},
    {I, 413, "", LEASED_RETRY},
    {I, 415, "{\"errors\":[]}", LEASED_INVALID},
    {I, 429, "{\"errors\":[\"quota\"]}", LEASED_RETRY},
    {H, 429, "", LEASED_SEALED},
    {H, 472, "", LEASED_SEALED},
    {H, 473, "", LEASED_SEALED},
    {H, 474, "", LEASED_SEALED},
    {H, 530, "", LEASED_SEALED},
    {I, 473, "", LEASED_SEALED},
    {I, 500, "{\"errors\":[\"1 error occurred\"]}", LEASED_RETRY},
    {I, 500, "<html>", LEASED_LOST}, /* something in between; it may have passed it on */
    {N, 500, "<html>", LEASED_RETRY},
    {I, 501, "{\"errors\":[\"not initialized\"]}", LEASED_SEALED},
    {I, 502, "{\"errors\":[\"upstream\"]}", LEASED_RETRY},
    {I, 502, "Bad Gateway", LEASED_LOST},
    {V, 502, "Bad Gateway", LEASED_RETRY},
    {I, 503, "{\"errors\":[\"Vault is sealed\"]}", LEASED_SEALED},
    {I, 503, "upstream connect error or disconnect/reset before headers", LEASED_LOST},
    {P, 503, "", LEASED_LOST},
    {N, 503, "no backend", LEASED_SEALED},
    {H, 503, "{\"initialized\":true,\"sealed\":true}", LEASED_SEALED},
    {I, 504, "", LEASED_LOST},
    {V, 504, "", LEASED_RETRY},
    {I, 599, "{\"errors\":[\"x\"]}", LEASED_RETRY},
    {I, 301, "", LEASED_RETRY},
    {I, 307, "<a href>", LEASED_LOST},
    {I, 308, "", LEASED_LOST},
    {N, 307, "", LEASED_RETRY},
    {L, 307, "", LEASED_RETRY},
    {I, 418, "", LEASED_RETRY},
    {I, 418, "{\"errors\":[\"x\"]}", LEASED_INVALID},
    {I, 199, "", LEASED_INVALID},
    {I, 999, "", LEASED_LOST},
    {V, 400, "{\"errors\":[\"certificate with serial 11:22 not found.\"]}", LEASED_DENIED},
    {P, 500, "<html>", LEASED_LOST},
    {P, 307, "", LEASED_LOST},
    {P, 403, "{\"errors\":[\"permission denied\"]}", CHECK_TOKEN},
};

static void test_each_status_of_each_call_has_its_class(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(classes); i++) {
        const struct leased_http_reply http = {.size = sizeof(http),
                                               .status = classes[i].status,
                                               .body = plugin_str(classes[i].body)};
        struct vault_failure failure;

        assert_false(vault_status_is_success(&http));
        vault_status_classify(classes[i].call, &http, &failure);
        if (failure.status != classes[i].want) {
            fail_msg("call %d status %u %s: %d, wanted %d", (int)classes[i].call, classes[i].status,
                     classes[i].body, failure.status, classes[i].want);
        }
        assert_non_null(strstr(failure.detail.bytes, "HTTP status"));
    }
}

static void test_what_transport_failed_says_whether_it_can_be_repeated(void **state)
{
    static const struct {
        enum vault_call call;
        uint32_t transport;
        int32_t want;
    } cases[] = {
        {I, LEASED_HTTP_NOT_SENT, LEASED_RETRY},    {N, LEASED_HTTP_NOT_SENT, LEASED_RETRY},
        {I, LEASED_HTTP_LOST, LEASED_LOST},         {N, LEASED_HTTP_LOST, LEASED_RETRY},
        {V, LEASED_HTTP_LOST, LEASED_RETRY},        {I, LEASED_HTTP_CANCELED, LEASED_LOST},
        {V, LEASED_HTTP_CANCELED, LEASED_CANCELED}, {P, LEASED_HTTP_NOT_SENT, LEASED_RETRY},
        {P, LEASED_HTTP_LOST, LEASED_LOST},         {P, LEASED_HTTP_CANCELED, LEASED_CANCELED},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        const struct leased_http_reply http = {.size = sizeof(http),
                                               .transport = cases[i].transport,
                                               .detail = PLUGIN_STR("reset")};
        struct vault_failure failure;

        vault_status_classify(cases[i].call, &http, &failure);
        assert_int_equal(failure.status, cases[i].want);
        assert_string_equal(failure.detail.bytes, "reset");
    }
}

static void test_retry_after_is_seconds_or_a_date_and_bounded(void **state)
{
    static const struct {
        uint32_t http_status;
        const char *value;
        const char *date;
        int32_t status;
        uint64_t ms;
    } cases[] = {
        {429, "4", "", LEASED_RETRY_AFTER, 4000},
        {429, "0", "", LEASED_RETRY, 0},
        {429, "100000", "", LEASED_RETRY_AFTER, 3600000},
        {429, "99999999999", "", LEASED_RETRY, 0},
        {429, "-1", "", LEASED_RETRY, 0},
        {429, "1.5", "", LEASED_RETRY, 0},
        {429, "Wed, 21 Oct 2026 07:28:00 GMT", "Wed, 21 Oct 2026 07:27:30 GMT", LEASED_RETRY_AFTER,
         30000},
        {429, "Wed, 21 Oct 2026 07:28:00 GMT", "Wed, 21 Oct 2026 07:29:00 GMT", LEASED_RETRY, 0},
        {429, "Wed, 21 Oct 2099 07:28:00 GMT", "Wed, 21 Oct 2026 07:29:00 GMT", LEASED_RETRY_AFTER,
         3600000},
        {429, "Wed, 21 Oct 2026 07:28:00 GMT", "", LEASED_RETRY, 0},
        {503, "5", "", LEASED_LOST, 0}, /* not Vault's */
        {502, "5", "", LEASED_LOST, 0},
        {404, "5", "", LEASED_RETRY_AFTER, 5000}, /* not Vault's */
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        const struct leased_http_header headers[] = {
            {PLUGIN_STR("retry-after"), plugin_str(cases[i].value)},
            {PLUGIN_STR("date"), plugin_str(cases[i].date)}};
        const struct leased_http_reply http = {.size = sizeof(http),
                                               .status = cases[i].http_status,
                                               .headers = headers,
                                               .header_count = 2};
        struct vault_failure failure;

        vault_status_classify(I, &http, &failure);
        assert_int_equal(failure.status, cases[i].status);
        assert_int_equal(failure.retry_after_ms, cases[i].ms);
    }
}

static void test_a_text_says_what_to_do(void **state)
{
    static const struct {
        enum vault_call call;
        uint32_t status;
        const char *body;
        const char *word;
    } cases[] = {
        {I, 503, "{\"errors\":[\"Vault is sealed\"]}", "must be unsealed"},
        {I, 503, "{\"errors\":[\"API access to this namespace has been locked\"]}", "unlock it"},
        {I, 404, "{\"errors\":[\"no handler for route \\\"x\\\"\"]}", "no engine is mounted"},
        {I, 404, "{\"errors\":[\"namespace not found\"]}", "`namespace`"},
        {I, 429, "{\"errors\":[\"rate limit quota exceeded\"]}", "limits.issue_rate"},
        {I, 429, "{\"errors\":[\"lease count quota exceeded\"]}", "raise the quota"},
        {I, 403, "{\"errors\":[\"1 error occurred:\\n\\t* permission denied\"]}", "the policy of"},
        {I, 307, "", "active node"},
        {H, 472, "", "primary's address"},
        {I, 473, "", "active node's address"},
        {I, 501, "", "operator init"},
        {I, 412, "{\"errors\":[\"missing \\\"X-Vault-Request\\\" header\"]}", "in between"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        const struct leased_http_reply http = {.size = sizeof(http),
                                               .status = cases[i].status,
                                               .body = plugin_str(cases[i].body)};
        struct vault_failure failure;

        vault_status_classify(cases[i].call, &http, &failure);
        if (strstr(failure.detail.bytes, cases[i].word) == NULL) {
            fail_msg("%s: %s", cases[i].body, failure.detail.bytes);
        }
    }
}

static void test_a_dead_token_is_told_from_a_policy_that_denies_the_look_up(void **state)
{
    static const struct {
        uint32_t status;
        const char *body;
        bool want;
    } cases[] = {
        {403, "{\"errors\":[\"permission denied\"]}", true},
        {403, "{\"errors\":[\"2 errors occurred:\\n\\t* permission denied\\n\\t* invalid token\"]}",
         true},
        {403, "{\"errors\":[\"bad token\"]}", true},
        {403, "{\"errors\":[\"1 error occurred:\\n\\t* permission denied\\n\\n\"]}", false},
        {403, "<html>blocked</html>", false}, /* not Vault's word */
        {403, "", false},
        {200, "{}", false},
        {500, "{\"errors\":[\"permission denied\"]}", false},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        const struct leased_http_reply http = {.size = sizeof(http),
                                               .status = cases[i].status,
                                               .body = plugin_str(cases[i].body)};

        assert_int_equal(vault_status_is_dead_token(&http), cases[i].want);
    }
}

static void test_messages_are_joined_and_cut(void **state)
{
    char body[2000];
    struct leased_http_reply http = {.size = sizeof(http), .status = 400};
    struct vault_failure failure;

    (void)state;
    http.body = PLUGIN_STR("{\"errors\":[\"a\",\"b\",3,\"c\"]}");
    vault_status_classify(I, &http, &failure);
    assert_string_equal(failure.detail.bytes, "a; b; c (HTTP status 400)");
    memset(body, 'x', sizeof(body) - 1);
    body[sizeof(body) - 1] = '\0';
    memcpy(body, "{\"errors\":[\"", 12);
    memcpy(body + sizeof(body) - 4, "\"]}", 3);
    http.body = plugin_str(body);
    vault_status_classify(I, &http, &failure);
    assert_true(strlen(failure.detail.bytes) < PLUGIN_TEXT_MAX_BYTES);
    assert_non_null(strstr(failure.detail.bytes, "(HTTP status 400)"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_status_of_each_call_has_its_class),
        cmocka_unit_test(test_what_transport_failed_says_whether_it_can_be_repeated),
        cmocka_unit_test(test_retry_after_is_seconds_or_a_date_and_bounded),
        cmocka_unit_test(test_a_text_says_what_to_do),
        cmocka_unit_test(test_a_dead_token_is_told_from_a_policy_that_denies_the_look_up),
        cmocka_unit_test(test_messages_are_joined_and_cut),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
