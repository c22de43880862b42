/* Requests that arrive: parsed and bounded by the HTTP server library in io/, made by hand in the
 * simulator. The server hands each whole request to one handler, which answers now or later.
 *
 * Life of a request: handler(request) → … → env_request_reply → finished(true). When the client
 * goes away before that, finished(false) runs instead, once, before or after the reply; from then
 * on the request is dead and must not be answered any more. Instead of one reply there may be a
 * stream: env_stream_begin → env_stream_write … → env_stream_end → finished(true). */
#ifndef LEASED_ENV_SERVER_H
#define LEASED_ENV_SERVER_H

#include "env/env.h"

#include "base/err.h"
#include "base/secret.h"

#define ENV_PEER_GROUPS_MAX ENV_GROUPS_MAX
#define ENV_PEER_CGROUP_MAX_BYTES 512
#define ENV_PEER_SAN_MAX_BYTES 256  /* of one name in a certificate, with the NUL */
#define ENV_PEER_SANS_MAX_BYTES 512 /* of all that count */
#define ENV_REQUEST_HEADERS_MAX 64

/* By what the caller is known, which depends on how it has connected. */
enum env_peer_kind {
    ENV_PEER_UNIX,     /* a process: uid, groups, pid and what hangs on it */
    ENV_PEER_LOOPBACK, /* the owner of a socket on this machine: uid only */
    ENV_PEER_TLS,      /* whoever holds the key of a client's certificate: its names only */
    ENV_PEER_SELF,     /* this daemon: never of a connection */
    ENV_PEER_FOREIGN,  /* a process on a listener that takes those of other pid namespaces: uid and
                          groups; the rest only where it is in sight */
};

enum env_peer_state {
    ENV_PEER_OK,
    ENV_PEER_UNKNOWN, /* pid 0, overflow uid, a look-up that failed: deny; `problem` says which */
    ENV_PEER_GONE,    /* the process has ended, or its socket is closed: deny and close */
    ENV_PEER_CHANGED, /* the facts no longer agree with those of connect time: deny and close */
};

/* Who is at the other end, established at accept by the kernel and checked again for each request.
 */
struct env_peer {
    enum env_peer_kind kind;
    enum env_peer_state state;
    const char *problem; /* static text; NULL when OK */
    uint32_t uid;        /* ENV_NO_ID: unknown */
    /* ENV_PEER_TLS only: the certificate's URIs and DNS names, separated by blanks; NULL: unknown.
     */
    const char *sans;
    /* ENV_PEER_UNIX and ENV_PEER_FOREIGN only, from here on. */
    uint32_t gid;
    uint32_t groups[ENV_PEER_GROUPS_MAX]; /* supplementary */
    size_t group_count;
    int32_t pid; /* 0: unknown */
    uint64_t start_ticks;
    uint64_t process_id; /* of a process without a pid here: given to no other in this boot. 0:
                            unknown */
    char cgroup[ENV_PEER_CGROUP_MAX_BYTES]; /* path in the unified (else systemd's) hierarchy, "/"
                                               if none */
    bool is_other_pid_namespace;            /* it runs in a pid namespace that isn't ours */
};

struct env_connection;

struct env_request_header {
    struct str name;
    struct str value;
};

struct env_request {
    const char *listener;              /* name of the listener that it came in by */
    const struct env_peer *peer;       /* fresh for this request */
    struct env_connection *connection; /* identity of the connection; see env_connection_watch */
    struct str method;                 /* GET, POST, DELETE, … as sent */
    struct str path;                   /* raw, origin form, without the query; no decoding done */
    struct str query;                  /* raw, without '?' */
    struct env_request_header headers[ENV_REQUEST_HEADERS_MAX];
    size_t header_count;
    struct str body;
    /* A service manager's instead of HTTP (ptr NULL: none): it wants the credential of this id for
     * this unit, and gets what the answer has as its body; method and path are empty. Whether it
     * may ask for the unit is the handler's to judge. */
    struct str unit;
    struct str credential;
    /* Set by the handler while it keeps the request: runs once if the client has gone before the
     * reply was written whole, with `delivered` false; or once after the last byte was handed to
     * the kernel, with true. After it has run the request is dead. NULL: not interested. */
    void (*finished)(struct env_request *request, bool delivered);
    void *user;
    const struct env_request_ops *ops; /* the implementation's */
};

struct env_reply {
    uint32_t status;
    const char *content_type;             /* copied */
    struct env_request_header headers[8]; /* copied */
    size_t header_count;
    struct str body; /* copied (and wiped when sent) */
    bool close;      /* end the connection afterwards */
};

#define ENV_STREAM_QUEUE_MAX_BYTES (64U * 1024U) /* that its client hasn't taken */
#define ENV_STREAM_IDLE_MS 15000U

/* An answer that goes on: status 200 at once, then whatever is written, until it is ended. The
 * connection ends with it. */
struct env_stream {
    const char *content_type; /* static */
    /* Static; sent when nothing was written for ENV_STREAM_IDLE_MS, so that both sides notice when
     * the other one has gone. */
    const char *idle;
    /* The client has taken all that was written; from the loop, and once at the beginning. NULL:
     * not interested. */
    void (*drained)(struct env_request *request);
};

/* Notice of a connection's end, for grants bound to it; embedded in its owner. */
struct env_connection_watch {
    void (*fn)(struct env_connection_watch *watch); /* runs once, when the connection has ended */
    void *user;
    struct list node;
};

/* An answer that is sent more than once. */
struct env_answer;

struct env_request_ops {
    void (*reply)(struct env_request *request, const struct env_reply *reply);
    void (*connection_watch)(struct env_connection *connection, struct env_connection_watch *watch);
    /* All three or none. */
    struct env_answer *(*answer_new)(const struct env_reply *reply);
    bool (*answer_send)(struct env_request *request, struct env_answer *answer);
    void (*answer_free)(struct env_answer *answer);
    /* All four or none. */
    int (*stream_begin)(struct env_request *request, const struct env_stream *stream);
    int (*stream_write)(struct env_request *request, struct str bytes);
    size_t (*stream_room)(const struct env_request *request);
    void (*stream_end)(struct env_request *request);
};

/* The handler is called from the loop, once per request; the request lives until `finished` has
 * run. */
typedef void (*env_request_fn)(void *user, struct env_request *request);

/* Answers; once per request, from inside the handler or later, unless `finished` has run. `reply`
 * is borrowed until the call returns. `finished` runs later, from the loop. A handler that does not
 * answer at once must set `finished`. */
static inline void env_request_reply(struct env_request *request, const struct env_reply *reply)
{
    request->ops->reply(request, reply);
}

/* Makes an answer of a reply that is likely to be given again; its body is kept in secret memory.
 * NULL: no room, or this implementation has no such thing. Freed by env_answer_free, also while it
 * is on its way. */
static inline struct env_answer *env_answer_new(const struct env_request *request,
                                                const struct env_reply *reply)
{
    return request->ops->answer_new != NULL ? request->ops->answer_new(reply) : NULL;
}

/* As env_request_reply, but only from inside the handler. False: nothing was sent, because this
 * connection is to end with its answer: use env_request_reply. */
static inline bool env_answer_send(struct env_request *request, struct env_answer *answer)
{
    return request->ops->answer_send(request, answer);
}

/* Begins an answer that goes on, instead of env_request_reply; `finished` is set. Of streams there
 * may be fewer than of connections, and they take no place from these. ERR_LIMIT: there are as many
 * as there may be, of all or of this caller; ERR_CLOSED: this connection is to end with its answer;
 * ERR_UNSUPPORTED; ERR_NOMEM. Then nothing was sent: use env_request_reply. */
static inline int env_stream_begin(struct env_request *request, const struct env_stream *stream)
{
    return request->ops->stream_begin != NULL ? request->ops->stream_begin(request, stream)
                                              : ERR_UNSUPPORTED;
}

/* Copies the bytes into the stream's queue; never waits. ERR_LIMIT: its client doesn't read, and
 * has left more than ENV_STREAM_QUEUE_MAX_BYTES; ERR_NOMEM. Then the client is dropped: `finished`
 * runs from the loop, and all that is written meanwhile is ERR_CLOSED. */
static inline int env_stream_write(struct env_request *request, struct str bytes)
{
    return request->ops->stream_write(request, bytes);
}

/* How many bytes may be written before its client has to take some. */
static inline size_t env_stream_room(const struct env_request *request)
{
    return request->ops->stream_room(request);
}

/* What is in the queue still goes out; then `finished` runs, from the loop. */
static inline void env_stream_end(struct env_request *request)
{
    request->ops->stream_end(request);
}

static inline void env_connection_watch(struct env_request *request,
                                        struct env_connection_watch *watch)
{
    request->ops->connection_watch(request->connection, watch);
}

/* Fine on a watch that isn't set or has run. */
static inline void env_connection_unwatch(struct env_connection_watch *watch)
{
    list_remove(&watch->node);
}

/* The value of a header (`name` in lower case; compared without case), or the empty slice with ptr
 * NULL. */
struct str env_request_header(const struct env_request *request, const char *name);

#endif
