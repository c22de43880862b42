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
 * Failure paths: whatever two HTTP implementations could read in two ways is refused, and the
 * connection closed, because what follows on it can't be trusted. libmicrohttpd accepts bare LF,
 * folded lines, NUL bytes and extra blanks; they show in the length of the head, which must be
 * exactly the sum of its parts with CRLF and ": " as they were found. Errors that libmicrohttpd
 * finds itself (no Host, a malformed Content-Length, a head beyond its memory) it answers itself,
 * and closes. A client that goes away ends its request undelivered. */
#include "io/server_internal.h"

#include <string.h>
#include <strings.h>

/* Headers that mean something once and nothing twice. */
static const struct str single_headers[] = {
    {.ptr = "host", .len = 4},
    {.ptr = "content-length", .len = 14},
    {.ptr = "x-leased-request", .len = 16},
    {.ptr = "origin", .len = 6},
    {.ptr = "authorization", .len = 13},
    {.ptr = "content-type", .len = 12},
    {.ptr = "x-vault-token", .len = 13},
    {.ptr = "x-vault-request", .len = 15},
    {.ptr = "idempotency-key", .len = 15},
};
static_assert(ARRAY_LEN(single_headers) <= 32, "`seen` has 32 bits");
#define SINGLE_CONTENT_LENGTH 1U

/* The head while it is being judged. */
struct head {
    struct env_connection *conn;
    size_t size;         /* of all parts, as it must be on the wire */
    uint32_t seen;       /* bits by single_headers */
    unsigned int status; /* 0, or the refusal */
    const char *detail;
};

static enum MHD_Result head_refuse(struct head *head, unsigned int status, const char *detail)
{
    head->status = status;
    head->detail = detail;
    return MHD_NO; /* ends the walk over the headers */
}

static bool is_token_char(unsigned char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

static bool is_token(struct str s)
{
    size_t i;

    for (i = 0; i < s.len; i++) {
        if (!is_token_char((unsigned char)s.ptr[i])) {
            return false;
        }
    }
    return s.len > 0;
}

static bool is_field_value(struct str s)
{
    size_t i;

    for (i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];

        if ((c < 0x20 && c != '\t') || c == 0x7f) {
            return false;
        }
    }
    return true;
}

static bool is_origin_form(struct str target)
{
    size_t i;

    for (i = 0; i < target.len; i++) {
        unsigned char c = (unsigned char)target.ptr[i];

        if (c <= 0x20 || c >= 0x7f || c == '#') {
            return false;
        }
    }
    return target.len > 0 && target.ptr[0] == '/';
}

static bool is_name(struct str name, struct str lower)
{
    return name.len == lower.len && strncasecmp(name.ptr, lower.ptr, name.len) == 0;
}

/* Marks a header of the table as seen; false at the second time. */
static bool note_single(struct head *head, struct str name, size_t *ret_index)
{
    size_t i;

    *ret_index = ARRAY_LEN(single_headers);
    for (i = 0; i < ARRAY_LEN(single_headers); i++) {
        if (is_name(name, single_headers[i])) {
            uint32_t bit = 1U << i;
            bool is_first = (head->seen & bit) == 0;

            head->seen |= bit;
            *ret_index = i;
            return is_first;
        }
    }
    return true;
}

static enum MHD_Result judge_content_length(struct head *head, struct str value)
{
    struct env_connection *conn = head->conn;
    uint64_t length;
    int rc = str_parse_u64(value, &length);

    if (rc == ERR_RANGE || (rc == 0 && length > conn->listener->limits.body_max_bytes)) {
        return head_refuse(head, MHD_HTTP_CONTENT_TOO_LARGE, "the body is too large");
    }
    if (rc != 0) {
        return head_refuse(head, MHD_HTTP_BAD_REQUEST, "Content-Length is not a number");
    }
    conn->content_length = (size_t)length;
    return MHD_YES;
}

static enum MHD_Result judge_header(struct head *head, struct str name, struct str value)
{
    size_t single;

    if (!is_token(name) || !is_field_value(value)) {
        return head_refuse(head, MHD_HTTP_BAD_REQUEST, "a header is malformed");
    }
    if (!note_single(head, name, &single)) {
        return head_refuse(head, MHD_HTTP_BAD_REQUEST, "a header stands twice that may stand once");
    }
    if (single == SINGLE_CONTENT_LENGTH) {
        return judge_content_length(head, value);
    }
    if (is_name(name, STR("transfer-encoding"))) {
        return head_refuse(head, MHD_HTTP_NOT_IMPLEMENTED,
                           "transfer codings are not taken; send Content-Length");
    }
    if (is_name(name, STR("expect"))) {
        return head_refuse(head, MHD_HTTP_EXPECTATION_FAILED, "Expect is not supported");
    }
    return MHD_YES;
}

/* Name and value stand in the buffer that was received, with a colon and blanks between them; a
 * folded line has been copied elsewhere. Returns the bytes between them, or 0. */
static size_t gap_between(struct str name, struct str value)
{
    const char *end = name.ptr + name.len;
    size_t i;

    if (value.ptr <= end) {
        return 0;
    }
    for (i = 1; end + i < value.ptr; i++) {
        if (end[i] != ' ' && end[i] != '\t') {
            return 0;
        }
    }
    return i;
}

/* style-ok: params: libmicrohttpd's signature */
static enum MHD_Result take_header(void *user, enum MHD_ValueKind kind, const char *name,
                                   size_t name_len, const char *value, size_t value_len)
{
    struct head *head = user;
    struct env_request *request = &head->conn->request;
    struct str name_str = {.ptr = name, .len = name_len};
    struct str value_str = {.ptr = value, .len = value_len};
    size_t gap;

    (void)kind;
    if (request->header_count >= head->conn->listener->limits.headers_max) {
        return head_refuse(head, MHD_HTTP_REQUEST_HEADER_FIELDS_TOO_LARGE, "too many headers");
    }
    gap = value != NULL ? gap_between(name_str, value_str) : 0;
    if (gap == 0) {
        return head_refuse(head, MHD_HTTP_BAD_REQUEST, "a header is malformed");
    }
    head->size += name_len + gap + value_len + strlen("\r\n");
    value_str = str_trim(value_str);
    request->headers[request->header_count].name = name_str;
    request->headers[request->header_count].value = value_str;
    request->header_count++;
    return judge_header(head, name_str, value_str);
}

static void judge_request_line(struct head *head, const char *version)
{
    struct env_connection *conn = head->conn;
    const struct env_request *request = &conn->request;
    struct str target = {.ptr = conn->target, .len = conn->target_len};

    if (conn->target_len > conn->listener->limits.target_max_bytes) {
        (void)head_refuse(head, MHD_HTTP_URI_TOO_LONG, "the target is too long");
    } else if (strcmp(version, "HTTP/1.1") != 0 && strcmp(version, "HTTP/1.0") != 0) {
        (void)head_refuse(head, MHD_HTTP_HTTP_VERSION_NOT_SUPPORTED, "HTTP/1.1 is spoken here");
    } else if (!is_token(request->method) || str_eq_c(request->method, "CONNECT")) {
        (void)head_refuse(head, MHD_HTTP_BAD_REQUEST, "this method is not taken");
    } else if (!is_origin_form(target)) {
        (void)head_refuse(head, MHD_HTTP_BAD_REQUEST,
                          "the target must be a path, without blanks or fragment");
    }
}

static void split_target(struct env_connection *conn)
{
    struct str rest = {.ptr = conn->target, .len = conn->target_len};

    conn->request.path = str_cut(&rest, '?');
    conn->request.query = rest;
}

/* All of the head is here. Judges it, the request line first. */
static void judge_head(struct head *head, const char *method, const char *version)
{
    struct env_connection *conn = head->conn;
    struct io_listener *listener = conn->listener;
    size_t size =
        MHD_get_connection_info(conn->mhd, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE)->header_size;

    conn->request.method = str_of(method);
    conn->is_http_1_0 = strcmp(version, "HTTP/1.0") == 0;
    head->size =
        conn->request.method.len + conn->target_len + strlen(version) + strlen("  \r\n\r\n");
    judge_request_line(head, version);
    if (head->status == 0) {
        (void)MHD_get_connection_values_n(conn->mhd, MHD_HEADER_KIND, take_header, head);
    }
    if (head->status == 0 && size > listener->limits.head_max_bytes) {
        (void)head_refuse(head, MHD_HTTP_REQUEST_HEADER_FIELDS_TOO_LARGE, "the head is too large");
    }
    if (head->status == 0 && size != head->size) {
        (void)head_refuse(head, MHD_HTTP_BAD_REQUEST, "the head is malformed");
    }
}

static enum MHD_Result head_arrived(struct env_connection *conn, const char *method,
                                    const char *version)
{
    struct head head = {.conn = conn};

    judge_head(&head, method, version);
    conn->has_head = true;
    if (head.status != 0) {
        return reply_refuse(conn, head.status, "invalid", head.detail);
    }
    if (conn->listener->is_quiesced) {
        return reply_refuse(conn, MHD_HTTP_SERVICE_UNAVAILABLE, "busy", "the daemon is stopping");
    }
    split_target(conn);
    if (conn->content_length > 0) {
        conn_set_phase(conn, PHASE_BODY);
    }
    return MHD_YES;
}

static enum MHD_Result body_arrived(struct env_connection *conn, const char *bytes, size_t *size)
{
    buf_add(&conn->body, bytes, *size);
    *size = 0;
    /* libmicrohttpd takes an answer only before and after the body, so without memory the
     * connection just ends. */
    return buf_status(&conn->body) == 0 ? MHD_YES : MHD_NO;
}

/* The request is whole. */
static enum MHD_Result dispatch(struct env_connection *conn)
{
    struct io_listener *listener = conn->listener;
    struct env_request *request = &conn->request;

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
    if (conn->is_refused || conn->is_lost) {
        return conn;
    }
    CHECK(conn->state == REQUEST_NONE);
    conn->state = REQUEST_READING;
    conn->target_len = target != NULL ? strlen(target) : 0;
    copied = conn->target_len < conn->listener->limits.target_max_bytes
                 ? conn->target_len
                 : conn->listener->limits.target_max_bytes;
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
    if (conn->is_lost || conn->is_refused) {
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
    conn->request.user = NULL;
    conn->request.header_count = 0;
    conn->has_head = false;
    conn->content_length = 0;
    if (conn->body.cap > 0) {
        buf_fini(&conn->body);
        buf_init(&conn->body, conn->listener->limits.body_max_bytes);
    }
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
    is_answered = conn->state == REQUEST_ANSWERED;
    request_finish(conn, is_answered && code == MHD_REQUEST_TERMINATED_COMPLETED_OK);
    request_reset(conn);
    if (!conn->is_lost && !conn->is_refused) {
        conn_set_phase(conn, PHASE_IDLE);
    }
    *context = NULL;
}
