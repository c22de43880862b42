/* curl's multi interface on the loop: curl says which sockets it wants watched and when it wants to
 * be called, we call it then, and hand on what has ended.
 *
 * The life of a socket context:
 *
 *   socket_cb(IN|OUT|INOUT), no context yet   made: uv_poll on the fd, curl_multi_assign
 *   socket_cb(IN|OUT|INOUT), context          uv_poll with the new events
 *   socket_cb(REMOVE)                         uv_close; curl closes the fd right afterwards, and
 * the next socket may get the same number before our close callback has run on_closed freed
 *
 * So a context belongs to one ADD..REMOVE cycle, is found by `socketp` and never by the fd's
 * number, and is freed in the close callback only (freeing it earlier is a write after free that
 * ASAN can't see inside libuv).
 *
 * Rules that were learned the hard way: after every curl_multi_socket_action all messages are read,
 * whatever the number of running transfers (the last one's time-out is lost otherwise); a poll
 * error is handed to curl as CURL_CSELECT_ERR (polling has stopped by then, nobody else will tell);
 * the timer callback may run inside curl_multi_add_handle, so it only sets the timer; 0 ms becomes
 * 1 (libuv 1.44 would spin). */
#include "io/http_internal.h"

#include "base/mem.h"

#include <fcntl.h>

/* The loop is made early in the life of a process: its descriptors are small numbers. */
#define DESCRIPTORS_LOOKED_AT 1024

#define SOCKET_MAGIC 0x736f636bU /* "sock" */

struct socket_context {
    uint32_t magic;
    struct http_multi *multi;
    curl_socket_t fd;
    uv_poll_t poll;
};

/* Calls `done` for each transfer that has ended. It may start, remove and finish transfers, so the
 * queue is asked anew each time. */
static void pump(struct http_multi *multi)
{
    CURLMsg *message;
    int left;

    while ((message = curl_multi_info_read(multi->multi, &left)) != NULL) {
        /* The message dies when its transfer is removed. */
        CURL *easy = message->easy_handle;
        CURLcode result = message->data.result;

        if (message->msg == CURLMSG_DONE) {
            multi->done(easy, result);
        }
    }
}

static void act(struct http_multi *multi, curl_socket_t fd, int events)
{
    int running;

    if (multi->is_draining) {
        return;
    }
    io_enter(multi->io);
    (void)curl_multi_socket_action(multi->multi, fd, events, &running);
    pump(multi);
}

static void on_timer(uv_timer_t *handle)
{
    struct io_http *http = OBJ_CAST(handle->data, struct io_http, HTTP_MAGIC);

    act(&http->multi, CURL_SOCKET_TIMEOUT, 0);
}

static void on_poll(uv_poll_t *handle, int status, int events)
{
    struct socket_context *context = OBJ_CAST(handle->data, struct socket_context, SOCKET_MAGIC);
    int flags = status < 0 ? CURL_CSELECT_ERR : 0;

    flags |= (events & UV_READABLE) != 0 ? CURL_CSELECT_IN : 0;
    flags |= (events & UV_WRITABLE) != 0 ? CURL_CSELECT_OUT : 0;
    act(context->multi, context->fd, flags);
}

static void on_closed(uv_handle_t *handle)
{
    struct socket_context *context = OBJ_CAST(handle->data, struct socket_context, SOCKET_MAGIC);

    context->magic = 0;
    mem_free(context);
}

static struct socket_context *add_socket(struct http_multi *multi, curl_socket_t fd)
{
    struct socket_context *context = mem_calloc(1, sizeof(*context));
    int rc;

    if (context == NULL) {
        return NULL;
    }
    context->magic = SOCKET_MAGIC;
    context->multi = multi;
    context->fd = fd;
    rc = uv_poll_init_socket(&multi->io->loop, &context->poll, fd);
    CHECK(rc != UV_EEXIST); /* Two contexts for one socket. */
    if (rc != 0) {
        mem_free(context);
        return NULL;
    }
    context->poll.data = context;
    (void)curl_multi_assign(multi->multi, fd, context);
    return context;
}

static int socket_cb(CURL *easy, curl_socket_t fd, int what, void *user, void *socketp)
{
    struct io_http *http = OBJ_CAST(user, struct io_http, HTTP_MAGIC);
    struct http_multi *multi = &http->multi;
    struct socket_context *context = NULL;
    int events = 0;

    if (socketp != NULL) {
        context = OBJ_CAST(socketp, struct socket_context, SOCKET_MAGIC);
    }
    if (what == CURL_POLL_REMOVE) {
        if (context != NULL) {
            uv_close((uv_handle_t *)&context->poll, on_closed);
        }
        return 0;
    }
    if (multi->is_draining) {
        return 0; /* Newer versions of curl still want to say goodbye while they are cleaned up. */
    }
    if (context == NULL) {
        context = add_socket(multi, fd);
    }
    events |= (what & CURL_POLL_IN) != 0 ? UV_READABLE : 0;
    events |= (what & CURL_POLL_OUT) != 0 ? UV_WRITABLE : 0;
    if (context == NULL || uv_poll_start(&context->poll, events, on_poll) != 0) {
        /* -1 would fail every transfer, so only this one is told. */
        multi->starved(easy);
    }
    return 0;
}

static int timer_cb(CURLM *handle, long timeout_ms, void *user)
{
    struct io_http *http = OBJ_CAST(user, struct io_http, HTTP_MAGIC);

    (void)handle;
    if (timeout_ms < 0) {
        (void)uv_timer_stop(&http->multi.timer);
    } else if (!uv_is_closing((uv_handle_t *)&http->multi.timer)) {
        (void)uv_timer_start(&http->multi.timer, on_timer,
                             timeout_ms > 0 ? (uint64_t)timeout_ms : 1, 0);
    }
    return 0;
}

static void note_open(bool is_open[DESCRIPTORS_LOOKED_AT])
{
    for (int fd = 0; fd < DESCRIPTORS_LOOKED_AT; fd++) {
        is_open[fd] = fcntl(fd, F_GETFD) >= 0;
    }
}

/* curl 7.88 makes a pair of sockets to wake itself, which the programs that we run would inherit.
 */
static CURLM *make_multi(void)
{
    bool was_open[DESCRIPTORS_LOOKED_AT];
    bool is_open[DESCRIPTORS_LOOKED_AT];
    CURLM *multi;

    note_open(was_open);
    multi = curl_multi_init();
    note_open(is_open);
    for (int fd = 0; fd < DESCRIPTORS_LOOKED_AT; fd++) {
        if (is_open[fd] && !was_open[fd]) {
            (void)fcntl(fd, F_SETFD, FD_CLOEXEC);
        }
    }
    return multi;
}

int http_multi_open(struct http_multi *multi, struct io *io, void (*done)(CURL *, CURLcode),
                    void (*starved)(CURL *))
{
    multi->multi = make_multi();
    if (multi->multi == NULL) {
        return ERR_NOMEM;
    }
    multi->io = io;
    multi->done = done;
    multi->starved = starved;
    (void)uv_timer_init(&io->loop, &multi->timer);
    multi->timer.data = io->http;
    (void)curl_multi_setopt(multi->multi, CURLMOPT_SOCKETFUNCTION, socket_cb);
    (void)curl_multi_setopt(multi->multi, CURLMOPT_SOCKETDATA, io->http);
    (void)curl_multi_setopt(multi->multi, CURLMOPT_TIMERFUNCTION, timer_cb);
    (void)curl_multi_setopt(multi->multi, CURLMOPT_TIMERDATA, io->http);
    (void)curl_multi_setopt(multi->multi, CURLMOPT_MAXCONNECTS, (long)HTTP_CONNECTIONS_KEPT);
    return 0;
}

void http_multi_close(struct http_multi *multi)
{
    multi->is_draining = true;
    (void)curl_multi_cleanup(multi->multi);
    multi->multi = NULL;
    uv_close((uv_handle_t *)&multi->timer, NULL);
}
