/* Blocks.
 *
 * Happy path: blocks_add → each request is judged by it (decide.c) → blocks_enforce: what lives and
 * is meant ends → its time is up, or an admin ends it.
 *
 * Failure paths: its record can't be queued: there is no block. It is queued and the disk fails: it
 * counts all the same, and while the ledger fails no credential leaves anyway. The daemon dies: the
 * next one reads it before it serves anybody. */
#include "serve/blocks.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/mutant.h"
#include "serve/exchange.h"
#include "wire/ledger_block.h"
#include "wire/ledger_clock.h"

#include <stdio.h>
#include <string.h>

/* --- the ledger ------------------------------------------------------------------------------- */

void block_make_id(struct env *env, char prefix, char out[BLOCK_ID_BYTES + 1])
{
    uint64_t random[2];

    env_random(env, random, sizeof(random));
    (void)snprintf(out, BLOCK_ID_BYTES + 1, "%c-%016llx%016llx", prefix,
                   (unsigned long long)random[0], (unsigned long long)random[1]);
}

int block_put(const struct serve *serve, const struct block_record *record)
{
    struct env *env = serve->options.env;
    const struct ledger_block body_of = {
        .match_json = access_match_text(record->match),
        .reason = record->reason,
        .by = record->by,
        .created_wall_ms = record->created_wall_ms,
        .until_wall_ms = record->until_wall_ms,
        .clock = {.written_wall_ms = env_wall_ms(env),
                  .written_ms = (int64_t)env_now_ms(env),
                  .boot = env_boot_id(env)},
    };
    BUF_AUTO body;
    int r;

    buf_init(&body, ENV_LEDGER_BODY_MAX_BYTES);
    if (serve->options.ledger == NULL) {
        return 0;
    }
    r = ledger_block_write(&body_of, &body);
    return r != 0 ? r
                  : env_ledger_put(serve->options.ledger, ENV_LEDGER_BLOCK, str_of(record->id),
                                   buf_str(&body));
}

void block_forget(const struct serve *serve, const char *id)
{
    int r = serve->options.ledger != NULL
                ? env_ledger_remove(serve->options.ledger, ENV_LEDGER_BLOCK, str_of(id))
                : 0;

    if (r != 0) {
        log_event(LOG_LEVEL_WARN, "ledger.unremoved", "block", id, "err", err_str(r), NULL);
    }
}

static struct block_record record_of(const struct block *block)
{
    return (struct block_record){.id = block->id,
                                 .match = block->match,
                                 .created_wall_ms = block->created_wall_ms,
                                 .until_wall_ms = block->until_wall_ms,
                                 .reason = block->reason,
                                 .by = block->by};
}

/* --- time ------------------------------------------------------------------------------------- */

static void arm(struct blocks *blocks)
{
    struct env *env = blocks->serve->options.env;
    uint64_t next_ms = UINT64_MAX;
    struct list *node;

    for (node = blocks->list.next; node != &blocks->list; node = node->next) {
        const struct block *block = LIST_ENTRY(node, struct block, node);

        next_ms = block->until_ms < next_ms ? block->until_ms : next_ms;
    }
    if (next_ms == UINT64_MAX) {
        env_timer_disarm(env, &blocks->timer);
    } else {
        env_timer_arm(env, &blocks->timer, next_ms);
    }
}

static void expire(struct env_timer *timer)
{
    struct blocks *blocks = timer->user;
    struct env *env = blocks->serve->options.env;
    struct list *node;
    struct list *following;

    LIST_EACH (&blocks->list, node, following) {
        struct block *block = LIST_ENTRY(node, struct block, node);

        if (block->until_ms <= env_now_ms(env)) {
            struct audit_record record = {.event = "block.ended",
                                          .outcome = "expired",
                                          .until_wall_ms = block->until_wall_ms,
                                          .reason = str_or_null(block->reason),
                                          .block = block->id,
                                          .match = access_match_text(block->match)};

            audit_record_note(blocks->serve->options.audit, &record);
            blocks_remove(blocks, block);
        }
    }
    arm(blocks);
}

/* --- in and out ------------------------------------------------------------------------------- */

void blocks_init(struct blocks *blocks, struct serve *serve)
{
    *blocks = (struct blocks){.serve = serve, .timer = {.fn = expire, .user = blocks}};
    list_init(&blocks->list);
    list_init(&blocks->writes);
}

static void block_free(struct block *block)
{
    access_match_free(block->match);
    mem_free(block);
}

void blocks_fini(struct blocks *blocks)
{
    struct list *node;

    env_timer_disarm(blocks->serve->options.env, &blocks->timer);
    while ((node = list_pop_front(&blocks->writes)) != NULL) {
        struct block_write *write = LIST_ENTRY(node, struct block_write, node);

        CHECK(write->x == NULL);
        write->blocks = NULL; /* the ledger still has it */
    }
    while ((node = list_pop_front(&blocks->list)) != NULL) {
        block_free(LIST_ENTRY(node, struct block, node));
    }
}

static void join(struct blocks *blocks, struct block *block)
{
    list_push_back(&blocks->list, &block->node);
    blocks->count++;
    arm(blocks);
}

int blocks_add(struct blocks *blocks, const struct block_ask *ask, struct block **ret_block)
{
    struct env *env = blocks->serve->options.env;
    struct block *block;
    struct block_record record;
    int r;

    if (blocks->count >= BLOCKS_MAX) {
        return ERR_LIMIT;
    }
    block = mem_calloc(1, sizeof(*block));
    if (block == NULL) {
        return ERR_NOMEM;
    }
    block_make_id(env, 'b', block->id);
    block->match = ask->match;
    block->created_wall_ms = env_wall_ms(env);
    block->until_ms = env_now_ms(env) + ask->for_ms;
    block->until_wall_ms = block->created_wall_ms + (int64_t)ask->for_ms;
    (void)snprintf(block->reason, sizeof(block->reason), "%s", ask->reason);
    (void)snprintf(block->by, sizeof(block->by), "%s", ask->by);
    record = record_of(block);
    r = block_put(blocks->serve, &record);
    if (r != 0) {
        mem_free(block);
        return r;
    }
    join(blocks, block);
    *ret_block = block;
    return 0;
}

int blocks_recover(struct blocks *blocks, struct str id, const struct ledger_block *record,
                   struct access_match *match)
{
    struct env *env = blocks->serve->options.env;
    const struct ledger_now now = {.now_ms = env_now_ms(env),
                                   .wall_ms = env_wall_ms(env),
                                   .boot = env_boot_id(env)};
    struct block *block = mem_calloc(1, sizeof(*block));

    if (block == NULL) {
        access_match_free(match);
        return ERR_NOMEM;
    }
    (void)snprintf(block->id, sizeof(block->id), "%.*s", STR_ARG(id));
    block->match = match;
    block->created_wall_ms = record->created_wall_ms;
    block->until_wall_ms = record->until_wall_ms;
    block->until_ms = ledger_clock_when_ms(&record->clock, &now, record->until_wall_ms);
    (void)snprintf(block->reason, sizeof(block->reason), "%s", record->reason);
    (void)snprintf(block->by, sizeof(block->by), "%s", record->by);
    join(blocks, block);
    return 0;
}

int blocks_recover_unreadable(struct blocks *blocks, struct str id)
{
    struct block *block = mem_calloc(1, sizeof(*block));
    json_t *all = json_pack("{sb}", "all", 1);
    int r = block != NULL && all != NULL ? access_match_new(all, &block->match, NULL) : ERR_NOMEM;

    json_decref(all);
    if (r != 0) {
        mem_free(block);
        return r;
    }
    (void)snprintf(block->id, sizeof(block->id), "%.*s", STR_ARG(id));
    (void)snprintf(block->reason, sizeof(block->reason),
                   "its record can't be read, so it refuses everybody until it is ended");
    block->is_unreadable = true;
    block->until_ms = UINT64_MAX;
    join(blocks, block);
    return 0;
}

bool blocks_has_unreadable(const struct blocks *blocks)
{
    struct list *node;

    for (node = blocks->list.next; node != &blocks->list; node = node->next) {
        if (LIST_ENTRY(node, struct block, node)->is_unreadable) {
            return true;
        }
    }
    return false;
}

void blocks_remove(struct blocks *blocks, struct block *block)
{
    list_remove(&block->node);
    blocks->count--;
    block_forget(blocks->serve, block->id);
    block_free(block);
    arm(blocks);
}

struct block *blocks_named(const struct blocks *blocks, struct str id)
{
    struct list *node;

    for (node = blocks->list.next; node != &blocks->list; node = node->next) {
        struct block *block = LIST_ENTRY(node, struct block, node);

        if (str_eq_c(id, block->id)) {
            return block;
        }
    }
    return NULL;
}

/* --- judging ---------------------------------------------------------------------------------- */

static bool is_meant(const struct block *block, const struct blocks *blocks,
                     const struct access_identity *identity, const char *role, const char *backend)
{
    return access_match_fits_role(block->match, role, backend) &&
           access_match_fits_identity(block->match, identity, blocks->serve->options.policy);
}

const struct block *blocks_find(const struct blocks *blocks, const struct access_identity *identity,
                                const char *role, const char *backend)
{
    struct list *node;

    for (node = blocks->list.next; node != &blocks->list && !MUTATED(32); node = node->next) {
        const struct block *block = LIST_ENTRY(node, struct block, node);

        if (is_meant(block, blocks, identity, role, backend)) {
            return block;
        }
    }
    return NULL;
}

/* Does one that can be read mean the grant? */
static bool is_grant_blocked(const struct blocks *blocks, const struct grant *grant,
                             const struct lease_role *role)
{
    struct access_identity identity;
    struct list *node;

    grant_identity(grant, &identity);
    for (node = blocks->list.next; node != &blocks->list && identity.kind != ENV_PEER_SELF;
         node = node->next) {
        const struct block *block = LIST_ENTRY(node, struct block, node);

        if (!block->is_unreadable &&
            is_meant(block, blocks, &identity, role->name, role->issuer->name)) {
            return true;
        }
    }
    return false;
}

void block_decide(const struct block *block, struct access_decision *ret_decision)
{
    char until[UNITS_TIME_MAX_BYTES];

    *ret_decision = (struct access_decision){.outcome = ACCESS_BLOCKED,
                                             .block_until_wall_ms = block->until_wall_ms};
    (void)snprintf(ret_decision->block, sizeof(ret_decision->block), "%.*s", BLOCK_ID_BYTES,
                   block->id);
    if (block->is_unreadable) {
        (void)snprintf(ret_decision->detail, sizeof(ret_decision->detail),
                       "block %s can't be read any more, so it refuses everybody", block->id);
    } else {
        (void)snprintf(ret_decision->detail, sizeof(ret_decision->detail), "blocked until %s",
                       units_format_time(block->until_wall_ms, until));
    }
}

void blocks_enforce(struct blocks *blocks)
{
    struct lease_core *core = blocks->serve->options.core;
    struct grant *grant = NULL;
    struct grant *next = blocks->count > 0 ? lease_core_next_grant(core, NULL) : NULL;

    while ((grant = next) != NULL) {
        struct grant_view view;

        next = lease_core_next_grant(core, grant);
        grant_view(grant, &view);
        if (view.state != GRANT_STATE_ENDED && is_grant_blocked(blocks, grant, view.role)) {
            lease_end_grant(core, grant, GRANT_END_REVOKED, NULL);
        }
    }
}
