/* Smuggling, by a table of every two ways to say where a body ends (RFC 9112, section 6): whatever
 * two implementations could read in two ways is refused and the connection closed, however it is
 * cut on its way. The canary that follows is never interpreted, and neither is one inside of a
 * body. test_server_requests.c has the single tricks. */
#include "server_fixture.h"
#include "support/slowdown.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CANARY "GET /canary HTTP/1.1\r\nHost: localhost\r\n\r\n"
#define CANARY_BYTES (sizeof(CANARY) - 1)
#define REQUEST_MAX_BYTES 1024U

/* Any two of them, the same one twice included, are at least one too many. */
static const char *const framings[] = {
    "Content-Length: 0",
    "Content-Length: 5",
    "Content-Length: 05",
    "content-length:41",
    "CONTENT-LENGTH: 41 ",
    "Content-Length: +5",
    "Content-Length: -5",
    "Content-Length: 5,5",
    "Content-Length: 0x5",
    "Content-Length: 5.0",
    "Content-Length: 18446744073709551616",
    "Content-Length: 18446744073709551621",
    "Content-Length:",
    "Content-Length : 5",
    "Content-Length\t: 5",
    "Content-Length: \v5",
    "Content-Length: 5\r\n ",
    "Content-Length: \r\n 5",
    "Transfer-Encoding: chunked",
    "transfer-encoding:chunked",
    "Transfer-Encoding: CHUNKED",
    "Transfer-Encoding: identity",
    "Transfer-Encoding: chunked, identity",
    "Transfer-Encoding: gzip, chunked",
    "Transfer-Encoding: xchunked",
    "Transfer-Encoding: \"chunked\"",
    "Transfer-Encoding: chunked;q=1",
    "Transfer-Encoding: \vchunked",
    "Transfer-Encoding : chunked",
    "Transfer-Encoding:\r\n chunked",
    "Transfer-Encoding:",
    "X: a\nTransfer-Encoding: chunked",
    "X: a\nContent-Length: 5",
    "X: a\rTransfer-Encoding: chunked",
};

static const char *const methods[] = {"POST", "GET", "DELETE", "PUT"};

/* As many bodies as there are ways to understand the heads. */
static const char *const bodies[] = {
    "",
    "hello",
    "0\r\n\r\n",
    "5\r\nhello\r\n0\r\n\r\n",
    "0;x=" CANARY "\r\n\r\n",
    "0005 \r\nhello\r\n0\r\n\r\n",
    "29\n" CANARY "\n0\n\n",
    "ffffffffffffffff1\r\n",
    "-1\r\nhello",
    "0\r\nHost: x\r\n\r\n",
};

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

/* Sends the text in two parts and the canary behind it. */
static void expect_refused(struct fixture *f, const char *request, size_t cut)
{
    struct client *client = client_new(f);
    size_t len = strlen(request);
    int status;

    cut = len > 0 ? cut % len : 0;
    client_send_bytes(f, client, request, cut);
    fixture_turn(f, -1);
    client_send_bytes(f, client, request + cut, len - cut);
    client_send(f, client, CANARY);
    status = client_reply(f, client, NULL);
    if (status != 0 && status < 400) {
        fail_msg("status %d for: %s", status, request);
    }
    client_wait_eof(f, client);
    if (f->request_count != 0) {
        fail_msg("%s reached the handler: %s", f->target, request);
    }
    client_free(client);
}

static void test_no_two_framings_are_understood(void **state)
{
    struct fixture *f = *state;
    size_t step = slowdown();
    size_t number = 0;
    size_t i;
    size_t j;

    fixture_listen(f);
    for (i = 0; i < ARRAY_LEN(framings); i++) {
        for (j = 0; j < ARRAY_LEN(framings); j++) {
            char request[REQUEST_MAX_BYTES];

            if (number++ % step != 0) {
                continue;
            }
            (void)snprintf(request, sizeof(request),
                           "%s / HTTP/1.1\r\nHost: localhost\r\n%s\r\n%s\r\n\r\n%s",
                           methods[(i + j) % ARRAY_LEN(methods)], framings[i], framings[j],
                           bodies[number % ARRAY_LEN(bodies)]);
            expect_refused(f, request, number * 7);
        }
    }
    assert_true(number > 1000);
}

/* … nor is a wrong one made right by what stands around it. */
static void test_no_header_between_two_framings_hides_one(void **state)
{
    static const char *const between[] = {"X-A: b",
                                          "Connection: content-length",
                                          "Connection: transfer-encoding",
                                          "TE: trailers",
                                          "Upgrade: h2c",
                                          "Content-Type: text/plain"};
    struct fixture *f = *state;
    size_t i;

    fixture_listen(f);
    for (i = 0; i < ARRAY_LEN(framings); i++) {
        char request[REQUEST_MAX_BYTES];

        (void)snprintf(request, sizeof(request),
                       "POST / HTTP/1.1\r\n%s\r\nHost: localhost\r\n%s\r\n%s\r\n\r\nhello",
                       framings[i], between[i % ARRAY_LEN(between)],
                       framings[(i * 11) % ARRAY_LEN(framings)]);
        expect_refused(f, request, i);
    }
}

/* A whole request inside of a body, of which a length says that it is one. */
static void test_a_request_inside_of_a_body_is_a_body(void **state)
{
    struct fixture *f = *state;
    size_t step = slowdown();
    char request[REQUEST_MAX_BYTES];
    size_t served = 0;
    size_t cut;

    (void)snprintf(request, sizeof(request),
                   "POST /first HTTP/1.1\r\nHost: localhost\r\nContent-Length: %zu\r\n\r\n" CANARY,
                   CANARY_BYTES);
    fixture_listen(f);
    for (cut = 0; cut <= strlen(request); cut += step) {
        struct client *client = client_new(f);

        client_send_bytes(f, client, request, cut);
        fixture_turn(f, -1);
        client_send(f, client, request + cut);
        assert_int_equal(client_reply(f, client, NULL), 200);
        served++;
        assert_int_equal(f->request_count, served);
        assert_string_equal(f->target, "POST /first ");
        assert_int_equal(f->request_body_len, CANARY_BYTES);
        assert_memory_equal(f->request_body, CANARY, CANARY_BYTES);
        client_free(client);
    }
}

/* What is refused before its body has come takes the body with it. */
static void test_the_body_of_a_refused_request_is_not_interpreted(void **state)
{
    static const char *const heads[] = {
        "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 41\r\nExpect: 100-continue\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nHost: b\r\nContent-Length: 41\r\n\r\n",
        "POST http://localhost/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: 41\r\n\r\n",
        "POST / HTTP/3.0\r\nHost: localhost\r\nContent-Length: 41\r\n\r\n",
    };
    struct fixture *f = *state;
    size_t i;

    fixture_listen(f);
    for (i = 0; i < ARRAY_LEN(heads); i++) {
        char request[REQUEST_MAX_BYTES];

        (void)snprintf(request, sizeof(request), "%s%s", heads[i], CANARY CANARY);
        expect_refused(f, request, strlen(heads[i]));
    }
}

/* Exactly one answer comes, whole and a problem document, and the connection ends. */
static void expect_one_answer(struct fixture *f, const char *header, size_t cut, int status)
{
    struct client *client = client_new(f);
    char *body = malloc(FIXTURE_REPLY_MAX_BYTES);
    size_t size = strlen(header) + 128;
    char *request = malloc(size);
    size_t len;

    assert_non_null(body);
    assert_non_null(request);
    len =
        (size_t)snprintf(request, size, "GET / HTTP/1.1\r\nHost: localhost\r\n%s\r\n\r\n", header);
    cut = cut < len ? cut : len;
    client_send_bytes(f, client, request, cut);
    fixture_turn(f, -1);
    client_send_bytes(f, client, request + cut, len - cut);
    client_send(f, client, CANARY);
    if (client_reply(f, client, body) != status) {
        fail_msg("another status than %d for: %.60s", status, header);
    }
    assert_memory_equal(body, "{\"type\":", 8);
    assert_string_equal(body + strlen(body) - 3, "\"}\n");
    client_wait_eof(f, client);
    if (client->len != 0) {
        fail_msg("%.*s follows for: %.60s", (int)client->len, client->bytes, header);
    }
    assert_int_equal(f->request_count, 0);
    client_free(client);
    free(request);
    free(body);
}

static void test_a_malformed_length_gets_one_answer(void **state)
{
    static const struct {
        const char *header;
        int status;
    } lengths[] = {
        {"Content-Length: x", 400},
        {"Content-Length: -5", 400},
        {"Content-Length: 5 ", 400},
        {"Content-Length:", 400},
        {"Content-Length: 99999999999999999999", 413},
        {"Content-Length: 70000", 413},
    };
    struct fixture *f = *state;
    size_t i;

    fixture_listen(f);
    for (i = 0; i < ARRAY_LEN(lengths); i++) {
        expect_one_answer(f, lengths[i].header, 0, lengths[i].status);
        expect_one_answer(f, lengths[i].header, 40, lengths[i].status);
        expect_one_answer(f, lengths[i].header, SIZE_MAX, lengths[i].status);
    }
}

/* libmicrohttpd takes cookies apart in memory of its own. */
static void test_cookies_beyond_its_memory_get_one_answer(void **state)
{
    struct fixture *f = *state;
    char header[8000] = "Cookie: ";

    memset(header + 8, 'c', sizeof(header) - 9);
    header[sizeof(header) - 1] = '\0';
    fixture_listen(f);
    expect_one_answer(f, header, 100, 431);
}

/* … and nobody else's connection is shut for it. */
static void test_others_whose_heads_arrive_are_let_alone(void **state)
{
    struct fixture *f = *state;
    struct client *early;
    struct client *late;

    fixture_listen(f);
    early = client_new(f);
    late = client_new(f);
    client_send(f, early, "GET / HTTP/1.1\r\nHost: localhost\r\n");
    client_send(f, late, "GET /");
    fixture_turn(f, -1);
    expect_one_answer(f, "Content-Length: x", 0, 400);
    client_send(f, early, "\r\n");
    client_send(f, late, " HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_int_equal(client_reply(f, early, NULL), 200);
    assert_int_equal(client_reply(f, late, NULL), 200);
    client_free(early);
    client_free(late);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_no_two_framings_are_understood),
        TEST(test_no_header_between_two_framings_hides_one),
        TEST(test_a_request_inside_of_a_body_is_a_body),
        TEST(test_the_body_of_a_refused_request_is_not_interpreted),
        TEST(test_a_malformed_length_gets_one_answer),
        TEST(test_cookies_beyond_its_memory_get_one_answer),
        TEST(test_others_whose_heads_arrive_are_let_alone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
