/* A client of leased, over its unix socket, loopback TCP or TLS: one request, one answer. */
#ifndef LEASED_CLI_CLIENT_H
#define LEASED_CLI_CLIENT_H

#include "base/buf.h"
#include "base/err.h"
#include "base/secret.h"

#define CLIENT_SOCKET_MAX_BYTES 108 /* sun_path */
#define CLIENT_DEFAULT_SOCKET "/run/leased/leased.sock"
#define CLIENT_ANSWER_MAX_BYTES (9U * 1024U * 1024U) /* a whole policy, as JSON */

#define CLIENT_ORIGIN_MAX_BYTES 300

/* Where leased listens and what it takes to get in; the files' names are borrowed for the client's
 * life. NULL: not given. */
struct client_options {
    const char *address; /* unix:///PATH, https://HOST:PORT, http://LOOPBACK:PORT */
    const char *ca_file; /* of https; the system's by default */
    const char *cert_file;
    const char *key_file; /* by default in cert_file too */
};

struct client {
    char socket_path[CLIENT_SOCKET_MAX_BYTES]; /* "": none */
    char origin[CLIENT_ORIGIN_MAX_BYTES];      /* "https://host:9912" */
    bool is_tls;
    struct client_options options;
    const struct secret *job_token; /* sent with each request; borrowed; NULL or empty: none */
};

/* Once per process, before the first call; makes curl and jansson allocate through base/mem.h. 0 or
 * ERR_UNAVAILABLE. */
int client_global_init(void) ATTR_MUST_USE;
void client_global_fini(void);

/* 0, or ERR_INVALID with a text. */
int client_init(struct client *client, const struct client_options *options,
                struct err *e) ATTR_MUST_USE;

/* Is this host, as it stands in a URL, this machine by its own addresses? */
bool client_is_loopback(struct str host);

/* True when leased can't see our processes, so that nothing can be bound to them. */
bool client_is_remote(const struct client *client);

struct client_request {
    const char *method;
    const char *path;  /* from the root, encoded, with its query */
    const char *body;  /* of a POST: JSON; NULL: none */
    const char *grant; /* the token of a grant that the caller belongs to; NULL: none */
    uint64_t timeout_ms;
};

struct client_reply {
    uint32_t status;
    uint64_t retry_after_ms; /* 0: not said */
    struct buf body;
};

void client_reply_init(struct client_reply *reply);
void client_reply_fini(struct client_reply *reply); /* wipes the body */

/* Sends the request and waits for the answer, whatever its status. Never follows a redirect, never
 * sends twice, looks at no environment variable. 0; ERR_CONNECT (the daemon can't be reached; the
 * text says why), ERR_TIMEOUT, ERR_LOST (it hung up before it had answered), ERR_TOO_LARGE,
 * ERR_PROTOCOL, ERR_NOMEM. `reply` is initialised and stays valid on failure. */
int client_call(const struct client *client, const struct client_request *request,
                struct client_reply *reply, struct err *e) ATTR_MUST_USE;

/* A request whose answer goes on (server-sent events, lines of JSON). */
struct client_stream {
    const char *last_id; /* of server-sent events; "": none */
    /* Runs for what comes; false ends the stream. */
    bool (*take)(void *user, struct str bytes);
    /* Asked now and then, and when a signal has come: true ends the stream. */
    bool (*is_over)(void *user);
    void *user;
    uint64_t silent_max_ms; /* so long nothing may come */
};

/* Sent, and read until either side ends it. With a status other than 200 the answer is in `reply`,
 * as of client_call. 0: the daemon has ended it; ERR_CANCELED: take or is_over have; or an error as
 * of client_call, ERR_LOST when it was cut off, ERR_TIMEOUT when it was silent for too long. */
int client_stream(const struct client *client, const struct client_request *request,
                  const struct client_stream *stream, struct client_reply *reply,
                  struct err *e) ATTR_MUST_USE;

#endif
