/* libmicrohttpd on our loop.
 *
 * Happy path: libmicrohttpd keeps its connections in an epoll set of its own and has no thread. The
 * set's descriptor is polled by libuv; when it is readable, MHD_run does all that can be done:
 * accepts, reads, calls our handlers, writes. What no descriptor shows (a resumed connection, bytes
 * read already) makes MHD_get_timeout say 0; then MHD_run runs again in this turn, after the
 * deferred calls that came before, so that an answer that is given in the same turn needs no
 * suspension.
 *
 * Time: libmicrohttpd's own timeout starts anew with each byte, so a byte every half second lives
 * for ever. Ours are per phase: a connection that enters a phase goes to the end of that phase's
 * list, whose deadlines are in order because the time allowed is the same for all. One env timer
 * stands for the earliest of them; it is only moved when an earlier deadline appears. What is
 * overdue is shut down, and libmicrohttpd notices that as an error of the socket.
 *
 * Failure paths: with no descriptor left for accept and no connection whose end would bring one
 * back, libmicrohttpd would be called again and again by the waiting client; the poll pauses
 * instead. */
#include "io/server_internal.h"

#include "base/log.h"
#include "io/poll_now.h"
#include "io/trim.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <gnutls/abstract.h>

/* Beside the head: parsed headers, the query's parts and the head of the answer. Not more than it
 * takes, because libmicrohttpd zeroes the whole pool after each request. */
#define POOL_LEAST_BYTES (4U * 1024U)
#define POOL_HEADER_BYTES 128U

static size_t pool_bytes(const struct io_listener_limits *limits)
{
    size_t extra = (size_t)limits->headers_max * POOL_HEADER_BYTES;

    return limits->head_max_bytes + (extra > POOL_LEAST_BYTES ? extra : POOL_LEAST_BYTES);
}

#define ACCEPT_PAUSE_MS 100U

/* What libmicrohttpd says before it answers by itself; the status is the first argument. */
#define ANSWERS_BY_ITSELF "Error processing request (HTTP response code is %u"

/* libmicrohttpd's messages may quote clients, who can cause as many as they like: they are for
 * debugging only. */
static void log_message(void *user, const char *format, va_list args)
{
    struct io_listener *listener = OBJ_CAST(user, struct io_listener, LISTENER_MAGIC);
    char text[256];

    if (strncmp(format, ANSWERS_BY_ITSELF, strlen(ANSWERS_BY_ITSELF)) == 0) {
        va_list copy;

        va_copy(copy, args);
        request_answer_first(listener, va_arg(copy, unsigned int));
        va_end(copy);
    }
    if (!log_is_on(LOG_LEVEL_DEBUG)) {
        return;
    }
    (void)vsnprintf(text, sizeof(text), format, args);
    log_event(LOG_LEVEL_DEBUG, "listener.http", "listener", listener->name, "detail", text, NULL);
}

/* Targets are handed on as they were sent: who decodes them is the one who routes them. */
static size_t keep_escapes(void *user, struct MHD_Connection *mhd, char *text)
{
    (void)user;
    (void)mhd;
    return strlen(text);
}

/* True when a client waits, nobody was accepted and no connection is open whose end would bring a
 * descriptor back. */
static bool is_accept_stuck(const struct io_listener *listener, uint32_t accepted_before)
{
    return listener->connection_count == 0 && listener->refused_count == 0 &&
           listener->accepted_count == accepted_before && listener->socket_fd >= 0 &&
           poll_now(listener->socket_fd, POLLIN) > 0;
}

static void run(struct io_listener *listener)
{
    MHD_UNSIGNED_LONG_LONG timeout_ms;

    (void)MHD_run(listener->daemon);
    if (trim_is_due(&listener->io->connection_peak, listener->io->connection_count)) {
        trim_now();
    }
    if (MHD_get_timeout(listener->daemon, &timeout_ms) == MHD_YES && timeout_ms == 0) {
        server_kick(listener);
    }
}

static void on_kick(struct env_deferred *deferred)
{
    run(OBJ_CAST(deferred->user, struct io_listener, LISTENER_MAGIC));
}

void server_kick(struct io_listener *listener)
{
    env_defer(io_env(listener->io), &listener->kick);
}

static void on_readable(uv_poll_t *handle, int status, int events)
{
    struct io_listener *listener = OBJ_CAST(handle->data, struct io_listener, LISTENER_MAGIC);
    uint32_t accepted_before = listener->accepted_count;
    struct env *env = io_env(listener->io);

    (void)status;
    (void)events;
    run(listener);
    if (!is_accept_stuck(listener, accepted_before)) {
        return;
    }
    /* The client may have come just now: only who can't be accepted at the second attempt either
     * waits in vain. */
    run(listener);
    if (is_accept_stuck(listener, accepted_before)) {
        (void)uv_poll_stop(&listener->poll);
        env_timer_arm(env, &listener->pause, env_now_ms(env) + ACCEPT_PAUSE_MS);
    }
}

static void on_pause_over(struct env_timer *timer)
{
    struct io_listener *listener = OBJ_CAST(timer->user, struct io_listener, LISTENER_MAGIC);

    (void)uv_poll_start(&listener->poll, UV_READABLE, on_readable);
}

/* Shuts down the overdue connections of one phase and returns its next deadline. */
static uint64_t expire_phase(struct io_listener *listener, enum conn_phase phase, uint64_t now_ms)
{
    struct list *list = &listener->phases[phase];
    struct list *node;
    struct list *following;

    LIST_EACH (list, node, following) {
        struct env_connection *conn = LIST_ENTRY(node, struct env_connection, node);

        /* An expired one stays in the list until libmicrohttpd has noticed. */
        if (conn->is_expired) {
            continue;
        }
        if (conn->deadline_ms > now_ms) {
            return conn->deadline_ms;
        }
        if (phase == PHASE_IDLE && listener->is_quiesced && conn_has_unread(conn)) {
            continue; /* the loop was late: it came in time, and is read in this turn */
        }
        if (phase == PHASE_STREAM) {
            stream_idle(conn); /* which moves it to another phase */
            continue;
        }
        conn->is_expired = true;
        stream_expired(conn);
        (void)shutdown(conn->fd, SHUT_RDWR);
    }
    return UINT64_MAX;
}

static void on_deadline(struct env_timer *timer)
{
    struct io_listener *listener = OBJ_CAST(timer->user, struct io_listener, LISTENER_MAGIC);
    struct env *env = io_env(listener->io);
    uint64_t next_ms = UINT64_MAX;
    size_t phase;

    for (phase = 0; phase < PHASE_COUNT; phase++) {
        uint64_t deadline_ms =
            phase == PHASE_PENDING
                ? UINT64_MAX
                : expire_phase(listener, (enum conn_phase)phase, env_now_ms(env));

        next_ms = deadline_ms < next_ms ? deadline_ms : next_ms;
    }
    if (next_ms != UINT64_MAX) {
        env_timer_arm(env, &listener->deadline, next_ms);
    }
}

void server_deadline_moved(struct io_listener *listener, uint64_t deadline_ms)
{
    if (listener->deadline.heap_index == 0 || deadline_ms < listener->deadline.when_ms) {
        env_timer_arm(io_env(listener->io), &listener->deadline, deadline_ms);
    }
}

void server_set_timeouts(struct io_listener *listener)
{
    const struct io_listener_limits *limits = &listener->limits;
    const uint64_t timeouts_ms[PHASE_COUNT] = {
        [PHASE_HEAD] = limits->head_timeout_ms,   [PHASE_BODY] = limits->body_timeout_ms,
        [PHASE_WRITE] = limits->write_timeout_ms, [PHASE_IDLE] = limits->idle_timeout_ms,
        [PHASE_STREAM] = ENV_STREAM_IDLE_MS,      [PHASE_ENDING] = ENDING_TIMEOUT_MS,
    };
    uint64_t now_ms = env_now_ms(io_env(listener->io));
    size_t phase;

    for (phase = 0; phase < PHASE_COUNT; phase++) {
        struct list *node;
        struct list *following;

        listener->phase_timeout_ms[phase] = timeouts_ms[phase];
        /* So that the list stays in the order of deadlines. */
        LIST_EACH (&listener->phases[phase], node, following) {
            struct env_connection *conn = LIST_ENTRY(node, struct env_connection, node);

            if (phase != PHASE_PENDING && conn->deadline_ms > now_ms + timeouts_ms[phase]) {
                conn->deadline_ms = now_ms + timeouts_ms[phase];
                server_deadline_moved(listener, conn->deadline_ms);
            }
        }
    }
}

/* libmicrohttpd wants certificates, or somebody to ask for them. Each session gets ours before it
 * would be asked. */
/* style-ok: params: GnuTLS's signature */
static int no_certificate(gnutls_session_t session, const gnutls_datum_t *authorities,
                          int authority_count, const gnutls_pk_algorithm_t *algorithms,
                          int algorithm_count, gnutls_pcert_st **ret_chain,
                          unsigned int *ret_chain_count, gnutls_privkey_t *ret_key)
{
    (void)session;
    (void)authorities;
    (void)authority_count;
    (void)algorithms;
    (void)algorithm_count;
    (void)ret_chain;
    (void)ret_chain_count;
    (void)ret_key;
    return -1;
}

/* Not strict: then a missing Host and blanks in the target come to server_head.c, which refuses
 * them with a problem document; libmicrohttpd would answer with a page of its own. */
static struct MHD_Daemon *start_daemon(struct io_listener *listener, int socket_fd)
{
    const struct io_listener_limits *limits = &listener->limits;
    unsigned int flags = MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG;
    enum MHD_OPTION last = MHD_OPTION_END;

    if (listener->tls != NULL) {
        flags |= MHD_USE_TLS;
        last = MHD_OPTION_HTTPS_CERT_CALLBACK;
    }
    return MHD_start_daemon(
        flags, 0, NULL, NULL, request_continue, listener, MHD_OPTION_EXTERNAL_LOGGER, log_message,
        listener, MHD_OPTION_LISTEN_SOCKET, socket_fd, MHD_OPTION_CONNECTION_LIMIT,
        (unsigned int)(limits->connections + limits->streams + REFUSED_MAX),
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, pool_bytes(limits), MHD_OPTION_CONNECTION_TIMEOUT, 0U,
        MHD_OPTION_STRICT_FOR_CLIENT, 0, MHD_OPTION_NOTIFY_CONNECTION, conn_notify, listener,
        MHD_OPTION_URI_LOG_CALLBACK, request_begin, listener, MHD_OPTION_NOTIFY_COMPLETED,
        request_completed, listener, MHD_OPTION_UNESCAPE_CALLBACK, keep_escapes, listener, last,
        no_certificate, MHD_OPTION_END);
}

int server_start(struct io_listener *listener, struct err *e)
{
    const union MHD_DaemonInfo *info;
    int socket_fd;
    int rc;

    listener->kick.fn = on_kick;
    listener->kick.user = listener;
    listener->deadline.fn = on_deadline;
    listener->deadline.user = listener;
    listener->pause.fn = on_pause_over;
    listener->pause.user = listener;
    /* When its start fails, libmicrohttpd closes the socket in some cases and not in others; so it
     * gets a descriptor of its own, and shutdown() ends what may be left open behind it. */
    socket_fd = fcntl(listener->socket_fd, F_DUPFD_CLOEXEC, 0);
    if (socket_fd < 0) {
        return err_set(e, -errno, "could not start listener %s: %s", listener->name,
                       strerror(errno));
    }
    listener->daemon = start_daemon(listener, socket_fd);
    if (listener->daemon == NULL) {
        if (!listener->is_passed) {
            (void)shutdown(listener->socket_fd, SHUT_RDWR);
        }
        return err_set(e, ERR_UNAVAILABLE, "could not start the HTTP server of listener %s",
                       listener->name);
    }
    info = MHD_get_daemon_info(listener->daemon, MHD_DAEMON_INFO_EPOLL_FD);
    CHECK(info != NULL);
    rc = uv_poll_init(io_uv(listener->io), &listener->poll, info->epoll_fd);
    if (rc != 0) {
        MHD_stop_daemon(listener->daemon);
        return err_set(e, rc, "could not watch listener %s: %s", listener->name, uv_strerror(rc));
    }
    listener->poll.data = listener;
    listener->handle_count = 1;
    rc = uv_poll_start(&listener->poll, UV_READABLE, on_readable);
    CHECK(rc == 0);
    return 0;
}

void server_quiesce(struct io_listener *listener)
{
    int socket_fd = MHD_quiesce_daemon(listener->daemon);

    CHECK(socket_fd >= 0);
    (void)close(socket_fd);
    (void)close(listener->socket_fd);
    listener->socket_fd = -1;
}

static void on_poll_closed(uv_handle_t *handle)
{
    server_handle_closed(OBJ_CAST(handle->data, struct io_listener, LISTENER_MAGIC));
    /* the listener may be gone */
}

void server_stop(struct io_listener *listener)
{
    struct env *env = io_env(listener->io);
    struct list *pending = &listener->phases[PHASE_PENDING];
    struct list *streams = &listener->phases[PHASE_STREAM];

    /* One after the other from the front: the callbacks may end other requests too. libmicrohttpd
     * must not be stopped with a suspended connection. */
    while (!list_is_empty(pending)) {
        conn_lose(LIST_ENTRY(pending->next, struct env_connection, node));
    }
    while (!list_is_empty(streams)) {
        conn_lose(LIST_ENTRY(streams->next, struct env_connection, node));
    }
    env_timer_disarm(env, &listener->pause);
    uv_close((uv_handle_t *)&listener->poll, on_poll_closed);
    MHD_stop_daemon(listener->daemon);
    listener->daemon = NULL;
    CHECK(listener->connection_count == 0);
    CHECK(listener->refused_count == 0);
    env_timer_disarm(env, &listener->deadline);
    env_undefer(&listener->kick);
}
