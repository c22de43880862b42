/* A scripted HTTP server: listens on loopback (any port) or a unix socket, and runs the same
 * script, on a thread of its own, for each connection. The script reads requests and writes exactly
 * the bytes that the test wants. */
#ifndef LEASED_TESTS_IO_HTTP_PEER_H
#define LEASED_TESTS_IO_HTTP_PEER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <openssl/types.h>

#define PEER_REQUEST_MAX_BYTES 16384U

struct peer;

/* One connection, on its thread. */
struct peer_conn {
    struct peer *peer;
    unsigned number; /* 1 for the first connection */
    int fd;
    SSL *tls; /* NULL: plain */
    void *user;
};

typedef void (*peer_script_fn)(struct peer_conn *conn);

struct peer_options {
    peer_script_fn script;
    void *user;
    SSL_CTX *tls;          /* NULL: plain */
    const char *unix_path; /* NULL: TCP */
};

/* Fails the running test when it can't. */
struct peer *peer_new(const struct peer_options *options);
/* Breaks what is open and joins the threads. */
void peer_free(struct peer *peer);

uint16_t peer_port(const struct peer *peer);
/* "http://127.0.0.1:PORT/…" or https. Returns `out`. */
const char *peer_url(const struct peer *peer, const char *path, char out[256]);

/* Connections accepted, requests read whole, so far. */
unsigned peer_connection_count(struct peer *peer);
unsigned peer_request_count(struct peer *peer);
/* The last request, head and body, copied to `out`. */
void peer_last_request(struct peer *peer, char out[PEER_REQUEST_MAX_BYTES]);

/* For scripts. Reads one request with its body; false at the end of the connection. */
bool peer_read_request(struct peer_conn *conn);
/* False when the other side has gone. */
bool peer_write(struct peer_conn *conn, const char *text);
bool peer_write_bytes(struct peer_conn *conn, const void *bytes, size_t size);
/* A whole reply with Content-Length. */
bool peer_reply(struct peer_conn *conn, unsigned status, const char *body);
/* Waits until the other side closes (or peer_free). */
void peer_wait_for_end(struct peer_conn *conn);
/* The connection ends with a reset instead of an orderly close. */
void peer_reset(struct peer_conn *conn);

/* The plainest script: answers each request with 200 and "ok". */
void peer_script_ok(struct peer_conn *conn);

#endif
