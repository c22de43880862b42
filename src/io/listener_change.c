/* A listener that changes while it is open.
 *
 * Happy path: io_listener_prepare reads what could be wrong, the files of TLS → io_listener_apply
 * exchanges limits and TLS in place, where nothing can fail: connections stay open, and grants that
 * are bound to them live on. What it wasn't opened for, such as larger heads, for which
 * libmicrohttpd has set memory aside, takes another listener on the same socket. Then this one is
 * retired: the other one accepts, and the connections are served on here until they end. */
#include "io/server_internal.h"

#include <sys/socket.h>

/* `tls` is taken. */
static void tls_exchange(struct io_listener *listener, struct tls *tls)
{
    if (!tls_has_same_ca(listener->tls, tls)) {
        listener->ca_changes++;
    }
    tls_unref(listener->tls);
    listener->tls = tls;
}

int io_listener_prepare(struct io_listener *listener, const struct io_listener_tls *tls,
                        const struct io_listener_limits *limits, struct err *e)
{
    struct io_listener_limits next = listener_limits(listener->io, limits);
    int rc;

    io_listener_discard(listener);
    if ((tls != NULL) != (listener->tls != NULL) || next.connections > listener->room.connections ||
        next.streams > listener->room.streams ||
        next.head_max_bytes > listener->room.head_max_bytes ||
        next.headers_max > listener->room.headers_max) {
        return ERR_LIMIT;
    }
    if (tls != NULL) {
        rc = tls_new(tls, false, &listener->next_tls, e);
        if (rc != 0) {
            return rc;
        }
        if (tls_is_same(listener->tls, listener->next_tls)) {
            tls_unref(listener->next_tls);
            listener->next_tls = NULL;
        }
    }
    listener->next_limits = next;
    listener->has_next = true;
    return 0;
}

bool io_listener_has_new_tls(const struct io_listener *listener)
{
    return listener->next_tls != NULL;
}

void io_listener_apply(struct io_listener *listener)
{
    if (!listener->has_next) {
        return;
    }
    listener->has_next = false;
    listener->limits = listener->next_limits;
    server_set_timeouts(listener);
    if (listener->next_tls != NULL) {
        tls_exchange(listener, listener->next_tls);
        listener->next_tls = NULL;
    }
}

void io_listener_discard(struct io_listener *listener)
{
    tls_unref(listener->next_tls);
    listener->next_tls = NULL;
    listener->has_next = false;
}

void io_listener_retire(struct io_listener *listener, struct io_listener *successor)
{
    if (listener->is_quiesced || listener->is_retired) {
        return;
    }
    listener->is_retired = true;
    if (successor != NULL) {
        successor->file = listener->file;
        listener->file.dir_fd = -1;
    } else {
        socket_file_remove(&listener->file);
    }
    server_quiesce(listener);
}

void io_listener_follow(struct io_listener *listener, const struct io_listener *other)
{
    if (listener->tls != NULL && other->tls != NULL) {
        tls_exchange(listener, tls_ref(other->tls));
    }
}

uint32_t io_listener_shed(struct io_listener *listener)
{
    uint32_t watched_count = 0;
    size_t phase;

    for (phase = 0; phase < PHASE_COUNT; phase++) {
        struct list *node;
        struct list *following;

        LIST_EACH (&listener->phases[phase], node, following) {
            struct env_connection *conn = LIST_ENTRY(node, struct env_connection, node);

            if (!list_is_empty(&conn->watches)) {
                watched_count++;
            } else {
                (void)shutdown(conn->fd, SHUT_RDWR);
            }
        }
    }
    return watched_count;
}
