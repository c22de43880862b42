/* Answers that go on: what is written arrives, a client that doesn't read or has gone costs a
 * bounded queue and nobody else's time, and streams take no place from short requests. */
#include "http_ca.h"
#include "tls_client.h"

#include "io/server_internal.h"

#include <stdlib.h>
#include <string.h>

#define GET "GET /watch HTTP/1.1\r\nHost: localhost\r\n\r\n"

static const struct env_stream events = {.content_type = "text/event-stream", .idle = ": idle\n\n"};

static int setup(void **state)
{
    struct fixture *f = malloc(sizeof(*f));

    assert_non_null(f);
    fixture_init(f);
    f->holds = true;
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    fixture_fini(*state);
    free(*state);
    return 0;
}

/* A client whose request the handler has; the last one in f->held. */
static struct client *ask(struct fixture *f)
{
    struct client *client = client_new(f);
    size_t before = f->held_count;

    client_send(f, client, GET);
    FIXTURE_UNTIL(f, f->held_count > before);
    return client;
}

/* … which is a stream. */
static struct client *watch(struct fixture *f)
{
    struct client *client = ask(f);

    assert_int_equal(env_stream_begin(f->held[f->held_count - 1], &events), 0);
    return client;
}

static bool has(struct client *client, const char *text)
{
    client_pump(client);
    client->bytes[client->len] = '\0';
    return strstr(client->bytes, text) != NULL;
}

static int say(struct fixture *f, size_t index, const char *text)
{
    return env_stream_write(f->held[index], str_of(text));
}

static void run_whole_life(struct fixture *f)
{
    struct client *client;

    fixture_listen(f);
    client = watch(f);
    assert_int_equal(say(f, 0, "one\n\n"), 0); /* in the turn of its beginning */
    FIXTURE_UNTIL(f, has(client, "one\n\n"));
    assert_non_null(strstr(client->bytes, "HTTP/1.1 200 OK\r\n"));
    assert_non_null(strstr(client->bytes, "Content-Type: text/event-stream\r\n"));
    assert_non_null(strstr(client->bytes, "Transfer-Encoding: chunked\r\n"));
    assert_non_null(strstr(client->bytes, "Cache-Control: no-store\r\n"));
    fixture_turn(f, -1);
    assert_int_equal(say(f, 0, "two\n\n"), 0); /* while it is suspended */
    assert_int_equal(say(f, 0, "three\n\n"), 0);
    FIXTURE_UNTIL(f, has(client, "two\n\nthree\n\n"));
    assert_int_equal(f->delivered_count + f->undelivered_count, 0);
    assert_int_equal(say(f, 0, "last\n\n"), 0);
    env_stream_end(f->held[0]);
    assert_int_equal(say(f, 0, "too late"), ERR_CLOSED);
    client_wait_eof(f, client);
    assert_true(has(client, "last\n\n"));
    assert_true(has(client, "\r\n0\r\n\r\n"));
    FIXTURE_UNTIL(f, f->delivered_count == 1);
    assert_int_equal(f->undelivered_count, 0);
    client_free(client);
}

static void test_a_stream_brings_what_is_written_and_ends_whole(void **state)
{
    run_whole_life(*state);
}

static void test_a_stream_brings_what_is_written_over_tcp(void **state)
{
    struct fixture *f = *state;

    f->options.unix_path = NULL;
    f->options.tcp = "127.0.0.1:0";
    run_whole_life(f);
}

static void write_suspended(struct fixture *f, const char *text)
{
    FIXTURE_UNTIL(f, f->held[0]->connection->is_suspended);
    assert_int_equal(say(f, 0, text), 0);
}

static void test_a_stream_brings_what_is_written_over_tls(void **state)
{
    struct fixture *f = *state;
    struct http_ca *ca = http_ca_new();
    const char *own = http_ca_issue(ca, "DNS:localhost,IP:127.0.0.1", HTTP_CA_FOR_SERVERS);
    const struct io_listener_tls tls = {.cert_file = own,
                                        .key_file = own,
                                        .client_ca_file = http_ca_path(ca)};
    static char reply[FIXTURE_REPLY_MAX_BYTES];
    struct tls_client *client;

    f->options.unix_path = NULL;
    f->options.tcp = "127.0.0.1:0";
    f->options.tls = &tls;
    fixture_listen(f);
    client = tls_client_new(f, http_ca_issue(ca, "DNS:ci.example", 0));
    assert_true(tls_client_send(f, client, GET));
    FIXTURE_UNTIL(f, f->held_count == 1);
    assert_int_equal(env_stream_begin(f->held[0], &events), 0);
    write_suspended(f, "one\n\n");
    write_suspended(f, "two\n\n");
    write_suspended(f, "three\n\n");
    env_stream_end(f->held[0]);
    assert_int_equal(tls_client_reply(f, client, reply), 200);
    assert_non_null(strstr(reply, "5\r\none\n\n\r\n5\r\ntwo\n\n\r\n7\r\nthree\n\n\r\n0\r\n"));
    FIXTURE_UNTIL(f, f->delivered_count == 1);
    tls_client_free(client);
    http_ca_free(ca);
}

static size_t drained_count;

static void on_drained(struct env_request *request)
{
    if (++drained_count <= 3) {
        assert_int_equal(env_stream_room(request), ENV_STREAM_QUEUE_MAX_BYTES);
        assert_int_equal(env_stream_write(request, STR("piece\n\n")), 0);
        assert_int_equal(env_stream_room(request), ENV_STREAM_QUEUE_MAX_BYTES - 7);
    } else {
        env_stream_end(request);
    }
}

static void test_who_has_much_to_say_is_told_when_there_is_room(void **state)
{
    static const struct env_stream stream = {.content_type = "text/event-stream",
                                             .idle = "",
                                             .drained = on_drained};
    struct fixture *f = *state;
    struct client *client;

    drained_count = 0;
    fixture_listen(f);
    client = ask(f);
    assert_int_equal(env_stream_begin(f->held[0], &stream), 0);
    assert_int_equal(drained_count, 0);
    client_wait_eof(f, client);
    FIXTURE_UNTIL(f, f->delivered_count == 1);
    assert_int_equal(drained_count, 4);
    assert_true(has(client, "piece\n\n\r\n7\r\npiece\n\n\r\n7\r\npiece\n\n\r\n0"));
    client_free(client);
}

static void test_the_head_comes_before_anything_is_written(void **state)
{
    struct fixture *f = *state;
    struct client *client;

    fixture_listen(f);
    client = watch(f);
    FIXTURE_UNTIL(f, has(client, "\r\n\r\n"));
    client_free(client);
    FIXTURE_UNTIL(f, f->undelivered_count == 1);
}

static void test_a_client_that_does_not_read_is_dropped_when_its_queue_is_full(void **state)
{
    struct fixture *f = *state;
    static char block[8192];
    struct client *client;
    size_t written = 0;
    int rc = 0;

    memset(block, 'x', sizeof(block));
    fixture_listen(f);
    client = watch(f);
    while (rc == 0) {
        rc = env_stream_write(f->held[0], (struct str){.ptr = block, .len = sizeof(block)});
        written += rc == 0 ? sizeof(block) : 0;
        assert_true(written < 4U * 1024U * 1024U);
        fixture_turn(f, -1);
    }
    assert_int_equal(rc, ERR_LIMIT);
    assert_true(f->held[0] == NULL || say(f, 0, "more") == ERR_CLOSED);
    FIXTURE_UNTIL(f, f->undelivered_count == 1);
    FIXTURE_UNTIL(f, io_listener_connection_count(f->listener) == 0);
    client_free(client);
}

static void test_a_queue_is_filled_in_one_turn_and_no_further(void **state)
{
    struct fixture *f = *state;
    static char block[ENV_STREAM_QUEUE_MAX_BYTES];
    struct client *client;

    memset(block, 'x', sizeof(block));
    fixture_listen(f);
    client = watch(f);
    assert_int_equal(env_stream_write(f->held[0], (struct str){block, sizeof(block)}), 0);
    assert_int_equal(say(f, 0, "!"), ERR_LIMIT);
    assert_int_equal(f->undelivered_count, 0); /* not from inside the call */
    FIXTURE_UNTIL(f, f->undelivered_count == 1);
    client_free(client);
}

static void test_a_client_that_takes_nothing_for_the_write_timeout_is_dropped(void **state)
{
    struct fixture *f = *state;
    static char block[16384];
    struct client *client;

    memset(block, 'x', sizeof(block));
    f->options.limits.write_timeout_ms = 50;
    fixture_listen(f);
    client = watch(f);
    while (f->held[0] != NULL && f->held[0]->finished != NULL && f->undelivered_count == 0) {
        const struct conn_stream *stream =
            CONTAINER_OF(f->held[0], struct env_connection, request)->stream;

        if (stream != NULL && stream->queue.len - stream->taken < sizeof(block)) {
            (void)env_stream_write(f->held[0], (struct str){block, sizeof(block)});
        }
        fixture_turn(f, -1);
    }
    FIXTURE_UNTIL(f, f->undelivered_count == 1);
    client_free(client);
}

static void test_a_client_that_vanishes_is_noticed(void **state)
{
    struct fixture *f = *state;
    struct client *idle;
    struct client *busy;

    fixture_listen(f);
    idle = watch(f);
    FIXTURE_UNTIL(f, has(idle, "\r\n\r\n"));
    client_free(idle);
    FIXTURE_UNTIL(f, f->undelivered_count == 1);
    busy = watch(f);
    assert_int_equal(say(f, 1, "something\n\n"), 0);
    client_free(busy);
    FIXTURE_UNTIL(f, f->undelivered_count == 2);
    FIXTURE_UNTIL(f, io_listener_connection_count(f->listener) == 0);
}

static void test_a_silent_stream_gives_signs_of_life(void **state)
{
    struct fixture *f = *state;
    struct client *client;

    fixture_listen(f);
    f->listener->phase_timeout_ms[PHASE_STREAM] = 20;
    client = watch(f);
    FIXTURE_UNTIL(f, has(client, ": idle\n\n\r\n8\r\n: idle\n\n"));
    assert_int_equal(say(f, 0, "news\n\n"), 0);
    FIXTURE_UNTIL(f, has(client, "news\n\n"));
    client_free(client);
    FIXTURE_UNTIL(f, f->undelivered_count == 1);
}

static void test_streams_have_a_maximum_and_take_no_place_from_short_requests(void **state)
{
    struct fixture *f = *state;
    struct client *streams[8];
    struct client *client;
    size_t i;

    f->options.limits.connections = 2;
    f->options.limits.streams = 8;
    fixture_listen(f);
    for (i = 0; i < ARRAY_LEN(streams); i++) {
        streams[i] = watch(f);
    }
    client = ask(f);
    assert_int_equal(env_stream_begin(f->held[i], &events), ERR_LIMIT);
    fixture_answer(f, i); /* as any request */
    assert_int_equal(client_reply(f, client, NULL), 200);
    client_free(client);
    client_free(streams[0]);
    FIXTURE_UNTIL(f, f->undelivered_count == 1);
    streams[0] = watch(f); /* its place is free again */
    for (i = 0; i < ARRAY_LEN(streams); i++) {
        client_free(streams[i]);
    }
    FIXTURE_UNTIL(f, io_listener_connection_count(f->listener) == 0);
    assert_int_equal(f->io->stream_count, 0);
    assert_int_equal(f->io->connection_count, 0);
}

static void test_one_caller_has_no_more_than_its_part_of_the_streams(void **state)
{
    struct fixture *f = *state;
    struct client *client;
    struct client *second;

    f->options.limits.streams_per_caller = 1;
    fixture_listen(f);
    client = watch(f);
    second = ask(f);
    assert_int_equal(env_stream_begin(f->held[1], &events), ERR_LIMIT);
    fixture_answer(f, 1);
    assert_int_equal(client_reply(f, second, NULL), 200);
    client_free(second);
    client_free(client);
    FIXTURE_UNTIL(f, io_listener_connection_count(f->listener) == 0);
}

static void test_a_listener_that_closes_ends_its_streams(void **state)
{
    struct fixture *f = *state;
    struct client *idle;
    struct client *busy;

    fixture_listen(f);
    idle = watch(f);
    FIXTURE_UNTIL(f, has(idle, "\r\n\r\n"));
    busy = watch(f);
    assert_int_equal(say(f, 1, "something\n\n"), 0);
    fixture_close_listener(f);
    assert_int_equal(f->undelivered_count, 2);
    client_free(idle);
    client_free(busy);
}

static void test_a_listener_that_takes_nothing_new_lets_streams_go_on_to_their_end(void **state)
{
    struct fixture *f = *state;
    struct client *client;

    fixture_listen(f);
    client = watch(f);
    FIXTURE_UNTIL(f, has(client, "\r\n\r\n"));
    io_listener_quiesce(f->listener);
    assert_int_equal(say(f, 0, "gone\n\n"), 0);
    env_stream_end(f->held[0]);
    client_wait_eof(f, client);
    assert_true(has(client, "gone\n\n"));
    FIXTURE_UNTIL(f, f->delivered_count == 1);
    client_free(client);
}

static void test_streams_of_http_1_0_end_with_their_connection(void **state)
{
    struct fixture *f = *state;
    struct client *client;

    fixture_listen(f);
    client = client_new(f);
    client_send(f, client, "GET /watch HTTP/1.0\r\nHost: localhost\r\n\r\n");
    FIXTURE_UNTIL(f, f->held_count == 1);
    assert_int_equal(env_stream_begin(f->held[0], &events), 0);
    assert_int_equal(say(f, 0, "plain\n\n"), 0);
    env_stream_end(f->held[0]);
    client_wait_eof(f, client);
    assert_true(has(client, "\r\n\r\nplain\n\n"));
    FIXTURE_UNTIL(f, f->delivered_count == 1);
    client_free(client);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_stream_brings_what_is_written_and_ends_whole),
        TEST(test_a_stream_brings_what_is_written_over_tcp),
        TEST(test_a_stream_brings_what_is_written_over_tls),
        TEST(test_who_has_much_to_say_is_told_when_there_is_room),
        TEST(test_the_head_comes_before_anything_is_written),
        TEST(test_a_client_that_does_not_read_is_dropped_when_its_queue_is_full),
        TEST(test_a_queue_is_filled_in_one_turn_and_no_further),
        TEST(test_a_client_that_takes_nothing_for_the_write_timeout_is_dropped),
        TEST(test_a_client_that_vanishes_is_noticed),
        TEST(test_a_silent_stream_gives_signs_of_life),
        TEST(test_streams_have_a_maximum_and_take_no_place_from_short_requests),
        TEST(test_one_caller_has_no_more_than_its_part_of_the_streams),
        TEST(test_a_listener_that_closes_ends_its_streams),
        TEST(test_a_listener_that_takes_nothing_new_lets_streams_go_on_to_their_end),
        TEST(test_streams_of_http_1_0_end_with_their_connection),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
