/* Answers that go on: what is written waits in a bounded queue until libmicrohttpd asks for it.
 *
 * Happy path: stream_begin queues a response whose body comes from stream_read → libmicrohttpd has
 * sent the head and asks: nothing there yet, so the connection is suspended (PHASE_STREAM) →
 * stream_write fills the queue and resumes it (PHASE_WRITE) → libmicrohttpd takes the bytes and
 * asks again … → stream_end: what is left goes out, then the end.
 *
 * A stream with nothing to say says so at times (stream_idle). While it is suspended the poll of
 * server_conn.c notices that the client has gone.
 *
 * Failure paths: a client that doesn't read fills first the kernel's buffer, then its queue. When
 * the queue is full, or nothing of it was taken for the write timeout, the socket is shut down, and
 * libmicrohttpd or the poll notices that. So no stream grows, and none is waited for. */
#include "io/server_internal.h"

#include "base/mem.h"

#include <string.h>
#include <sys/socket.h>

#define STREAM_BLOCK_BYTES 4096U /* that libmicrohttpd sends at once */

void stream_free(struct env_connection *conn)
{
    if (conn->stream != NULL) {
        buf_fini(&conn->stream->queue);
        mem_free(conn->stream);
        conn->stream = NULL;
    }
}

static size_t waiting_bytes(const struct conn_stream *stream)
{
    return stream->queue.len - stream->taken;
}

static ssize_t take(struct conn_stream *stream, char *bytes, size_t max)
{
    size_t size = waiting_bytes(stream) < max ? waiting_bytes(stream) : max;

    memcpy(bytes, stream->queue.bytes + stream->taken, size);
    stream->taken += size;
    if (waiting_bytes(stream) == 0) {
        buf_reset(&stream->queue);
        stream->taken = 0;
    }
    return (ssize_t)size;
}

static void tell_drained(struct env_connection *conn)
{
    struct conn_stream *stream = conn->stream;

    if (stream->has_more && waiting_bytes(stream) == 0 && !stream->is_ended &&
        stream->drained != NULL) {
        stream->has_more = false;
        stream->drained(&conn->request);
    }
}

/* libmicrohttpd has sent all that it had. */
static ssize_t stream_read(void *user, uint64_t position, char *bytes, size_t max)
{
    struct env_connection *conn = OBJ_CAST(user, struct env_connection, CONNECTION_MAGIC);
    struct conn_stream *stream = conn->stream;

    (void)position;
    if (conn->is_lost || stream == NULL || stream->is_dropped) {
        return MHD_CONTENT_READER_END_WITH_ERROR;
    }
    tell_drained(conn);
    if (waiting_bytes(stream) > 0) {
        conn_set_phase(conn, PHASE_WRITE);
        return take(stream, bytes, max);
    }
    if (stream->is_ended) {
        return MHD_CONTENT_READER_END_OF_STREAM;
    }
    if (conn_suspend(conn) != 0) {
        return MHD_CONTENT_READER_END_WITH_ERROR;
    }
    conn_set_phase(conn, PHASE_STREAM);
    return 0;
}

static struct MHD_Response *make_response(struct env_connection *conn,
                                          const struct env_stream *options)
{
    const struct env_reply head = {.status = MHD_HTTP_OK, .content_type = options->content_type};
    struct MHD_Response *response =
        MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, STREAM_BLOCK_BYTES, stream_read, conn,
                                          NULL);

    if (response != NULL && reply_add_headers(response, &head, true) != 0) {
        MHD_destroy_response(response);
        response = NULL;
    }
    return response;
}

/* From now on it takes a stream's place instead of a connection's. */
static void count_as_stream(struct env_connection *conn)
{
    struct io *io = conn->listener->io;

    conn->is_stream = true;
    io->connection_count--;
    io->stream_count++;
    conn->usage->count--;
    conn->usage->stream_count++;
}

static bool is_full(const struct env_connection *conn)
{
    const struct io_listener_limits *limits = &conn->listener->limits;

    return conn->listener->io->stream_count >= limits->streams ||
           conn->usage->stream_count >= limits->streams_per_caller;
}

int stream_begin(struct env_request *request, const struct env_stream *options)
{
    static const struct env_reply plain = {.close = false};
    struct env_connection *conn = CONTAINER_OF(request, struct env_connection, request);
    struct conn_stream *stream;

    CHECK(conn->magic == CONNECTION_MAGIC);
    CHECK(conn->state == REQUEST_PENDING && request->finished != NULL);
    if (conn->listener->is_retired || (reply_is_last(conn, &plain) && !conn->is_http_1_0)) {
        return ERR_CLOSED;
    }
    if (is_full(conn)) {
        return ERR_LIMIT;
    }
    stream = mem_calloc(1, sizeof(*stream));
    if (stream == NULL) {
        return ERR_NOMEM;
    }
    buf_init(&stream->queue, (size_t)2 * ENV_STREAM_QUEUE_MAX_BYTES);
    stream->idle = options->idle;
    stream->drained = options->drained;
    stream->has_more = true;
    conn->response = make_response(conn, options);
    if (conn->response == NULL) {
        mem_free(stream);
        return ERR_NOMEM;
    }
    conn->stream = stream;
    count_as_stream(conn);
    conn->status = MHD_HTTP_OK;
    conn->state = REQUEST_ANSWERED;
    conn_resume(conn);
    return 0;
}

static void tell(const struct env_connection *conn, const char *why)
{
    conn_tell(conn->listener, &conn->listener->io->drops, "listener.stream.dropped", why);
}

static void drop(struct env_connection *conn, const char *why)
{
    conn->stream->is_dropped = true;
    tell(conn, why);
    (void)shutdown(conn->fd, SHUT_RDWR);
}

/* libmicrohttpd has the bytes in front of `taken`: their room is used again. */
static void compact(struct conn_stream *stream)
{
    size_t left = waiting_bytes(stream);

    if (stream->taken > 0) {
        memmove(stream->queue.bytes, stream->queue.bytes + stream->taken, left);
        mem_wipe(stream->queue.bytes + left, stream->taken);
        stream->queue.len = left;
        stream->taken = 0;
    }
}

int stream_write(struct env_request *request, struct str bytes)
{
    struct env_connection *conn = CONTAINER_OF(request, struct env_connection, request);
    struct conn_stream *stream = conn->stream;

    CHECK(conn->magic == CONNECTION_MAGIC);
    CHECK(stream != NULL);
    if (conn->state != REQUEST_ANSWERED || conn->is_expired || stream->is_dropped ||
        stream->is_ended) {
        return ERR_CLOSED;
    }
    if (bytes.len > ENV_STREAM_QUEUE_MAX_BYTES - waiting_bytes(stream)) {
        drop(conn, "its client doesn't read it");
        return ERR_LIMIT;
    }
    compact(stream);
    buf_add_str(&stream->queue, bytes);
    stream->has_more = true;
    if (buf_status(&stream->queue) != 0) {
        drop(conn, "the daemon is out of memory");
        return ERR_NOMEM;
    }
    if (conn->is_suspended) {
        conn_set_phase(conn, PHASE_WRITE);
        conn_resume(conn);
    }
    return 0;
}

size_t stream_room(const struct env_request *request)
{
    const struct env_connection *conn = request->connection;

    return ENV_STREAM_QUEUE_MAX_BYTES - waiting_bytes(conn->stream);
}

void stream_end(struct env_request *request)
{
    struct env_connection *conn = CONTAINER_OF(request, struct env_connection, request);

    CHECK(conn->magic == CONNECTION_MAGIC);
    CHECK(conn->stream != NULL);
    conn->stream->is_ended = true;
    if (conn->is_suspended && conn->state == REQUEST_ANSWERED) {
        conn_set_phase(conn, PHASE_WRITE);
        conn_resume(conn);
    }
}

void stream_idle(struct env_connection *conn)
{
    /* It has taken all so far, so there is room; without memory it is dropped. */
    (void)stream_write(&conn->request, str_of(conn->stream->idle));
}

void stream_expired(struct env_connection *conn)
{
    if (conn->stream != NULL && conn->state == REQUEST_ANSWERED) {
        conn->stream->is_dropped = true;
        tell(conn, "its client takes nothing");
    }
}
