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
 * the timer callback may run inside curl_multi_add_handle, so it only sets the timer; 0 ms, which
 * curl says for each new transfer, is a deferred call (a timer of libuv 1.44 would spin, and one of
 * 1 ms would keep every request waiting for that long). */
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
    struct list node; /* in multi->sockets, until it is closing */
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

static void on_closed(uv_handle_t *handle)
{
    struct socket_context *context = OBJ_CAST(handle->data, struct socket_context, SOCKET_MAGIC);

    context->magic = 0;
    mem_free(context);
}

static void close_socket(struct socket_context *context)
{
    list_remove(&context->node);
    uv_close((uv_handle_t *)&context->poll, on_closed);
}

/* All transfers must have been removed. Whatever curl didn't say goodbye to is closed by us. */
static void drop_multi(struct http_multi *multi)
{
    CURLM *old = multi->multi;

    multi->is_draining = true;
    multi->multi = NULL;
    (void)curl_multi_cleanup(old);
    multi->is_draining = false;
    while (!list_is_empty(&multi->sockets)) {
        close_socket(LIST_ENTRY(multi->sockets.next, struct socket_context, node));
    }
    (void)uv_timer_stop(&multi->timer);
    env_undefer(&multi->soon);
}

static void act(struct http_multi *multi, curl_socket_t fd, int events)
{
    CURLMcode code;
    int running;

    if (multi->multi == NULL) {
        return;
    }
    io_enter(multi->io);
    code = curl_multi_socket_action(multi->multi, fd, events, &running);
    pump(multi);
    if (code != CURLM_OK) {
        multi->broken(multi);
        drop_multi(multi);
    }
}

static void on_timer(uv_timer_t *handle)
{
    act(OBJ_CAST(handle->data, struct http_multi, MULTI_MAGIC), CURL_SOCKET_TIMEOUT, 0);
}

static void on_soon(struct env_deferred *soon)
{
    act(OBJ_CAST(soon->user, struct http_multi, MULTI_MAGIC), CURL_SOCKET_TIMEOUT, 0);
}

static void on_poll(uv_poll_t *handle, int status, int events)
{
    struct socket_context *context = OBJ_CAST(handle->data, struct socket_context, SOCKET_MAGIC);
    int flags = status < 0 ? CURL_CSELECT_ERR : 0;

    flags |= (events & UV_READABLE) != 0 ? CURL_CSELECT_IN : 0;
    flags |= (events & UV_WRITABLE) != 0 ? CURL_CSELECT_OUT : 0;
    act(context->multi, context->fd, flags);
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
    list_push_back(&multi->sockets, &context->node);
    (void)curl_multi_assign(multi->multi, fd, context);
    return context;
}

static int socket_cb(CURL *easy, curl_socket_t fd, int what, void *user, void *socketp)
{
    struct http_multi *multi = OBJ_CAST(user, struct http_multi, MULTI_MAGIC);
    struct socket_context *context = NULL;
    int events = 0;

    if (socketp != NULL) {
        context = OBJ_CAST(socketp, struct socket_context, SOCKET_MAGIC);
    }
    if (what == CURL_POLL_REMOVE) {
        if (context != NULL) {
            close_socket(context);
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
    struct http_multi *multi = OBJ_CAST(user, struct http_multi, MULTI_MAGIC);

    (void)handle;
    (void)uv_timer_stop(&multi->timer);
    env_undefer(&multi->soon);
    if (timeout_ms == 0) {
        env_defer(&multi->io->env, &multi->soon);
    } else if (timeout_ms > 0) {
        (void)uv_timer_start(&multi->timer, on_timer, (uint64_t)timeout_ms, 0);
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

static int use_new_multi(struct http_multi *multi)
{
    multi->multi = make_multi();
    if (multi->multi == NULL) {
        return ERR_NOMEM;
    }
    (void)curl_multi_setopt(multi->multi, CURLMOPT_SOCKETFUNCTION, socket_cb);
    (void)curl_multi_setopt(multi->multi, CURLMOPT_SOCKETDATA, multi);
    (void)curl_multi_setopt(multi->multi, CURLMOPT_TIMERFUNCTION, timer_cb);
    (void)curl_multi_setopt(multi->multi, CURLMOPT_TIMERDATA, multi);
    (void)curl_multi_setopt(multi->multi, CURLMOPT_MAXCONNECTS, (long)HTTP_CONNECTIONS_KEPT);
    return 0;
}

int http_multi_open(struct http_multi *multi, struct io *io)
{
    int rc;

    multi->magic = MULTI_MAGIC;
    multi->io = io;
    list_init(&multi->sockets);
    rc = use_new_multi(multi);
    if (rc != 0) {
        return rc;
    }
    (void)uv_timer_init(&io->loop, &multi->timer);
    multi->timer.data = multi;
    multi->soon = (struct env_deferred){.fn = on_soon, .user = multi};
    return 0;
}

int http_multi_add(struct http_multi *multi, CURL *easy)
{
    int rc = multi->multi == NULL ? use_new_multi(multi) : 0;

    if (rc != 0) {
        return rc;
    }
    return curl_multi_add_handle(multi->multi, easy) == CURLM_OK ? 0 : ERR_NOMEM;
}

void http_multi_remove(struct http_multi *multi, CURL *easy)
{
    if (multi->multi != NULL) {
        (void)curl_multi_remove_handle(multi->multi, easy);
    }
}

void http_multi_close(struct http_multi *multi)
{
    if (multi->multi != NULL) {
        drop_multi(multi);
    }
    uv_close((uv_handle_t *)&multi->timer, NULL);
}
