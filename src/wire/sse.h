/* Server-sent events as a client reads them: bytes in any pieces, whole events out. */
#ifndef LEASED_WIRE_SSE_H
#define LEASED_WIRE_SSE_H

#include "base/buf.h"
#include "base/err.h"

#define SSE_LINE_MAX_BYTES (64U * 1024U)
#define SSE_DATA_MAX_BYTES (256U * 1024U)
#define SSE_NAME_MAX_BYTES 63
#define SSE_ID_MAX_BYTES 127
#define SSE_RETRY_MAX_MS (3600U * 1000U)

struct sse_parser {
    /* Runs for each event with data; all borrowed until the call returns. */
    void (*event)(void *user, const char *name, struct str data);
    void *user;
    char id[SSE_ID_MAX_BYTES + 1]; /* the last one, "" if none: what to come back with */
    uint64_t retry_ms;             /* as the server has said last; 0: it hasn't */
    /* Its own. */
    char next_id[SSE_ID_MAX_BYTES + 1];
    char name[SSE_NAME_MAX_BYTES + 1];
    struct buf line;
    struct buf data;
    bool has_data;
    bool is_after_cr;
    bool is_begun;
};

void sse_init(struct sse_parser *parser,
              void (*event)(void *user, const char *name, struct str data), void *user);
void sse_fini(struct sse_parser *parser);

/* A new connection: what was cut off is forgotten, id and retry stay. */
void sse_reset(struct sse_parser *parser);

/* Reads on. 0; ERR_TOO_LARGE: a line or an event beyond the limits; ERR_NOMEM. */
int sse_read(struct sse_parser *parser, struct str bytes) ATTR_MUST_USE;

#endif
