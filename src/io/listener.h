/* Listening sockets and the HTTP server behind them (libmicrohttpd on our loop). */
#ifndef LEASED_IO_LISTENER_H
#define LEASED_IO_LISTENER_H

#include "env/server.h"
#include "io/io.h"

struct io_listener;

/* In all, and of one caller: a user, or an address where users are unknown. */
#define IO_LARGE_BODIES_MAX 8U
#define IO_LARGE_BODIES_PER_CALLER_MAX 2U

/* 0 in a limit: the default in brackets. Connections are counted over all listeners together, those
 * that are retired too: the total and its callers' are limits of the process, which each listener
 * holds to. */
struct io_listener_limits {
    uint32_t connections;             /* [1024] in all */
    uint32_t connections_per_uid;     /* [256] */
    uint32_t connections_per_address; /* [256] of callers who have no uid; IPv6: of a /64 */
    /* Connections that carry a stream (env/server.h) are counted by these two alone. */
    uint32_t streams;            /* [256] in all */
    uint32_t streams_per_caller; /* [64] of one uid, or one address */
    size_t head_max_bytes;       /* [8 KiB] request line and headers */
    uint32_t headers_max;        /* [32] at most ENV_REQUEST_HEADERS_MAX */
    size_t target_max_bytes;     /* [1 KiB] */
    size_t body_max_bytes;       /* [64 KiB] */
    /* Below this path a body may be larger, but only IO_LARGE_BODIES_MAX at once, a few of them of
     * one caller; static; NULL: nowhere. */
    const char *large_path;
    size_t large_body_max_bytes; /* [8 MiB] */
    /* [5 s] from accept, on a kept connection from the end of the request line, to the end of the
     * headers. The bytes of a later request line run on the idle time. */
    uint64_t head_timeout_ms;
    uint64_t body_timeout_ms;  /* [10 s] */
    uint64_t idle_timeout_ms;  /* [60 s] between requests */
    uint64_t write_timeout_ms; /* [10 s] to take an answer */
};

/* Paths of PEM files; all three are needed. */
struct io_listener_tls {
    const char *cert_file; /* ours, with its chain */
    const char *key_file;  /* read as a secret: nobody else may read it */
    const char *client_ca_file;
};

struct io_listener_options {
    const char *name;
    /* Exactly one of the two. */
    const char *unix_path; /* at most 107 bytes */
    const char *tcp;       /* "127.0.0.1:9911" */
    /* TCP beyond loopback needs one of the two. */
    const struct io_listener_tls *tls; /* NULL: plain. Borrowed until the call returns */
    bool is_for_anyone; /* callers from elsewhere stay unknown: for what needs no identity */
    /* Unix socket; each works alone. */
    uint32_t mode;      /* 0: 0600, or 0660 when a group is given */
    const char *user;   /* NULL: the daemon's */
    const char *group;  /* NULL: the daemon's */
    bool takes_foreign; /* callers in other pid namespaces are known by uid and groups */
    /* Not NULL: serves on this one's socket, beside it, until one of the two is retired; path,
     * mode, user and group don't count then. So settings change without a client noticing. */
    struct io_listener *predecessor;
    struct io_listener_limits limits;
    env_request_fn handler; /* called with `handler_user` for each request */
    void *handler_user;
};

/* Binds and serves. For a unix path: its directory is made (0755 minus what mode denies: 0750
 * unless others may connect) if missing and refused if a stranger could write to it (for foreign
 * callers those above it may be open to others, as a pod's volume is); a socket file
 * is removed only if it is a socket, ours, and nobody answers; bound under umask 0177 and only then
 * given its mode, user and group. Errors name the path and what to do: ERR_EXISTS when another
 * daemon answers there, ERR_INVALID, ERR_DENIED. */
int io_listener_open(struct io *io, const struct io_listener_options *options,
                     struct io_listener **ret_listener, struct err *e) ATTR_MUST_USE;

/* Would a listener start with these files, and is its certificate in its time? Without a loop, and
 * whoever owns the files: the daemon may be another user's. ERR_* as for io_listener_open; a
 * negated errno when a file can't be opened. */
int io_listener_check_tls(const struct io_listener_tls *tls, struct err *e) ATTR_MUST_USE;

/* No new connections or requests; those under way go on. The socket file is removed. */
void io_listener_quiesce(struct io_listener *listener);

/* The same where somebody else goes on with the socket: who has connected already, or has sent a
 * request, is served, and hears that the connection ends with the answer. Idle connections over
 * unix sockets end in a way that a client sees before it has sent its next request, or at the
 * latest when it does; those over TCP have 100 ms for one more request before they end. */
void io_listener_wind_down(struct io_listener *listener);

/* New limits and TLS files for a listener that stays open, of which nothing counts before
 * io_listener_apply: reads the files. What was made ready before is gone. ERR_LIMIT: it wasn't
 * opened for that much (connections, head_max_bytes), or for TLS, and takes a successor; else the
 * errors of io_listener_open. */
int io_listener_prepare(struct io_listener *listener, const struct io_listener_tls *tls,
                        const struct io_listener_limits *limits, struct err *e) ATTR_MUST_USE;

/* Does what was made ready bring other certificates, another key or another CA? */
bool io_listener_has_new_tls(const struct io_listener *listener);

/* What was made ready counts from now on. Open connections stay: the new limits are theirs too, but
 * that of the target; the new certificate is for new ones, and who has shown one that the new CA
 * wouldn't let in is CHANGED (env/server.h) with its next request. Fine without. */
void io_listener_apply(struct io_listener *listener);

/* Forgets what was made ready. */
void io_listener_discard(struct io_listener *listener);

/* No new connections. Those that are open get their answers, the last with its next one, but those
 * that are watched (env_connection_watch) until their clients end them; who sends nothing runs into
 * the idle timeout. Then it should be closed. The socket goes on with `successor`, or is closed and
 * its file removed when that is NULL. */
void io_listener_retire(struct io_listener *listener, struct io_listener *successor);

/* Whom the CA of `other` wouldn't let in is no longer known here either. Fine without TLS. */
void io_listener_follow(struct io_listener *listener, const struct io_listener *other);

/* Cuts the connections that nobody watches. Returns how many are watched. */
uint32_t io_listener_shed(struct io_listener *listener);

/* Ends everything: open requests finish undelivered, connection watches run; then `closed` runs
 * from the loop and the listener is freed. */
void io_listener_close(struct io_listener *listener, void (*closed)(void *user), void *user);

/* Connections open now. */
uint32_t io_listener_connection_count(const struct io_listener *listener);

/* The port bound, for `tcp: 127.0.0.1:0`; 0 for unix. */
uint16_t io_listener_port(const struct io_listener *listener);

#endif
