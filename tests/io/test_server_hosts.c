/* By which names clients may call the listener, and listeners beyond loopback. */
#include "server_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int setup(void **state)
{
    struct fixture *f = malloc(sizeof(*f));

    assert_non_null(f);
    fixture_init(f);
    f->options.unix_path = NULL;
    f->options.tcp = "127.0.0.1:0";
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    fixture_fini(*state);
    free(*state);
    return 0;
}

/* The status of a request with this Host, with a port unless it is 0. */
static int ask_as(struct fixture *f, const char *host, uint16_t port)
{
    struct client *client = client_new(f);
    char request[256];
    char name[128];
    int status;

    if (port != 0) {
        (void)snprintf(name, sizeof(name), "%s:%u", host, (unsigned)port);
    } else {
        (void)snprintf(name, sizeof(name), "%s", host);
    }
    (void)snprintf(request, sizeof(request), "GET / HTTP/1.1\r\nHost: %s\r\n\r\n", name);
    client_send(f, client, request);
    status = client_reply(f, client, NULL);
    client_free(client);
    return status;
}

static void test_on_loopback_we_are_called_by_loopback_names(void **state)
{
    static const char *const ours[] = {"localhost", "LOCALHOST", "127.0.0.1", "127.9.9.9", "[::1]"};
    static const char *const others[] = {"leased",
                                         "example.com",
                                         "127.0.0.1.example.com",
                                         "10.0.0.1",
                                         "::1",
                                         "[::2]",
                                         "localhost:",
                                         "localhost.",
                                         "[::1",
                                         "localhost:x",
                                         "",
                                         "127.0.0.1@example.com"};
    struct fixture *f = *state;
    uint16_t port;
    size_t i;

    fixture_listen(f);
    port = io_listener_port(f->listener);
    for (i = 0; i < ARRAY_LEN(ours); i++) {
        assert_int_equal(ask_as(f, ours[i], 0), 200);
        assert_int_equal(ask_as(f, ours[i], port), 200);
        assert_int_equal(ask_as(f, ours[i], (uint16_t)(port ^ 1U)), 403);
    }
    f->request_count = 0;
    for (i = 0; i < ARRAY_LEN(others); i++) {
        if (ask_as(f, others[i], 0) != 403) {
            fail_msg("\"%s\" was taken", others[i]);
        }
    }
    assert_int_equal(f->request_count, 0);
}

/* Sends this and expects a problem document. */
static void expect_problem(struct fixture *f, const char *request, const char *says)
{
    struct client *client = client_new(f);
    char *body = malloc(FIXTURE_REPLY_MAX_BYTES);

    assert_non_null(body);
    client_send(f, client, request);
    assert_int_equal(client_reply(f, client, body), 400);
    assert_non_null(strstr(body, "\"code\":\"invalid\""));
    assert_non_null(strstr(body, says));
    client_wait_eof(f, client);
    client_free(client);
    free(body);
}

/* Neither is a Host needed in HTTP/1.0, nor may it be left out where it is what we judge by. */
static void test_who_names_no_host_is_refused_with_a_problem_document(void **state)
{
    struct fixture *f = *state;

    fixture_listen(f);
    expect_problem(f, "GET / HTTP/1.0\r\n\r\n", "the Host header is missing");
    expect_problem(f, "GET / HTTP/1.0\r\nX-Leased-Request: 1\r\n\r\n",
                   "the Host header is missing");
    expect_problem(f, "GET / HTTP/1.1\r\n\r\n", "the Host header is missing");
    expect_problem(f, "GET /a b HTTP/1.1\r\nHost: localhost\r\n\r\n", "without blanks");
    assert_int_equal(f->request_count, 0);
}

static void test_what_is_for_anyone_may_be_called_anything_and_knows_nobody(void **state)
{
    struct fixture *f = *state;

    f->options.tcp = "0.0.0.0:0";
    f->options.is_for_anyone = true;
    fixture_listen(f);
    assert_int_equal(ask_as(f, "metrics.example.com", 9100), 200);
    assert_int_equal(f->peer.state, ENV_PEER_UNKNOWN);
    assert_int_equal(f->peer.uid, ENV_NO_ID);
    assert_non_null(strstr(f->peer.problem, "without TLS"));
}

static void test_beyond_loopback_connections_are_counted_by_address(void **state)
{
    struct fixture *f = *state;
    struct client *client;

    f->options.tcp = "0.0.0.0:0";
    f->options.is_for_anyone = true;
    f->options.limits.connections_per_address = 1;
    fixture_listen(f);
    client = client_new(f);
    FIXTURE_UNTIL(f, io_listener_connection_count(f->listener) == 1);
    assert_int_equal(ask_as(f, "localhost", 0), 503);
    client_free(client);
    FIXTURE_UNTIL(f, io_listener_connection_count(f->listener) == 0);
    assert_int_equal(ask_as(f, "localhost", 0), 200);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        TEST(test_on_loopback_we_are_called_by_loopback_names),
        TEST(test_who_names_no_host_is_refused_with_a_problem_document),
        TEST(test_what_is_for_anyone_may_be_called_anything_and_knows_nobody),
        TEST(test_beyond_loopback_connections_are_counted_by_address),
    };

    return cmocka_run_group_tests_name("server hosts", tests, NULL, NULL);
}
