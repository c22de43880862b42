/* Answers: the handlers', our own refusals, and the canned one for connections over a limit.
 *
 * Happy path: reply copies the body into memory that is wiped when libmicrohttpd has sent it → the
 * response is queued, from within the handler's own call or, if it came later, when libmicrohttpd
 * asks again.
 *
 * Failure paths: without memory for the answer the connection ends, and `finished` says
 * undelivered. */
#include "io/server_internal.h"

#include "base/mem.h"
#include "base/secret.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#define HEADER_MAX_BYTES 4096U

static void free_body(void *body)
{
    mem_free(body);
}

static struct MHD_Response *make_response(struct str body)
{
    struct MHD_Response *response;
    char *copy;

    if (body.len == 0) {
        return MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT);
    }
    copy = mem_dup(body.ptr, body.len);
    if (copy == NULL) {
        return NULL;
    }
    response = MHD_create_response_from_buffer_with_free_callback(body.len, copy, free_body);
    if (response == NULL) {
        mem_free(copy);
    }
    return response;
}

/* libmicrohttpd wants NUL-terminated texts and refuses line ends in them. */
static int add_header(struct MHD_Response *response, struct str name, struct str value)
{
    char text[HEADER_MAX_BYTES];

    if (name.len + value.len + 2 > sizeof(text)) {
        return ERR_TOO_LARGE;
    }
    memcpy(text, name.ptr, name.len);
    text[name.len] = '\0';
    if (value.len > 0) {
        memcpy(text + name.len + 1, value.ptr, value.len);
    }
    text[name.len + 1 + value.len] = '\0';
    return MHD_add_response_header(response, text, text + name.len + 1) == MHD_YES ? 0 : ERR_NOMEM;
}

int reply_add_headers(struct MHD_Response *response, const struct env_reply *reply, bool is_last)
{
    bool has_cache_control = false;
    int rc = 0;
    size_t i;

    if (reply->content_type != NULL) {
        rc = MHD_add_response_header(response, "Content-Type", reply->content_type) == MHD_YES
                 ? 0
                 : ERR_NOMEM;
    }
    for (i = 0; rc == 0 && i < reply->header_count; i++) {
        struct str name = reply->headers[i].name;

        has_cache_control |= name.len == strlen("Cache-Control") &&
                             strncasecmp(name.ptr, "Cache-Control", name.len) == 0;
        rc = add_header(response, name, reply->headers[i].value);
    }
    if (rc == 0 && !has_cache_control &&
        MHD_add_response_header(response, "Cache-Control", "no-store") != MHD_YES) {
        rc = ERR_NOMEM;
    }
    if (rc == 0 && is_last && MHD_add_response_header(response, "Connection", "close") != MHD_YES) {
        rc = ERR_NOMEM;
    }
    return rc;
}

/* Nobody else shall get an answer over a connection whose process has ended or has become somebody
 * else. What hangs on a connection must not end because its listener is replaced. */
bool reply_is_last(const struct env_connection *conn, const struct env_reply *reply)
{
    return reply->close || conn->is_http_1_0 || conn->listener->is_quiesced ||
           (conn->listener->is_retired && list_is_empty(&conn->watches)) ||
           conn->peer.facts.state == ENV_PEER_GONE || conn->peer.facts.state == ENV_PEER_CHANGED;
}

static void on_reply(struct env_request *request, const struct env_reply *reply)
{
    struct env_connection *conn = CONTAINER_OF(request, struct env_connection, request);
    struct MHD_Response *response;

    CHECK(conn->magic == CONNECTION_MAGIC);
    CHECK(conn->state == REQUEST_PENDING);
    CHECK(reply->status >= 200 && reply->status <= 599);
    CHECK(reply->header_count <= ARRAY_LEN(reply->headers));
    response = make_response(reply->body);
    if (response != NULL && reply_add_headers(response, reply, reply_is_last(conn, reply)) != 0) {
        MHD_destroy_response(response);
        response = NULL;
    }
    conn->response = response;
    conn->status = reply->status;
    conn->state = REQUEST_ANSWERED;
    conn_resume(conn);
}

/* An answer that is sent again and again keeps libmicrohttpd's object, which counts who uses it. */
struct env_answer {
    struct MHD_Response *response;
    unsigned int status;
};

static void answer_free(struct env_answer *answer)
{
    MHD_destroy_response(answer->response);
    mem_free(answer);
}

static struct env_answer *answer_new(const struct env_reply *reply)
{
    struct env_answer *answer = mem_calloc(1, sizeof(*answer));
    char *copy = reply->body.len > 0 ? secret_alloc(reply->body.len) : NULL;

    if (answer == NULL || copy == NULL) {
        goto err;
    }
    memcpy(copy, reply->body.ptr, reply->body.len);
    answer->response =
        MHD_create_response_from_buffer_with_free_callback(reply->body.len, copy, secret_free);
    if (answer->response == NULL) {
        goto err;
    }
    answer->status = reply->status;
    if (reply_add_headers(answer->response, reply, false) != 0) {
        answer_free(answer);
        return NULL;
    }
    return answer;

err:
    secret_free(copy);
    mem_free(answer);
    return NULL;
}

static bool answer_send(struct env_request *request, struct env_answer *answer)
{
    static const struct env_reply plain = {.close = false};
    struct env_connection *conn = CONTAINER_OF(request, struct env_connection, request);

    CHECK(conn->magic == CONNECTION_MAGIC);
    CHECK(conn->state == REQUEST_PENDING);
    CHECK(!conn->is_suspended);
    if (reply_is_last(conn, &plain)) {
        return false;
    }
    conn->answer = answer;
    conn->status = answer->status;
    conn->state = REQUEST_ANSWERED;
    return true;
}

const struct env_request_ops server_request_ops = {
    .reply = on_reply,
    .connection_watch = conn_watch,
    .answer_new = answer_new,
    .answer_send = answer_send,
    .answer_free = answer_free,
    .stream_begin = stream_begin,
    .stream_write = stream_write,
    .stream_room = stream_room,
    .stream_end = stream_end,
};

/* `response` stays the caller's. */
static enum MHD_Result queue(struct env_connection *conn, struct MHD_Response *response,
                             unsigned int status)
{
    if (response == NULL) {
        return MHD_NO;
    }
    conn_set_phase(conn, PHASE_WRITE);
    return MHD_queue_response(conn->mhd, status, response);
}

static enum MHD_Result queue_once(struct env_connection *conn, struct MHD_Response *response,
                                  unsigned int status)
{
    enum MHD_Result result = queue(conn, response, status);

    if (response != NULL) {
        MHD_destroy_response(response);
    }
    return result;
}

enum MHD_Result reply_queue(struct env_connection *conn)
{
    struct MHD_Response *response = conn->response;
    struct env_answer *answer = conn->answer;

    conn->response = NULL;
    conn->answer = NULL;
    return answer != NULL ? queue(conn, answer->response, conn->status)
                          : queue_once(conn, response, conn->status);
}

/* `code` and `detail` are our own texts without anything to escape. */
static int format_problem(char *text, size_t size, unsigned int status, const char *code,
                          const char *detail)
{
    int len = snprintf(text, size,
                       "{\"type\":\"about:blank\",\"title\":\"%s\",\"status\":%u,\"code\":\"%s\","
                       "\"detail\":\"%s\"}\n",
                       MHD_get_reason_phrase_for(status), status, code, detail);

    CHECK(len > 0 && (size_t)len < size);
    return len;
}

enum MHD_Result reply_refuse(struct env_connection *conn, unsigned int status, const char *code,
                             const char *detail)
{
    struct env_reply reply = {.content_type = "application/problem+json"};
    char text[512];
    struct MHD_Response *response;

    reply.body.len = (size_t)format_problem(text, sizeof(text), status, code, detail);
    reply.body.ptr = text;
    if (status == MHD_HTTP_SERVICE_UNAVAILABLE) {
        reply.headers[0].name = STR("Retry-After");
        reply.headers[0].value = STR("1");
        reply.header_count = 1;
    }
    response = make_response(reply.body);
    if (response != NULL && reply_add_headers(response, &reply, true) != 0) {
        MHD_destroy_response(response);
        response = NULL;
    }
    return queue_once(conn, response, status);
}

/* An answer with its head, for connections that libmicrohttpd doesn't answer. */
static size_t format_answer(char *text, size_t size, unsigned int status, const char *code,
                            const char *detail)
{
    char body[512];
    int body_len = format_problem(body, sizeof(body), status, code, detail);
    int len = snprintf(text, size,
                       "HTTP/1.1 %u %s\r\n"
                       "Content-Type: application/problem+json\r\n"
                       "Content-Length: %d\r\n"
                       "Cache-Control: no-store\r\n"
                       "%s"
                       "Connection: close\r\n\r\n%s",
                       status, MHD_get_reason_phrase_for(status), body_len,
                       status == MHD_HTTP_SERVICE_UNAVAILABLE ? "Retry-After: 1\r\n" : "", body);

    CHECK(len > 0 && (size_t)len < size);
    return (size_t)len;
}

void reply_send_busy(int fd, const char *detail)
{
    char text[1024];
    size_t len = format_answer(text, sizeof(text), MHD_HTTP_SERVICE_UNAVAILABLE, "busy", detail);

    /* The socket's buffer is empty yet, so it takes this in one piece, or its client has gone
     * already. */
    (void)send(fd, text, len, MSG_DONTWAIT | MSG_NOSIGNAL);
}

void reply_send_last(struct env_connection *conn, unsigned int status, const char *code,
                     const char *detail)
{
    char text[1024];
    size_t len = format_answer(text, sizeof(text), status, code, detail);

    /* Who doesn't take answers may lose this one. */
    if (conn->tls != NULL) {
        tls_session_send_last(conn->peer.session, text, len);
    } else {
        (void)send(conn->fd, text, len, MSG_DONTWAIT | MSG_NOSIGNAL);
    }
    (void)conn_drain(conn->fd);
    (void)shutdown(conn->fd, SHUT_RDWR);
}
