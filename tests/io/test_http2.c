/* HTTP/2, where a server has it: exchanges share a connection and nothing else; what creates
 * something has a connection of its own. */
#include "io/http2_peer.h"
#include "io/http_call.h"

#include <string.h>

#define CALLS 8

static struct http_ca *ca;

static void prepare(struct call *call, const struct http2_peer *h2)
{
    call_init(call, h2->peer, "/x");
    call->http.tls = http_ca_client(ca);
}

/* One exchange, after which there is a connection that others can share. */
static void warm_up(struct loop *loop, struct http2_peer *h2)
{
    struct call call;

    prepare(&call, h2);
    assert_int_equal(call_run(loop, &call), 0);
    assert_int_equal(call.http_status, 200);
    assert_string_equal(call.body, "two");
    assert_int_equal(h2->connections_2, 1);
}

static void test_exchanges_share_one_connection(void **state)
{
    struct loop *loop = *state;
    struct call calls[CALLS];
    struct http2_peer h2;

    http2_peer_start(&h2, ca, "", 0);
    warm_up(loop, &h2);
    for (size_t i = 0; i < CALLS; i++) {
        prepare(&calls[i], &h2);
        calls[i].http.method = i % 2 == 0 ? "GET" : "PUT";
        calls[i].http.body = i % 2 == 0 ? STR("") : STR("{\"lease_id\":\"x\"}");
        call_start(loop, &calls[i]);
    }
    for (size_t i = 0; i < CALLS; i++) {
        loop_until(loop, &calls[i].is_done);
        assert_int_equal(calls[i].status, 0);
        assert_string_equal(calls[i].body, "two");
    }
    assert_int_equal(h2.connections_2, 1);
    assert_int_equal(h2.connections_1, 0);
    assert_int_equal(h2.streams, 1 + CALLS);
    http2_peer_stop(&h2);
}

/* Nor does what may be created twice: a kept connection of HTTP/2 keeps what came last. */
static void test_what_may_be_created_twice_shares_no_connection(void **state)
{
    struct loop *loop = *state;
    struct call calls[CALLS];
    struct http2_peer h2;

    http2_peer_start(&h2, ca, "", 0);
    warm_up(loop, &h2);
    for (size_t i = 0; i < CALLS; i++) {
        prepare(&calls[i], &h2);
        calls[i].http.flags = ENV_HTTP_CREATES | ENV_HTTP_REPEATABLE;
        assert_int_equal(call_run(loop, &calls[i]), 0);
        assert_string_equal(calls[i].body, "ok");
    }
    assert_int_equal(h2.connections_1, 1);
    assert_int_equal(h2.streams, 1);
    http2_peer_stop(&h2);
}

/* Else its fate would hang on the others', and curl might send it a second time elsewhere. */
static void test_what_creates_shares_no_connection(void **state)
{
    struct loop *loop = *state;
    struct call calls[CALLS];
    struct http2_peer h2;

    http2_peer_start(&h2, ca, "", 0);
    warm_up(loop, &h2);
    for (size_t i = 0; i < CALLS; i++) {
        prepare(&calls[i], &h2);
        calls[i].http.flags = i % 2 == 0 ? ENV_HTTP_CREATES : 0;
        call_start(loop, &calls[i]);
    }
    for (size_t i = 0; i < CALLS; i++) {
        loop_until(loop, &calls[i].is_done);
        assert_int_equal(calls[i].status, 0);
        assert_string_equal(calls[i].body, i % 2 == 0 ? "ok" : "two");
    }
    assert_int_equal(h2.connections_2, 1);
    assert_int_equal(h2.connections_1, CALLS / 2);
    assert_int_equal(peer_request_count(h2.peer), CALLS / 2);
    assert_int_equal(h2.streams, 1 + CALLS / 2);
    http2_peer_stop(&h2);
}

/* Runs some calls of which the second meets `act`; the others must not feel it. */
static void run_beside(struct loop *loop, struct http2_peer *h2, struct call calls[CALLS],
                       bool cancels)
{
    warm_up(loop, h2);
    for (size_t i = 0; i < CALLS; i++) {
        prepare(&calls[i], h2);
        call_start(loop, &calls[i]);
    }
    for (size_t i = 0; i < CALLS; i++) {
        if (i != 1) {
            loop_until(loop, &calls[i].is_done);
            assert_int_equal(calls[i].status, 0);
            assert_string_equal(calls[i].body, "two");
        }
    }
    if (cancels) {
        assert_false(calls[1].is_done);
        env_http_cancel(loop->env, &calls[1].http);
    }
    loop_until(loop, &calls[1].is_done);
    assert_int_equal(calls[1].runs, 1);
    assert_int_equal(h2->connections_2, 1);
}

static void test_canceling_one_stream_leaves_the_others_alone(void **state)
{
    struct loop *loop = *state;
    struct call calls[CALLS];
    struct http2_peer h2;

    http2_peer_start(&h2, ca, "aah", 0);
    run_beside(loop, &h2, calls, true);
    assert_int_equal(calls[1].status, ERR_CANCELED);
    warm_up(loop, &h2); /* the connection is still good */
    assert_int_equal(h2.held_resets, 1);
    http2_peer_stop(&h2);
}

static void test_a_stream_that_the_server_resets_is_lost_alone(void **state)
{
    struct loop *loop = *state;
    struct call calls[CALLS];
    struct http2_peer h2;

    http2_peer_start(&h2, ca, "aar", 0);
    run_beside(loop, &h2, calls, false);
    assert_int_equal(calls[1].status, ERR_LOST);
    http2_peer_stop(&h2);
}

static void test_a_stream_without_end_ends_at_the_limit_alone(void **state)
{
    struct loop *loop = *state;
    struct call calls[CALLS];
    struct http2_peer h2;

    http2_peer_start(&h2, ca, "aae", 0);
    run_beside(loop, &h2, calls, false);
    assert_int_equal(calls[1].status, ERR_TOO_LARGE);
    http2_peer_stop(&h2);
}

static void test_a_server_that_says_goodbye_is_connected_to_again(void **state)
{
    struct loop *loop = *state;
    struct call calls[2];
    struct http2_peer h2;

    http2_peer_start(&h2, ca, "ag", 0);
    warm_up(loop, &h2);
    for (size_t i = 0; i < 2; i++) {
        prepare(&calls[i], &h2);
        assert_int_equal(call_run(loop, &calls[i]), 0);
        assert_string_equal(calls[i].body, "two");
    }
    assert_int_equal(h2.connections_2, 2);
    http2_peer_stop(&h2);
}

static int setup_ca(void **state)
{
    (void)state;
    ca = http_ca_new();
    return 0;
}

static int teardown_ca(void **state)
{
    (void)state;
    http_ca_free(ca);
    return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, loop_setup, loop_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_exchanges_share_one_connection),
        TEST(test_what_creates_shares_no_connection),
        TEST(test_what_may_be_created_twice_shares_no_connection),
        TEST(test_canceling_one_stream_leaves_the_others_alone),
        TEST(test_a_stream_that_the_server_resets_is_lost_alone),
        TEST(test_a_stream_without_end_ends_at_the_limit_alone),
        TEST(test_a_server_that_says_goodbye_is_connected_to_again),
    };

    return cmocka_run_group_tests(tests, setup_ca, teardown_ca);
}
