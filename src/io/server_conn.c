/* A connection's life.
 *
 * Happy path: libmicrohttpd has accepted (conn_notify) → limits → peer identified → phases as
 * requests come and go → closed by either side (conn_notify again): watches run, descriptors and
 * memory go.
 *
 * While a handler works on a request the connection is suspended: libmicrohttpd has taken its
 * descriptor out of its set and would not notice that the client goes away. So libuv polls it
 * meanwhile, for nothing but hang-up. A client that has only finished sending (half-closed) still
 * waits for its answer; on a unix socket the two can be told apart, and the poll goes on without
 * that event, on TCP they can't and a finished sender counts as gone: handing a credential to
 * nobody is worse than refusing an exotic client.
 *
 * Failure paths: over a limit, or short of memory, a connection gets a canned 503 at once (with
 * TLS: is closed), not when its request arrives, so that a flood holds nothing. The last part of
 * the connections is for callers that have few, so that a few others who have taken all that they
 * may don't keep everybody out. A client that has gone makes its request finish undelivered and
 * its connection close at libmicrohttpd's next look.
 */
#include "io/server_internal.h"

#include "base/log.h"
#include "base/mem.h"
#include "io/poll_now.h"

#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

/* This part of all connections is for callers that have no more than so many. */
#define RESERVE_SHARE 16U
#define FEW_CONNECTIONS 4U

#define REFUSALS_QUIET_MS 60000U

void conn_set_phase(struct env_connection *conn, enum conn_phase phase)
{
    struct io_listener *listener = conn->listener;

    list_remove(&conn->node);
    conn->phase = phase;
    list_push_back(&listener->phases[phase], &conn->node);
    if (phase != PHASE_PENDING) {
        conn->deadline_ms = env_now_ms(io_env(listener->io)) + listener->phase_timeout_ms[phase];
        server_deadline_moved(listener, conn->deadline_ms);
    }
}

/* Whoever has one IPv6 address has all of its /64. */
static void key_of_address(int fd, uint8_t out[16])
{
    struct sockaddr_in6 v6 = {.sin6_family = AF_UNSPEC};
    struct sockaddr_in v4;
    socklen_t size = sizeof(v6);

    if (getpeername(fd, (struct sockaddr *)&v6, &size) != 0) {
        return;
    }
    if (v6.sin6_family == AF_INET) {
        memcpy(&v4, &v6, sizeof(v4));
        memcpy(out, &v4.sin_addr, sizeof(v4.sin_addr));
    } else if (v6.sin6_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&v6.sin6_addr)) {
        memcpy(out, &v6.sin6_addr.s6_addr[12], 4);
    } else if (v6.sin6_family == AF_INET6) {
        memcpy(out, &v6.sin6_addr, 8);
    }
}

static struct usage *usage_take(struct io *io, const struct usage_key *wanted)
{
    struct str key = {.ptr = (const char *)wanted, .len = sizeof(*wanted)};
    struct map_entry *entry = map_find(&io->usages, key);
    struct usage *usage;

    if (entry != NULL) {
        usage = MAP_ENTRY(entry, struct usage, entry);
        usage->count++;
        return usage;
    }
    usage = mem_calloc(1, sizeof(*usage));
    if (usage == NULL) {
        return NULL;
    }
    usage->key = *wanted;
    usage->count = 1;
    key.ptr = (const char *)&usage->key;
    if (map_add(&io->usages, &usage->entry, key) != 0) {
        mem_free(usage);
        return NULL;
    }
    return usage;
}

static void usage_give_back(struct io *io, struct usage *usage, bool is_stream)
{
    if (usage != NULL && is_stream) {
        usage->stream_count--;
    } else if (usage != NULL) {
        usage->count--;
    }
    if (usage != NULL && usage->count == 0 && usage->stream_count == 0) {
        map_remove(&io->usages, &usage->entry);
        mem_free(usage);
    }
}

/* False when TLS can't be spoken on it. */
static bool identify(struct env_connection *conn)
{
    struct io_listener *listener = conn->listener;
    const union MHD_ConnectionInfo *info;

    if (listener->is_unix) {
        peer_identify(&conn->peer, listener->takes_foreign ? ENV_PEER_FOREIGN : ENV_PEER_UNIX,
                      conn->fd, listener->overflow_uid);
    } else if (listener->is_loopback) {
        peer_identify_loopback(&conn->peer, &listener->io->diag, conn->fd, listener->overflow_uid);
    } else if (listener->tls == NULL) {
        peer_init_unknown(&conn->peer, "callers from elsewhere are not identified without TLS");
    } else {
        info = MHD_get_connection_info(conn->mhd, MHD_CONNECTION_INFO_GNUTLS_SESSION);
        CHECK(info != NULL);
        peer_init_tls(&conn->peer, io_env(listener->io), info->tls_session);
        conn->tls = tls_ref(listener->tls);
        conn->ca_changes = listener->ca_changes;
        return tls_session_start(conn->tls, info->tls_session) == 0;
    }
    return true;
}

/* NULL, or which limit of its caller the new connection passes. */
static const char *check_usage(struct env_connection *conn, uint32_t uid)
{
    struct io_listener *listener = conn->listener;
    const struct io_listener_limits *limits = &listener->limits;
    struct usage_key key = {.uid = uid};
    bool is_user = listener->is_unix || listener->is_loopback;

    if (!is_user) {
        key_of_address(conn->fd, key.address);
    }
    conn->usage = usage_take(listener->io, &key);
    if (conn->usage == NULL) {
        return "the daemon is out of memory";
    }
    if (is_user && conn->usage->count > limits->connections_per_uid) {
        return "this user has all the connections that one user may have";
    }
    if (!is_user && conn->usage->count > limits->connections_per_address) {
        return "this address has all the connections that one address may have";
    }
    if (conn->usage->count > FEW_CONNECTIONS &&
        listener->io->connection_count >=
            limits->connections - limits->connections / RESERVE_SHARE) {
        return "the last connections that the daemon may have are for callers with few";
    }
    return NULL;
}

/* NULL, or why the new connection is refused. */
static const char *check_limits(struct env_connection *conn)
{
    struct io_listener *listener = conn->listener;
    const char *problem;

    if (listener->io->connection_count >= listener->limits.connections) {
        return "the daemon has all the connections that it may have";
    }
    /* A process needs one more descriptor. What is open while it is looked at is of the reserve. */
    if (conn->fd > listener->fd_max - 1) {
        return "the daemon has no file descriptors left for connections";
    }
    if (listener->is_unix) {
        /* Who has too many connections is refused before more is found out about him: a flood must
         * cost its owner more than it costs us. */
        problem = check_usage(conn, peer_connect_uid(conn->fd));
        return problem != NULL || identify(conn) ? problem : "the caller can't be identified";
    }
    return identify(conn) ? check_usage(conn, conn->peer.facts.uid) : "TLS is not available";
}

bool conn_has_unread(const struct env_connection *conn)
{
    int size = 0;

    return ioctl(conn->fd, FIONREAD, &size) == 0 && size > 0;
}

bool conn_drain(int fd)
{
    char bytes[4096];
    bool has_any = false;
    int rounds;

    for (rounds = 0; rounds < 4 && recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT) > 0; rounds++) {
        has_any = true;
    }
    return has_any;
}

void conn_tell(const struct io_listener *listener, struct io_refusals *refusals, const char *event,
               const char *why)
{
    uint64_t now_ms = env_now_ms(io_env(listener->io));
    char count[24];

    refusals->count++;
    if (refusals->quiet_until_ms != 0 && now_ms < refusals->quiet_until_ms) {
        return;
    }
    (void)snprintf(count, sizeof(count), "%llu",
                   (unsigned long long)(refusals->count - refusals->told_count));
    refusals->told_count = refusals->count;
    refusals->quiet_until_ms = now_ms + REFUSALS_QUIET_MS;
    log_event(LOG_LEVEL_WARN, event, "listener", listener->name, "detail", why, "count", count,
              NULL);
}

static void count_refusal(const struct io_listener *listener, const char *why)
{
    conn_tell(listener, &listener->io->refusals, "listener.clients.full", why);
}

static void refuse(struct env_connection *conn, const char *detail)
{
    struct io_listener *listener = conn->listener;
    bool may_wait = listener->refused_count < REFUSED_MAX;

    count_refusal(listener, detail);
    conn->is_refused = true;
    listener->refused_count++;
    conn_set_phase(conn, PHASE_ENDING);
    if (listener->tls != NULL) {
        /* What could be read in the clear is no answer there. */
        (void)shutdown(conn->fd, SHUT_RDWR);
        return;
    }
    reply_send_busy(conn->fd, detail);
    /* A client that hasn't written yet would get a broken pipe before it reads the answer: it has a
     * moment. */
    (void)shutdown(conn->fd, conn_drain(conn->fd) || !may_wait ? SHUT_RDWR : SHUT_WR);
}

static void conn_start(struct io_listener *listener, struct MHD_Connection *mhd, void **context)
{
    int fd = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
    struct env_connection *conn =
        mem_calloc(1, sizeof(*conn) + listener->limits.target_max_bytes + 1);
    const char *problem;

    listener->accepted_count++;
    *context = conn;
    if (conn == NULL) {
        count_refusal(listener, "the daemon is out of memory");
        if (listener->tls == NULL) {
            reply_send_busy(fd, "the daemon is out of memory");
        }
        (void)shutdown(fd, SHUT_RDWR);
        return;
    }
    conn->magic = CONNECTION_MAGIC;
    conn->listener = listener;
    conn->mhd = mhd;
    conn->fd = fd;
    conn->peer.process_fd = -1;
    conn->target_max_bytes = listener->limits.target_max_bytes;
    list_init(&conn->watches);
    buf_init(&conn->body, listener->limits.body_max_bytes);
    problem = check_limits(conn);
    if (problem != NULL) {
        refuse(conn, problem);
        return;
    }
    listener->connection_count++;
    listener->io->connection_count++;
    conn_set_phase(conn, PHASE_HEAD);
    if (listener->is_unix) {
        (void)unit_begin(conn);
    }
}

static void run_watches(struct env_connection *conn)
{
    struct list *node;

    while ((node = list_pop_front(&conn->watches)) != NULL) {
        struct env_connection_watch *watch = LIST_ENTRY(node, struct env_connection_watch, node);

        watch->fn(watch); /* the watch may be gone */
    }
}

static void conn_free(struct env_connection *conn)
{
    buf_fini(&conn->body);
    stream_free(conn);
    tls_unref(conn->tls);
    mem_free(conn);
}

static void on_poll_closed(uv_handle_t *handle)
{
    struct env_connection *conn = OBJ_CAST(handle->data, struct env_connection, CONNECTION_MAGIC);
    struct io_listener *listener = conn->listener;

    conn_free(conn);
    server_handle_closed(listener); /* the listener may be gone */
}

/* libmicrohttpd closes the descriptor right after this returns, so nothing of ours may hang on it
 * any more. */
static void conn_end(struct env_connection *conn)
{
    struct io_listener *listener = conn->listener;

    if (conn->is_unit) {
        unit_end(conn);
    }
    CHECK(conn->state == REQUEST_NONE);
    conn->mhd = NULL;
    list_remove(&conn->node);
    if (conn->is_refused) {
        listener->refused_count--;
    } else {
        listener->connection_count--;
        listener->io->stream_count -= conn->is_stream ? 1 : 0;
        listener->io->connection_count -= conn->is_stream ? 0 : 1;
    }
    usage_give_back(listener->io, conn->usage, conn->is_stream);
    peer_fini(&conn->peer);
    if (conn->has_poll) {
        uv_close((uv_handle_t *)&conn->poll, on_poll_closed);
    }
    run_watches(conn);
    if (!conn->has_poll) {
        conn_free(conn);
    }
}

void conn_notify(void *user, struct MHD_Connection *mhd, void **context,
                 enum MHD_ConnectionNotificationCode code)
{
    struct io_listener *listener = OBJ_CAST(user, struct io_listener, LISTENER_MAGIC);

    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        conn_start(listener, mhd, context);
    } else if (*context != NULL) {
        conn_end(OBJ_CAST(*context, struct env_connection, CONNECTION_MAGIC));
    }
}

/* True when nobody will read an answer: both directions are shut, or the socket is broken. */
static bool is_hung_up(const struct env_connection *conn)
{
    int events = poll_now(conn->fd, POLLRDHUP);

    if (events < 0 || (events & (POLLHUP | POLLERR | POLLNVAL)) != 0) {
        return true;
    }
    return !conn->listener->is_unix && (events & POLLRDHUP) != 0;
}

static void on_disconnect(uv_poll_t *handle, int status, int events)
{
    struct env_connection *conn = OBJ_CAST(handle->data, struct env_connection, CONNECTION_MAGIC);

    (void)events;
    if (status < 0 || is_hung_up(conn)) {
        conn_lose(conn);
        return;
    }
    /* Half-closed. That event would come again and again; hang-up comes whatever is asked for, and
     * priority data don't exist on unix sockets. */
    if (uv_poll_start(&conn->poll, UV_PRIORITIZED, on_disconnect) != 0) {
        conn_lose(conn);
    }
}

int conn_suspend(struct env_connection *conn)
{
    CHECK(!conn->is_suspended);
    if (!conn->has_poll) {
        if (uv_poll_init(io_uv(conn->listener->io), &conn->poll, conn->fd) != 0) {
            return ERR_UNAVAILABLE;
        }
        conn->poll.data = conn;
        conn->has_poll = true;
        conn->listener->handle_count++;
    }
    if (uv_poll_start(&conn->poll, UV_DISCONNECT, on_disconnect) != 0) {
        return ERR_UNAVAILABLE;
    }
    MHD_suspend_connection(conn->mhd);
    conn->is_suspended = true;
    return 0;
}

void conn_resume(struct env_connection *conn)
{
    if (!conn->is_suspended) {
        return;
    }
    conn->is_suspended = false;
    (void)uv_poll_stop(&conn->poll);
    MHD_resume_connection(conn->mhd);
    server_kick(conn->listener);
}

void conn_lose(struct env_connection *conn)
{
    conn->is_lost = true;
    conn_set_phase(conn, PHASE_ENDING);
    conn_resume(conn);
    request_finish(conn, false);
}

void conn_watch(struct env_connection *conn, struct env_connection_watch *watch)
{
    CHECK(conn->mhd != NULL);
    list_push_back(&conn->watches, &watch->node);
}

int io_request_pidfd(const struct env_request *request)
{
    return request->connection->peer.process_fd;
}
