/* A listener that somebody else takes over: nobody who is there loses a request. */
#include "server_fixture.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define GET "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"

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

static void test_a_listener_that_winds_down_serves_who_is_there(void **state)
{
    struct fixture *f = *state;
    struct client *idle;
    struct client *sent;
    struct client *begun;
    struct client *fresh;

    fixture_listen(f);
    idle = client_new(f);
    client_send(f, idle, GET);
    assert_int_equal(client_reply(f, idle, NULL), 200);
    sent = client_new(f);
    client_send(f, sent, GET);
    assert_int_equal(client_reply(f, sent, NULL), 200);
    begun = client_new(f);
    client_send(f, begun, "GET / HTTP/1.1\r\n");
    fresh = client_new(f);
    FIXTURE_UNTIL(f, io_listener_connection_count(f->listener) == 4);
    assert_int_equal(write(sent->fd, GET, strlen(GET)), strlen(GET)); /* nobody has read it yet */
    io_listener_wind_down(f->listener);
    client_wait_eof(f, idle);
    assert_int_equal(client_reply(f, sent, NULL), 200);
    client_wait_eof(f, sent);
    client_send(f, begun, "Host: localhost\r\n\r\n");
    assert_int_equal(client_reply(f, begun, NULL), 200);
    client_wait_eof(f, begun);
    client_send(f, fresh, GET);
    assert_int_equal(client_reply(f, fresh, NULL), 200);
    client_wait_eof(f, fresh);
    FIXTURE_UNTIL(f, io_listener_connection_count(f->listener) == 0);
    client_free(idle);
    client_free(sent);
    client_free(begun);
    client_free(fresh);
}

static void test_a_kept_tcp_connection_has_one_more_request_when_its_listener_winds_down(
    void **state)
{
    struct fixture *f = *state;
    struct client *busy;
    struct client *idle;

    f->options.unix_path = NULL;
    f->options.tcp = "127.0.0.1:0";
    fixture_listen(f);
    busy = client_new(f);
    client_send(f, busy, GET);
    assert_int_equal(client_reply(f, busy, NULL), 200);
    idle = client_new(f);
    client_send(f, idle, GET);
    assert_int_equal(client_reply(f, idle, NULL), 200);
    io_listener_wind_down(f->listener);
    fixture_turn(f, 0);
    client_send(f, busy, GET); /* which can't know it yet */
    assert_int_equal(client_reply(f, busy, NULL), 200);
    client_wait_eof(f, busy);
    client_wait_eof(f, idle);
    FIXTURE_UNTIL(f, io_listener_connection_count(f->listener) == 0);
    client_free(busy);
    client_free(idle);
}

static void test_a_request_that_came_in_time_is_answered_by_a_loop_that_was_late(void **state)
{
    const struct timespec late = {.tv_nsec = 150000000}; /* more than such a connection has */
    struct fixture *f = *state;
    struct client *busy;

    f->options.unix_path = NULL;
    f->options.tcp = "127.0.0.1:0";
    fixture_listen(f);
    busy = client_new(f);
    client_send(f, busy, GET);
    assert_int_equal(client_reply(f, busy, NULL), 200);
    io_listener_wind_down(f->listener);
    assert_int_equal(write(busy->fd, GET, strlen(GET)), strlen(GET));
    (void)nanosleep(&late, NULL); /* the loop stands still */
    assert_int_equal(client_reply(f, busy, NULL), 200);
    client_wait_eof(f, busy);
    client_free(busy);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_listener_that_winds_down_serves_who_is_there),
        TEST(test_a_kept_tcp_connection_has_one_more_request_when_its_listener_winds_down),
        TEST(test_a_request_that_came_in_time_is_answered_by_a_loop_that_was_late),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
