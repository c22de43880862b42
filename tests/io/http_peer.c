#include "io/http_peer.h"

#include "base/check.h"
#include "io/loop_fixture.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <openssl/ssl.h>

#define PEER_CONNECTIONS_MAX 128U

struct peer_thread {
    struct peer_conn conn;
    pthread_t thread;
};

struct peer {
    struct peer_options options;
    int listener;
    uint16_t port;
    pthread_t acceptor;
    pthread_mutex_t lock; /* for what follows */
    struct peer_thread threads[PEER_CONNECTIONS_MAX];
    unsigned connection_count;
    unsigned request_count;
    char last_request[PEER_REQUEST_MAX_BYTES];
    bool is_ending;
};

static ssize_t conn_read(struct peer_conn *conn, void *bytes, size_t size)
{
    if (conn->tls != NULL) {
        return SSL_read(conn->tls, bytes, (int)size);
    }
    return recv(conn->fd, bytes, size, 0);
}

bool peer_write_bytes(struct peer_conn *conn, const void *bytes, size_t size)
{
    const char *at = bytes;

    while (size > 0) {
        ssize_t done = conn->tls != NULL ? SSL_write(conn->tls, at, (int)size)
                                         : send(conn->fd, at, size, MSG_NOSIGNAL);

        if (done <= 0) {
            return false;
        }
        at += done;
        size -= (size_t)done;
    }
    return true;
}

bool peer_write(struct peer_conn *conn, const char *text)
{
    return peer_write_bytes(conn, text, strlen(text));
}

bool peer_reply(struct peer_conn *conn, unsigned status, const char *body)
{
    char head[256];

    (void)snprintf(head, sizeof(head),
                   "HTTP/1.1 %u Whatever\r\nContent-Type: application/json\r\n"
                   "Content-Length: %zu\r\n\r\n",
                   status, strlen(body));
    return peer_write(conn, head) && peer_write(conn, body);
}

static size_t content_length(const char *head)
{
    const char *at = strcasestr(head, "\r\ncontent-length:");

    return at != NULL ? strtoul(at + strlen("\r\ncontent-length:"), NULL, 10) : 0;
}

bool peer_read_request(struct peer_conn *conn)
{
    char text[PEER_REQUEST_MAX_BYTES];
    size_t len = 0;
    const char *end = NULL;

    for (;;) {
        ssize_t got;

        text[len] = '\0';
        end = strstr(text, "\r\n\r\n");
        if (end != NULL && len >= (size_t)(end + 4 - text) + content_length(text)) {
            break;
        }
        if (len + 1 >= sizeof(text)) {
            return false;
        }
        got = conn_read(conn, text + len, sizeof(text) - len - 1);
        if (got <= 0) {
            return false;
        }
        len += (size_t)got;
    }
    (void)pthread_mutex_lock(&conn->peer->lock);
    conn->peer->request_count++;
    memcpy(conn->peer->last_request, text, len + 1);
    (void)pthread_mutex_unlock(&conn->peer->lock);
    return true;
}

void peer_wait_for_end(struct peer_conn *conn)
{
    char sink[4096];

    while (conn_read(conn, sink, sizeof(sink)) > 0) {
    }
}

void peer_reset(struct peer_conn *conn)
{
    const struct linger now = {.l_onoff = 1, .l_linger = 0};

    (void)setsockopt(conn->fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
}

void peer_script_ok(struct peer_conn *conn)
{
    while (peer_read_request(conn) && peer_reply(conn, 200, "ok")) {
    }
}

static void *run_connection(void *user)
{
    struct peer_conn *conn = user;
    struct peer *peer = conn->peer;
    bool is_ready = true;

    if (peer->options.tls != NULL) {
        conn->tls = SSL_new(peer->options.tls);
        is_ready =
            conn->tls != NULL && SSL_set_fd(conn->tls, conn->fd) == 1 && SSL_accept(conn->tls) == 1;
    }
    if (is_ready) {
        peer->options.script(conn);
    }
    if (conn->tls != NULL) {
        (void)SSL_shutdown(conn->tls);
        SSL_free(conn->tls);
        conn->tls = NULL;
    }
    OPENSSL_thread_stop();
    (void)pthread_mutex_lock(&peer->lock);
    (void)close(conn->fd);
    conn->fd = -1;
    (void)pthread_mutex_unlock(&peer->lock);
    return NULL;
}

static void *run_acceptor(void *user)
{
    struct peer *peer = user;

    for (;;) {
        int fd = accept4(peer->listener, NULL, NULL, SOCK_CLOEXEC);
        const int on = 1;
        struct peer_thread *thread;

        /* What is written in parts arrives at once, too. */
        if (fd >= 0 && peer->options.unix_path == NULL) {
            (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
        }
        (void)pthread_mutex_lock(&peer->lock);
        if (fd < 0 || peer->is_ending || peer->connection_count == PEER_CONNECTIONS_MAX) {
            (void)pthread_mutex_unlock(&peer->lock);
            if (fd >= 0) {
                (void)close(fd);
            }
            return NULL;
        }
        thread = &peer->threads[peer->connection_count++];
        thread->conn = (struct peer_conn){
            .peer = peer, .number = peer->connection_count, .fd = fd, .user = peer->options.user};
        if (pthread_create(&thread->thread, NULL, run_connection, &thread->conn) != 0) {
            abort();
        }
        (void)pthread_mutex_unlock(&peer->lock);
    }
}

static int listen_unix(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    (void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    return fd;
}

static int listen_tcp(uint16_t *ret_port)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t size = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
    *ret_port = ntohs(address.sin_port);
    return fd;
}

struct peer *peer_new(const struct peer_options *options)
{
    struct peer *peer = calloc(1, sizeof(*peer));

    assert_non_null(peer);
    peer->options = *options;
    assert_int_equal(pthread_mutex_init(&peer->lock, NULL), 0);
    peer->listener =
        options->unix_path != NULL ? listen_unix(options->unix_path) : listen_tcp(&peer->port);
    assert_int_equal(listen(peer->listener, 64), 0);
    assert_int_equal(pthread_create(&peer->acceptor, NULL, run_acceptor, peer), 0);
    return peer;
}

void peer_free(struct peer *peer)
{
    (void)pthread_mutex_lock(&peer->lock);
    peer->is_ending = true;
    (void)pthread_mutex_unlock(&peer->lock);
    (void)shutdown(peer->listener, SHUT_RDWR);
    (void)pthread_join(peer->acceptor, NULL);
    (void)close(peer->listener);
    for (unsigned i = 0; i < peer->connection_count; i++) {
        (void)pthread_mutex_lock(&peer->lock);
        if (peer->threads[i].conn.fd >= 0) {
            (void)shutdown(peer->threads[i].conn.fd, SHUT_RDWR);
        }
        (void)pthread_mutex_unlock(&peer->lock);
        (void)pthread_join(peer->threads[i].thread, NULL);
    }
    (void)pthread_mutex_destroy(&peer->lock);
    free(peer);
}

uint16_t peer_port(const struct peer *peer)
{
    return peer->port;
}

const char *peer_url(const struct peer *peer, const char *path, char out[256])
{
    (void)snprintf(out, 256, "%s://127.0.0.1:%u%s", peer->options.tls != NULL ? "https" : "http",
                   (unsigned)peer->port, path);
    return out;
}

unsigned peer_connection_count(struct peer *peer)
{
    unsigned count;

    (void)pthread_mutex_lock(&peer->lock);
    count = peer->connection_count;
    (void)pthread_mutex_unlock(&peer->lock);
    return count;
}

unsigned peer_request_count(struct peer *peer)
{
    unsigned count;

    (void)pthread_mutex_lock(&peer->lock);
    count = peer->request_count;
    (void)pthread_mutex_unlock(&peer->lock);
    return count;
}

void peer_last_request(struct peer *peer, char out[PEER_REQUEST_MAX_BYTES])
{
    (void)pthread_mutex_lock(&peer->lock);
    memcpy(out, peer->last_request, PEER_REQUEST_MAX_BYTES);
    (void)pthread_mutex_unlock(&peer->lock);
}
