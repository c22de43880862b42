/* Blocks: who gets nothing, of what, until when, whatever policy says. Judged before policy, by
 * every API; none of them takes the rights of an admin. Internal to serve/.
 *
 * A block is in the ledger, and counts from the moment it is made: what it means ends, and isn't
 * given again until it is over.
 *
 * One whose record a start can't read is still one: nobody knows whom it means, so it refuses
 * everybody until an admin ends it. It ends nothing that lives: renewals and revocations go on. */
#ifndef LEASED_SERVE_BLOCKS_H
#define LEASED_SERVE_BLOCKS_H

#include "access/match.h"
#include "env/ledger.h"
#include "lease/core.h"
#include "serve/api.h"

struct exchange;
struct serve;

#define BLOCKS_MAX 200 /* each request looks at all of them */
#define BLOCK_ID_BYTES 34
#define BLOCK_BY_MAX_BYTES SERVE_BY_MAX_BYTES
#define BLOCK_FOR_MAX_MS (366ULL * 24 * 3600 * 1000)

struct block {
    struct list node;
    char id[ENV_LEDGER_ID_MAX_BYTES + 1]; /* BLOCK_ID_BYTES, unless it is unreadable */
    bool is_unreadable;
    struct access_match *match; /* owned; of all, if it is unreadable */
    uint64_t until_ms;          /* env clock; UINT64_MAX: without end */
    int64_t until_wall_ms;      /* 0: without end */
    int64_t created_wall_ms;
    char reason[LEASE_REASON_MAX_BYTES + 1];
    char by[BLOCK_BY_MAX_BYTES + 1]; /* who made it, for people */
};

struct blocks {
    struct serve *serve;
    struct list list; /* struct block, in order of creation */
    size_t count;
    struct env_timer timer; /* armed for the next end */
    struct list writes;     /* struct block_write: clients that wait for the ledger */
};

/* A client that waits until its block is on disk. */
struct block_write {
    struct env_ledger_sync sync;
    struct list node;
    struct blocks *blocks; /* NULL: gone, and the client, too */
    struct exchange *x;    /* NULL: the client has gone */
    char id[BLOCK_ID_BYTES + 1];
};

/* What stands in the ledger about one of them, or about a drill. Texts are borrowed. */
struct block_record {
    const char *id;
    const struct access_match *match;
    int64_t created_wall_ms;
    int64_t until_wall_ms; /* 0: a drill */
    const char *reason;
    const char *by;
};

void blocks_init(struct blocks *blocks, struct serve *serve);
void blocks_fini(struct blocks *blocks);

/* Makes one; `match` is taken on success. It is on its way to the ledger. ERR_LIMIT: there are
 * BLOCKS_MAX; ERR_NOMEM, or what the ledger gives: there is none. */
struct block_ask {
    struct access_match *match;
    uint64_t for_ms;
    const char *reason;
    const char *by;
};
int blocks_add(struct blocks *blocks, const struct block_ask *ask,
               struct block **ret_block) ATTR_MUST_USE;

/* One from the ledger, at the start; its match is taken. ERR_NOMEM. */
struct ledger_block;
int blocks_recover(struct blocks *blocks, struct str id, const struct ledger_block *record,
                   struct access_match *match) ATTR_MUST_USE;

/* One whose record can't be read. ERR_NOMEM. */
int blocks_recover_unreadable(struct blocks *blocks, struct str id) ATTR_MUST_USE;

/* Is there one? Then nobody gets anything. */
bool blocks_has_unreadable(const struct blocks *blocks);

/* It doesn't count any more. */
void blocks_remove(struct blocks *blocks, struct block *block);

/* NULL: none. */
struct block *blocks_named(const struct blocks *blocks, struct str id);

/* The one that refuses this caller; `role` NULL: it asks for a path of the backend's own API. */
const struct block *blocks_find(const struct blocks *blocks, const struct access_identity *identity,
                                const char *role, const char *backend);

/* What the caller is told: the decision of one that refuses. */
void block_decide(const struct block *block, struct access_decision *ret_decision);

/* Ends the grants that live and that a block means, as far as it can be read. */
void blocks_enforce(struct blocks *blocks);

/* "b-" or "d-" and random digits. */
void block_make_id(struct env *env, char prefix, char out[BLOCK_ID_BYTES + 1]);

/* Puts a record. 0 where there is no ledger. */
int block_put(const struct serve *serve, const struct block_record *record) ATTR_MUST_USE;
void block_forget(const struct serve *serve, const char *id);

#endif
