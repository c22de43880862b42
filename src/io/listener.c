/* A listener's life.
 *
 * Happy path: io_listener_open binds (socket_unix.c, socket_tcp.c), or takes what the service
 * manager has bound (passed.c), and starts the server on the socket → connections and requests, see
 * server.c → io_listener_quiesce removes the socket file, accepts nothing more and lets what is
 * under way end (io_listener_wind_down: and serves who is there) → io_listener_close ends the rest
 * from the loop and frees the listener once the last libuv handle is closed. One that is replaced
 * is retired instead of quiesced, see listener_change.c.
 *
 * Failure paths: opening undoes what it did. Closing may be asked for from anywhere, also from a
 * handler in the midst of libmicrohttpd, which is why it is deferred. */
#include "io/listener.h"

#include "base/mem.h"
#include "io/passed.h"
#include "io/server_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define DEFAULT_CONNECTIONS 1024U
#define DEFAULT_CONNECTIONS_PER_UID 256U
#define DEFAULT_CONNECTIONS_PER_ADDRESS 256U
#define DEFAULT_STREAMS 256U
#define DEFAULT_STREAMS_PER_CALLER 64U
#define DEFAULT_HEAD_MAX_BYTES (8U * 1024U)
#define DEFAULT_HEADERS 32U
#define DEFAULT_TARGET_MAX_BYTES 1024U
#define DEFAULT_BODY_MAX_BYTES (64U * 1024U)
#define LARGE_BODY_MAX_BYTES (8U * 1024U * 1024U) /* POLICY_BUNDLE_BODY_MAX_BYTES */
#define DEFAULT_HEAD_TIMEOUT_MS 5000U
#define DEFAULT_BODY_TIMEOUT_MS 10000U
#define DEFAULT_IDLE_TIMEOUT_MS 60000U
#define DEFAULT_WRITE_TIMEOUT_MS 10000U

/* For the next request over a kept TCP connection, which no end of ours could be told from a loss
 * (RFC 9112, 9.5). A stop takes that much longer where there are such connections. */
#define WIND_DOWN_IDLE_MS 100U

/* Beyond these nothing was measured. */
#define HARD_MAX_CONNECTIONS 16000U
#define HARD_MAX_STREAMS 4096U
#define HARD_MAX_HEAD_BYTES (16U * 1024U)
#define HARD_MAX_TARGET_BYTES (4U * 1024U)
#define HARD_MAX_BODY_BYTES (1024U * 1024U)

/* One caller gets at most this part of the connections, where they are few. */
#define CALLER_SHARE 4U

static uint32_t limit_u32(uint32_t value, uint32_t default_value, uint32_t max)
{
    value = value != 0 ? value : default_value;
    return value < max ? value : max;
}

static size_t limit_size(size_t value, size_t default_value, size_t max)
{
    value = value != 0 ? value : default_value;
    return value < max ? value : max;
}

static uint64_t or_default(uint64_t value, uint64_t default_value)
{
    return value != 0 ? value : default_value;
}

/* Where the process can't have as many connections as it was to take, nobody may have most of them.
 */
static void fit(const struct io *io, struct io_listener_limits *limits)
{
    uint32_t most = io->connections_max;
    uint32_t share = most / CALLER_SHARE > 0 ? most / CALLER_SHARE : 1;

    if (most == 0 || limits->connections <= most) {
        return;
    }
    limits->connections = most;
    if (limits->connections_per_uid > share) {
        limits->connections_per_uid = share;
    }
    if (limits->connections_per_address > share) {
        limits->connections_per_address = share;
    }
    if (limits->streams > share) {
        limits->streams = share;
    }
}

struct io_listener_limits listener_limits(const struct io *io,
                                          const struct io_listener_limits *asked)
{
    struct io_listener_limits limits = {
        .connections = limit_u32(asked->connections, DEFAULT_CONNECTIONS, HARD_MAX_CONNECTIONS),
        .connections_per_uid = limit_u32(asked->connections_per_uid, DEFAULT_CONNECTIONS_PER_UID,
                                         HARD_MAX_CONNECTIONS),
        .connections_per_address = limit_u32(asked->connections_per_address,
                                             DEFAULT_CONNECTIONS_PER_ADDRESS, HARD_MAX_CONNECTIONS),
        .streams = limit_u32(asked->streams, DEFAULT_STREAMS, HARD_MAX_STREAMS),
        .streams_per_caller =
            limit_u32(asked->streams_per_caller, DEFAULT_STREAMS_PER_CALLER, HARD_MAX_STREAMS),
        .head_max_bytes =
            limit_size(asked->head_max_bytes, DEFAULT_HEAD_MAX_BYTES, HARD_MAX_HEAD_BYTES),
        .headers_max = limit_u32(asked->headers_max, DEFAULT_HEADERS, ENV_REQUEST_HEADERS_MAX),
        .target_max_bytes =
            limit_size(asked->target_max_bytes, DEFAULT_TARGET_MAX_BYTES, HARD_MAX_TARGET_BYTES),
        .body_max_bytes =
            limit_size(asked->body_max_bytes, DEFAULT_BODY_MAX_BYTES, HARD_MAX_BODY_BYTES),
        .large_path = asked->large_path,
        .large_body_max_bytes =
            limit_size(asked->large_body_max_bytes, LARGE_BODY_MAX_BYTES, LARGE_BODY_MAX_BYTES),
        .head_timeout_ms = or_default(asked->head_timeout_ms, DEFAULT_HEAD_TIMEOUT_MS),
        .body_timeout_ms = or_default(asked->body_timeout_ms, DEFAULT_BODY_TIMEOUT_MS),
        .idle_timeout_ms = or_default(asked->idle_timeout_ms, DEFAULT_IDLE_TIMEOUT_MS),
        .write_timeout_ms = or_default(asked->write_timeout_ms, DEFAULT_WRITE_TIMEOUT_MS),
    };

    fit(io, &limits);
    return limits;
}

static void listener_free(struct io_listener *listener)
{
    socket_file_remove(&listener->file);
    if (listener->socket_fd >= 0) {
        (void)close(listener->socket_fd);
    }
    io_listener_discard(listener);
    tls_unref(listener->tls);
    mem_free(listener->name);
    mem_free(listener);
}

static struct io_listener *listener_new(struct io *io, const struct io_listener_options *options)
{
    struct io_listener *listener = mem_calloc(1, sizeof(*listener));
    size_t i;

    if (listener == NULL) {
        return NULL;
    }
    listener->magic = LISTENER_MAGIC;
    listener->io = io;
    listener->socket_fd = -1;
    listener->file.dir_fd = -1;
    listener->limits = listener_limits(io, &options->limits);
    listener->room = listener->limits;
    listener->handler = options->handler;
    listener->user = options->handler_user;
    listener->is_unix = options->unix_path != NULL;
    listener->takes_foreign = options->takes_foreign;
    listener->overflow_uid = peer_overflow_uid();
    listener->fd_max = descriptors_max();
    for (i = 0; i < PHASE_COUNT; i++) {
        list_init(&listener->phases[i]);
    }
    server_set_timeouts(listener);
    listener->name = mem_strdup(options->name);
    if (listener->name == NULL) {
        listener_free(listener);
        return NULL;
    }
    return listener;
}

/* Both accept from one queue for a while; whoever is first gets the client. */
static int share_socket(struct io_listener *listener, const struct io_listener *predecessor,
                        struct err *e)
{
    listener->is_unix = predecessor->is_unix;
    listener->is_passed = predecessor->is_passed;
    listener->port = predecessor->port;
    listener->socket_fd = fcntl(predecessor->socket_fd, F_DUPFD_CLOEXEC, 0);
    if (listener->socket_fd < 0) {
        return err_set(e, -errno, "could not share the socket of listener %s: %s",
                       predecessor->name, strerror(errno));
    }
    return 0;
}

/* One that the service manager has made, or one of our own. */
static int find_socket(struct io_listener *listener, const struct io_listener_options *options,
                       struct err *e)
{
    bool may_be_remote = options->tls != NULL || options->is_for_anyone;
    int rc = passed_find(listener->io, options, &listener->socket_fd, e);

    if (rc != 0) {
        return rc;
    }
    if (listener->socket_fd < 0) {
        return listener->is_unix
                   ? socket_open_unix(options, &listener->file, &listener->socket_fd, e)
                   : socket_open_tcp(options->tcp, may_be_remote, &listener->socket_fd,
                                     &listener->port, e);
    }
    listener->is_passed = true;
    if (!listener->is_unix) {
        listener->port = socket_port(listener->socket_fd);
        if (!may_be_remote && !socket_is_loopback(listener->socket_fd)) {
            return err_set(e, ERR_INVALID,
                           "the socket that the service manager passed for listener %s is not at a "
                           "loopback address; others need TLS",
                           options->name);
        }
    }
    return 0;
}

static int socket_open(struct io_listener *listener, const struct io_listener_options *options,
                       struct err *e)
{
    int rc;

    if (options->tls != NULL) {
        rc = tls_new(options->tls, false, &listener->tls, e);
        if (rc != 0) {
            return rc;
        }
    }
    rc = options->predecessor != NULL ? share_socket(listener, options->predecessor, e)
                                      : find_socket(listener, options, e);
    if (rc == 0 && !listener->is_unix && options->tls == NULL &&
        socket_is_loopback(listener->socket_fd)) {
        listener->is_loopback = true;
        /* Without it each caller is refused, with the reason; metrics need none. */
        (void)diag_open(&listener->io->diag, listener->socket_fd);
    }
    return rc;
}

int io_listener_check_tls(const struct io_listener_tls *options, struct err *e)
{
    struct tls *tls;
    int rc = tls_new(options, true, &tls, e);

    if (rc == 0) {
        rc = tls_check_time(tls, e);
        tls_unref(tls);
    }
    return rc;
}

int io_listener_open(struct io *io, const struct io_listener_options *options,
                     struct io_listener **ret_listener, struct err *e)
{
    struct io_listener *listener;
    int rc;

    CHECK((options->unix_path != NULL) != (options->tcp != NULL));
    CHECK(options->tls == NULL || options->tcp != NULL);
    CHECK(options->handler != NULL);
    listener = listener_new(io, options);
    if (listener == NULL) {
        return err_set(e, ERR_NOMEM, "out of memory");
    }
    rc = socket_open(listener, options, e);
    if (rc == 0) {
        rc = server_start(listener, e);
    }
    if (rc != 0) {
        listener_free(listener);
        return rc;
    }
    *ret_listener = listener;
    return 0;
}

/* Ends a connection between requests, unless the next one is there already. Over a unix socket
 * nothing can be sent any more once we don't receive, and what was sent before can still be read:
 * so no request is lost. Over TCP one that is sent in this very moment is. */
static void end_idle_now(const struct env_connection *conn)
{
    if (conn->listener->is_unix) {
        (void)shutdown(conn->fd, SHUT_RD);
    }
    if (!conn_has_unread(conn)) {
        (void)shutdown(conn->fd, SHUT_RDWR);
    }
}

static void end_idle(struct io_listener *listener)
{
    struct list *node;
    struct list *following;

    if (listener->is_served_on && !listener->is_unix) {
        /* Who reads all the time has time for one more request, and its answer tells him. */
        listener->limits.idle_timeout_ms = WIND_DOWN_IDLE_MS;
        server_set_timeouts(listener);
        return;
    }
    LIST_EACH (&listener->phases[PHASE_IDLE], node, following) {
        end_idle_now(LIST_ENTRY(node, struct env_connection, node));
    }
}

void io_listener_wind_down(struct io_listener *listener)
{
    listener->is_served_on = true;
    io_listener_quiesce(listener);
}

void io_listener_quiesce(struct io_listener *listener)
{
    if (listener->is_quiesced) {
        return;
    }
    listener->is_quiesced = true;
    socket_file_remove(&listener->file);
    if (!listener->is_retired) {
        server_quiesce(listener);
    }
    /* Who waits for the client's next request would wait in vain. */
    end_idle(listener);
}

static void close_now(struct env_deferred *deferred)
{
    struct io_listener *listener = OBJ_CAST(deferred->user, struct io_listener, LISTENER_MAGIC);

    io_listener_quiesce(listener);
    server_stop(listener); /* listener may be gone */
}

void io_listener_close(struct io_listener *listener, void (*closed)(void *user), void *user)
{
    CHECK(!listener->is_closing);
    listener->is_closing = true;
    listener->closed = closed;
    listener->closed_user = user;
    listener->closing.fn = close_now;
    listener->closing.user = listener;
    env_defer(io_env(listener->io), &listener->closing);
}

void server_handle_closed(struct io_listener *listener)
{
    void (*closed)(void *user) = listener->closed;
    void *user = listener->closed_user;

    CHECK(listener->handle_count > 0);
    listener->handle_count--;
    if (listener->handle_count > 0 || !listener->is_closing) {
        return;
    }
    listener_free(listener);
    if (closed != NULL) {
        closed(user);
    }
}

uint32_t io_listener_connection_count(const struct io_listener *listener)
{
    return listener->connection_count;
}

uint16_t io_listener_port(const struct io_listener *listener)
{
    return listener->port;
}
