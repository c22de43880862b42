/* A listener with new settings takes over from the one before, without a client noticing. */
#include "server_fixture.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define GET "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"

static struct io_listener *old;
static bool is_old_closed;

static int setup(void **state)
{
    struct fixture *f = malloc(sizeof(*f));

    assert_non_null(f);
    fixture_init(f);
    is_old_closed = false;
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    fixture_fini(*state);
    free(*state);
    return 0;
}

static void on_old_closed(void *user)
{
    (void)user;
    is_old_closed = true;
}

/* f->listener gets a successor on its socket; both accept. */
static void succeed(struct fixture *f)
{
    old = f->listener;
    f->options.predecessor = old;
    fixture_listen(f);
    f->options.predecessor = NULL;
}

static void close_old(struct fixture *f)
{
    io_listener_close(old, on_old_closed, NULL);
    FIXTURE_UNTIL(f, is_old_closed);
}

static void test_new_clients_reach_the_successor(void **state)
{
    struct fixture *f = *state;
    struct client *client;

    fixture_listen(f);
    succeed(f);
    io_listener_retire(old, f->listener);
    close_old(f);
    client = client_new(f);
    client_send(f, client, GET);
    assert_int_equal(client_reply(f, client, NULL), 200);
    assert_int_equal(io_listener_connection_count(f->listener), 1);
    client_free(client);
}

static void test_a_client_of_the_predecessor_gets_one_more_answer(void **state)
{
    struct fixture *f = *state;
    struct client *client;

    fixture_listen(f);
    client = client_new(f);
    client_send(f, client, GET);
    assert_int_equal(client_reply(f, client, NULL), 200);
    succeed(f);
    io_listener_retire(old, f->listener);
    assert_int_equal(io_listener_connection_count(old), 1);
    client_send(f, client, GET);
    assert_int_equal(client_reply(f, client, NULL), 200);
    client_wait_eof(f, client);
    FIXTURE_UNTIL(f, io_listener_connection_count(old) == 0);
    close_old(f);
    client_free(client);
}

static void test_an_answer_that_is_pending_comes_from_the_predecessor(void **state)
{
    struct fixture *f = *state;
    struct client *client;

    f->holds = true;
    fixture_listen(f);
    client = client_new(f);
    client_send(f, client, GET);
    FIXTURE_UNTIL(f, f->held_count == 1);
    succeed(f);
    io_listener_retire(old, f->listener);
    fixture_answer(f, 0);
    assert_int_equal(client_reply(f, client, NULL), 200);
    client_wait_eof(f, client);
    FIXTURE_UNTIL(f, f->delivered_count == 1);
    close_old(f);
    client_free(client);
}

static void test_no_client_is_refused_while_listeners_change(void **state)
{
    struct fixture *f = *state;
    int round;

    fixture_listen(f);
    for (round = 0; round < 50; round++) {
        struct client *before = client_new(f);
        struct client *after;

        client_send(f, before, GET);
        succeed(f);
        io_listener_retire(old, f->listener);
        after = client_new(f);
        client_send(f, after, GET);
        assert_int_equal(client_reply(f, before, NULL), 200);
        assert_int_equal(client_reply(f, after, NULL), 200);
        client_free(before);
        client_free(after);
        is_old_closed = false;
        close_old(f);
    }
}

static void test_the_new_limits_are_for_new_clients(void **state)
{
    struct fixture *f = *state;
    struct client *client;

    f->options.limits.body_max_bytes = 1024;
    fixture_listen(f);
    f->options.limits.body_max_bytes = 4;
    succeed(f);
    io_listener_retire(old, f->listener);
    client = client_new(f);
    client_send(f, client, "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhello");
    assert_int_equal(client_reply(f, client, NULL), 413);
    client_free(client);
    close_old(f);
}

static void test_the_socket_file_stays_until_the_last_listener_goes(void **state)
{
    struct fixture *f = *state;
    struct stat facts;

    fixture_listen(f);
    succeed(f);
    io_listener_retire(old, f->listener);
    close_old(f);
    assert_int_equal(lstat(f->path, &facts), 0);
    io_listener_retire(f->listener, NULL);
    assert_int_not_equal(lstat(f->path, &facts), 0);
}

static void test_a_successor_may_be_given_up_again(void **state)
{
    struct fixture *f = *state;
    struct io_listener *kept;
    struct client *client;

    fixture_listen(f);
    kept = f->listener;
    succeed(f);
    old = f->listener;
    f->listener = kept;
    io_listener_retire(old, NULL);
    close_old(f);
    client = client_new(f);
    client_send(f, client, GET);
    assert_int_equal(client_reply(f, client, NULL), 200);
    client_free(client);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_new_clients_reach_the_successor),
        TEST(test_a_client_of_the_predecessor_gets_one_more_answer),
        TEST(test_an_answer_that_is_pending_comes_from_the_predecessor),
        TEST(test_no_client_is_refused_while_listeners_change),
        TEST(test_the_new_limits_are_for_new_clients),
        TEST(test_the_socket_file_stays_until_the_last_listener_goes),
        TEST(test_a_successor_may_be_given_up_again),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
