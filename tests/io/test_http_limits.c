/* Replies that are too much, or aren't HTTP: bounded, refused, and never handed on in part. */
#include "io/http_call.h"

#include "base/buf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Writes the text that the test gave for each request, then closes. */
static void script_text(struct peer_conn *conn)
{
    const struct buf *text = conn->user;

    if (peer_read_request(conn)) {
        (void)peer_write_bytes(conn, text->bytes, text->len);
    }
}

/* What an exchange gives for a server that writes exactly these bytes. */
static int status_of(struct loop *loop, const struct buf *text, struct call *call)
{
    const struct peer_options options = {.script = script_text, .user = (void *)(uintptr_t)text};
    struct peer *peer = peer_new(&options);
    size_t limit = call->http.reply_max_bytes;
    int status;

    call_init(call, peer, "/");
    call->http.reply_max_bytes = limit;
    call->http.flags = ENV_HTTP_CREATES;
    status = call_run(loop, call);
    peer_free(peer);
    return status;
}

static int status_of_text(struct loop *loop, struct str text)
{
    struct call call = {0};
    struct buf bytes;
    int status;

    buf_init(&bytes, text.len + 1);
    buf_add_str(&bytes, text);
    assert_int_equal(buf_status(&bytes), 0);
    status = status_of(loop, &bytes, &call);
    buf_fini(&bytes);
    return status;
}

/* A reply with a body of this size. */
static void sized_reply(struct buf *text, size_t size, bool is_chunked)
{
    buf_init(text, size + 4096);
    if (is_chunked) {
        buf_printf(text, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%zx\r\n", size);
    } else {
        buf_printf(text, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n", size);
    }
    for (size_t i = 0; i < size; i++) {
        buf_add_char(text, 'x');
    }
    buf_add_c(text, is_chunked ? "\r\n0\r\n\r\n" : "");
    assert_int_equal(buf_status(text), 0);
}

static void test_a_body_may_be_as_large_as_the_limit_and_not_a_byte_more(void **state)
{
    static const struct {
        size_t limit;
        size_t size;
        int status;
    } cases[] = {
        {1000, 1000, 0},
        {1000, 1001, ERR_TOO_LARGE},
        {1000, 10000, ERR_TOO_LARGE},
        {0, ENV_HTTP_REPLY_MAX_BYTES, 0},
        {0, ENV_HTTP_REPLY_MAX_BYTES + 1, ERR_TOO_LARGE},
        {SIZE_MAX, ENV_HTTP_REPLY_HARD_MAX_BYTES, 0},
        {SIZE_MAX, ENV_HTTP_REPLY_HARD_MAX_BYTES + 1, ERR_TOO_LARGE},
    };
    struct loop *loop = *state;

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        for (int is_chunked = 0; is_chunked < 2; is_chunked++) {
            struct call call = {.http.reply_max_bytes = cases[i].limit};
            struct buf text;

            sized_reply(&text, cases[i].size, is_chunked != 0);
            assert_int_equal(status_of(loop, &text, &call), cases[i].status);
            assert_int_equal(call.body_len, cases[i].status == 0 ? cases[i].size : 0);
            buf_fini(&text);
        }
    }
}

static void script_endless(struct peer_conn *conn)
{
    if (!peer_read_request(conn)) {
        return;
    }
    (void)peer_write(conn, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    while (peer_write(conn, "10\r\n0123456789abcdef\r\n")) {
    }
}

static void script_endless_interim(struct peer_conn *conn)
{
    if (peer_read_request(conn)) {
        while (peer_write(conn, "HTTP/1.1 102 Processing\r\nX-A: b\r\n\r\n")) {
        }
    }
}

static void script_endless_header(struct peer_conn *conn)
{
    if (peer_read_request(conn)) {
        (void)peer_write(conn, "HTTP/1.1 200 OK\r\nX-A: ");
        while (peer_write(conn, "0123456789abcdef0123456789abcdef")) {
        }
    }
}

static void test_endless_replies_end(void **state)
{
    static const peer_script_fn scripts[] = {script_endless, script_endless_interim};
    struct loop *loop = *state;
    struct peer_options options = {0};
    struct peer *peer;
    struct call call;

    for (size_t i = 0; i < ARRAY_LEN(scripts); i++) {
        options.script = scripts[i];
        peer = peer_new(&options);
        call_init(&call, peer, "/");
        assert_int_equal(call_run(loop, &call), ERR_TOO_LARGE);
        peer_free(peer);
    }
    /* curl holds a line back until it is whole, and gives up by its own limit (100 KiB). */
    options.script = script_endless_header;
    peer = peer_new(&options);
    call_init(&call, peer, "/");
    assert_int_not_equal(call_run(loop, &call), 0);
    peer_free(peer);
}

static void test_an_announced_length_over_the_limit_is_refused_before_it_comes(void **state)
{
    struct loop *loop = *state;

    assert_int_equal(status_of_text(loop, STR("HTTP/1.1 200 OK\r\nContent-Length: "
                                              "9000000000000\r\n\r\nabc")),
                     ERR_TOO_LARGE);
}

static void many_headers(struct buf *text, size_t count, size_t value_len)
{
    buf_init(text, count * (value_len + 32) + 4096);
    buf_add_c(text, "HTTP/1.1 200 OK\r\n");
    for (size_t i = 0; i + 1 < count; i++) {
        buf_printf(text, "X-%zu: ", i);
        for (size_t j = 0; j < value_len; j++) {
            buf_add_char(text, 'v');
        }
        buf_add_c(text, "\r\n");
    }
    buf_add_c(text, "Content-Length: 0\r\n\r\n");
    assert_int_equal(buf_status(text), 0);
}

static void test_headers_are_bounded_in_number_and_size(void **state)
{
    struct loop *loop = *state;
    struct call call = {0};
    struct buf text;

    many_headers(&text, ENV_HTTP_HEADERS_MAX, 10);
    assert_int_equal(status_of(loop, &text, &call), 0);
    assert_int_equal(call.header_count, ENV_HTTP_HEADERS_MAX);
    buf_fini(&text);
    many_headers(&text, ENV_HTTP_HEADERS_MAX + 1, 10);
    assert_int_equal(status_of(loop, &text, &call), ERR_TOO_LARGE);
    buf_fini(&text);
    many_headers(&text, 20, 4000);
    assert_int_equal(status_of(loop, &text, &call), ERR_TOO_LARGE);
    buf_fini(&text);
}

static void test_an_encoded_reply_is_refused(void **state)
{
    struct loop *loop = *state;

    assert_int_equal(status_of_text(loop, STR("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n"
                                              "Content-Length: 3\r\n\r\nabc")),
                     ERR_PROTOCOL);
    assert_int_equal(status_of_text(loop, STR("HTTP/1.1 200 OK\r\ncontent-encoding: br\r\n"
                                              "Content-Length: 3\r\n\r\nabc")),
                     ERR_PROTOCOL);
    assert_int_equal(status_of_text(loop, STR("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked"
                                              "\r\n\r\n3\r\nabc\r\n0\r\n\r\n")),
                     ERR_PROTOCOL);
    assert_int_equal(status_of_text(loop, STR("HTTP/1.1 200 OK\r\nContent-Encoding: identity\r\n"
                                              "Content-Length: 3\r\n\r\nabc")),
                     0);
}

static void test_what_is_not_http_is_a_broken_protocol(void **state)
{
    static const char *const texts[] = {
        "SSH-2.0-OpenSSH_9.2\r\n",
        "hello\r\n\r\n",
        "HTTP/1.1 abc\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\nwhatever",
        "HTTP/1.1 200 OK\r\nNo colon\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nBad name: x\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX-A: b\r\n folded\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX-A: b\x01\r\nContent-Length: 0\r\n\r\n",
    };
    struct loop *loop = *state;

    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        int status = status_of_text(loop, str_of(texts[i]));

        if (status != ERR_PROTOCOL) {
            print_error("%d for %s\n", status, texts[i]);
        }
        assert_int_equal(status, ERR_PROTOCOL);
    }
    assert_int_equal(status_of_text(loop, (struct str){.ptr = "HTTP/1.1 200 OK\r\nX: a\0b\r\n\r\n",
                                                       .len = 26}),
                     ERR_PROTOCOL);
}

static void test_a_connection_closed_without_an_answer_is_lost(void **state)
{
    struct loop *loop = *state;

    assert_int_equal(status_of_text(loop, STR("")), ERR_LOST);
    assert_int_equal(status_of_text(loop, STR("HTTP/1.1 200 OK\r\nContent-Len")), ERR_LOST);
    assert_int_equal(status_of_text(loop, STR("HTTP/1.1 100 Continue\r\n\r\n")), ERR_LOST);
}

#define LOOP_TEST(test) cmocka_unit_test_setup_teardown(test, loop_setup, loop_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        LOOP_TEST(test_a_body_may_be_as_large_as_the_limit_and_not_a_byte_more),
        LOOP_TEST(test_endless_replies_end),
        LOOP_TEST(test_an_announced_length_over_the_limit_is_refused_before_it_comes),
        LOOP_TEST(test_headers_are_bounded_in_number_and_size),
        LOOP_TEST(test_an_encoded_reply_is_refused),
        LOOP_TEST(test_what_is_not_http_is_a_broken_protocol),
        LOOP_TEST(test_a_connection_closed_without_an_answer_is_lost),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
