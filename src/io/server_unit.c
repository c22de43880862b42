/* A service manager that asks for one of a unit's credentials (LoadCredential=). It sends nothing:
 * what it wants stands in its socket's name, and what it reads up to the end is the credential.
 *
 * Happy path: accepted (server_conn.c) → its name is one (unit_peer.h) → in this turn, but outside
 * of libmicrohttpd, the handler gets a request without a path → its answer's body goes out as it is
 * → the socket is shut, libmicrohttpd notices and closes.
 *
 * Failure paths: an answer that isn't 200 just ends the connection: there is nobody to read an
 * error, and an empty credential is none. One that the socket doesn't take at once is undelivered.
 * Who sends something is no service manager, and loses its connection. */
#include "io/server_internal.h"

#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

static void unit_shut(struct env_connection *conn)
{
    conn_set_phase(conn, PHASE_ENDING);
    (void)shutdown(conn->fd, SHUT_RDWR);
}

static void step(struct env_deferred *deferred)
{
    struct env_connection *conn = CONTAINER_OF(deferred, struct env_connection, unit_step);
    struct io_listener *listener = conn->listener;

    CHECK(conn->magic == CONNECTION_MAGIC);
    if (conn->state == REQUEST_READING) {
        conn->state = REQUEST_PENDING;
        conn_set_phase(conn, PHASE_PENDING);
        listener->handler(listener->user, &conn->request);
        return;
    }
    CHECK(conn->state == REQUEST_ANSWERED);
    unit_shut(conn);
    request_finish(conn, conn->is_unit_told);
}

static void on_reply(struct env_request *request, const struct env_reply *reply)
{
    struct env_connection *conn = CONTAINER_OF(request, struct env_connection, request);

    CHECK(conn->magic == CONNECTION_MAGIC);
    CHECK(conn->state == REQUEST_PENDING);
    conn->is_unit_told =
        reply->status == 200 && send(conn->fd, reply->body.ptr, reply->body.len,
                                     MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)reply->body.len;
    conn->state = REQUEST_ANSWERED;
    env_defer(io_env(conn->listener->io), &conn->unit_step);
}

static void on_watch(struct env_connection *conn, struct env_connection_watch *watch)
{
    conn_watch(conn, watch);
}

static const struct env_request_ops unit_ops = {.reply = on_reply, .connection_watch = on_watch};

bool unit_begin(struct env_connection *conn)
{
    struct sockaddr_un address = {.sun_family = AF_UNSPEC};
    socklen_t size = sizeof(address);
    struct unit_peer peer;
    struct str name = {.ptr = conn->unit_name, .len = 0};

    if (getpeername(conn->fd, (struct sockaddr *)&address, &size) != 0 ||
        size <= offsetof(struct sockaddr_un, sun_path) || size > sizeof(address)) {
        return false;
    }
    name.len = size - offsetof(struct sockaddr_un, sun_path);
    memcpy(conn->unit_name, address.sun_path, name.len);
    if (unit_peer_parse(name, &peer) != 0) {
        return false;
    }
    conn->is_unit = true;
    conn->state = REQUEST_READING;
    conn->request.listener = conn->listener->name;
    conn->request.peer = &conn->peer.facts;
    conn->request.connection = conn;
    conn->request.ops = &unit_ops;
    conn->request.unit = peer.unit;
    conn->request.credential = peer.id;
    conn->unit_step.fn = step;
    env_defer(io_env(conn->listener->io), &conn->unit_step);
    return true;
}

void unit_end(struct env_connection *conn)
{
    env_undefer(&conn->unit_step);
    request_finish(conn, conn->state == REQUEST_ANSWERED && conn->is_unit_told);
}
