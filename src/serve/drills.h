/* Leak drills that run: each with its record in the ledger until it is over, and with a client that
 * is told, for as long as it listens. Internal to serve/. */
#ifndef LEASED_SERVE_DRILLS_H
#define LEASED_SERVE_DRILLS_H

#include "env/server.h"
#include "lease/drill.h"
#include "serve/blocks.h"

#define DRILLS_MAX 16

struct drills {
    struct serve *serve;
    struct list list; /* struct drill */
    size_t count;
};

void drills_init(struct drills *drills, struct serve *serve);
/* Their records stay, for the next daemon. */
void drills_fini(struct drills *drills);

/* Reads all blocks and drills of the ledger, and begins the drills again. ERR_NOMEM, or what the
 * ledger gives. */
int drills_recover(struct drills *drills, struct blocks *blocks, struct err *e) ATTR_MUST_USE;

struct drill_ask {
    struct access_match *match; /* taken on success */
    const struct block *block;  /* NULL: none; copied */
    const char *reason;
    const char *by;
    struct env_request *request; /* who is told; NULL: nobody */
    uint64_t wait_ms;            /* … for how long at most */
};

/* Begins one. Its record and all that was put before are in the ledger before anything ends.
 * ERR_LIMIT: there are DRILLS_MAX; ERR_NOMEM, or what the ledger gives: nothing has begun.
 * `ret_id` is its id. *ret_is_told: the client is, by a stream that has begun; else it is to be
 * answered. */
int drills_begin(struct drills *drills, const struct drill_ask *ask,
                 char ret_id[BLOCK_ID_BYTES + 1], bool *ret_is_told) ATTR_MUST_USE;

/* The streams end; the drills go on. */
void drills_end_streams(struct drills *drills);

#endif
