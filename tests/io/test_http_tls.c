/* TLS: who is believed, under which name, and what is said when it isn't. */
#include "io/http_call.h"

#include "io/http_ca.h"

#include <stdio.h>
#include <string.h>

static struct http_ca *ca;

static struct peer *tls_peer(const char *name, unsigned flags)
{
    const struct peer_options options = {.script = peer_script_ok,
                                         .tls = http_ca_server(ca, name, flags)};

    return peer_new(&options);
}

static void tls_call(struct call *call, const struct peer *peer, const char *host)
{
    call_init(call, NULL, NULL);
    (void)snprintf(call->url, sizeof(call->url), "https://%s:%u/x", host,
                   (unsigned)peer_port(peer));
    call->http.url = call->url;
    call->http.tls = http_ca_client(ca);
}

static void test_a_server_of_the_given_ca_is_believed(void **state)
{
    struct loop *loop = *state;
    struct peer *peer = tls_peer("localhost", 0);
    struct call call;

    tls_call(&call, peer, "localhost");
    assert_int_equal(call_run(loop, &call), 0);
    tls_call(&call, peer, "127.0.0.1");
    assert_int_equal(call_run(loop, &call), 0);
    tls_call(&call, peer, "localhost");
    call.http.flags = ENV_HTTP_CREATES;
    assert_int_equal(call_run(loop, &call), 0);
    peer_free(peer);
}

static void assert_not_believed(struct loop *loop, struct peer *peer, struct call *call)
{
    assert_int_equal(call_run(loop, call), ERR_TLS);
    assert_int_equal(peer_request_count(peer), 0);
    peer_free(peer);
}

static void test_a_server_of_an_unknown_ca_is_not_believed(void **state)
{
    struct loop *loop = *state;
    struct peer *peer = tls_peer("localhost", 0);
    struct call call;

    tls_call(&call, peer, "localhost");
    call.http.tls = NULL; /* The system's trust store. */
    assert_not_believed(loop, peer, &call);
}

static void test_a_server_of_another_name_is_not_believed(void **state)
{
    struct loop *loop = *state;
    struct peer *peer = tls_peer("vault.example", 0);
    struct call call;

    tls_call(&call, peer, "localhost");
    assert_not_believed(loop, peer, &call);
}

static void test_an_expired_certificate_is_not_believed(void **state)
{
    struct loop *loop = *state;
    struct peer *peer = tls_peer("localhost", HTTP_CA_EXPIRED);
    struct call call;

    tls_call(&call, peer, "localhost");
    assert_not_believed(loop, peer, &call);
}

static void test_tls_1_1_is_not_spoken(void **state)
{
    struct loop *loop = *state;
    struct peer *peer = tls_peer("localhost", HTTP_CA_OLD_TLS);
    struct call call;

    tls_call(&call, peer, "localhost");
    assert_not_believed(loop, peer, &call);
}

static void test_a_missing_ca_file_is_a_tls_error(void **state)
{
    static const struct env_http_tls tls = {.ca_file = "/nonexistent/ca.pem"};
    struct loop *loop = *state;
    struct peer *peer = tls_peer("localhost", 0);
    struct call call;

    tls_call(&call, peer, "localhost");
    call.http.tls = &tls;
    assert_not_believed(loop, peer, &call);
}

static void test_a_server_name_is_checked_instead_of_the_host(void **state)
{
    struct loop *loop = *state;
    struct peer *peer = tls_peer("vault.example", 0);
    struct env_http_tls tls = *http_ca_client(ca);
    char request[PEER_REQUEST_MAX_BYTES];
    char host[64];
    struct call call;

    tls.server_name = "vault.example";
    tls_call(&call, peer, "localhost");
    call.http.tls = &tls;
    assert_int_equal(call_run(loop, &call), 0);
    peer_last_request(peer, request);
    (void)snprintf(host, sizeof(host), "Host: localhost:%u\r\n", (unsigned)peer_port(peer));
    assert_non_null(strstr(request, host));

    tls.server_name = "other.example";
    tls_call(&call, peer, "127.0.0.1");
    call.http.tls = &tls;
    assert_int_equal(call_run(loop, &call), ERR_TLS);
    peer_free(peer);
}

/* Two servers that prove the same name are still two servers. */
static void test_a_connection_is_not_reused_for_another_address_of_that_server_name(void **state)
{
    struct loop *loop = *state;
    struct peer *peer = tls_peer("vault.example", 0);
    struct env_http_tls tls = *http_ca_client(ca);
    struct call call;

    tls.server_name = "vault.example";
    tls_call(&call, peer, "localhost");
    call.http.tls = &tls;
    assert_int_equal(call_run(loop, &call), 0);
    tls_call(&call, peer, "127.0.0.1");
    call.http.tls = &tls;
    assert_int_equal(call_run(loop, &call), 0);
    assert_int_equal(peer_connection_count(peer), 2);
    peer_free(peer);
}

static void test_a_client_certificate_is_shown_where_one_is_given(void **state)
{
    struct loop *loop = *state;
    struct peer *peer = tls_peer("localhost", HTTP_CA_WANTS_CLIENT);
    struct call call;
    int status;

    tls_call(&call, peer, "localhost");
    call.http.tls = http_ca_client_with_cert(ca);
    assert_int_equal(call_run(loop, &call), 0);
    assert_int_equal(peer_request_count(peer), 1);
    /* With TLS 1.3 the refusal arrives after our side has finished its handshake. */
    tls_call(&call, peer, "localhost");
    status = call_run(loop, &call);
    assert_true(status == ERR_TLS || status == ERR_LOST);
    assert_int_equal(peer_request_count(peer), 1);
    peer_free(peer);
}

static void script_hang_up(struct peer_conn *conn)
{
    (void)conn;
}

static void script_greet(struct peer_conn *conn)
{
    (void)peer_write(conn, "220 mail.example ESMTP\r\n");
    peer_wait_for_end(conn);
}

static void test_a_handshake_that_breaks_is_no_connection_a_senseless_one_is_no_tls(void **state)
{
    struct loop *loop = *state;
    const struct peer_options broken = {.script = script_hang_up};
    const struct peer_options senseless = {.script = script_greet};
    struct peer *peer = peer_new(&broken);
    struct call call;

    tls_call(&call, peer, "127.0.0.1");
    assert_int_equal(call_run(loop, &call), ERR_CONNECT);
    peer_free(peer);
    peer = peer_new(&senseless);
    tls_call(&call, peer, "127.0.0.1");
    assert_int_equal(call_run(loop, &call), ERR_TLS);
    peer_free(peer);
}

static void script_silent(struct peer_conn *conn)
{
    peer_wait_for_end(conn);
}

static void test_a_handshake_that_never_ends_sent_nothing(void **state)
{
    struct loop *loop = *state;
    const struct peer_options options = {.script = script_silent};
    struct peer *peer = peer_new(&options);
    struct call call;

    tls_call(&call, peer, "127.0.0.1");
    call.http.connect_timeout_ms = 200;
    assert_int_equal(call_run(loop, &call), ERR_CONNECT);
    peer_free(peer);
}

static void script_proxy_refuses(struct peer_conn *conn)
{
    while (peer_read_request(conn) &&
           peer_write(conn, "HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")) {
    }
}

static void test_a_proxy_gets_the_name_of_the_server_and_none_of_our_headers(void **state)
{
    struct loop *loop = *state;
    const struct peer_options options = {.script = script_proxy_refuses};
    struct peer *proxy = peer_new(&options);
    const struct env_http_header token = {STR("X-Vault-Token"), STR("s.secret")};
    char request[PEER_REQUEST_MAX_BYTES];
    char address[256];
    struct call call;

    call_init(&call, NULL, NULL);
    call.http.url = "https://vault.example/v1/x"; /* Not looked up here: that's the proxy's. */
    call.http.proxy = peer_url(proxy, "", address);
    call.http.headers = &token;
    call.http.header_count = 1;
    call.http.flags = ENV_HTTP_CREATES;
    assert_int_equal(call_run(loop, &call), ERR_CONNECT);
    peer_last_request(proxy, request);
    assert_non_null(strstr(request, "CONNECT vault.example:443 HTTP/1.1\r\n"));
    assert_null(strstr(request, "s.secret"));
    peer_free(proxy);
}

static int group_setup(void **state)
{
    (void)state;
    ca = http_ca_new();
    return 0;
}

static int group_teardown(void **state)
{
    (void)state;
    http_ca_free(ca);
    return 0;
}

#define LOOP_TEST(test) cmocka_unit_test_setup_teardown(test, loop_setup, loop_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        LOOP_TEST(test_a_server_of_the_given_ca_is_believed),
        LOOP_TEST(test_a_server_of_an_unknown_ca_is_not_believed),
        LOOP_TEST(test_a_server_of_another_name_is_not_believed),
        LOOP_TEST(test_an_expired_certificate_is_not_believed),
        LOOP_TEST(test_tls_1_1_is_not_spoken),
        LOOP_TEST(test_a_missing_ca_file_is_a_tls_error),
        LOOP_TEST(test_a_server_name_is_checked_instead_of_the_host),
        LOOP_TEST(test_a_connection_is_not_reused_for_another_address_of_that_server_name),
        LOOP_TEST(test_a_client_certificate_is_shown_where_one_is_given),
        LOOP_TEST(test_a_handshake_that_breaks_is_no_connection_a_senseless_one_is_no_tls),
        LOOP_TEST(test_a_handshake_that_never_ends_sent_nothing),
        LOOP_TEST(test_a_proxy_gets_the_name_of_the_server_and_none_of_our_headers),
    };

    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
