/* Passing requests on: what goes out, what comes back, what never does either. */
#include "fake_host.h"
#include "pass.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define DEAD "{\"errors\":[\"permission denied\"]}"
#define POLICY "{\"errors\":[\"1 error occurred:\\n\\t* permission denied\\n\\n\"]}"
#define ALIVE "{\"data\":{\"ttl\":0,\"expire_time\":null}}"

static struct leased_call get(const char *path)
{
    return (struct leased_call){.size = sizeof(struct leased_call),
                                .method = PLUGIN_STR("GET"),
                                .path = plugin_str(path)};
}

static void test_a_request_goes_out_with_our_token_and_what_is_harmless(void **state)
{
    const struct leased_http_header headers[] = {
        {PLUGIN_STR("content-type"), PLUGIN_STR("application/merge-patch+json")},
        {PLUGIN_STR("x-vault-wrap-ttl"), PLUGIN_STR("60s")},
        {PLUGIN_STR("user-agent"), PLUGIN_STR("hvac")},
        {PLUGIN_STR("x-forwarded-for"), PLUGIN_STR("127.0.0.1")},
        {PLUGIN_STR("x-vault-request"), PLUGIN_STR("true")},
        {PLUGIN_STR("cookie"), PLUGIN_STR("a=b")},
    };
    const struct leased_call request = {.size = sizeof(request),
                                        .method = PLUGIN_STR("PATCH"),
                                        .path = PLUGIN_STR("/v1/kv/data/a%20b?version=2"),
                                        .headers = headers,
                                        .header_count = COUNT(headers),
                                        .body = PLUGIN_STR("{\"data\":{}}")};
    struct leased_host_context *host = host_open_root();
    const struct leased_http_header type = {PLUGIN_STR("content-type"),
                                            PLUGIN_STR("application/json")};
    struct fake_op *op = host_pass(host, &request);

    (void)state;
    assert_string_equal(host_last(host)->method, "PATCH");
    assert_string_equal(host_last(host)->path, "/v1/kv/data/a%20b?version=2");
    assert_string_equal(host_last(host)->body, "{\"data\":{}}");
    assert_string_equal(host_last(host)->token, "s.SECRET-root");
    assert_true(host_last(host)->has_guard);
    assert_string_equal(host_last(host)->others,
                        "content-type=application/merge-patch+json\nx-vault-wrap-ttl=60s\n");
    assert_int_equal(host_last(host)->flags, LEASED_HTTP_CREATES | LEASED_HTTP_MOVABLE);
    host_answer_header(host, host_last(host), 200, &type, "{\"data\":{\"x\":1}}");
    assert_int_equal(op->reply_status, 200);
    assert_string_equal(op->reply, "content-type=application/json\n{\"data\":{\"x\":1}}");
    host_close(host, 0);
}

static void test_a_body_without_a_type_is_json_and_a_repeatable_request_keeps_its_connection(
    void **state)
{
    struct leased_host_context *host = host_open_root();
    struct leased_call request = get("/v1/kv/a");

    (void)state;
    request.method = PLUGIN_STR("POST");
    request.body = PLUGIN_STR("{}");
    request.flags = LEASED_CALL_REPEATABLE;
    (void)host_pass(host, &request);
    assert_string_equal(host_last(host)->others, "Content-Type=application/json\n");
    assert_int_equal(host_last(host)->flags, 0);
    host_close(host, 0);
}

static void test_the_namespace_is_ours(void **state)
{
    struct leased_host_context *host = host_open(
        "{\"namespace\":\"team\",\"auth\":{\"method\":\"token\",\"token_file\":\"/token\"}}");
    struct leased_call request = get("/v1/kv/a");

    (void)state;
    host_answer(host, host_last(host), 200, ALIVE);
    (void)host_pass(host, &request);
    assert_string_equal(host_last(host)->name_space, "team");
    host_close(host, 0);
}

static void test_errors_of_vault_are_answers(void **state)
{
    static const uint32_t statuses[] = {204, 400, 404, 405, 429, 473, 500, 502, 503};
    struct leased_host_context *host = host_open_root();

    (void)state;
    for (size_t i = 0; i < COUNT(statuses); i++) {
        struct leased_call request = get("/v1/kv/a");
        struct fake_op *op = host_pass(host, &request);

        host_answer(host, host_last(host), statuses[i], "{\"errors\":[\"why\"]}");
        assert_int_equal(op->reply_status, statuses[i]);
        assert_string_equal(op->reply, "{\"errors\":[\"why\"]}");
    }
    host_close(host, 0);
}

static void test_only_headers_for_clients_come_back(void **state)
{
    static const struct {
        const char *name;
        bool comes;
    } names[] = {{"content-type", true},   {"retry-after", true},   {"x-vault-index", true},
                 {"x-vault-token", false}, {"set-cookie", false},   {"server", false},
                 {"location", false},      {"x-vault-", false},     {"content-length", false},
                 {"date", false},          {"cache-control", false}};
    struct leased_host_context *host = host_open_root();

    (void)state;
    for (size_t i = 0; i < COUNT(names); i++) {
        const struct leased_http_header header = {plugin_str(names[i].name), PLUGIN_STR("v")};
        struct leased_call request = get("/v1/kv/a");
        struct fake_op *op = host_pass(host, &request);

        host_answer_header(host, host_last(host), 200, &header, "");
        assert_int_equal(op->reply_status, 200);
        assert_int_equal(strlen(op->reply) > 0, names[i].comes);
    }
    host_close(host, 0);
}

static void test_what_is_no_answer_of_vaults_ends_with_its_class(void **state)
{
    struct leased_call request = get("/v1/kv/a");
    static const struct {
        uint32_t status; /* 0: transport */
        uint32_t transport;
        int32_t want;
    } cases[] = {
        {0, LEASED_HTTP_NOT_SENT, LEASED_RETRY},
        {0, LEASED_HTTP_LOST, LEASED_LOST},
        {0, LEASED_HTTP_CANCELED, LEASED_CANCELED},
        {307, 0, LEASED_RETRY},
        {301, 0, LEASED_RETRY},
        {100, 0, LEASED_INVALID},
        {600, 0, LEASED_LOST},
    };
    const struct leased_http_header gzip = {PLUGIN_STR("content-encoding"), PLUGIN_STR("gzip")};
    struct leased_host_context *host = host_open_root();
    struct fake_op *op;

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        op = host_pass(host, &request);
        if (cases[i].status == 0) {
            host_fail(host, host_last(host), cases[i].transport);
        } else {
            host_answer(host, host_last(host), cases[i].status, "");
        }
        assert_int_equal(op->reply_status, 0);
        assert_int_equal(op->status, cases[i].want);
        assert_true(op->detail[0] != '\0');
    }
    op = host_pass(host, &request);
    host_answer_header(host, host_last(host), 200, &gzip, "\x1f\x8b");
    assert_int_equal(op->status, LEASED_LOST);
    host_close(host, 0);
}

static void test_a_403_is_handed_over_only_when_the_token_is_alive(void **state)
{
    struct leased_host_context *host = host_open_root();
    struct leased_call request = get("/v1/kv/a");
    struct fake_op *op;

    (void)state;
    host_advance(host, 5000);
    op = host_pass(host, &request);
    host_answer(host, host_last(host), 403, POLICY);
    assert_true(op->is_open);
    assert_string_equal(host_last(host)->path, "/v1/auth/token/lookup-self");
    host_answer(host, host_last(host), 200, ALIVE);
    assert_int_equal(op->reply_status, 403);
    assert_string_equal(op->reply, "content-type=application/json\n" POLICY);
    /* It has just been seen alive. */
    op = host_pass(host, &request);
    host_answer(host, host_last(host), 403, POLICY);
    assert_int_equal(op->reply_status, 403);
    host_advance(host, 5000);
    op = host_pass(host, &request);
    host_answer(host, host_last(host), 403, DEAD);
    host_answer(host, host_last(host), 403, DEAD);
    assert_int_equal(op->reply_status, 0);
    assert_int_equal(op->status, LEASED_RETRY);
    host_close(host, 0);
}

static void test_a_clients_token_or_namespace_is_refused(void **state)
{
    static const char *const names[] = {"x-vault-token", "X-Vault-Token", "x-vault-namespace",
                                        "authorization", "Authorization"};
    struct leased_host_context *host = host_open_root();

    (void)state;
    for (size_t i = 0; i < COUNT(names); i++) {
        const struct leased_http_header header = {plugin_str(names[i]), PLUGIN_STR("s.other")};
        struct leased_call request = get("/v1/kv/a");
        struct fake_op *op;

        request.headers = &header;
        request.header_count = 1;
        op = host_pass(host, &request);
        assert_true(op->is_open); /* never from inside the start */
        host_run(host);
        assert_int_equal(op->status, LEASED_INVALID);
        assert_non_null(strstr(op->detail, "isn't passed on"));
    }
    assert_int_equal(host->http_count, 1);
    host_close(host, 0);
}

static void test_paths_that_could_be_read_in_another_way_are_refused(void **state)
{
    static const struct {
        const char *path;
        const char *word; /* of the reason; NULL: fine */
    } cases[] = {
        {"/v1/kv/a", NULL},
        {"/v1/kv/a/", NULL},
        {"/v1/kv/a%20b%C3%A4", NULL},
        {"/v1/kv/a?version=%2e%2e/", NULL},
        {"/v1/kv/...", NULL},
        {"/v1/kv/.hidden", NULL},
        {"/v1/secret/auth/token/lookups", NULL},
        {"/v1/auth/token/lookup-accessor", NULL},
        {"", "/v1/"},
        {"/v1/", "/v1/"},
        {"/v2/kv/a", "/v1/"},
        {"v1/kv/a", "/v1/"},
        {"//v1/kv/a", "/v1/"},
        {"/%76%31/", "/v1/"},
        {"/v1//kv", "empty segment"},
        {"/v1/kv//a", "empty segment"},
        {"/v1/kv/../sys/raw", "segments"},
        {"/v1/kv/..", "segments"},
        {"/v1/kv/./a", "segments"},
        {"/v1/kv/%2e%2e/sys", "encodes"},
        {"/v1/kv/%2E./sys", "encodes"},
        {"/v1/kv/.%2e", "encodes"},
        {"/v1/kv%2fa", "encodes"},
        {"/v1/kv%2Fa", "encodes"},
        {"/v1/kv/a%5cb", "encodes"},
        {"/v1/kv/a%00", "encodes"},
        {"/v1/kv/a%0d%0a", "encodes"},
        {"/v1/kv/a%7f", "encodes"},
        {"/v1/kv/a%252e", "encodes"},
        {"/v1/kv/a%", "encodes"},
        {"/v1/kv/a%2", "encodes"},
        {"/v1/kv/a%zz", "encodes"},
        {"/v1/kv/a b", "character"},
        {"/v1/kv/a\r\nX: y", "character"},
        {"/v1/kv/a\\b", "character"},
        {"/v1/kv/a#b", "character"},
        {"/v1/kv/\xc3\xa4", "character"},
        {"/v1/kv/a?x=\x01", "character"},
        {"/v1/auth/token/lookup-self", "leased itself"},
        {"/v1/auth/token/lookup-self/", "leased itself"},
        {"/v1/auth/token/lookup", "leased itself"},
        {"/v1/auth/token/renew-self?x=y", "leased itself"},
        {"/v1/auth/token/revoke-self", "leased itself"},
        {"/v1/team/auth/token/revoke-self", "leased itself"},
        {"/v1/auth/token/%6cookup-self", "leased itself"},
    };
    char huge[VAULT_PASS_PATH_MAX_BYTES + 2];

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        const char *problem = vault_pass_path_problem(plugin_str(cases[i].path));

        if (cases[i].word == NULL ? problem != NULL
                                  : problem == NULL || strstr(problem, cases[i].word) == NULL) {
            fail_msg("%s: %s", cases[i].path, problem != NULL ? problem : "fine");
        }
    }
    memset(huge, 'a', sizeof(huge) - 1);
    huge[sizeof(huge) - 1] = '\0';
    memcpy(huge, "/v1/", 4);
    assert_non_null(vault_pass_path_problem(plugin_str(huge)));
    huge[sizeof(huge) - 2] = '\0';
    assert_null(vault_pass_path_problem(plugin_str(huge)));
}

static void test_methods_and_bodies_are_bounded(void **state)
{
    static char huge[VAULT_PASS_BODY_MAX_BYTES + 1];
    static const char *const bad[] = {"", "HEAD", "get", "CONNECT", "TRACE", "GET /x"};
    struct leased_host_context *host = host_open_root();
    struct leased_call request;
    struct fake_op *op;

    (void)state;
    for (size_t i = 0; i < COUNT(bad); i++) {
        request = get("/v1/kv/a");
        request.method = plugin_str(bad[i]);
        op = host_pass(host, &request);
        host_run(host);
        assert_int_equal(op->status, LEASED_INVALID);
    }
    request = get("/v1/kv/a");
    request.body = (struct leased_str){huge, sizeof(huge)};
    op = host_pass(host, &request);
    host_run(host);
    assert_int_equal(op->status, LEASED_INVALID);
    assert_int_equal(host->http_count, 1);
    host_close(host, 0);
}

static void test_it_waits_for_a_login_and_can_be_cancelled(void **state)
{
    struct leased_host_context *host = host_open(APPROLE_CONFIG);
    struct leased_call request = get("/v1/kv/a");
    struct fake_op *waiting = host_pass(host, &request);
    struct fake_op *op;

    (void)state;
    assert_true(waiting->is_open);
    assert_int_equal(host->http_count, 1);
    host_answer(host, host_last(host), 200,
                "{\"auth\":{\"client_token\":\"s.SECRET-2\",\"lease_duration\":600}}");
    assert_string_equal(host_last(host)->token, "s.SECRET-2");
    host_cancel(host, waiting);
    assert_true(host_last(host)->is_canceled);
    host_fail(host, host_last(host), LEASED_HTTP_CANCELED);
    assert_int_equal(waiting->status, LEASED_CANCELED);
    op = host_pass(host, &request);
    host_close(host, 0);
    (void)op;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_request_goes_out_with_our_token_and_what_is_harmless),
        cmocka_unit_test(
            test_a_body_without_a_type_is_json_and_a_repeatable_request_keeps_its_connection),
        cmocka_unit_test(test_the_namespace_is_ours),
        cmocka_unit_test(test_errors_of_vault_are_answers),
        cmocka_unit_test(test_only_headers_for_clients_come_back),
        cmocka_unit_test(test_what_is_no_answer_of_vaults_ends_with_its_class),
        cmocka_unit_test(test_a_403_is_handed_over_only_when_the_token_is_alive),
        cmocka_unit_test(test_a_clients_token_or_namespace_is_refused),
        cmocka_unit_test(test_paths_that_could_be_read_in_another_way_are_refused),
        cmocka_unit_test(test_methods_and_bodies_are_bounded),
        cmocka_unit_test(test_it_waits_for_a_login_and_can_be_cancelled),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
