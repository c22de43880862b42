/* HTTP exchanges with issuers: one request, one bounded reply.
 *
 * Policy that every implementation keeps: no redirects are followed, no proxy and no credentials
 * come from the environment, TLS >= 1.2 with verification that can't be switched off, plain http to
 * loopback and unix sockets only, nothing is decompressed, and names are resolved without blocking
 * the loop. */
#ifndef LEASED_ENV_HTTP_H
#define LEASED_ENV_HTTP_H

#include "env/env.h"

#define ENV_HTTP_HEADERS_MAX 64
#define ENV_HTTP_REPLY_MAX_BYTES (256U * 1024U)
#define ENV_HTTP_REPLY_HARD_MAX_BYTES (1024U * 1024U)

struct env_http_header {
    struct str name;
    struct str value;
};

enum env_http_flags {
    /* The call creates something: it goes out on a connection of its own and is never sent a second
     * time, because a resent request whose answer was lost would create twice. */
    ENV_HTTP_CREATES = 1,
    /* With CREATES: it may be executed twice, because whatever the first one made ends with the
     * second or soon by itself. It goes out on a connection that is kept, though on one that nobody
     * shares (HTTP/1.1). */
    ENV_HTTP_REPEATABLE = 2,
    /* Only the connection is made (and TLS begun, with https): nothing is sent, so plain http may
     * name any host, and success comes with a reply of status 0. */
    ENV_HTTP_CONNECT_ONLY = 4,
    /* Plain http may go to the machine's metadata service: a link-local address (169.254.0.0/16,
     * fd00:ec2::254), or metadata.google.internal. */
    ENV_HTTP_METADATA = 8,
};

/* TLS of one backend; borrowed until the callback. Empty paths: the system's trust store, no client
 * certificate. */
struct env_http_tls {
    const char *ca_file;
    const char *cert_file;
    const char *key_file;
    const char *server_name; /* NULL: the URL's host */
};

struct env_http_reply {
    uint32_t status;                                      /* HTTP status; 0 when no reply came */
    struct env_http_header headers[ENV_HTTP_HEADERS_MAX]; /* names in lower case */
    size_t header_count;
    struct str body;
};

/* One exchange, embedded in its owner. Everything that it points to is borrowed until the callback.
 */
struct env_http {
    /* Set by the caller. */
    const char *method;
    const char *url;         /* http://, https:// ; with unix_socket: http://localhost/… */
    const char *unix_socket; /* NULL: TCP */
    const char *proxy;       /* NULL: none */
    const struct env_http_header *headers;
    size_t header_count;
    struct str body;                /* empty: none */
    const struct env_http_tls *tls; /* NULL: defaults */
    uint64_t timeout_ms;            /* total; > 0 */
    uint64_t connect_timeout_ms;    /* 0: 5 s */
    size_t reply_max_bytes;         /* 0: ENV_HTTP_REPLY_MAX_BYTES */
    uint32_t flags;
    /* `status` is 0 (then `reply` holds the answer, whatever its HTTP status), or one of these:
     *
     * Nothing was sent: ERR_CONNECT (refused, no route, unknown name, connect time-out), ERR_TLS
     * (verification or handshake failed), ERR_TIMEOUT (the time was up before), ERR_NOMEM.
     *
     * The request may have been executed: ERR_LOST (its answer didn't arrive whole: reset, time-out
     * after sending, trickling, truncated), ERR_TOO_LARGE (the reply passed its limit),
     * ERR_PROTOCOL (the reply wasn't HTTP, or encoded), ERR_CANCELED (env_http_cancel, or
     * shutdown).
     *
     * `reply` is borrowed until the callback returns; on an error it is zeroed and `detail`, a text
     * without secrets, says more. */
    void (*fn)(struct env_http *http, int status, const struct env_http_reply *reply,
               const char *detail);
    void *user;
    /* The implementation's. */
    void *impl;
};

/* Starts the exchange. ERR_INVALID with a text for a bad URL, a header value with control bytes, or
 * plain http to another host; ERR_LIMIT when too many exchanges run. */
static inline int env_http_start(struct env *env, struct env_http *http, struct err *e)
{
    return env->ops->http_start(env, http, e);
}

/* Asks to end it early; the callback still runs. */
static inline void env_http_cancel(struct env *env, struct env_http *http)
{
    env->ops->http_cancel(env, http);
}

/* The value of a reply's header (`name` in lower case), or the empty slice. */
struct str env_http_reply_header(const struct env_http_reply *reply, const char *name);

#endif
