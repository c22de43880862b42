/* What the files of the HTTP server share. One listener = one socket, one libmicrohttpd daemon on
 * our loop, and its connections.
 *
 *   listener.c        opens, quiesces and closes a listener
 *   listener_change.c changes an open one, and retires one that is replaced
 *   server.c          drives libmicrohttpd from the loop; deadlines of the connections' phases
 *   server_conn.c     a connection's life: limits, peer, watches, notice of a client that has gone
 *   server_request.c  a request's life: head, body, the handler
 *   server_head.c     which heads are refused
 *   server_host.c     which names for ourselves clients may use
 *   server_reply.c    answers
 *   server_stream.c   answers that go on */
#ifndef LEASED_IO_SERVER_INTERNAL_H
#define LEASED_IO_SERVER_INTERNAL_H

#include "base/buf.h"
#include "base/map.h"
#include "env/server.h"
#include "io/io_internal.h"
#include "io/listener.h"
#include "io/peer.h"
#include "io/socket.h"
#include "io/tls.h"
#include "wire/unit_peer.h"

#include <microhttpd.h>

#define LISTENER_MAGIC 0x6c69736eU   /* "lisn" */
#define CONNECTION_MAGIC 0x636f6e6eU /* "conn" */

/* Connections over a limit that are kept for a moment so that their clients can read the refusal.
 */
#define REFUSED_MAX 64U
#define ENDING_TIMEOUT_MS 1000U

/* A connection's phase says who has to act until when. Each phase is a list in the order of
 * deadlines. */
enum conn_phase {
    PHASE_HEAD,    /* the client sends the request's head */
    PHASE_BODY,    /* the client sends its body */
    PHASE_PENDING, /* the handler works on it: no deadline, it has its own */
    PHASE_WRITE,   /* the client takes the answer */
    PHASE_IDLE,    /* between requests */
    PHASE_STREAM,  /* a stream has nothing to send; its deadline is the next sign of life */
    PHASE_ENDING,  /* about to be closed: over a limit and told so, or its client has gone */
};
#define PHASE_COUNT (PHASE_ENDING + 1)

enum request_state {
    REQUEST_NONE,     /* between requests */
    REQUEST_READING,  /* its target is known, the rest arrives or has been refused */
    REQUEST_PENDING,  /* the handler has it */
    REQUEST_ANSWERED, /* the handler has answered, the answer isn't out yet */
};

/* What one caller has on all listeners, whatever has become of these: a user, or an address where
 * users are unknown. */
struct usage_key {
    uint32_t uid; /* ENV_NO_ID: counted by address */
    uint8_t address[16];
};

struct usage {
    struct map_entry entry;
    struct usage_key key;
    uint32_t count;        /* of connections, without the streams */
    uint32_t stream_count; /* connections that carry one */
    uint32_t large_count;  /* of these connections that are is_large */
};

/* An answer that goes on. Its connection counts as a stream instead of as a connection. */
struct conn_stream {
    struct buf queue; /* written and not sent */
    size_t taken;     /* so much of it libmicrohttpd has */
    const char *idle;
    void (*drained)(struct env_request *request);
    bool has_more; /* was written to since `drained` ran */
    bool is_ended;
    bool is_dropped; /* its client doesn't read: shut down */
};

struct io_listener {
    uint32_t magic;
    struct io *io;
    char *name;
    struct io_listener_limits limits; /* defaults filled in */
    struct io_listener_limits room;   /* those that it was opened with */
    /* io_listener_prepare's. */
    struct io_listener_limits next_limits;
    struct tls *next_tls;
    bool has_next;
    env_request_fn handler;
    void *user;

    int socket_fd; /* -1 once quiesced or retired */
    bool is_unix;
    bool is_passed;      /* the service manager's, and in use when we are gone */
    bool takes_foreign;  /* a unix socket for callers in other pid namespaces, too */
    bool is_loopback;    /* plain TCP, whose callers have a uid */
    struct tls *tls;     /* NULL: plain */
    uint32_t ca_changes; /* how often the CA has become another one */
    uint16_t port;
    struct socket_file file;

    struct MHD_Daemon *daemon;
    uv_poll_t poll;            /* on libmicrohttpd's epoll descriptor */
    struct env_deferred kick;  /* libmicrohttpd has something to do that no descriptor shows */
    struct env_timer deadline; /* the earliest deadline of all phases, or earlier */
    struct env_timer pause;    /* out of descriptors: accepting again when it fires */
    struct env_deferred closing;

    struct list phases[PHASE_COUNT]; /* struct env_connection; membership == phase */
    uint64_t phase_timeout_ms[PHASE_COUNT];
    uint32_t connection_count; /* without the refused */
    uint32_t refused_count;
    uint32_t accepted_count; /* ever, refused ones too; wraps */
    uint32_t overflow_uid;
    int fd_max; /* descriptors from here on are not for connections */

    bool is_quiesced;
    bool is_served_on; /* and what is there is served to its end */
    bool is_retired;   /* another one accepts instead, or none */
    bool is_closing;
    uint32_t handle_count; /* libuv handles that aren't closed yet, ours and the connections' */
    void (*closed)(void *user);
    void *closed_user;
};

struct env_connection {
    uint32_t magic;
    struct io_listener *listener;
    struct MHD_Connection *mhd; /* NULL once it has ended */
    int fd;
    struct list node; /* in listener->phases[phase] */
    enum conn_phase phase;
    uint64_t deadline_ms;
    bool is_expired;   /* overdue and shut down */
    bool is_refused;   /* over a limit: not counted, nothing is read from it */
    bool is_unit;      /* a service manager's (server_unit.c): nothing is read from it */
    bool is_lost;      /* to be closed: libmicrohttpd is told so when it asks next */
    bool is_suspended; /* libmicrohttpd doesn't look at it until the answer is there */
    struct peer peer;
    struct usage *usage; /* NULL: not counted */
    struct list watches; /* struct env_connection_watch */
    struct tls *tls;     /* its session's; NULL: plain */
    uint32_t ca_changes; /* the listener's when its certificate was judged */

    /* While suspended: tells that the client has gone. Lives from the first suspension to the end.
     */
    uv_poll_t poll;
    bool has_poll;

    char unit_name[UNIT_PEER_NAME_MAX_BYTES]; /* is_unit: what its request points into */
    struct env_deferred unit_step;
    bool is_unit_told; /* the answer went out whole */

    enum request_state state;
    struct env_request request;
    bool has_head; /* the head has been judged, a body may follow */
    bool is_http_1_0;
    size_t content_length;
    bool is_large; /* counts in io->large_body_count, and its caller's */
    struct buf body;
    struct MHD_Response
        *response; /* the answer until it is queued; NULL when there was no memory for it */
    struct env_answer *answer;  /* or this one, which isn't ours; NULL when it isn't */
    struct conn_stream *stream; /* NULL: none */
    bool is_stream;             /* counts as one, to its end */
    unsigned int status;
    const char *target_at; /* in libmicrohttpd's buffer */
    size_t target_len;     /* as sent; more than target_max_bytes: cut */
    size_t target_max_bytes;
    char target[]; /* target_max_bytes + 1 */
};

/* listener.c */
/* With defaults filled in, and no more connections than there can be. */
struct io_listener_limits listener_limits(const struct io *io,
                                          const struct io_listener_limits *asked);

/* server.c */
int server_start(struct io_listener *listener, struct err *e) ATTR_MUST_USE;
/* No more accepts; the socket is ours again. */
void server_quiesce(struct io_listener *listener);
/* Ends all connections at once and closes what the loop holds. */
void server_stop(struct io_listener *listener);
/* Has libmicrohttpd look at its connections, soon. */
void server_kick(struct io_listener *listener);
/* One libuv handle fewer; a closing listener goes with its last. */
void server_handle_closed(struct io_listener *listener);
void server_deadline_moved(struct io_listener *listener, uint64_t deadline_ms);
/* Those of the listener's limits; no phase that has begun gets more time by it. */
void server_set_timeouts(struct io_listener *listener);

/* server_unit.c */
/* Is the new connection a service manager's? Then its request has begun. */
bool unit_begin(struct env_connection *conn);
/* It has ended. */
void unit_end(struct env_connection *conn);

/* server_conn.c */
void conn_notify(void *user, struct MHD_Connection *mhd, void **context,
                 enum MHD_ConnectionNotificationCode code);
void conn_set_phase(struct env_connection *conn, enum conn_phase phase);
/* Takes the connection from libmicrohttpd until conn_resume. ERR_* when its end could not be
 * watched. */
int conn_suspend(struct env_connection *conn) ATTR_MUST_USE;
/* Gives it back; nothing to do when the answer came before it was suspended. */
void conn_resume(struct env_connection *conn);
/* The client has gone, or has to go: its request ends undelivered, libmicrohttpd closes the
 * connection. */
void conn_lose(struct env_connection *conn);
/* Has the client sent something that nobody has read yet? */
bool conn_has_unread(const struct env_connection *conn);

/* Takes from the kernel what the client has sent already: closing over unread bytes would make it
 * lose our answer. Was there anything? */
bool conn_drain(int fd);
/* Who was refused or dropped may come back at once, so the log hears of it once in a while. */
void conn_tell(const struct io_listener *listener, struct io_refusals *refusals, const char *event,
               const char *why);
void conn_watch(struct env_connection *conn, struct env_connection_watch *watch);

/* server_head.c */
/* Judges the head and fills conn->request from it. 0, or the status to refuse with. */
unsigned int head_judge(struct env_connection *conn, const char *method, const char *version,
                        const char **ret_detail);

/* descriptors.c */
/* Descriptors from here on are not for connections. The kernel gives out the lowest free one, so
 * one of at least this number means that all below it are in use. */
int descriptors_max(void);

/* server_host.c */
/* Must clients of this listener say whom they mean? */
bool host_is_judged(const struct io_listener *listener);
/* Does this Host header (empty: none) name somebody else than this listener? */
bool host_is_foreign(const struct io_listener *listener, struct str host);

/* server_request.c */
void *request_begin(void *user, const char *target, struct MHD_Connection *mhd);
enum MHD_Result request_continue(void *user, struct MHD_Connection *mhd, const char *url,
                                 const char *method, const char *version, const char *upload,
                                 size_t *upload_size, void **context);
void request_completed(void *user, struct MHD_Connection *mhd, void **context,
                       enum MHD_RequestTerminationCode code);
/* libmicrohttpd is about to answer by itself: does so before it where it would do it wrong. */
void request_answer_first(struct io_listener *listener, unsigned int status);
/* Ends the request, if there is one, and tells its handler. */
void request_finish(struct env_connection *conn, bool is_delivered);

/* server_stream.c */
int stream_begin(struct env_request *request, const struct env_stream *stream);
int stream_write(struct env_request *request, struct str bytes);
size_t stream_room(const struct env_request *request);
void stream_end(struct env_request *request);
/* Nothing was written for a while. */
void stream_idle(struct env_connection *conn);
/* Its client was too slow; tells the log. */
void stream_expired(struct env_connection *conn);
/* Fine without. */
void stream_free(struct env_connection *conn);

/* server_reply.c */
int reply_add_headers(struct MHD_Response *response, const struct env_reply *reply,
                      bool is_last) ATTR_MUST_USE;
/* Is this connection to end with its answer? */
bool reply_is_last(const struct env_connection *conn, const struct env_reply *reply);
extern const struct env_request_ops server_request_ops;
/* Gives a ready answer to libmicrohttpd. */
enum MHD_Result reply_queue(struct env_connection *conn);
/* Answers by ourselves with a problem document and closes the connection afterwards. */
enum MHD_Result reply_refuse(struct env_connection *conn, unsigned int status, const char *code,
                             const char *detail);
/* Tells a connection over a limit so without waiting for its request. */
void reply_send_busy(int fd, const char *detail);
/* Answers past libmicrohttpd, which has no answer under way there, and shuts the connection. */
void reply_send_last(struct env_connection *conn, unsigned int status, const char *code,
                     const char *detail);

#endif
