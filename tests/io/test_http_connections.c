/* When a request goes out, and on which connection. */
#include "io/http_call.h"

#include <unistd.h>

static struct peer *plain_peer(peer_script_fn script)
{
    const struct peer_options options = {.script = script};

    return peer_new(&options);
}

/* curl asks to be called after 0 ms for each new transfer. */
static void test_a_request_waits_for_no_timer(void **state)
{
    struct loop *loop = *state;
    struct peer *peer = plain_peer(peer_script_ok);
    struct call call;

    call_init(&call, peer, "/");
    call_start(loop, &call);
    loop_turns(loop, 2); /* which take microseconds */
    /* The loop stands still; the peer's thread may need its time. */
    for (unsigned ms = 0; peer_connection_count(peer) == 0 && ms < LOOP_GUARD_MS; ms++) {
        (void)usleep(1000);
    }
    assert_int_equal(peer_connection_count(peer), 1);
    loop_until(loop, &call.is_done);
    assert_int_equal(call.status, 0);
    peer_free(peer);
}

static void test_an_idempotent_call_reuses_the_connection_a_creating_one_has_its_own(void **state)
{
    struct loop *loop = *state;
    struct peer *peer = plain_peer(peer_script_ok);
    struct call call;

    for (int i = 0; i < 3; i++) {
        call_init(&call, peer, "/");
        assert_int_equal(call_run(loop, &call), 0);
    }
    assert_int_equal(peer_connection_count(peer), 1);
    for (int i = 0; i < 3; i++) {
        call_init(&call, peer, "/");
        call.http.flags = ENV_HTTP_CREATES;
        assert_int_equal(call_run(loop, &call), 0);
    }
    assert_int_equal(peer_connection_count(peer), 4);
    call_init(&call, peer, "/");
    assert_int_equal(call_run(loop, &call), 0);
    assert_int_equal(peer_connection_count(peer), 4);
    assert_int_equal(peer_request_count(peer), 7);
    peer_free(peer);
}

static void test_a_connection_alone_sends_nothing(void **state)
{
    struct loop *loop = *state;
    struct peer *peer = plain_peer(peer_script_ok);
    struct call call;

    call_init(&call, peer, "/");
    call.http.flags = ENV_HTTP_CONNECT_ONLY;
    assert_int_equal(call_run(loop, &call), 0);
    assert_int_equal(call.http_status, 0);
    call_init(&call, peer, "/");
    call.http.flags = ENV_HTTP_CONNECT_ONLY;
    assert_int_equal(call_run(loop, &call), 0);
    call_init(&call, peer, "/");
    assert_int_equal(call_run(loop, &call), 0); /* and the peer has seen what came before it */
    assert_int_equal(peer_connection_count(peer), 3);
    assert_int_equal(peer_request_count(peer), 1);
    call_init(&call, peer, "/");
    peer_free(peer);
    call.http.flags = ENV_HTTP_CONNECT_ONLY;
    assert_int_equal(call_run(loop, &call), ERR_CONNECT);
    /* Nothing is sent, so it may be any host. */
    call_init(&call, NULL, "/");
    call.http.flags = ENV_HTTP_CONNECT_ONLY;
    call.http.url = "http://no-such-host.invalid:5432/";
    assert_int_equal(call_run(loop, &call), ERR_CONNECT);
}

/* POST: what curl would rather not send again. */
static void init_creating(struct call *call, const struct peer *peer)
{
    call_init(call, peer, "/v1/auth/token/create");
    call->http.method = "POST";
    call->http.body = STR("{}");
    call->http.flags = ENV_HTTP_CREATES | ENV_HTTP_REPEATABLE;
}

static void test_what_may_be_created_twice_uses_a_kept_connection(void **state)
{
    struct loop *loop = *state;
    struct peer *peer = plain_peer(peer_script_ok);
    struct call call;

    for (int i = 0; i < 3; i++) {
        init_creating(&call, peer);
        assert_int_equal(call_run(loop, &call), 0);
    }
    call_init(&call, peer, "/");
    assert_int_equal(call_run(loop, &call), 0);
    assert_int_equal(peer_connection_count(peer), 1);
    assert_int_equal(peer_request_count(peer), 4);
    peer_free(peer);
}

static void script_dies_on_second_request(struct peer_conn *conn)
{
    if (peer_read_request(conn)) {
        (void)peer_reply(conn, 200, "ok");
        (void)peer_read_request(conn);
    }
}

static void test_what_may_be_created_twice_survives_a_dead_connection(void **state)
{
    struct loop *loop = *state;
    struct peer *peer = plain_peer(script_dies_on_second_request);
    struct call call;

    call_init(&call, peer, "/");
    assert_int_equal(call_run(loop, &call), 0);
    init_creating(&call, peer);
    assert_int_equal(call_run(loop, &call), 0);
    assert_int_equal(peer_request_count(peer), 3); /* executed twice: its caller vouches for that */
    assert_int_equal(peer_connection_count(peer), 2);
    peer_free(peer);
}

static void script_never_answers(struct peer_conn *conn)
{
    (void)peer_read_request(conn);
}

static void test_what_may_be_created_twice_can_be_lost(void **state)
{
    struct loop *loop = *state;
    struct peer *peer = plain_peer(script_never_answers);
    struct call call;

    init_creating(&call, peer);
    assert_int_equal(call_run(loop, &call), ERR_LOST);
    assert_int_equal(peer_request_count(peer), 1);
    peer_free(peer);
}

#define LOOP_TEST(test) cmocka_unit_test_setup_teardown(test, loop_setup, loop_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        LOOP_TEST(test_a_request_waits_for_no_timer),
        LOOP_TEST(test_an_idempotent_call_reuses_the_connection_a_creating_one_has_its_own),
        LOOP_TEST(test_a_connection_alone_sends_nothing),
        LOOP_TEST(test_what_may_be_created_twice_uses_a_kept_connection),
        LOOP_TEST(test_what_may_be_created_twice_survives_a_dead_connection),
        LOOP_TEST(test_what_may_be_created_twice_can_be_lost),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
