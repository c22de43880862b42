/* What goes wrong on the way, and what the caller is told: whether the request can have been
 * executed is the difference between asking again and leaking a lease. */
#include "io/http_call.h"

#include "io/http_internal.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define SHORT_MS 200U

static struct peer *plain_peer(peer_script_fn script, void *user)
{
    const struct peer_options options = {.script = script, .user = user};

    return peer_new(&options);
}

/* Answers the first request of the first connection; breaks whatever comes later once. */
static void script_dies_on_second_request(struct peer_conn *conn)
{
    if (conn->number > 1 && peer_request_count(conn->peer) >= 2) {
        peer_script_ok(conn);
        return;
    }
    if (peer_read_request(conn) && peer_reply(conn, 200, "ok")) {
        (void)peer_read_request(conn);
    }
}

/* Answers the first request of all; reads the later ones, on whatever connection, and closes. */
static void script_answers_once(struct peer_conn *conn)
{
    while (peer_read_request(conn) && peer_request_count(conn->peer) == 1 &&
           peer_reply(conn, 200, "ok")) {
    }
}

static void test_a_creating_call_is_never_sent_twice(void **state)
{
    struct loop *loop = *state;
    struct peer *peer = plain_peer(script_answers_once, NULL);
    struct call call;

    /* Leaves a connection that curl would love to use. */
    call_init(&call, peer, "/v1/sys/health");
    assert_int_equal(call_run(loop, &call), 0);
    call_init(&call, peer, "/v1/database/creds/orders");
    call.http.method = "POST";
    call.http.body = STR("{}");
    call.http.flags = ENV_HTTP_CREATES;
    assert_int_equal(call_run(loop, &call), ERR_LOST);
    assert_int_equal(peer_request_count(peer), 2);
    assert_int_equal(peer_connection_count(peer), 2);
    peer_free(peer);
}

static void test_an_idempotent_call_survives_a_dead_connection(void **state)
{
    struct loop *loop = *state;
    struct peer *peer = plain_peer(script_dies_on_second_request, NULL);
    struct call call;

    call_init(&call, peer, "/");
    assert_int_equal(call_run(loop, &call), 0);
    call_init(&call, peer, "/");
    assert_int_equal(call_run(loop, &call), 0);
    assert_int_equal(peer_request_count(peer), 3);
    peer_free(peer);
}

static void script_redirect(struct peer_conn *conn)
{
    const char *target = conn->user;
    char reply[512];

    (void)snprintf(reply, sizeof(reply),
                   "HTTP/1.1 307 Temporary\r\nLocation: %s\r\nContent-Length: 0\r\n\r\n", target);
    while (peer_read_request(conn) && peer_write(conn, reply)) {
    }
}

static void test_a_redirect_is_given_to_the_caller_and_its_target_sees_nothing(void **state)
{
    struct loop *loop = *state;
    struct peer *other = plain_peer(peer_script_ok, NULL);
    char url[256];
    struct peer *peer = plain_peer(script_redirect, (void *)(uintptr_t)peer_url(other, "/x", url));
    const struct env_http_header token = {STR("X-Vault-Token"), STR("s.secret")};
    struct call call;

    call_init(&call, peer, "/");
    call.http.headers = &token;
    call.http.header_count = 1;
    assert_int_equal(call_run(loop, &call), 0);
    assert_int_equal(call.http_status, 307);
    assert_int_equal(peer_request_count(peer), 1);
    assert_int_equal(peer_connection_count(other), 0);
    peer_free(peer);
    peer_free(other);
}

static void script_never_answers(struct peer_conn *conn)
{
    if (peer_read_request(conn)) {
        peer_wait_for_end(conn);
    }
}

static void test_the_last_transfers_time_out_is_reported(void **state)
{
    struct loop *loop = *state;
    struct peer *peer = plain_peer(script_never_answers, NULL);
    struct call call;

    call_init(&call, peer, "/");
    call.http.timeout_ms = SHORT_MS;
    assert_int_equal(call_run(loop, &call), ERR_LOST);
    peer_free(peer);
}

static void script_slow_header(struct peer_conn *conn)
{
    if (peer_read_request(conn)) {
        (void)peer_write(conn, "HTTP/1.1 200 OK\r\nX-A: b\r\n");
        peer_wait_for_end(conn);
    }
}

static void script_slow_body(struct peer_conn *conn)
{
    if (peer_read_request(conn)) {
        (void)peer_write(conn, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc");
        peer_wait_for_end(conn);
    }
}

static void test_a_reply_that_stops_halfway_is_lost_when_the_time_is_up(void **state)
{
    static const peer_script_fn scripts[] = {script_slow_header, script_slow_body};
    struct loop *loop = *state;

    for (size_t i = 0; i < ARRAY_LEN(scripts); i++) {
        struct peer *peer = plain_peer(scripts[i], NULL);
        struct call call;

        call_init(&call, peer, "/");
        call.http.timeout_ms = SHORT_MS;
        assert_int_equal(call_run(loop, &call), ERR_LOST);
        peer_free(peer);
    }
}

static void script_reset_before_reading(struct peer_conn *conn)
{
    peer_reset(conn);
}

static void script_reset_after_reading(struct peer_conn *conn)
{
    (void)peer_read_request(conn);
    peer_reset(conn);
}

static void script_reset_in_the_body(struct peer_conn *conn)
{
    if (peer_read_request(conn)) {
        (void)peer_write(conn, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc");
    }
    peer_reset(conn);
}

static void script_close_in_the_body(struct peer_conn *conn)
{
    if (peer_read_request(conn)) {
        (void)peer_write(conn, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc");
    }
}

static void script_close_in_a_chunk(struct peer_conn *conn)
{
    if (peer_read_request(conn)) {
        (void)peer_write(conn, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab");
    }
}

/* Each of these also makes libuv report an error on the poll handle instead of an event: the
 * exchange would hang until its time-out if curl weren't told. */
static void test_a_connection_that_breaks_is_lost_at_once(void **state)
{
    static const peer_script_fn scripts[] = {script_reset_after_reading, script_reset_in_the_body,
                                             script_close_in_the_body, script_close_in_a_chunk};
    struct loop *loop = *state;

    for (size_t i = 0; i < ARRAY_LEN(scripts); i++) {
        struct peer *peer = plain_peer(scripts[i], NULL);
        uint64_t start_ms = env_now_ms(loop->env);
        struct call call;

        call_init(&call, peer, "/");
        call.http.flags = ENV_HTTP_CREATES;
        assert_int_equal(call_run(loop, &call), ERR_LOST);
        assert_true(env_now_ms(loop->env) - start_ms < call.http.timeout_ms / 2);
        peer_free(peer);
    }
}

static void test_a_reset_before_the_request_was_read_is_never_a_success(void **state)
{
    struct loop *loop = *state;
    struct peer *peer = plain_peer(script_reset_before_reading, NULL);
    struct call call;
    int status;

    /* Whether the reset or the request comes first is chance. */
    call_init(&call, peer, "/");
    call.http.flags = ENV_HTTP_CREATES;
    status = call_run(loop, &call);
    assert_true(status == ERR_LOST || status == ERR_CONNECT);
    assert_int_equal(peer_request_count(peer), 0);
    peer_free(peer);
}

static void test_nobody_listening_is_no_connection(void **state)
{
    struct loop *loop = *state;
    struct peer *peer = plain_peer(peer_script_ok, NULL);
    struct call call;

    call_init(&call, peer, "/");
    peer_free(peer);
    assert_int_equal(call_run(loop, &call), ERR_CONNECT);
    call_init(&call, NULL, NULL);
    call.http.url = "http://localhost/";
    call.http.unix_socket = "/nonexistent/leased.sock";
    assert_int_equal(call_run(loop, &call), ERR_CONNECT);
}

/* A listener whose backlog is full: the kernel drops what else arrives, so connecting takes for
 * ever. */
struct black_hole {
    int listener;
    int fillers[4];
    struct sockaddr_in address;
};

static void black_hole_open(struct black_hole *hole)
{
    socklen_t size = sizeof(hole->address);

    *hole = (struct black_hole){.address.sin_family = AF_INET};
    hole->address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    hole->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(hole->listener >= 0);
    assert_int_equal(bind(hole->listener, (struct sockaddr *)&hole->address, size), 0);
    assert_int_equal(getsockname(hole->listener, (struct sockaddr *)&hole->address, &size), 0);
    assert_int_equal(listen(hole->listener, 0), 0);
    for (size_t i = 0; i < ARRAY_LEN(hole->fillers); i++) {
        hole->fillers[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        (void)connect(hole->fillers[i], (struct sockaddr *)&hole->address, size);
    }
}

static void black_hole_close(struct black_hole *hole)
{
    for (size_t i = 0; i < ARRAY_LEN(hole->fillers); i++) {
        (void)close(hole->fillers[i]);
    }
    (void)close(hole->listener);
}

static void test_connecting_too_long_sent_nothing(void **state)
{
    struct loop *loop = *state;
    struct black_hole hole;
    struct call call;

    black_hole_open(&hole);
    call_init(&call, NULL, NULL);
    (void)snprintf(call.url, sizeof(call.url), "http://127.0.0.1:%u/",
                   (unsigned)ntohs(hole.address.sin_port));
    call.http.url = call.url;
    call.http.connect_timeout_ms = SHORT_MS;
    assert_int_equal(call_run(loop, &call), ERR_CONNECT);

    call.is_done = false;
    call.runs = 0;
    call.http.connect_timeout_ms = 0;
    call.http.timeout_ms = SHORT_MS;
    assert_int_equal(call_run(loop, &call), ERR_TIMEOUT);
    black_hole_close(&hole);
}

static void test_a_curl_that_reports_nothing_is_ended_by_our_own_deadline(void **state)
{
    struct loop *loop = *state;
    struct peer *peer = plain_peer(script_never_answers, NULL);
    struct call call;

    call_init(&call, peer, "/");
    call.http.timeout_ms = SHORT_MS;
    call_start(loop, &call);
    while (peer_request_count(peer) == 0) {
        io_run_once(loop->io, false);
    }
    /* curl isn't called any more for its time-outs. */
    (void)uv_timer_stop(&loop->io->http->multi.timer);
    loop_until(loop, &call.is_done);
    assert_int_equal(call.status, ERR_LOST);
    assert_string_equal(call.detail, "the time was up");
    peer_free(peer);
}

/* The socket of a creating call is closed when the call ends, and the next one, started from its
 * callback, gets the same number while the old poll handle is still closing. */
struct relay {
    struct loop *loop;
    struct call call;
    unsigned left;
    bool is_done;
};

static void relay_next(struct env_http *http, int status, const struct env_http_reply *reply,
                       const char *detail)
{
    struct relay *relay = http->user;

    (void)reply;
    (void)detail;
    assert_int_equal(status, 0);
    relay->left--;
    relay->is_done = relay->left == 0;
    if (!relay->is_done) {
        assert_int_equal(env_http_start(relay->loop->env, &relay->call.http, NULL), 0);
    }
}

static void test_a_reused_descriptor_number_is_another_socket(void **state)
{
    struct loop *loop = *state;
    struct peer *peer = plain_peer(peer_script_ok, NULL);
    struct relay relay = {.loop = loop, .left = 20};

    call_init(&relay.call, peer, "/");
    relay.call.http.flags = ENV_HTTP_CREATES;
    relay.call.http.fn = relay_next;
    relay.call.http.user = &relay;
    call_start(loop, &relay.call);
    loop_until(loop, &relay.is_done);
    assert_int_equal(peer_request_count(peer), 20);
    peer_free(peer);
}

#define LOOP_TEST(test) cmocka_unit_test_setup_teardown(test, loop_setup, loop_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        LOOP_TEST(test_a_creating_call_is_never_sent_twice),
        LOOP_TEST(test_an_idempotent_call_survives_a_dead_connection),
        LOOP_TEST(test_a_redirect_is_given_to_the_caller_and_its_target_sees_nothing),
        LOOP_TEST(test_the_last_transfers_time_out_is_reported),
        LOOP_TEST(test_a_reply_that_stops_halfway_is_lost_when_the_time_is_up),
        LOOP_TEST(test_a_connection_that_breaks_is_lost_at_once),
        LOOP_TEST(test_a_reset_before_the_request_was_read_is_never_a_success),
        LOOP_TEST(test_nobody_listening_is_no_connection),
        LOOP_TEST(test_connecting_too_long_sent_nothing),
        LOOP_TEST(test_a_curl_that_reports_nothing_is_ended_by_our_own_deadline),
        LOOP_TEST(test_a_reused_descriptor_number_is_another_socket),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
