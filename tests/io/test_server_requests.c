/* Requests over a real socket: what reaches the handler, what is refused, and what a connection
 * does afterwards. */
#include "server_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define GET "GET /a/b?c=d HTTP/1.1\r\nHost: localhost\r\n\r\n"

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

static void test_a_request_reaches_the_handler_as_it_was_sent(void **state)
{
    struct fixture *f = *state;
    struct client *client;
    char *body = malloc(FIXTURE_REPLY_MAX_BYTES);

    fixture_listen(f);
    client = client_new(f);
    client_send(f, client, "GET /a%2Fb//../%41?x=%20&y&&z=+ HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_int_equal(client_reply(f, client, body), 200);
    assert_string_equal(body, "ok");
    assert_string_equal(f->target, "GET /a%2Fb//../%41 x=%20&y&&z=+");
    assert_int_equal(f->request_body_len, 0);
    FIXTURE_UNTIL(f, f->delivered_count == 1);
    assert_int_equal(f->undelivered_count, 0);
    client_free(client);
    free(body);
}

static void test_a_reply_has_length_no_store_and_the_headers_given(void **state)
{
    struct fixture *f = *state;
    struct client *client;

    fixture_listen(f);
    client = client_new(f);
    client_send(f, client, GET);
    FIXTURE_UNTIL(f, (client_pump(client), client->len > 0));
    client->bytes[client->len] = '\0';
    assert_non_null(strstr(client->bytes, "\r\nContent-Length: 2\r\n"));
    assert_non_null(strstr(client->bytes, "\r\nCache-Control: no-store\r\n"));
    assert_non_null(strstr(client->bytes, "\r\nContent-Type: text/plain\r\n"));
    assert_non_null(strstr(client->bytes, "\r\nETag: \"7\"\r\n"));
    client_free(client);
}

static void test_a_body_arrives_whole_however_it_is_cut(void **state)
{
    static const char request[] =
        "POST /p HTTP/1.1\r\nHost: localhost\r\nContent-Length: 11\r\n\r\n"
        "hello world";
    struct fixture *f = *state;
    struct client *client;
    size_t cut;

    fixture_listen(f);
    client = client_new(f);
    for (cut = 1; cut < sizeof(request) - 1; cut++) {
        client_send_bytes(f, client, request, cut);
        client_send_bytes(f, client, request + cut, sizeof(request) - 1 - cut);
        assert_int_equal(client_reply(f, client, NULL), 200);
        assert_string_equal(f->request_body, "hello world");
    }
    assert_int_equal(f->request_count, sizeof(request) - 2);
    assert_int_equal(io_listener_connection_count(f->listener), 1);
    client_free(client);
}

static void test_pipelined_requests_are_answered_in_order(void **state)
{
    struct fixture *f = *state;
    struct client *client;
    int i;

    fixture_listen(f);
    client = client_new(f);
    client_send(f, client, GET GET GET GET);
    for (i = 0; i < 4; i++) {
        assert_int_equal(client_reply(f, client, NULL), 200);
    }
    assert_int_equal(f->request_count, 4);
    FIXTURE_UNTIL(f, f->delivered_count == 4);
    client_free(client);
}

static void test_pipelined_requests_wait_for_a_late_answer(void **state)
{
    struct fixture *f = *state;
    struct client *client;
    size_t i;

    f->holds = true;
    fixture_listen(f);
    client = client_new(f);
    client_send(f, client, GET GET GET);
    for (i = 0; i < 3; i++) {
        FIXTURE_UNTIL(f, f->held_count == i + 1);
        fixture_turn(f, -1);
        assert_int_equal(f->held_count, i + 1); /* one at a time */
        fixture_answer(f, i);
        assert_int_equal(client_reply(f, client, NULL), 200);
    }
    client_free(client);
}

static void test_an_answer_may_come_later(void **state)
{
    struct fixture *f = *state;
    struct client *client;
    int i;

    f->holds = true;
    fixture_listen(f);
    client = client_new(f);
    for (i = 1; i <= 3; i++) {
        client_send(f, client, GET);
        FIXTURE_UNTIL(f, f->held_count == (size_t)i);
        for (int turn = 0; turn < 5; turn++) {
            fixture_turn(f, -1);
        }
        assert_int_equal(client->len, 0);
        fixture_answer(f, (size_t)i - 1);
        assert_int_equal(client_reply(f, client, NULL), 200);
    }
    FIXTURE_UNTIL(f, f->delivered_count == 3);
    client_free(client);
}

static void test_an_answer_from_a_deferred_call_of_the_same_turn_works(void **state)
{
    struct fixture *f = *state;
    struct client *client;

    f->defers = true;
    fixture_listen(f);
    client = client_new(f);
    client_send(f, client, GET GET);
    assert_int_equal(client_reply(f, client, NULL), 200);
    assert_int_equal(client_reply(f, client, NULL), 200);
    client_free(client);
}

static void test_head_gets_the_length_but_no_body(void **state)
{
    struct fixture *f = *state;
    struct client *client;

    fixture_listen(f);
    client = client_new(f);
    client_send(f, client, "HEAD /x HTTP/1.1\r\nHost: localhost\r\n\r\n");
    FIXTURE_UNTIL(f, (client_pump(client), client->len > 0));
    client->bytes[client->len] = '\0';
    assert_non_null(strstr(client->bytes, "\r\nContent-Length: 2\r\n"));
    assert_true(strcmp(client->bytes + client->len - 4, "\r\n\r\n") == 0);
    client_free(client);
}

static void test_http_1_0_is_answered_and_closed(void **state)
{
    struct fixture *f = *state;
    struct client *client;

    fixture_listen(f);
    client = client_new(f);
    client_send(f, client, "GET /x HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    assert_int_equal(client_reply(f, client, NULL), 200);
    client_wait_eof(f, client);
    client_free(client);
}

static void test_a_reply_can_end_the_connection(void **state)
{
    struct fixture *f = *state;
    struct client *client;

    f->closes = true;
    fixture_listen(f);
    client = client_new(f);
    client_send(f, client, GET);
    assert_int_equal(client_reply(f, client, NULL), 200);
    client_wait_eof(f, client);
    client_free(client);
}

static void test_an_empty_body_and_a_large_one_arrive(void **state)
{
    struct fixture *f = *state;
    struct client *client;
    char *body = malloc(FIXTURE_REPLY_MAX_BYTES);
    char *large = malloc(700000);

    memset(large, 'z', 700000);
    fixture_listen(f);
    client = client_new(f);
    f->body = "";
    client_send(f, client, GET);
    assert_int_equal(client_reply(f, client, body), 200);
    assert_string_equal(body, "");
    f->body = large;
    f->body_len = 700000;
    client_send(f, client, GET);
    assert_int_equal(client_reply(f, client, body), 200);
    assert_int_equal(strlen(body), 700000);
    client_free(client);
    free(large);
    free(body);
}

struct refusal {
    const char *request;
    int status; /* 0: closed without a word */
};

#define HOST "Host: localhost\r\n"
#define CANARY "GET /canary HTTP/1.1\r\n" HOST "\r\n"

/* After each, a canary request is sent on the same connection: it must never be interpreted. */
static const struct refusal refusals[] = {
    /* Two ways to say how long the body is. */
    {"POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 501},
    {"POST / HTTP/1.1\r\n" HOST "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
     501},
    {"POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
     501},
    {"POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: identity\r\n\r\n", 501},
    {"POST / HTTP/1.1\r\n" HOST "Transfer-Encoding:\r\n\r\n", 501},
    {"POST / HTTP/1.1\r\n" HOST "tRANSFER-eNCODING: gzip, chunked\r\n\r\n", 501},
    {"POST / HTTP/1.1\r\n" HOST "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n", 400},
    {"POST / HTTP/1.1\r\n" HOST "Transfer-Encoding\t: chunked\r\n\r\n0\r\n\r\n", 400},
    {"GET / HTTP/1.1\r\n" HOST "Transfer-Encoding: \vchunked\r\n\r\n", 400},
    {"POST / HTTP/1.1\r\n" HOST "Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello", 400},
    {"POST / HTTP/1.1\r\n" HOST "Content-Length: 0\r\nContent-Length: 44\r\n\r\n", 400},
    {"POST / HTTP/1.1\r\n" HOST "Content-Length: 5\r\ncontent-length: 6\r\n\r\nhello", 400},
    {"POST / HTTP/1.1\r\n" HOST "Content-Length: 5, 5\r\n\r\nhello", 400},
    {"POST / HTTP/1.1\r\n" HOST "Content-Length: +5\r\n\r\nhello", 400},
    {"POST / HTTP/1.1\r\n" HOST "Content-Length: -1\r\n\r\n", 400},
    {"POST / HTTP/1.1\r\n" HOST "Content-Length: 0x5\r\n\r\nhello", 400},
    {"POST / HTTP/1.1\r\n" HOST "Content-Length: 5 \r\n\r\nhello", 400},
    {"POST / HTTP/1.1\r\n" HOST "Content-Length: 5a\r\n\r\nhello", 400},
    {"POST / HTTP/1.1\r\n" HOST "Content-Length:\r\n\r\n", 400},
    {"POST / HTTP/1.1\r\n" HOST "Content-Length: 1e1\r\n\r\n", 400},
    {"POST / HTTP/1.1\r\n" HOST "Content-Length: 18446744073709551616\r\n\r\n", 413},
    {"POST / HTTP/1.1\r\n" HOST "Content-Length: 18446744073709551615\r\n\r\n", 413},
    {"POST / HTTP/1.1\r\n" HOST "Content-Length: 99999999999999999999999\r\n\r\n", 413},
    {"GET / HTTP/1.1\r\n" HOST "Content-Length : 5\r\n\r\nhello", 400},
    /* Line ends and blanks that others read otherwise. */
    {"GET / HTTP/1.1\n" HOST "\r\n", 400},
    {"GET / HTTP/1.1\r\nHost: localhost\n\r\n", 400},
    {"GET / HTTP/1.1\r\nHost: localhost\r\n\n", 400},
    {"GET / HTTP/1.1\nHost: localhost\n\n", 400},
    {"GET / HTTP/1.1\r\n" HOST "X: a\r\n b\r\n\r\n", 400},
    {"GET / HTTP/1.1\r\n" HOST "X: a\r\n\tb\r\n\r\n", 400},
    {"GET / HTTP/1.1\r\n" HOST "X: a\r\n \r\n\r\n", 400},
    {"GET / HTTP/1.1\r\n" HOST "Transfer-Enc: chunked\r\n oding\r\n\r\n", 400},
    {"GET / HTTP/1.1\r\n " HOST "\r\n", 400},
    {"GET / HTTP/1.1\r\n" HOST "X: a\rb\r\n\r\n", 400},
    {"GET / HTTP/1.1\r\n" HOST "X:\ra\r\n\r\n", 400},
    {"GET  / HTTP/1.1\r\n" HOST "\r\n", 400},
    {"GET /  HTTP/1.1\r\n" HOST "\r\n", 400},
    {"GET / HTTP/1.1 \r\n" HOST "\r\n", 400},
    {"GET\t/ HTTP/1.1\r\n" HOST "\r\n", 400},
    {"GET /a b HTTP/1.1\r\n" HOST "\r\n", 400},
    {"GET / HTTP/1.1\r\n" HOST "No-Colon\r\n\r\n", 400},
    {"GET / HTTP/1.1\r\n" HOST ": empty-name\r\n\r\n", 400},
    {"GET / HTTP/1.1\r\nHost: localhost\n:t\n", 400},
    {"GET / HTTP/1.0\n:t\n", 400},
    {"GET / HTTP/1.1\r\n" HOST "B(d: x\r\n\r\n", 400},
    {"GET / HTTP/1.1\r\n" HOST "B d: x\r\n\r\n", 400},
    {"GET / HTTP/1.1\r\n" HOST "B\x01: x\r\n\r\n", 400},
    {"GET / HTTP/1.1\r\n" HOST "B\xc3\xa4: x\r\n\r\n", 400},
    {"GET / HTTP/1.1\r\n" HOST "B: x\x7f\r\n\r\n", 400},
    {"GET / HTTP/1.1\r\n" HOST "B: x\x1b[2J\r\n\r\n", 400},
    /* Who is meant. */
    {"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400},
    {"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400},
    {"GET / HTTP/1.1\r\nhost: a\r\nHOST: a\r\n\r\n", 400},
    {"GET / HTTP/1.1\r\n\r\n", 400},
    {"GET http://localhost/ HTTP/1.1\r\n" HOST "\r\n", 400},
    {"GET //localhost/../x#f HTTP/1.1\r\n" HOST "\r\n", 400},
    {"GET localhost/x HTTP/1.1\r\n" HOST "\r\n", 400},
    {"GET * HTTP/1.1\r\n" HOST "\r\n", 400},
    {"OPTIONS * HTTP/1.1\r\n" HOST "\r\n", 400},
    {"CONNECT localhost:80 HTTP/1.1\r\n" HOST "\r\n", 400},
    {"CONNECT / HTTP/1.1\r\n" HOST "\r\n", 400},
    {"G(T / HTTP/1.1\r\n" HOST "\r\n", 400},
    {"GET /\x01 HTTP/1.1\r\n" HOST "\r\n", 400},
    {"GET /\xff HTTP/1.1\r\n" HOST "\r\n", 400},
    {"GET /\x7f HTTP/1.1\r\n" HOST "\r\n", 400},
    /* Guards that may stand once. */
    {"GET / HTTP/1.1\r\n" HOST "X-Leased-Request: 1\r\nX-Leased-Request: 1\r\n\r\n", 400},
    {"GET / HTTP/1.1\r\n" HOST "Origin: a\r\nOrigin: b\r\n\r\n", 400},
    {"GET / HTTP/1.1\r\n" HOST "Authorization: a\r\nauthorization: b\r\n\r\n", 400},
    {"GET / HTTP/1.1\r\n" HOST "X-Vault-Token: a\r\nX-Vault-Token: b\r\n\r\n", 400},
    {"POST / HTTP/1.1\r\n" HOST "Expect: 100-continue\r\nContent-Length: 2\r\n\r\n", 417},
    {"POST / HTTP/1.1\r\n" HOST "Expect: something\r\n\r\n", 417},
};

/* Versions and things that aren't HTTP: whether libmicrohttpd answers or hangs up is its own
 * affair, but nothing of it may reach the handler, and nothing that follows. */
static const char *const rejects[] = {
    "GET / HTTP/2.0\r\n" HOST "\r\n",
    "GET / HTTP/1.2\r\n" HOST "\r\n",
    "GET / HTTP/0.9\r\n" HOST "\r\n",
    "GET / HTTP/1.10\r\n" HOST "\r\n",
    "GET / http/1.1\r\n" HOST "\r\n",
    "GET / HTTP/1.\r\n" HOST "\r\n",
    "GET / HTTPS/1.1\r\n" HOST "\r\n",
    "GET /\r\n\r\n",
    "GET\r\n\r\n",
    " GET / HTTP/1.1\r\n" HOST "\r\n",
    "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "\x16\x03\x01\x02",
    "\x80\x80\x80\x80\r\n\r\n",
};

static void expect_refused(struct fixture *f, const char *request, size_t len, int status)
{
    struct client *client = client_new(f);
    size_t before = f->request_count;
    char *body = malloc(FIXTURE_REPLY_MAX_BYTES);
    int got;

    client_send_bytes(f, client, request, len);
    client_send(f, client, CANARY);
    got = client_reply(f, client, body);
    if (got != status && status >= 0) {
        fail_msg("status %d instead of %d for: %s", got, status, request);
    }
    if (status < 0 && got != 0 && got < 400) {
        fail_msg("status %d for: %s", got, request);
    }
    client_wait_eof(f, client);
    if (f->request_count != before) {
        fail_msg("this reached the handler: %s", request);
    }
    client_free(client);
    free(body);
}

static void test_what_can_be_read_in_two_ways_is_refused_and_the_connection_closed(void **state)
{
    struct fixture *f = *state;
    size_t i;

    fixture_listen(f);
    for (i = 0; i < ARRAY_LEN(refusals); i++) {
        expect_refused(f, refusals[i].request, strlen(refusals[i].request), refusals[i].status);
    }
}

static void test_what_is_not_http_1_is_not_interpreted(void **state)
{
    struct fixture *f = *state;
    size_t i;

    f->options.limits.head_timeout_ms = 50; /* for those that look like the beginning of a line */
    fixture_listen(f);
    for (i = 0; i < ARRAY_LEN(rejects); i++) {
        expect_refused(f, rejects[i], strlen(rejects[i]), -1);
    }
}

static void test_nul_bytes_are_refused_wherever_they_stand(void **state)
{
    static const char request[] = "GET /ab?c=d HTTP/1.1\r\nHost: localhost\r\nX: yy\r\n\r\n";
    struct fixture *f = *state;
    size_t i;

    f->options.limits.head_timeout_ms = 50;
    fixture_listen(f);
    for (i = 1; i < sizeof(request) - 3; i++) {
        char changed[sizeof(request)];

        if (request[i] == '\r') {
            continue; /* libmicrohttpd turns CR into NUL before we can look */
        }
        memcpy(changed, request, sizeof(request));
        changed[i] = '\0';
        expect_refused(f, changed, sizeof(request) - 1, -1);
    }
}

static void test_our_refusals_are_problem_documents(void **state)
{
    struct fixture *f = *state;
    struct client *client;

    fixture_listen(f);
    client = client_new(f);
    client_send(f, client, "GET http://x/ HTTP/1.1\r\n" HOST "\r\n");
    client_wait_eof(f, client);
    client->bytes[client->len] = '\0';
    assert_non_null(strstr(client->bytes, "\r\nContent-Type: application/problem+json\r\n"));
    assert_non_null(strstr(client->bytes, "\r\nConnection: close\r\n"));
    assert_non_null(strstr(client->bytes, "{\"type\":\"about:blank\",\"title\":\"Bad Request\","
                                          "\"status\":400,\"code\":\"invalid\",\"detail\":\""));
    client_free(client);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_request_reaches_the_handler_as_it_was_sent, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_a_reply_has_length_no_store_and_the_headers_given,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_body_arrives_whole_however_it_is_cut, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_pipelined_requests_are_answered_in_order, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_pipelined_requests_wait_for_a_late_answer, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_an_answer_may_come_later, setup, teardown),
        cmocka_unit_test_setup_teardown(test_an_answer_from_a_deferred_call_of_the_same_turn_works,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(test_head_gets_the_length_but_no_body, setup, teardown),
        cmocka_unit_test_setup_teardown(test_http_1_0_is_answered_and_closed, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_reply_can_end_the_connection, setup, teardown),
        cmocka_unit_test_setup_teardown(test_an_empty_body_and_a_large_one_arrive, setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_what_can_be_read_in_two_ways_is_refused_and_the_connection_closed, setup,
            teardown),
        cmocka_unit_test_setup_teardown(test_what_is_not_http_1_is_not_interpreted, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_nul_bytes_are_refused_wherever_they_stand, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_our_refusals_are_problem_documents, setup, teardown),
    };

    return cmocka_run_group_tests_name("server requests", tests, NULL, NULL);
}
