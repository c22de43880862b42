/* A connection's phases and ends: slow clients, clients that go away, watches, quiescing and
 * closing a listener. Short timeouts are awaited as events; nothing sleeps. */
#include "server_fixture.h"

#include "io/io_internal.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define GET "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
#define SHORT_MS 60U

static int setup(void **state)
{
    struct fixture *f = malloc(sizeof(*f));

    assert_non_null(f);
    fixture_init(f);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    fixture_fini(*state);
    free(*state);
    return 0;
}

/* Sends `text` a byte a turn and then again from `loop_from`, until the server closes. */
static void dribble(struct fixture *f, struct client *client, const char *text, size_t loop_from)
{
    uint64_t deadline_ms = fixture_deadline();
    size_t i = 0;

    while (!client->is_eof) {
        (void)send(client->fd, text + i, 1, MSG_NOSIGNAL | MSG_DONTWAIT);
        i = text[i + 1] != '\0' ? i + 1 : loop_from;
        fixture_turn(f, client->fd);
        client_pump(client);
        assert_false(fixture_is_over(deadline_ms));
    }
}

static void test_a_head_that_dribbles_in_is_cut_off(void **state)
{
    static const char head[] = "GET / HTTP/1.1\r\nHost: localhost\r\nX: aaaaaaaaaaaaaaaaaa";
    struct fixture *f = *state;
    struct client *client;

    f->options.limits.head_timeout_ms = SHORT_MS;
    fixture_listen(f);
    client = client_new(f);
    dribble(f, client, head, sizeof(head) - 5);
    assert_int_equal(client->len, 0);
    assert_int_equal(f->request_count, 0);
    client_free(client);
}

static void test_a_client_that_never_sends_is_cut_off(void **state)
{
    struct fixture *f = *state;
    struct client *client;

    f->options.limits.head_timeout_ms = SHORT_MS;
    fixture_listen(f);
    client = client_new(f);
    client_wait_eof(f, client);
    client_free(client);
}

static void test_a_body_that_dribbles_in_is_cut_off(void **state)
{
    static const char request[] = "POST / HTTP/1.1\r\nHost: localhost\r\n"
                                  "Content-Length: 60000\r\n\r\nbbbbbbbbbb";
    struct fixture *f = *state;
    struct client *client;

    f->options.limits.body_timeout_ms = SHORT_MS;
    fixture_listen(f);
    client = client_new(f);
    dribble(f, client, request, sizeof(request) - 5);
    assert_int_equal(f->request_count, 0);
    client_free(client);
}

static void test_an_idle_connection_is_closed_after_its_time_only(void **state)
{
    struct fixture *f = *state;
    struct client *client;

    f->options.limits.head_timeout_ms = SHORT_MS;
    f->options.limits.idle_timeout_ms = 4 * SHORT_MS;
    fixture_listen(f);
    client = client_new(f);
    client_send(f, client, GET);
    assert_int_equal(client_reply(f, client, NULL), 200);
    client_wait_eof(f, client);
    client_free(client);
}

static void test_a_reader_that_stops_is_cut_off_and_its_answer_counts_as_undelivered(void **state)
{
    struct fixture *f = *state;
    struct client *client;
    char *large = malloc(3000000);

    memset(large, 'z', 3000000);
    f->options.limits.write_timeout_ms = SHORT_MS;
    f->body = large;
    f->body_len = 3000000;
    fixture_listen(f);
    client = client_new(f);
    client_send(f, client, GET);
    FIXTURE_UNTIL(f, f->undelivered_count == 1);
    FIXTURE_UNTIL(f, io_listener_connection_count(f->listener) == 0);
    assert_int_equal(f->delivered_count, 0);
    client_free(client);
    free(large);
}

static void test_many_slow_clients_leave_a_quick_one_served(void **state)
{
    struct fixture *f = *state;
    struct client *slow[40];
    struct client *quick;
    size_t i;
    int turn;

    fixture_listen(f);
    for (i = 0; i < ARRAY_LEN(slow); i++) {
        slow[i] = client_new(f);
    }
    quick = client_new(f);
    for (turn = 0; turn < 10; turn++) {
        for (i = 0; i < ARRAY_LEN(slow); i++) {
            client_send(f, slow[i], "G");
        }
        client_send(f, quick, GET);
        assert_int_equal(client_reply(f, quick, NULL), 200);
    }
    for (i = 0; i < ARRAY_LEN(slow); i++) {
        client_free(slow[i]);
    }
    client_free(quick);
    FIXTURE_UNTIL(f, io_listener_connection_count(f->listener) == 0);
}

static void test_a_client_that_goes_while_its_answer_is_pending_is_noticed_once(void **state)
{
    struct fixture *f = *state;
    struct client *client;

    f->holds = true;
    fixture_listen(f);
    client = client_new(f);
    client_send(f, client, GET);
    FIXTURE_UNTIL(f, f->held_count == 1);
    fixture_turn(f, -1);
    fixture_turn(f, -1);
    client_free(client);
    FIXTURE_UNTIL(f, f->undelivered_count == 1);
    FIXTURE_UNTIL(f, io_listener_connection_count(f->listener) == 0);
    assert_int_equal(f->undelivered_count, 1);
    assert_int_equal(f->delivered_count, 0);
    assert_null(f->held[0]);
}

static void test_a_client_that_goes_at_once_leaves_nothing_pending(void **state)
{
    struct fixture *f = *state;
    int i;

    f->holds = true;
    fixture_listen(f);
    for (i = 0; i < 20; i++) {
        struct client *client = client_new(f);
        int turn;

        (void)send(client->fd, GET, strlen(GET), MSG_NOSIGNAL);
        for (turn = 0; turn < i % 5; turn++) {
            io_run_once(f->io, false);
        }
        client_free(client);
    }
    FIXTURE_UNTIL(f, io_listener_connection_count(f->listener) == 0);
    assert_int_equal(f->undelivered_count, f->request_count);
    assert_int_equal(f->delivered_count, 0);
}

static void half_close(struct fixture *f)
{
    struct client *client;

    fixture_listen(f);
    client = client_new(f);
    client_send(f, client, GET);
    assert_int_equal(shutdown(client->fd, SHUT_WR), 0);
    if (f->holds) {
        FIXTURE_UNTIL(f, f->held_count == 1);
        for (int turn = 0; turn < 5; turn++) {
            fixture_turn(f, -1);
        }
        assert_int_equal(f->undelivered_count, 0);
        fixture_answer(f, 0);
    }
    assert_int_equal(client_reply(f, client, NULL), 200);
    client_wait_eof(f, client);
    FIXTURE_UNTIL(f, f->delivered_count == 1);
    assert_int_equal(f->undelivered_count, 0);
    client_free(client);
}

static void test_a_half_closed_client_gets_its_answer(void **state)
{
    half_close(*state);
}

static void test_a_half_closed_client_gets_a_late_answer_too(void **state)
{
    struct fixture *f = *state;

    f->holds = true;
    half_close(f);
}

static void test_a_half_closed_client_that_goes_is_noticed(void **state)
{
    struct fixture *f = *state;
    struct client *client;

    f->holds = true;
    fixture_listen(f);
    client = client_new(f);
    client_send(f, client, GET);
    assert_int_equal(shutdown(client->fd, SHUT_WR), 0);
    FIXTURE_UNTIL(f, f->held_count == 1);
    for (int turn = 0; turn < 5; turn++) {
        fixture_turn(f, -1);
    }
    assert_int_equal(f->undelivered_count, 0);
    client_free(client);
    FIXTURE_UNTIL(f, f->undelivered_count == 1);
}

static void test_waiting_half_closed_does_not_spin(void **state)
{
    struct fixture *f = *state;
    struct pollfd poll_fd = {.fd = uv_backend_fd(io_uv(f->io)), .events = POLLIN};
    struct client *client;

    f->holds = true;
    fixture_listen(f);
    client = client_new(f);
    client_send(f, client, GET);
    assert_int_equal(shutdown(client->fd, SHUT_WR), 0);
    FIXTURE_UNTIL(f, f->held_count == 1);
    for (int turn = 0; turn < 10; turn++) {
        io_run_once(f->io, false);
    }
    assert_int_equal(poll(&poll_fd, 1, 0), 0); /* nothing calls for a turn */
    client_free(client);
    FIXTURE_UNTIL(f, f->undelivered_count == 1);
}

/* A watch as a grant would set it. */
struct watched {
    struct env_connection_watch watch;
    int ended;
};

static void on_ended(struct env_connection_watch *watch)
{
    struct watched *watched = watch->user;

    watched->ended++;
}

static void test_a_connection_watch_runs_once_when_the_client_goes(void **state)
{
    struct fixture *f = *state;
    struct watched watched = {.watch = {.fn = on_ended, .user = &watched}};
    struct watched unwatched = {.watch = {.fn = on_ended, .user = &unwatched}};
    struct client *client;

    f->holds = true;
    fixture_listen(f);
    client = client_new(f);
    client_send(f, client, GET);
    FIXTURE_UNTIL(f, f->held_count == 1);
    env_connection_watch(f->held[0], &watched.watch);
    env_connection_watch(f->held[0], &unwatched.watch);
    env_connection_unwatch(&unwatched.watch);
    fixture_answer(f, 0);
    assert_int_equal(client_reply(f, client, NULL), 200);
    assert_int_equal(watched.ended, 0);
    client_free(client); /* idle, between requests */
    FIXTURE_UNTIL(f, watched.ended == 1);
    FIXTURE_UNTIL(f, io_listener_connection_count(f->listener) == 0);
    assert_int_equal(watched.ended, 1);
    assert_int_equal(unwatched.ended, 0);
}

static void test_closing_the_listener_ends_requests_and_watches(void **state)
{
    struct fixture *f = *state;
    struct watched watched = {.watch = {.fn = on_ended, .user = &watched}};
    struct client *pending;
    struct client *idle;

    fixture_listen(f);
    idle = client_new(f);
    client_send(f, idle, GET);
    assert_int_equal(client_reply(f, idle, NULL), 200);
    f->holds = true;
    pending = client_new(f);
    client_send(f, pending, GET);
    FIXTURE_UNTIL(f, f->held_count == 1);
    env_connection_watch(f->held[0], &watched.watch);
    fixture_close_listener(f);
    assert_int_equal(watched.ended, 1);
    assert_int_equal(f->undelivered_count, 1);
    client_wait_eof(f, idle);
    client_wait_eof(f, pending);
    assert_int_equal(access(f->path, F_OK), -1);
    client_free(idle);
    client_free(pending);
}

static void close_from_handler(void *user, struct env_request *request)
{
    struct fixture *f = user;
    struct env_reply reply = {.status = 204};

    io_listener_quiesce(f->listener);
    env_request_reply(request, &reply);
}

static void test_quiescing_from_a_handler_lets_its_answer_out(void **state)
{
    struct fixture *f = *state;
    struct client *client;

    f->options.handler = close_from_handler;
    fixture_listen(f);
    client = client_new(f);
    client_send(f, client, GET);
    assert_int_equal(client_reply(f, client, NULL), 204);
    client_wait_eof(f, client);
    assert_int_equal(access(f->path, F_OK), -1);
    client_free(client);
}

static void test_a_quiesced_listener_ends_what_is_under_way_and_takes_nothing_new(void **state)
{
    struct fixture *f = *state;
    struct client *pending;
    struct client *idle;
    struct client *begun;

    fixture_listen(f);
    idle = client_new(f);
    client_send(f, idle, GET);
    assert_int_equal(client_reply(f, idle, NULL), 200);
    begun = client_new(f);
    client_send(f, begun, "GET / HTTP/1.1\r\n");
    f->holds = true;
    pending = client_new(f);
    client_send(f, pending, GET);
    FIXTURE_UNTIL(f, f->held_count == 1);
    io_listener_quiesce(f->listener);
    client_wait_eof(f, idle);
    client_send(f, begun, "Host: localhost\r\n\r\n");
    assert_int_equal(client_reply(f, begun, NULL), 503);
    fixture_answer(f, 0);
    assert_int_equal(client_reply(f, pending, NULL), 200);
    client_wait_eof(f, pending);
    FIXTURE_UNTIL(f, io_listener_connection_count(f->listener) == 0);
    client_free(idle);
    client_free(begun);
    client_free(pending);
}

static void test_a_client_of_loopback_tcp_that_goes_is_noticed(void **state)
{
    struct fixture *f = *state;
    struct client *client;

    f->options.unix_path = NULL;
    f->options.tcp = "127.0.0.1:0";
    f->holds = true;
    fixture_listen(f);
    assert_true(io_listener_port(f->listener) > 0);
    client = client_new(f);
    client_send(f, client, GET);
    FIXTURE_UNTIL(f, f->held_count == 1);
    fixture_answer(f, 0);
    assert_int_equal(client_reply(f, client, NULL), 200);
    client_send(f, client, GET);
    FIXTURE_UNTIL(f, f->held_count == 2);
    fixture_turn(f, -1);
    client_free(client);
    FIXTURE_UNTIL(f, f->undelivered_count == 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        TEST(test_a_head_that_dribbles_in_is_cut_off),
        TEST(test_a_client_that_never_sends_is_cut_off),
        TEST(test_a_body_that_dribbles_in_is_cut_off),
        TEST(test_an_idle_connection_is_closed_after_its_time_only),
        TEST(test_a_reader_that_stops_is_cut_off_and_its_answer_counts_as_undelivered),
        TEST(test_many_slow_clients_leave_a_quick_one_served),
        TEST(test_a_client_that_goes_while_its_answer_is_pending_is_noticed_once),
        TEST(test_a_client_that_goes_at_once_leaves_nothing_pending),
        TEST(test_a_half_closed_client_gets_its_answer),
        TEST(test_a_half_closed_client_gets_a_late_answer_too),
        TEST(test_a_half_closed_client_that_goes_is_noticed),
        TEST(test_waiting_half_closed_does_not_spin),
        TEST(test_a_connection_watch_runs_once_when_the_client_goes),
        TEST(test_closing_the_listener_ends_requests_and_watches),
        TEST(test_quiescing_from_a_handler_lets_its_answer_out),
        TEST(test_a_quiesced_listener_ends_what_is_under_way_and_takes_nothing_new),
        TEST(test_a_client_of_loopback_tcp_that_goes_is_noticed),
    };

    return cmocka_run_group_tests_name("server connections", tests, NULL, NULL);
}
