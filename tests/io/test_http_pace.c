/* Answers that trickle: they are given up long before the time is up, and nothing else is. */
#include "io/http_call.h"

#include "io/http_internal.h"

#include <poll.h>

#define TICK_MS 50U /* instead of a second */
#define PIECE_MS 120
#define ENOUGH_PIECES 12

/* False when the other side has gone. */
static bool pause_for(struct peer_conn *conn, int ms)
{
    struct pollfd poll_fd = {.fd = conn->fd, .events = POLLIN};

    return poll(&poll_fd, 1, ms) == 0;
}

static void trickle(struct peer_conn *conn, const char *piece)
{
    while (peer_write(conn, piece) && pause_for(conn, PIECE_MS)) {
    }
}

static void script_trickle_body(struct peer_conn *conn)
{
    if (peer_read_request(conn)) {
        (void)peer_write(conn, "HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n");
        trickle(conn, "x");
    }
}

static void script_trickle_header(struct peer_conn *conn)
{
    if (peer_read_request(conn)) {
        (void)peer_write(conn, "HTTP/1.1 200 OK\r\nX-A: ");
        trickle(conn, "x");
    }
}

static void script_hang_after_the_head(struct peer_conn *conn)
{
    if (peer_read_request(conn)) {
        (void)peer_write(conn, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n");
        peer_wait_for_end(conn);
    }
}

/* Longer than a trickling answer would be given. */
static void script_think(struct peer_conn *conn)
{
    if (peer_read_request(conn) &&
        pause_for(conn, (int)(TICK_MS * (HTTP_SLOW_TICKS + ENOUGH_PIECES)))) {
        (void)peer_reply(conn, 200, "thought");
    }
}

/* Steadily, and for longer than a trickling one would be given. */
static void script_steady(struct peer_conn *conn)
{
    char piece[101] = "";

    if (!peer_read_request(conn)) {
        return;
    }
    for (size_t i = 0; i + 1 < sizeof(piece); i++) {
        piece[i] = 'x';
    }
    (void)peer_write(conn, "HTTP/1.1 200 OK\r\nContent-Length: 1200\r\n\r\n");
    for (int i = 0; i < ENOUGH_PIECES && peer_write(conn, piece); i++) {
        (void)pause_for(conn, PIECE_MS);
    }
}

static int status_of(struct loop *loop, peer_script_fn script, struct call *call)
{
    const struct peer_options options = {.script = script};
    struct peer *peer = peer_new(&options);
    int status;

    loop->io->http->tick_ms = TICK_MS;
    call_init(call, peer, "/");
    status = call_run(loop, call);
    peer_free(peer);
    return status;
}

static void test_a_trickling_answer_is_lost_before_the_time_is_up(void **state)
{
    static const peer_script_fn scripts[] = {script_trickle_body, script_trickle_header,
                                             script_hang_after_the_head};
    struct loop *loop = *state;

    for (size_t i = 0; i < ARRAY_LEN(scripts); i++) {
        struct call call;
        uint64_t started_ms = env_now_ms(loop->env);

        assert_int_equal(status_of(loop, scripts[i], &call), ERR_LOST);
        assert_string_equal(call.detail, "the answer came too slowly");
        assert_true(env_now_ms(loop->env) - started_ms < call.http.timeout_ms / 2);
        assert_int_equal(call.body_len, 0);
    }
}

static void test_an_issuer_may_think_before_it_answers(void **state)
{
    struct loop *loop = *state;
    struct call call;

    assert_int_equal(status_of(loop, script_think, &call), 0);
    assert_string_equal(call.body, "thought");
}

static void test_a_steady_answer_may_take_its_time(void **state)
{
    struct loop *loop = *state;
    struct call call;

    assert_int_equal(status_of(loop, script_steady, &call), 0);
    assert_int_equal(call.body_len, 1200);
}

#define LOOP_TEST(test) cmocka_unit_test_setup_teardown(test, loop_setup, loop_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        LOOP_TEST(test_a_trickling_answer_is_lost_before_the_time_is_up),
        LOOP_TEST(test_an_issuer_may_think_before_it_answers),
        LOOP_TEST(test_a_steady_answer_may_take_its_time),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
