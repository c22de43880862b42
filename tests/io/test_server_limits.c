/* Limits of a listener, each at n, n + 1 and 10 n: sizes, counts of connections, descriptors. */
#include "server_fixture.h"

#include "io/io_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
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

static int ask_target(struct fixture *f, size_t size)
{
    char *request = malloc(size + 64);
    int status;

    memcpy(request, "GET /", 5);
    memset(request + 5, 'a', size - 1);
    memcpy(request + 4 + size, " HTTP/1.1\r\nHost: localhost\r\n\r\n", 31);
    status = client_ask(f, request, strlen(request));
    free(request);
    return status;
}

static void test_a_target_has_a_longest_length(void **state)
{
    struct fixture *f = *state;

    f->options.limits.target_max_bytes = 1024;
    fixture_listen(f);
    assert_int_equal(ask_target(f, 1024), 200);
    assert_int_equal(ask_target(f, 1025), 414);
    assert_int_equal(ask_target(f, 10240), 414);
    assert_int_equal(ask_target(f, 102400), 414);
    assert_int_equal(f->request_count, 1);
}

static int ask_head(struct fixture *f, size_t size)
{
    static const char begin[] = "GET / HTTP/1.1\r\nHost: localhost\r\nX: ";
    char *request = malloc(size + 1);
    int status;

    memcpy(request, begin, sizeof(begin) - 1);
    memset(request + sizeof(begin) - 1, 'x', size - (sizeof(begin) - 1) - 4);
    memcpy(request + size - 4, "\r\n\r\n", 4);
    status = client_ask(f, request, size);
    free(request);
    return status;
}

static void test_a_head_has_a_largest_size(void **state)
{
    struct fixture *f = *state;

    fixture_listen(f);
    assert_int_equal(ask_head(f, 8192), 200);
    assert_int_equal(ask_head(f, 8193), 431);
    assert_int_equal(ask_head(f, 81920), 431);
    assert_int_equal(f->request_count, 1);
}

/* The head has `size` bytes; 0: as many as it takes. */
static int ask_headers(struct fixture *f, size_t count, size_t size)
{
    char request[8192];
    size_t len =
        (size_t)snprintf(request, sizeof(request), "GET / HTTP/1.1\r\nHost: localhost\r\n");
    size_t i;

    for (i = 1; i < count; i++) {
        len += (size_t)snprintf(request + len, sizeof(request) - len, "X-%zu: 1\r\n", i);
    }
    if (size > 0) {
        memset(request + len - 2, '1', size - len - 2);
        len = size - 2;
        memcpy(request + len - 2, "\r\n", 2);
    }
    memcpy(request + len, "\r\n", 2);
    return client_ask(f, request, len + 2);
}

static void test_there_is_a_largest_number_of_headers(void **state)
{
    struct fixture *f = *state;

    fixture_listen(f);
    assert_int_equal(ask_headers(f, 32, 0), 200);
    assert_int_equal(ask_headers(f, 33, 0), 431);
    assert_int_equal(ask_headers(f, 320, 0), 431);
}

/* Also with all the bytes that their head may have. */
static void test_the_number_of_headers_has_a_hard_maximum(void **state)
{
    struct fixture *f = *state;

    f->options.limits.headers_max = 10 * ENV_REQUEST_HEADERS_MAX;
    fixture_listen(f);
    assert_int_equal(ask_headers(f, ENV_REQUEST_HEADERS_MAX, 8192), 200);
    assert_int_equal(ask_headers(f, ENV_REQUEST_HEADERS_MAX + 1, 0), 431);
}

static void test_a_connection_over_the_limit_is_told_so_and_closed(void **state)
{
    struct fixture *f = *state;
    struct client *clients[3];
    struct client *extra;
    char *body = malloc(FIXTURE_REPLY_MAX_BYTES);
    int i;

    f->options.limits.connections = 3;
    fixture_listen(f);
    for (i = 0; i < 3; i++) {
        clients[i] = client_new(f);
        client_send(f, clients[i], GET);
        assert_int_equal(client_reply(f, clients[i], NULL), 200);
    }
    extra = client_new(f); /* without a request */
    assert_int_equal(client_reply(f, extra, body), 503);
    assert_non_null(strstr(body, "\"code\":\"busy\""));
    client_wait_eof(f, extra);
    client_free(extra);
    extra = client_new(f);
    client_send(f, extra, GET);
    assert_int_equal(client_reply(f, extra, NULL), 503);
    client_wait_eof(f, extra);
    client_free(extra);
    assert_int_equal(io_listener_connection_count(f->listener), 3);
    assert_int_equal(f->request_count, 3);
    client_free(clients[0]);
    FIXTURE_UNTIL(f, io_listener_connection_count(f->listener) == 2);
    clients[0] = client_new(f);
    client_send(f, clients[0], GET);
    assert_int_equal(client_reply(f, clients[0], NULL), 200);
    for (i = 0; i < 3; i++) {
        client_free(clients[i]);
    }
    free(body);
}

/* 0 when `served` of ten connections got an answer of 200. */
static int flood(struct fixture *f, void *user)
{
    int served = 0;
    int i;

    child_drop_rights();
    for (i = 0; i < 10; i++) {
        served += child_request(f->path, GET) == 200 ? 1 : 0;
    }
    return served == *(int *)user ? 0 : 1;
}

static int hold_connections(struct fixture *f, void *user)
{
    const int *pipes = user;
    struct fixture copy = *f;
    struct client *clients[5];
    char byte;
    int i;

    child_drop_rights();
    for (i = 0; i < 5; i++) {
        clients[i] = client_new(&copy);
        (void)send(clients[i]->fd, GET, strlen(GET), MSG_NOSIGNAL);
    }
    return read(pipes[0], &byte, 1) == 1 ? 0 : 1;
}

static void test_one_user_cannot_take_all_connections(void **state)
{
    struct fixture *f = *state;
    struct client *client;
    int to_child[2];
    int none = 0;
    int all = 10;
    pid_t pid;

    if (geteuid() != 0) {
        print_message("skipped: becoming another user takes root\n");
        skip();
    }
    f->options.mode = 0666;
    f->options.limits.connections_per_uid = 5;
    assert_int_equal(chmod(f->dir, 0755), 0);
    fixture_listen(f);
    assert_int_equal(pipe(to_child), 0);
    pid = fork();
    if (pid == 0) {
        child_end(hold_connections(f, to_child));
    }
    FIXTURE_UNTIL(f, f->request_count == 5);
    /* All of this user's later ones are refused, ours are not. */
    assert_int_equal(fixture_fork(f, flood, &none), 0);
    client = client_new(f);
    client_send(f, client, GET);
    assert_int_equal(client_reply(f, client, NULL), 200);
    assert_int_equal(io_listener_connection_count(f->listener), 6);
    assert_int_equal(write(to_child[1], "c", 1), 1);
    FIXTURE_UNTIL(f, io_listener_connection_count(f->listener) == 1);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    assert_int_equal(fixture_fork(f, flood, &all), 0);
    client_free(client);
    (void)close(to_child[0]);
    (void)close(to_child[1]);
}

static bool is_other_closed;

static void on_other_closed(void *user)
{
    (void)user;
    is_other_closed = true;
}

static struct client *client_that_is_served(struct fixture *f)
{
    struct client *client = client_new(f);

    client_send(f, client, GET);
    assert_int_equal(client_reply(f, client, NULL), 200);
    return client;
}

static void expect_refusal(struct fixture *f, const char *says)
{
    struct client *client = client_new(f);
    char *body = malloc(FIXTURE_REPLY_MAX_BYTES);

    assert_non_null(body);
    assert_int_equal(client_reply(f, client, body), 503);
    assert_non_null(strstr(body, says));
    client_free(client);
    free(body);
}

/* Three connections on the first of two listeners are all that there may be. */
static void counted_together(struct fixture *f, const char *says)
{
    struct client *clients[3];
    struct io_listener *first;
    size_t i;

    fixture_listen(f);
    first = f->listener;
    for (i = 0; i < ARRAY_LEN(clients); i++) {
        clients[i] = client_that_is_served(f);
    }
    f->path[strlen(f->path) - 1] = 'x'; /* another name, for the second one and its clients */
    fixture_listen(f);
    expect_refusal(f, says);
    io_listener_retire(first, NULL); /* which has them still */
    expect_refusal(f, says);
    client_free(clients[0]);
    FIXTURE_UNTIL(f, io_listener_connection_count(first) == 2);
    clients[0] = client_that_is_served(f);
    for (i = 0; i < ARRAY_LEN(clients); i++) {
        client_free(clients[i]);
    }
    is_other_closed = false;
    io_listener_close(first, on_other_closed, NULL);
    FIXTURE_UNTIL(f, is_other_closed);
}

static void test_listeners_count_their_connections_together(void **state)
{
    struct fixture *f = *state;

    f->options.limits.connections = 3;
    counted_together(f, "the daemon has all the connections");
}

static void test_listeners_count_a_users_connections_together(void **state)
{
    struct fixture *f = *state;

    f->options.limits.connections_per_uid = 3;
    counted_together(f, "this user has all the connections");
}

static void test_a_flood_beyond_the_limit_leaves_the_others_served(void **state)
{
    struct fixture *f = *state;
    struct client *first;
    struct client *clients[150];
    size_t i;

    f->options.limits.connections = 10;
    fixture_listen(f);
    first = client_new(f);
    client_send(f, first, GET);
    assert_int_equal(client_reply(f, first, NULL), 200);
    for (i = 0; i < ARRAY_LEN(clients); i++) {
        clients[i] = client_new(f);
        fixture_turn(f, -1);
        assert_true(io_listener_connection_count(f->listener) <= 10);
    }
    client_send(f, first, GET);
    assert_int_equal(client_reply(f, first, NULL), 200);
    for (i = 0; i < ARRAY_LEN(clients); i++) {
        client_free(clients[i]);
    }
    FIXTURE_UNTIL(f, io_listener_connection_count(f->listener) == 1);
    client_free(first);
}

static void set_descriptor_limit(rlim_t count)
{
    struct rlimit limit;

    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = count < limit.rlim_max ? count : limit.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

static int teardown_descriptors(void **state)
{
    set_descriptor_limit(1024);
    return teardown(state);
}

static void test_connections_leave_descriptors_for_the_rest(void **state)
{
    struct fixture *f = *state;
    struct client *clients[64];
    size_t count = 0;
    int status;
    int fd;

    set_descriptor_limit(64);
    fixture_listen(f);
    do {
        clients[count] = client_new(f);
        client_send(f, clients[count], GET);
        status = client_reply(f, clients[count], NULL);
        count++;
    } while (status == 200);
    assert_int_equal(status, 503);
    assert_true(count > 1);
    fd = dup(0);
    assert_true(fd >= 0);
    (void)close(fd);
    while (count > 0) {
        client_free(clients[--count]);
    }
    FIXTURE_UNTIL(f, io_listener_connection_count(f->listener) == 0);
}

static bool is_loop_quiet(struct fixture *f)
{
    struct pollfd poll_fd = {.fd = uv_backend_fd(io_uv(f->io)), .events = POLLIN};

    return poll(&poll_fd, 1, 0) == 0;
}

static void test_without_descriptors_the_loop_rests_and_clients_are_served_later(void **state)
{
    struct fixture *f = *state;
    struct client *client;
    int spare[64];
    size_t count = 0;

    if (is_under_valgrind()) {
        print_message("skipped: valgrind closes what is accepted beyond the limit\n");
        skip();
    }
    set_descriptor_limit(64);
    fixture_listen(f);
    client = client_new(f);
    while (count < ARRAY_LEN(spare) && (spare[count] = dup(0)) >= 0) {
        count++;
    }
    assert_int_equal(send(client->fd, GET, strlen(GET), 0), strlen(GET));
    io_run_once(f->io, false);
    assert_true(is_loop_quiet(f)); /* though a client waits to be accepted */
    assert_int_equal(io_listener_connection_count(f->listener), 0);
    while (count > 0) {
        (void)close(spare[--count]);
    }
    assert_int_equal(client_reply(f, client, NULL), 200);
    client_free(client);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_target_has_a_longest_length, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_head_has_a_largest_size, setup, teardown),
        cmocka_unit_test_setup_teardown(test_there_is_a_largest_number_of_headers, setup, teardown),
        cmocka_unit_test_setup_teardown(test_the_number_of_headers_has_a_hard_maximum, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_a_connection_over_the_limit_is_told_so_and_closed,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(test_one_user_cannot_take_all_connections, setup, teardown),
        cmocka_unit_test_setup_teardown(test_listeners_count_their_connections_together, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_listeners_count_a_users_connections_together, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_a_flood_beyond_the_limit_leaves_the_others_served,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(test_connections_leave_descriptors_for_the_rest, setup,
                                        teardown_descriptors),
        cmocka_unit_test_setup_teardown(
            test_without_descriptors_the_loop_rests_and_clients_are_served_later, setup,
            teardown_descriptors),
    };

    return cmocka_run_group_tests_name("server limits", tests, NULL, NULL);
}
