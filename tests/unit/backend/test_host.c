/* The leased_host table: HTTP, timers, secrets, counters, anchors. */
#include "script_plugin.h"

#include "base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

struct heard {
    size_t count;
    uint32_t transport;
    uint32_t status;
    char body[64];
    char header[64];
    char detail[128];
    uint32_t depth_max;
    uint32_t values_max;
};

static void heard_reply(void *user, const struct leased_http_reply *reply)
{
    struct heard *heard = user;

    heard->count++;
    heard->transport = reply->transport;
    heard->status = reply->status;
    heard->depth_max = reply->depth_max;
    heard->values_max = reply->values_max;
    (void)snprintf(heard->body, sizeof(heard->body), "%.*s", (int)reply->body.len, reply->body.ptr);
    if (reply->header_count > 0) {
        (void)snprintf(heard->header, sizeof(heard->header), "%.*s",
                       (int)reply->headers[0].name.len, reply->headers[0].name.ptr);
    }
    (void)snprintf(heard->detail, sizeof(heard->detail), "%.*s", (int)reply->detail.len,
                   reply->detail.ptr);
}

static leased_http *get(struct script *script, const char *path, struct heard *heard)
{
    const struct leased_http_request request = {.size = sizeof(request),
                                                .method = {"GET", 3},
                                                .path = script_str(path)};

    return script->host->http_start(script->context, &request, heard_reply, heard);
}

static void finish(struct script *script, int status, uint32_t http_status, const char *detail)
{
    const struct env_http_reply reply = {
        .status = http_status,
        .headers = {{.name = STR("retry-after"), .value = STR("3")}},
        .header_count = 1,
        .body = STR("hello"),
    };

    fake_env_http_finish(&script->fake, fake_env_http_first(&script->fake), status,
                         status == 0 ? &reply : NULL, detail);
    fake_env_run(&script->fake);
}

static void test_a_request_goes_out_with_address_tls_and_limits(void **state)
{
    static const char *const addresses[] = {"https://v.example:8200/base/"};
    const struct leased_http_header header = {{"X-Vault-Token", 13}, {"s.secret", 8}};
    struct leased_http_request request = {
        .size = sizeof(request),
        .flags = LEASED_HTTP_CREATES | LEASED_HTTP_REPEATABLE,
        .method = {"POST", 4},
        .path = {"/v1/a?b=c", 9},
        .headers = &header,
        .header_count = 1,
        .body = {"{}", 2},
    };
    struct heard heard = {0};
    const struct env_http *http;
    struct script script;

    (void)state;
    script_open(&script, &(struct backend_options){.addresses = addresses,
                                                   .address_count = 1,
                                                   .ca_file = "/ca.pem",
                                                   .server_name = "vault",
                                                   .proxy = "http://proxy:3128",
                                                   .limits = {.timeout_ms = 1234}});
    assert_non_null(script.host->http_start(script.context, &request, heard_reply, &heard));
    http = fake_env_http_first(&script.fake);
    assert_string_equal(http->url, "https://v.example:8200/base/v1/a?b=c");
    assert_string_equal(http->method, "POST");
    assert_string_equal(http->tls->ca_file, "/ca.pem");
    assert_string_equal(http->tls->server_name, "vault");
    assert_string_equal(http->proxy, "http://proxy:3128");
    assert_null(http->unix_socket);
    assert_int_equal(http->timeout_ms, 1234);
    assert_int_equal(http->flags, ENV_HTTP_CREATES | ENV_HTTP_REPEATABLE);
    assert_int_equal(http->header_count, 1);
    assert_true(str_eq_c(http->headers[0].value, "s.secret"));
    assert_true(str_eq_c(http->body, "{}"));
    finish(&script, 0, 200, NULL);
    assert_int_equal(heard.count, 1);
    assert_int_equal(heard.transport, LEASED_HTTP_OK);
    assert_int_equal(heard.status, 200);
    assert_string_equal(heard.body, "hello");
    assert_string_equal(heard.header, "retry-after");
    script_close(&script);
    script_fini(&script);
}

/* The plugin is told with each answer, so new limits count for the next one. */
static void test_an_answer_is_bounded_by_the_backend_s_limits(void **state)
{
    const struct backend_limits others = {.in_flight = 4,
                                          .timeout_ms = 50000,
                                          .connect_timeout_ms = 20000,
                                          .answer_max_bytes = 65536,
                                          .answer_depth_max = 8,
                                          .answer_memory_bytes = 10 * BACKEND_VALUE_BYTES};
    struct heard heard = {0};
    struct script script;

    (void)state;
    script_open(&script, NULL);
    assert_non_null(get(&script, "/v1/a", &heard));
    assert_int_equal(fake_env_http_first(&script.fake)->reply_max_bytes, 256 * 1024);
    assert_int_equal(fake_env_http_first(&script.fake)->connect_timeout_ms, 5000);
    finish(&script, 0, 200, NULL);
    assert_int_equal(heard.depth_max, 32);
    assert_int_equal(heard.values_max, 8 * 1024 * 1024 / BACKEND_VALUE_BYTES);
    assert_int_equal(backend_set_limits(script.backend, &others, 0), 0);
    assert_non_null(get(&script, "/v1/a", &heard));
    assert_int_equal(fake_env_http_first(&script.fake)->reply_max_bytes, 65536);
    assert_int_equal(fake_env_http_first(&script.fake)->connect_timeout_ms, 20000);
    finish(&script, 0, 200, NULL);
    assert_int_equal(heard.depth_max, 8);
    assert_int_equal(heard.values_max, 10);
    script_close(&script);
    script_fini(&script);
}

static void test_a_unix_address_is_a_socket_and_no_proxy(void **state)
{
    static const char *const addresses[] = {"unix:///run/bao.sock"};
    struct heard heard = {0};
    struct script script;

    (void)state;
    script_open(&script, &(struct backend_options){
                             .addresses = addresses, .address_count = 1, .proxy = "http://p:1"});
    assert_non_null(get(&script, "/v1/sys/health", &heard));
    assert_string_equal(fake_env_http_first(&script.fake)->unix_socket, "/run/bao.sock");
    assert_string_equal(fake_env_http_first(&script.fake)->url, "http://localhost/v1/sys/health");
    assert_null(fake_env_http_first(&script.fake)->proxy);
    finish(&script, 0, 200, NULL);
    script_close(&script);
    script_fini(&script);
}

static void test_requests_that_break_the_rules_are_not_sent(void **state)
{
    static const char *const paths[] = {"",        "v1/a",        "/v1/a b", "/v1/a\r\nX: y",
                                        "/v1/a#b", "/v1/\xc3\xb6"};
    static const struct leased_http_header headers[] = {
        {{"Host", 4}, {"evil", 4}},
        {{"content-LENGTH", 14}, {"1", 1}},
        {{"Transfer-Encoding", 17}, {"chunked", 7}},
        {{"X-A", 3}, {"a\r\nX-B: b", 9}},
        {{"X A", 3}, {"a", 1}},
        {{"", 0}, {"a", 1}},
    };
    struct heard heard = {0};
    struct script script;

    (void)state;
    script_open(&script, NULL);
    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        assert_null(get(&script, paths[i], &heard));
    }
    for (size_t i = 0; i < ARRAY_LEN(headers); i++) {
        const struct leased_http_request request = {.size = sizeof(request),
                                                    .method = {"GET", 3},
                                                    .path = {"/v1/a", 5},
                                                    .headers = &headers[i],
                                                    .header_count = 1};

        assert_null(script.host->http_start(script.context, &request, heard_reply, &heard));
    }
    assert_int_equal(script.fake.http_start_count, 0);
    assert_int_equal(heard.count, 0);
    script_close(&script);
    script_fini(&script);
}

static void test_every_way_to_fail_has_its_transport(void **state)
{
    static const struct {
        int status;
        uint32_t transport;
    } cases[] = {
        {ERR_CONNECT, LEASED_HTTP_NOT_SENT}, {ERR_TLS, LEASED_HTTP_NOT_SENT},
        {ERR_TIMEOUT, LEASED_HTTP_NOT_SENT}, {ERR_LOST, LEASED_HTTP_LOST},
        {ERR_TOO_LARGE, LEASED_HTTP_LOST},   {ERR_PROTOCOL, LEASED_HTTP_LOST},
        {ERR_NOMEM, LEASED_HTTP_LOST},       {ERR_CANCELED, LEASED_HTTP_CANCELED},
    };
    static const char *const address[] = {"https://a.example"};
    struct script script;

    (void)state;
    script_open(&script, &(struct backend_options){.addresses = address, .address_count = 1});
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct heard heard = {0};

        assert_non_null(get(&script, "/v1/a", &heard));
        finish(&script, cases[i].status, 0, i == 0 ? "refused" : NULL);
        assert_int_equal(heard.count, 1);
        assert_int_equal(heard.transport, cases[i].transport);
        assert_int_equal(heard.status, 0);
        assert_true(heard.detail[0] != '\0');
    }
    script_close(&script);
    script_fini(&script);
}

static void test_what_a_plugin_leaves_behind_is_ended_at_close(void **state)
{
    struct heard heard = {0};
    struct script script;

    (void)state;
    script_open(&script, NULL);
    assert_non_null(get(&script, "/v1/a", &heard));
    assert_non_null(script.host->timer_start(script.context, 1000, (leased_timer_fn)0, NULL));
    script_close(&script);
    assert_int_equal(heard.count, 0);
    script_fini(&script);
}

static void test_cancel_still_ends_the_exchange_and_a_dead_handle_is_harmless(void **state)
{
    struct heard heard = {0};
    struct script script;
    leased_http *http;

    (void)state;
    script_open(&script, NULL);
    http = get(&script, "/v1/a", &heard);
    script.host->http_cancel(script.context, http);
    assert_int_equal(heard.count, 0);
    fake_env_run(&script.fake);
    assert_int_equal(heard.count, 1);
    assert_int_equal(heard.transport, LEASED_HTTP_CANCELED);
    script.host->http_cancel(script.context, http);
    script.host->http_cancel(script.context, NULL);
    fake_env_run(&script.fake);
    assert_int_equal(heard.count, 1);
    script_close(&script);
    script_fini(&script);
}

static void count_up(void *user)
{
    (*(size_t *)user)++;
}

static void test_a_timer_runs_once_unless_stopped(void **state)
{
    struct script script;
    leased_timer *ran;
    leased_timer *stopped;
    size_t count = 0;

    (void)state;
    script_open(&script, NULL);
    ran = script.host->timer_start(script.context, 100, count_up, &count);
    stopped = script.host->timer_start(script.context, 100, count_up, &count);
    assert_non_null(script.host->timer_start(script.context, UINT64_MAX, count_up, &count));
    script.host->timer_stop(script.context, stopped);
    fake_env_advance(&script.fake, 99);
    assert_int_equal(count, 0);
    fake_env_advance(&script.fake, 1000000);
    assert_int_equal(count, 1);
    script.host->timer_stop(script.context, ran);
    script.host->timer_stop(script.context, stopped);
    script_close(&script);
    script_fini(&script);
}

static void test_posts_run_on_the_loop(void **state)
{
    struct script script;
    size_t count = 0;

    (void)state;
    script_open(&script, NULL);
    assert_int_equal(script.host->post(script.context, count_up, &count), 0);
    assert_int_equal(count, 0);
    fake_env_run(&script.fake);
    assert_int_equal(count, 1);
    script_close(&script);
    script_fini(&script);
}

static void test_secrets_are_read_or_say_why_not(void **state)
{
    struct leased_str detail = {0};
    struct script script;
    char *bytes = NULL;

    (void)state;
    script_open(&script, NULL);
    fake_env_add_secret(&script.fake, "file:/run/token", "s.abc");
    assert_int_equal(script.host->secret_read(script.context, script_str("file:/run/token"), &bytes,
                                              &detail),
                     5);
    assert_string_equal(bytes, "s.abc");
    script.host->secret_free(bytes);
    bytes = NULL;
    assert_true(
        script.host->secret_read(script.context, script_str("file:/none"), &bytes, &detail) < 0);
    assert_null(bytes);
    assert_true(detail.len > 0);
    script_close(&script);
    script_fini(&script);
}

static void test_counters_keep_clean_names_and_a_bounded_number(void **state)
{
    struct backend_status status;
    struct script script;
    char name[8];

    (void)state;
    script_open(&script, NULL);
    script.host->metric_add(script.context, script_str("logins"), 2);
    script.host->metric_add(script.context, script_str("logins"), 3);
    script.host->metric_add(script.context, script_str("Bad"), 1);
    script.host->metric_add(script.context, script_str("a\"} 1\n"), 1);
    script.host->metric_add(script.context, script_str(""), 1);
    backend_status(script.backend, &status);
    assert_int_equal(status.metric_count, 1);
    assert_string_equal(status.metrics[0].name, "logins");
    assert_int_equal(status.metrics[0].value, 5);
    for (int i = 0; i < 100; i++) {
        (void)snprintf(name, sizeof(name), "m%c%c", 'a' + i / 26, 'a' + i % 26);
        script.host->metric_add(script.context, script_str(name), 1);
    }
    backend_status(script.backend, &status);
    assert_int_equal(status.metric_count, BACKEND_METRICS_MAX);
    script_close(&script);
    script_fini(&script);
}

static void test_leases_under_a_bounded_anchor_are_told_its_end(void **state)
{
    struct script_call call;
    struct script script;

    (void)state;
    script_open(&script, NULL);
    script.host->anchor_ends(script.context, 3, 77000, script_str("near\nits end"));
    assert_int_equal(script.anchor_count, 1);
    assert_string_equal(script.anchor_reason, "near its end");
    script_call(&script, &call, LEASE_CALL_ISSUE, "{}");
    fake_env_run(&script.fake);
    script_answer_issue(&script, 0); /* under anchor 3 */
    assert_int_equal(script.anchor_count, 2);
    assert_int_equal(script.anchor, 3);
    assert_int_equal(script.anchor_when_ms, 77000);
    script.host->anchor_ends(script.context, 3, UINT64_MAX, script_str("renewed"));
    assert_int_equal(script.anchor_count, 3);
    script_call(&script, &call, LEASE_CALL_ISSUE, "{}");
    fake_env_run(&script.fake);
    script_answer_issue(&script, 1);
    assert_int_equal(script.anchor_count, 3);
    /* Anchor 0 is none. */
    script.host->anchor_ends(script.context, 0, 0, script_str("?"));
    assert_int_equal(script.anchor_count, 3);
    script_close(&script);
    script_fini(&script);
}

static void test_health_is_asked_at_its_interval_and_shown(void **state)
{
    const struct leased_result sealed = {.size = sizeof(sealed), .detail = {"it is sealed", 12}};
    struct backend_status status;
    struct script script;

    (void)state;
    script_open(&script, &(struct backend_options){.health_interval_ms = 30000});
    fake_env_advance(&script.fake, 29999);
    assert_int_equal(script.seen_count, 0);
    fake_env_advance(&script.fake, 1);
    assert_int_equal(script_op(&script, 0)->what, 'h');
    script_answer(&script, 0, LEASED_SEALED, &sealed);
    backend_status(script.backend, &status);
    assert_false(status.is_up);
    assert_string_equal(status.last_error, "it is sealed");
    fake_env_advance(&script.fake, 30000);
    script_answer(&script, 1, LEASED_OK, NULL);
    backend_status(script.backend, &status);
    assert_true(status.is_up);
    assert_string_equal(status.last_error, "");
    script.host->login_expires(script.context, 0);
    backend_status(script.backend, &status);
    assert_false(status.is_up);
    script_close(&script);
    script_fini(&script);
}

static void test_a_wrong_configuration_or_address_fails_open_with_a_reason(void **state)
{
    static const char *const wrong[] = {
        "ftp://a", "https://", "https://a?b", "https://u@a", "unix://", "https://a b", ""};
    const char *address = "https://a";
    struct script script;
    struct backend_options options;
    struct backend *backend = NULL;
    struct err e = {0};
    size_t held_bytes;

    (void)state;
    script_open(&script, NULL);
    held_bytes = mem_in_use_bytes();
    options = (struct backend_options){.env = &script.fake.env,
                                       .plugin = &script.plugin,
                                       .name = "other",
                                       .addresses = &address,
                                       .address_count = 1,
                                       .config_json = "{\"wrong\":1}"};
    assert_int_equal(backend_open(&options, &backend, &e), ERR_INVALID);
    assert_string_equal(e.text, "a wrong key");
    options.config_json = NULL;
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        options.addresses = &wrong[i];
        assert_int_equal(backend_open(&options, &backend, &e), ERR_INVALID);
    }
    options.address_count = BACKEND_ADDRESSES_MAX + 1;
    assert_int_equal(backend_open(&options, &backend, &e), ERR_INVALID);
    assert_null(backend);
    assert_int_equal(mem_in_use_bytes(), held_bytes);
    script_close(&script);
    script_fini(&script);
    assert_int_equal(mem_in_use_bytes(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_request_goes_out_with_address_tls_and_limits),
        cmocka_unit_test(test_an_answer_is_bounded_by_the_backend_s_limits),
        cmocka_unit_test(test_a_unix_address_is_a_socket_and_no_proxy),
        cmocka_unit_test(test_requests_that_break_the_rules_are_not_sent),
        cmocka_unit_test(test_every_way_to_fail_has_its_transport),
        cmocka_unit_test(test_what_a_plugin_leaves_behind_is_ended_at_close),
        cmocka_unit_test(test_cancel_still_ends_the_exchange_and_a_dead_handle_is_harmless),
        cmocka_unit_test(test_a_timer_runs_once_unless_stopped),
        cmocka_unit_test(test_posts_run_on_the_loop),
        cmocka_unit_test(test_secrets_are_read_or_say_why_not),
        cmocka_unit_test(test_counters_keep_clean_names_and_a_bounded_number),
        cmocka_unit_test(test_leases_under_a_bounded_anchor_are_told_its_end),
        cmocka_unit_test(test_health_is_asked_at_its_interval_and_shown),
        cmocka_unit_test(test_a_wrong_configuration_or_address_fails_open_with_a_reason),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
