/* A request's life.
 *
 * Happy path: libmicrohttpd has the request line (request_begin) → the head is whole and judged →
 * body collected → the peer looked at again → the handler → its answer, at once or later → sent
 * (request_completed) → the handler's `finished`.
 *
 * libmicrohttpd calls request_continue for each of these steps and, when the handler hasn't
 * answered in the first call, once more: only then is the connection suspended. That order is
 * needed twice over. An answer that comes in the same turn of the loop costs no suspension. And a
 * connection that is suspended in the first call would be read from when it is resumed; a client
 * that has half-closed would look gone and never get its answer.
 *
 * Failure paths: a head that doesn't pass (server_head.c) is refused and the connection closed.
 * Errors that libmicrohttpd finds itself it answers itself, with a page in HTML that it lets nobody
 * replace, and closes; those of a whole head (a malformed Content-Length, cookies beyond its
 * memory) are answered before it can, see request_answer_first. A client that goes away ends its
 * request undelivered. */
#include "io/server_internal.h"

#include "base/mem.h"

#include <string.h>

/* Takes a place for a body that is larger than most may be. NULL, or why there is none. A body may
 * come slowly: no caller may have so many under way that others have to wait for it. */
static const char *large_body_begin(struct env_connection *conn)
{
    struct io *io = conn->listener->io;

    if (conn->usage->large_count >= IO_LARGE_BODIES_PER_CALLER_MAX) {
        return "the caller has as many large requests under way as one may have";
    }
    if (io->large_body_count >= IO_LARGE_BODIES_MAX) {
        return "too many large requests are under way";
    }
    conn->is_large = true;
    conn->usage->large_count++;
    io->large_body_count++;
    return NULL;
}

static void large_body_end(struct env_connection *conn)
{
    if (conn->is_large) {
        conn->is_large = false;
        conn->usage->large_count--;
        conn->listener->io->large_body_count--;
    }
}

static enum MHD_Result head_arrived(struct env_connection *conn, const char *method,
                                    const char *version)
{
    const char *detail = NULL;
    unsigned int status = head_judge(conn, method, version, &detail);

    conn->has_head = true;
    if (status != 0) {
        return reply_refuse(conn, status, status == MHD_HTTP_FORBIDDEN ? "denied" : "invalid",
                            detail);
    }
    if (conn->listener->is_quiesced && !conn->listener->is_served_on) {
        return reply_refuse(conn, MHD_HTTP_SERVICE_UNAVAILABLE, "busy", "the daemon is stopping");
    }
    if (conn->content_length > conn->listener->limits.body_max_bytes) {
        detail = large_body_begin(conn);
        if (detail != NULL) {
            return reply_refuse(conn, MHD_HTTP_SERVICE_UNAVAILABLE, "busy", detail);
        }
    }
    if (conn->content_length > 0) {
        buf_init(&conn->body, conn->content_length); /* which was judged */
        conn_set_phase(conn, PHASE_BODY);
    }
    return MHD_YES;
}

/* libmicrohttpd frees its buffers as they are, and what clients send may be a token. Only what it
 * will not read again may be wiped. */
static void wipe_received(const char *bytes, size_t size)
{
    if (size > 0) {
        mem_wipe((void *)(uintptr_t)bytes, size);
    }
}

static enum MHD_Result body_arrived(struct env_connection *conn, const char *bytes, size_t *size)
{
    buf_add(&conn->body, bytes, *size);
    wipe_received(bytes, *size);
    *size = 0;
    /* libmicrohttpd takes an answer only before and after the body, so without memory the
     * connection just ends. */
    return buf_status(&conn->body) == 0 ? MHD_YES : MHD_NO;
}

/* Who has shown a certificate to a CA that is no longer the listener's. */
static void certificate_recheck(struct env_connection *conn)
{
    const struct io_listener *listener = conn->listener;

    if (conn->tls == NULL || conn->ca_changes == listener->ca_changes) {
        return;
    }
    conn->ca_changes = listener->ca_changes;
    if (!tls_would_admit(listener->tls, conn->peer.session)) {
        peer_set_state(&conn->peer, ENV_PEER_CHANGED,
                       "its certificate is not from the CA that the listener has now");
    }
}

/* The request is whole. */
static enum MHD_Result dispatch(struct env_connection *conn)
{
    struct io_listener *listener = conn->listener;
    struct env_request *request = &conn->request;

    certificate_recheck(conn);
    peer_recheck(&conn->peer);
    request->listener = listener->name;
    request->peer = &conn->peer.facts;
    request->connection = conn;
    request->body = buf_str(&conn->body);
    request->ops = &server_request_ops;
    conn->state = REQUEST_PENDING;
    conn_set_phase(conn, PHASE_PENDING);
    listener->handler(listener->user, request);
    if (conn->state == REQUEST_ANSWERED) {
        return reply_queue(conn);
    }
    /* Who keeps a request must hear of its end. */
    CHECK(request->finished != NULL);
    return MHD_YES;
}

static enum MHD_Result suspend(struct env_connection *conn)
{
    if (conn_suspend(conn) != 0) {
        conn_lose(conn);
        return MHD_NO;
    }
    return MHD_YES;
}

void *request_begin(void *user, const char *target, struct MHD_Connection *mhd)
{
    void *context =
        MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT)->socket_context;
    struct env_connection *conn;
    size_t copied;

    (void)user;
    if (context == NULL) {
        return NULL; /* There was no memory for it: request_continue closes. */
    }
    conn = OBJ_CAST(context, struct env_connection, CONNECTION_MAGIC);
    if (conn->is_refused || conn->is_lost || conn->is_unit) {
        return conn;
    }
    CHECK(conn->state == REQUEST_NONE);
    conn->state = REQUEST_READING;
    conn->target_at = target;
    conn->target_len = target != NULL ? strlen(target) : 0;
    copied = conn->target_len < conn->target_max_bytes ? conn->target_len : conn->target_max_bytes;
    if (copied > 0) {
        memcpy(conn->target, target, copied);
    }
    conn->target[copied] = '\0';
    /* The first head's time runs since accept. Of later ones we hear only now; what came before
     * this line ran on the time of the idle phase, which costs no more than being idle. */
    if (conn->phase != PHASE_HEAD) {
        conn_set_phase(conn, PHASE_HEAD);
    }
    return conn;
}

/* style-ok: params: libmicrohttpd's signature */
enum MHD_Result request_continue(void *user, struct MHD_Connection *mhd, const char *url,
                                 const char *method, const char *version, const char *upload,
                                 size_t *upload_size, void **context)
{
    struct env_connection *conn;

    (void)user;
    (void)mhd;
    (void)url;
    if (*context == NULL) {
        return MHD_NO;
    }
    conn = OBJ_CAST(*context, struct env_connection, CONNECTION_MAGIC);
    if (conn->is_lost || conn->is_refused || conn->is_unit) {
        return MHD_NO;
    }
    switch (conn->state) {
    case REQUEST_READING:
        if (!conn->has_head) {
            return head_arrived(conn, method, version);
        }
        if (*upload_size > 0) {
            return body_arrived(conn, upload, upload_size);
        }
        return dispatch(conn);
    case REQUEST_PENDING:
        return suspend(conn);
    case REQUEST_ANSWERED:
        return reply_queue(conn);
    case REQUEST_NONE:
        break;
    }
    return MHD_NO;
}

/* libmicrohttpd (0.9.75) forgets, when it refuses a head that is whole, that it has written
 * its answer's head already, and writes it once more. It tells its log before, though not about
 * whom: about the one whose head is whole and hasn't been shown to us. Once that one's socket is
 * shut, what libmicrohttpd has to say goes nowhere. */
void request_answer_first(struct io_listener *listener, unsigned int status)
{
    const char *detail = status == MHD_HTTP_BAD_REQUEST         ? "Content-Length is not a number"
                         : status == MHD_HTTP_CONTENT_TOO_LARGE ? "the body is too large"
                                                                : "the head is too large";
    struct list *node;
    struct list *following;

    LIST_EACH (&listener->phases[PHASE_HEAD], node, following) {
        struct env_connection *conn = LIST_ENTRY(node, struct env_connection, node);

        if (conn->state == REQUEST_READING && !conn->has_head && !conn->is_lost &&
            MHD_get_connection_info(conn->mhd, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE) != NULL) {
            conn->is_lost = true;
            conn_set_phase(conn, PHASE_ENDING);
            reply_send_last(conn, status, "invalid", detail);
        }
    }
}

void request_finish(struct env_connection *conn, bool is_delivered)
{
    struct env_request *request = &conn->request;
    void (*finished)(struct env_request * request, bool delivered) = request->finished;
    bool is_told =
        (conn->state == REQUEST_PENDING || conn->state == REQUEST_ANSWERED) && finished != NULL;

    conn->state = REQUEST_NONE;
    request->finished = NULL;
    if (conn->response != NULL) {
        MHD_destroy_response(conn->response);
        conn->response = NULL;
    }
    if (is_told) {
        finished(request, is_delivered);
    }
}

/* Forgets what the request has left, so that the next one starts clean. */
static void request_reset(struct env_connection *conn)
{
    struct env_request *request = &conn->request;
    size_t i;

    for (i = 0; i < request->header_count; i++) {
        wipe_received(request->headers[i].value.ptr, request->headers[i].value.len);
    }
    /* libmicrohttpd zeroes its buffer between requests; this copy is ours. */
    mem_wipe(conn->target, strlen(conn->target));
    stream_free(conn);
    request->user = NULL;
    request->header_count = 0;
    conn->has_head = false;
    conn->content_length = 0;
    if (conn->body.cap > 0) {
        buf_fini(&conn->body);
        buf_init(&conn->body, conn->listener->limits.body_max_bytes);
    }
    large_body_end(conn);
}

void request_completed(void *user, struct MHD_Connection *mhd, void **context,
                       enum MHD_RequestTerminationCode code)
{
    struct env_connection *conn;
    bool is_answered;

    (void)user;
    (void)mhd;
    if (*context == NULL) {
        return;
    }
    conn = OBJ_CAST(*context, struct env_connection, CONNECTION_MAGIC);
    if (conn->is_unit) {
        *context = NULL;
        return; /* what it sent was no request */
    }
    is_answered = conn->state == REQUEST_ANSWERED;
    request_finish(conn, is_answered && code == MHD_REQUEST_TERMINATED_COMPLETED_OK);
    request_reset(conn);
    if (!conn->is_lost && !conn->is_refused) {
        conn_set_phase(conn, PHASE_IDLE);
    }
    *context = NULL;
}
