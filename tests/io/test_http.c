/* What goes out, and what comes in, when nothing is wrong. And what is refused before anything is
 * sent. */
#include "io/http_call.h"

#include "base/mem.h"
#include "io/alloc.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct peer *plain_peer(peer_script_fn script, void *user)
{
    const struct peer_options options = {.script = script, .user = user};

    return peer_new(&options);
}

static void assert_sent(struct peer *peer, const char *text)
{
    char request[PEER_REQUEST_MAX_BYTES];

    peer_last_request(peer, request);
    if (strstr(request, text) == NULL) {
        print_error("not in the request: %s\n%s\n", text, request);
        fail();
    }
}

static void assert_not_sent(struct peer *peer, const char *text)
{
    char request[PEER_REQUEST_MAX_BYTES];

    peer_last_request(peer, request);
    assert_null(strcasestr(request, text));
}

static void script_headers(struct peer_conn *conn)
{
    while (peer_read_request(conn)) {
        (void)peer_write(conn, "HTTP/1.1 503 Sealed\r\nRETRY-After:  7 \r\nX-Empty:\r\n"
                               "Content-Length: 13\r\n\r\n{\"errors\":[]}");
    }
}

static void test_a_reply_arrives_with_status_headers_and_body(void **state)
{
    struct loop *loop = *state;
    struct peer *peer = plain_peer(script_headers, NULL);
    struct call call;

    call_init(&call, peer, "/v1/x?a=b");
    assert_int_equal(call_run(loop, &call), 0);
    assert_int_equal(call.http_status, 503);
    assert_string_equal(call.retry_after, "7");
    assert_int_equal(call.header_count, 3);
    assert_string_equal(call.body, "{\"errors\":[]}");
    assert_sent(peer, "GET /v1/x?a=b HTTP/1.1\r\n");
    peer_free(peer);
}

static void test_method_headers_and_body_go_out_as_given(void **state)
{
    struct loop *loop = *state;
    struct peer *peer = plain_peer(peer_script_ok, NULL);
    const struct env_http_header headers[] = {
        {STR("X-Vault-Token"), STR("s.secret")},
        {STR("X-Empty"), STR("")},
    };
    struct call call;

    call_init(&call, peer, "/v1/x");
    call.http.method = "PUT";
    call.http.headers = headers;
    call.http.header_count = ARRAY_LEN(headers);
    call.http.body = STR("{\"a\":1}");
    assert_int_equal(call_run(loop, &call), 0);
    assert_string_equal(call.body, "ok");
    assert_sent(peer, "PUT /v1/x HTTP/1.1\r\n");
    assert_sent(peer, "X-Vault-Token: s.secret\r\n");
    assert_sent(peer, "X-Empty:\r\n");
    assert_sent(peer, "Content-Length: 7\r\n");
    assert_sent(peer, "\r\n\r\n{\"a\":1}");
    assert_not_sent(peer, "Expect");
    assert_not_sent(peer, "Accept-Encoding");
    assert_not_sent(peer, "Content-Type");
    peer_free(peer);
}

static void test_methods_without_a_body_send_none(void **state)
{
    static const char *const methods[] = {"GET", "DELETE", "LIST"};
    struct loop *loop = *state;
    struct peer *peer = plain_peer(peer_script_ok, NULL);

    for (size_t i = 0; i < ARRAY_LEN(methods); i++) {
        struct call call;
        char line[64];

        call_init(&call, peer, "/v1/x");
        call.http.method = methods[i];
        assert_int_equal(call_run(loop, &call), 0);
        (void)snprintf(line, sizeof(line), "%s /v1/x HTTP/1.1\r\n", methods[i]);
        assert_sent(peer, line);
        assert_not_sent(peer, "Content-Length");
    }
    peer_free(peer);
}

static void test_a_post_without_body_says_so(void **state)
{
    struct loop *loop = *state;
    struct peer *peer = plain_peer(peer_script_ok, NULL);
    struct call call;

    call_init(&call, peer, "/v1/x");
    call.http.method = "POST";
    assert_int_equal(call_run(loop, &call), 0);
    assert_sent(peer, "Content-Length: 0\r\n");
    peer_free(peer);
}

static void script_head(struct peer_conn *conn)
{
    while (peer_read_request(conn)) {
        (void)peer_write(conn, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n");
    }
}

static void test_a_head_request_waits_for_no_body(void **state)
{
    struct loop *loop = *state;
    struct peer *peer = plain_peer(script_head, NULL);
    struct call call;

    call_init(&call, peer, "/v1/x");
    call.http.method = "HEAD";
    assert_int_equal(call_run(loop, &call), 0);
    assert_int_equal(call.http_status, 200);
    assert_sent(peer, "HEAD /v1/x HTTP/1.1\r\n");
    peer_free(peer);
}

static void test_the_path_is_sent_as_it_is(void **state)
{
    struct loop *loop = *state;
    struct peer *peer = plain_peer(peer_script_ok, NULL);
    struct call call;

    call_init(&call, peer, "/v1/a/../../sys/raw/%2e%2E/b//c");
    assert_int_equal(call_run(loop, &call), 0);
    assert_sent(peer, "GET /v1/a/../../sys/raw/%2e%2E/b//c HTTP/1.1\r\n");
    peer_free(peer);
}

static void script_chunks(struct peer_conn *conn)
{
    while (peer_read_request(conn)) {
        (void)peer_write(conn, "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\n"
                               "Retry-After: 99\r\n\r\nHTTP/1.1 200 OK\r\n"
                               "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n"
                               "Retry-After: 98\r\n\r\n");
    }
}

static void test_interim_responses_and_trailers_are_not_the_reply(void **state)
{
    struct loop *loop = *state;
    struct peer *peer = plain_peer(script_chunks, NULL);
    struct call call;

    call_init(&call, peer, "/");
    assert_int_equal(call_run(loop, &call), 0);
    assert_int_equal(call.http_status, 200);
    assert_string_equal(call.body, "abcde");
    assert_string_equal(call.retry_after, "");
    assert_int_equal(call.header_count, 1);
    peer_free(peer);
}

static void test_a_unix_socket_is_spoken_to(void **state)
{
    struct loop *loop = *state;
    char folder[] = "/tmp/leased-io-XXXXXX";
    char path[64];
    struct peer_options options = {.script = peer_script_ok};
    struct peer *peer;
    struct call call;

    assert_non_null(mkdtemp(folder));
    (void)snprintf(path, sizeof(path), "%s/s", folder);
    options.unix_path = path;
    peer = peer_new(&options);
    call_init(&call, NULL, NULL);
    call.http.url = "http://issuer.invalid/v1/x";
    call.http.unix_socket = path;
    assert_int_equal(call_run(loop, &call), 0);
    assert_string_equal(call.body, "ok");
    assert_sent(peer, "Host: issuer.invalid\r\n");
    peer_free(peer);
    (void)unlink(path);
    (void)rmdir(folder);
}

static void test_many_exchanges_run_at_once(void **state)
{
    struct loop *loop = *state;
    struct peer *peer = plain_peer(peer_script_ok, NULL);
    struct call calls[40];

    for (size_t i = 0; i < ARRAY_LEN(calls); i++) {
        call_init(&calls[i], peer, "/");
        call_start(loop, &calls[i]);
    }
    for (size_t i = 0; i < ARRAY_LEN(calls); i++) {
        loop_until(loop, &calls[i].is_done);
        assert_int_equal(calls[i].status, 0);
        assert_int_equal(calls[i].runs, 1);
    }
    assert_int_equal(peer_request_count(peer), ARRAY_LEN(calls));
    peer_free(peer);
}

struct chain {
    struct loop *loop;
    struct call call;
    struct env_http next;
    bool is_done;
    int status;
};

static void on_chain_end(struct env_http *http, int status, const struct env_http_reply *reply,
                         const char *detail)
{
    struct chain *chain = http->user;

    (void)reply;
    (void)detail;
    chain->status = status;
    chain->is_done = true;
}

static void on_chain_first(struct env_http *http, int status, const struct env_http_reply *reply,
                           const char *detail)
{
    struct chain *chain = http->user;

    (void)reply;
    (void)detail;
    assert_int_equal(status, 0);
    chain->next = chain->call.http;
    chain->next.fn = on_chain_end;
    assert_int_equal(env_http_start(chain->loop->env, &chain->next, NULL), 0);
    assert_false(chain->is_done);
}

static void test_a_callback_may_start_the_next_exchange(void **state)
{
    struct loop *loop = *state;
    struct peer *peer = plain_peer(peer_script_ok, NULL);
    struct chain chain = {.loop = loop};

    call_init(&chain.call, peer, "/");
    chain.call.http.fn = on_chain_first;
    chain.call.http.user = &chain;
    call_start(loop, &chain.call);
    loop_until(loop, &chain.is_done);
    assert_int_equal(chain.status, 0);
    peer_free(peer);
}

struct owner {
    bool *is_done;
    struct env_http http;
};

static void on_owner_done(struct env_http *http, int status, const struct env_http_reply *reply,
                          const char *detail)
{
    struct owner *owner = http->user;

    (void)reply;
    (void)detail;
    assert_int_equal(status, 0);
    *owner->is_done = true;
    mem_free(owner);
}

static void test_a_callback_may_free_the_owner(void **state)
{
    struct loop *loop = *state;
    struct peer *peer = plain_peer(peer_script_ok, NULL);
    struct owner *owner = mem_calloc(1, sizeof(*owner));
    struct call call;
    bool is_done = false;

    assert_non_null(owner);
    call_init(&call, peer, "/");
    owner->http = call.http;
    owner->http.fn = on_owner_done;
    owner->http.user = owner;
    owner->is_done = &is_done;
    assert_int_equal(env_http_start(loop->env, &owner->http, NULL), 0);
    loop_until(loop, &is_done);
    peer_free(peer);
}

static void assert_refused(struct loop *loop, const struct call *given, const char *part_of_text)
{
    struct call call = *given;
    struct err e = {0};

    call.http.user = &call;
    assert_int_equal(env_http_start(loop->env, &call.http, &e), ERR_INVALID);
    assert_non_null(strstr(e.text, part_of_text));
    loop_turns(loop, 3);
    assert_int_equal(call.runs, 0);
}

static void test_unusable_urls_are_refused(void **state)
{
    static const char *const urls[] = {
        "",
        "vault",
        "/v1/x",
        "ftp://127.0.0.1/x",
        "file:///etc/passwd",
        "https://user:password@127.0.0.1/",
        "https://a b/",
        "https://127.0.0.1/\r\nX: y",
        "https://h\xc3\xb6st/",
        "https://[::1/",
        "https://127.0.0.1:99999/",
        "https:///x",
        "https:/x",
        "https://",
        "https:x/://y",
    };
    struct loop *loop = *state;
    struct call call;

    for (size_t i = 0; i < ARRAY_LEN(urls); i++) {
        call_init(&call, NULL, NULL);
        call.http.url = urls[i];
        assert_refused(loop, &call, "http or https");
    }
}

static void test_plain_http_goes_to_loopback_only(void **state)
{
    static const char *const urls[] = {
        "http://192.0.2.1/",     "http://vault.example/",        "http://localhost.example/",
        "http://[2001:db8::1]/", "http://127.0.0.1.example/",    "http://0.0.0.0/",
        "http://[::]/",          "http://[::ffff:192.0.2.1]/",   "http://2130706433.example/",
        "http://128.0.0.1/",     "HTTP://VAULT.EXAMPLE:8200/v1", "http://localhost./",
    };
    struct loop *loop = *state;
    struct call call;

    for (size_t i = 0; i < ARRAY_LEN(urls); i++) {
        call_init(&call, NULL, NULL);
        call.http.url = urls[i];
        assert_refused(loop, &call, "plain http to");
        call.http.flags = ENV_HTTP_METADATA; /* nor are these the machine's metadata service */
        assert_refused(loop, &call, "plain http to");
    }
    call.http.url = "http://169.254.169.254/"; /* this one is, but nobody asks for it */
    call.http.flags = 0;
    assert_refused(loop, &call, "plain http to");
}

static void test_headers_that_could_smuggle_are_refused(void **state)
{
    const struct env_http_header headers[] = {
        {STR("X-A"), STR("b\r\nX-C: d")},
        {STR("X-A"), STR("b\nX-C: d")},
        {STR("X-A"), {.ptr = "b\0c", .len = 3}},
        {STR("X-A"), STR("\x7f")},
        {STR("X A"), STR("b")},
        {STR("X-A:"), STR("b")},
        {STR(""), STR("b")},
        {STR("X\r\nY"), STR("b")},
        {STR("Content-Length"), STR("3")},
        {STR("transfer-encoding"), STR("chunked")},
        {STR("Connection"), STR("upgrade")},
    };
    struct loop *loop = *state;
    struct call call;

    for (size_t i = 0; i < ARRAY_LEN(headers); i++) {
        call_init(&call, NULL, NULL);
        call.http.url = "https://127.0.0.1/";
        call.http.headers = &headers[i];
        call.http.header_count = 1;
        assert_refused(loop, &call, "header");
    }
}

static void test_methods_that_are_none_are_refused(void **state)
{
    static const char *const methods[] = {"", "get", "GET /x", "G\r\nT", "AAAAAAAAAAAAAAAAA"};
    struct loop *loop = *state;
    struct call call;

    for (size_t i = 0; i < ARRAY_LEN(methods); i++) {
        call_init(&call, NULL, NULL);
        call.http.url = "https://127.0.0.1/";
        call.http.method = methods[i];
        assert_refused(loop, &call, "method");
    }
}

static void test_unusable_sockets_proxies_and_names_are_refused(void **state)
{
    static const struct env_http_tls tls = {.server_name = "not a name"};
    struct loop *loop = *state;
    char path[200];
    struct call call;

    call_init(&call, NULL, NULL);
    call.http.url = "http://localhost/";
    memset(path, 'x', sizeof(path));
    path[0] = '/';
    path[108] = '\0'; /* One more than fits. */
    call.http.unix_socket = path;
    assert_refused(loop, &call, "absolute path");
    call.http.unix_socket = "relative";
    assert_refused(loop, &call, "absolute path");

    call_init(&call, NULL, NULL);
    call.http.url = "https://127.0.0.1/";
    call.http.proxy = "http://proxy.example";
    assert_refused(loop, &call, "HOST:PORT");
    call.http.proxy = "socks5://127.0.0.1:1080";
    assert_refused(loop, &call, "HOST:PORT");
    call.http.proxy = "http://user:pw@127.0.0.1:3128";
    assert_refused(loop, &call, "HOST:PORT");
    call.http.url = "http://127.0.0.1/";
    call.http.proxy = "http://127.0.0.1:3128";
    assert_refused(loop, &call, "proxy");

    call_init(&call, NULL, NULL);
    call.http.url = "https://127.0.0.1/";
    call.http.tls = &tls;
    assert_refused(loop, &call, "server name");
}

static void test_the_allocator_can_not_be_set_any_more_once_openssl_runs(void **state)
{
    (void)state;
    assert_int_equal(io_use_allocator(), ERR_BUSY);
}

#define LOOP_TEST(test) cmocka_unit_test_setup_teardown(test, loop_setup, loop_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        LOOP_TEST(test_a_reply_arrives_with_status_headers_and_body),
        LOOP_TEST(test_method_headers_and_body_go_out_as_given),
        LOOP_TEST(test_methods_without_a_body_send_none),
        LOOP_TEST(test_a_post_without_body_says_so),
        LOOP_TEST(test_a_head_request_waits_for_no_body),
        LOOP_TEST(test_the_path_is_sent_as_it_is),
        LOOP_TEST(test_interim_responses_and_trailers_are_not_the_reply),
        LOOP_TEST(test_a_unix_socket_is_spoken_to),
        LOOP_TEST(test_many_exchanges_run_at_once),
        LOOP_TEST(test_a_callback_may_start_the_next_exchange),
        LOOP_TEST(test_a_callback_may_free_the_owner),
        LOOP_TEST(test_unusable_urls_are_refused),
        LOOP_TEST(test_plain_http_goes_to_loopback_only),
        LOOP_TEST(test_headers_that_could_smuggle_are_refused),
        LOOP_TEST(test_methods_that_are_none_are_refused),
        LOOP_TEST(test_unusable_sockets_proxies_and_names_are_refused),
        LOOP_TEST(test_the_allocator_can_not_be_set_any_more_once_openssl_runs),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
