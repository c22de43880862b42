/* Calls of the native API as the commands make them: retried while `--wait` allows, problem
 * documents turned into a message and an exit code. */
#ifndef LEASED_CLI_API_H
#define LEASED_CLI_API_H

#include "cli/cli.h"

#define API_ROOT "/leased/v1"
#define API_TIMEOUT_MS 90000U

struct json_t;

/* A `retry_ms` that no wait comes to the end of. */
#define API_FOR_EVER_MS (100ULL * 365 * 24 * 3600 * 1000)

struct api_request {
    const char *method;
    const char *path;    /* encoded, with its query */
    const char *body;    /* of a POST: JSON; NULL: none */
    const char *grant;   /* the token of a grant that the caller belongs to; NULL: none */
    const char *action;  /* for messages: "get orders-db" */
    uint64_t timeout_ms; /* 0: API_TIMEOUT_MS */
    uint64_t
        server_wait_ms;    /* how long the server was asked to take at most; added to the timeout */
    uint64_t retry_ms;     /* go on this long after temporary failures; 0: one try */
    bool is_quiet_if_gone; /* no message for CLI_NOT_FOUND */
    bool is_quiet;         /* none of what is worth another try */
    bool is_quiet_if_pending; /* no message for CLI_PENDING */
};

struct api_reply {
    uint32_t status;
    struct buf body; /* wiped by api_reply_fini */
};

void api_reply_init(struct api_reply *reply);
void api_reply_fini(struct api_reply *reply);

/* CLI_OK, or the exit code after a message. `reply` is initialised by the caller. */
int api_call(struct cli *cli, const struct api_request *request,
             struct api_reply *reply) ATTR_MUST_USE;

/* The same for answers without secrets, parsed. json_decref it. ret_status may be NULL. */
int api_call_json(struct cli *cli, const struct api_request *request, uint32_t *ret_status,
                  struct json_t **ret_document) ATTR_MUST_USE;

/* All pages of a list: `path` without limit and cursor, into `items` (an array). */
int api_list(struct cli *cli, const char *path, struct json_t *items) ATTR_MUST_USE;

/* A request whose answer goes on. As of client_stream; a message is printed where it isn't quiet:
 * CLI_OK: the daemon has ended it, *ret_is_over: we have; else the exit code. */
struct client_stream;
int api_stream(struct cli *cli, const struct api_request *request,
               const struct client_stream *stream, bool *ret_is_over) ATTR_MUST_USE;

/* The exit code that an answer stands for, from its HTTP status and the problem's code ("" if it
 * has none). */
int api_exit_code(uint32_t status, const char *code);

/* Appends "?name=value" or "&name=value", encoded, to a path. NULL values are left out. */
void api_add_parameter(struct buf *path, const char *name, const char *value);

/* Appends a path segment, encoded. */
void api_add_segment(struct buf *path, const char *segment);

/* --wait of this command line in ms, 0 without it; CLI_OK or CLI_USAGE after a message. */
int api_retry_ms(struct cli *cli, uint64_t *ret_ms) ATTR_MUST_USE;

#endif
