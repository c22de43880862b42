/* Requests of simulated consumers: what io's HTTP server does for real ones, by hand. A connection
 * carries one request at a time and may end at any moment. */
#ifndef LEASED_TESTS_SIM_REQUEST_H
#define LEASED_TESTS_SIM_REQUEST_H

#include "sim.h"

#include <jansson.h>

#define SIM_TARGET_MAX_BYTES 256

struct sim_request;

struct env_connection {
    struct sim *sim;
    struct list node; /* in sim_listener's connections */
    struct list watches;
    struct env_peer peer;
    struct sim_request *request; /* the one under way; NULL: none */
    struct sim_event ended;
    struct sim_listener *listener;
    bool is_closing; /* its end is on its way to the server */
};

/* Where connections arrive. */
struct sim_listener {
    struct sim *sim;
    const char *name;
    env_request_fn handler;
    void *handler_user;
    struct list connections;
    uint64_t request_count; /* under way */
    uint32_t undelivered;   /* permille of answers that don't get through */
    uint32_t stalled;       /* permille of answers that are read late */
};

struct sim_request {
    struct env_request request; /* first */
    struct env_connection *connection;
    uint64_t number;
    uint64_t sent_ms; /* sim_awake_ms */
    char target[SIM_TARGET_MAX_BYTES];
    struct buf body;
    struct buf raw; /* the bytes of a raw one */
    struct sim_event finish;
    /* The answer. */
    uint32_t status; /* 0: none yet */
    struct buf answer;
    bool will_close;
    bool is_stream;         /* `answer` is what was written and not taken */
    struct sim_event taken; /* … until then */
    void (*drained)(struct env_request *request);
    bool is_ended;
    /* Runs when an answer leaves the server, before anybody reads it; of a stream for each piece.
     * May be NULL. */
    void (*replied)(struct sim_request *request);
    /* Runs once when all is over; `is_delivered`: the consumer has the answer. Then the request is
     * freed. May be NULL. */
    void (*over)(struct sim_request *request, bool is_delivered);
    void *user;
};

void sim_listener_init(struct sim_listener *listener, struct sim *sim, const char *name);

/* Ends all connections. */
void sim_listener_close(struct sim_listener *listener);

/* `peer` is copied. */
struct env_connection *sim_connection_open(struct sim_listener *listener,
                                           const struct env_peer *peer);

/* The consumer has gone: the server hears of it within `delay_ms`; then the connection is freed. */
void sim_connection_close(struct env_connection *connection, uint64_t delay_ms);

/* Sends a request; `target` is path and query, `body` is copied. The connection must be free. The
 * handler runs from inside. */
struct sim_request_options {
    const char *method;
    const char *target;
    const char *body; /* NULL: none */
    /* Not NULL: method, path, query, headers and body as they stand here (copied), instead of the
     * texts above. */
    const struct env_request *raw;
    void (*replied)(struct sim_request *request);
    void (*over)(struct sim_request *request, bool is_delivered);
    void *user;
};
struct sim_request *sim_request_send(struct env_connection *connection,
                                     const struct sim_request_options *options);

/* The answer, if it is one with a credential; else NULL. The caller's. */
json_t *sim_request_credential(const struct sim_request *request);

#endif
