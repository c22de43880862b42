/* Requests by hand: what io's server does for real ones. Each answer is recorded and judged at
 * once: answered once and in time, a problem is a whole problem document, and no secret stands
 * anywhere but in a credential.
 *
 * Memory of a request is freed when it is over, so that a handler which looks at it later is
 * caught. */
#ifndef LEASED_TESTS_UNIT_SERVE_FAKE_REQUEST_H
#define LEASED_TESTS_UNIT_SERVE_FAKE_REQUEST_H

#include "env/server.h"

#include <jansson.h>

/* One consumer's connection; it carries one request after the other. */
struct env_connection {
    struct env_peer peer;
    struct list watches;
};

struct message {
    const char *method;
    const char *target;          /* path and query */
    const char *body;            /* NULL: none */
    const char *const *headers;  /* "Name: value" each, ended by NULL */
    const char *unit;            /* not NULL: a service manager asks for this unit … */
    const char *credential;      /* … and this credential, and method and target are empty */
    bool has_no_default_headers; /* without Host and X-Leased-Request */
    struct env_connection *connection;
    env_request_fn handler;
    void *handler_user;
};

struct call {
    struct env_request *request; /* NULL once it is over */
    struct list node;            /* for its owner */
    char *method;
    char *target;
    /* The answer. */
    uint32_t status; /* 0: none yet */
    char content_type[64];
    char *headers; /* "Name: value\n" each */
    char *body;
    bool is_closing;
    /* A stream: `body` is what was written so far. */
    bool is_stream;
    bool is_stream_ended;
    bool is_stream_dropped;
    size_t stream_room; /* further bytes that its client takes */
    void (*drained)(struct env_request *request);
    json_t *json; /* the body, once somebody has asked for it */
};

/* Sends; the handler runs from inside. A request that is answered without `finished` is over then.
 * The call lives until call_free. */
struct call *call_send(const struct message *message);

/* The answer has reached the client, or the client has gone (before or after the answer): the
 * request is over. */
void call_deliver(struct call *call);
void call_hang_up(struct call *call);

void call_free(struct call *call);

/* The client has taken all that was written, and takes as much again as it did in the beginning. */
void call_drain(struct call *call);

/* How much the clients of the next streams take at once; 0: no end. */
void call_limit_streams(size_t room);

/* What the next streams are begun with: 0, or an error as of env_stream_begin. */
void call_refuse_streams(int status);

/* The value of a header of the answer, or NULL. Static until the next call. */
const char *call_header(const struct call *call, const char *name);

/* The answer's body as JSON; the test fails when it isn't. */
json_t *call_json(struct call *call);

/* A member of it, by a path with dots: "identity.user". Fails the test when it isn't a string. */
const char *call_text(struct call *call, const char *path);
json_t *call_member(struct call *call, const char *path);

/* Ends the connection: what is bound to it hears of it. */
void connection_end(struct env_connection *connection);

#endif
