/* POST /revoke, and /blocks: what an admin who may revoke does when something has leaked.
 *
 * A drill (lease/drill.h) ends what has been read; a block (blocks.h) keeps it from being read
 * again, and is there first. Both are in the ledger before anything ends. */
#include "serve/admin.h"
#include "serve/page.h"

#include "base/mem.h"

#include <stdio.h>
#include <string.h>

#define WAIT_MAX_MS PARAMS_WAIT_MAX_MS

static const struct exchange_failure failures[] = {
    {ERR_NOMEM, 503, "busy", NULL},
    {0, 503, "degraded", "the ledger can't take it: nothing has begun"},
};

/* --- what is asked for ------------------------------------------------------------------------ */

static void invalid(struct exchange *x, const char *detail, const char *hint)
{
    exchange_fail(x, &(struct exchange_problem){
                         .status = 400, .code = "invalid", .detail = detail, .hint = hint});
}

/* A credential's name is kept as the trail has it; who read it there may give it as it stands. */
static int hide_identifier(struct exchange *x)
{
    const char *identifier = access_match_identifier(x->params.match);
    char ref[AUDIT_REF_MAX_BYTES];

    if (identifier == NULL || str_starts_with(str_of(identifier), "hmac:")) {
        return 0;
    }
    return access_match_set_identifier(x->params.match,
                                       audit_ref(x->serve->options.audit, str_of(identifier), ref));
}

/* What the configuration has no more may still have leases. */
static bool role_is_known(const struct exchange *x, struct str role)
{
    struct lease_core *core = x->serve->options.core;
    bool is_known = lease_core_role(core, role) != NULL;
    struct lease *lease = NULL;
    struct lease_view view;

    while (!is_known && (lease = lease_core_next_lease(core, lease)) != NULL) {
        lease_view(lease, &view);
        is_known = str_eq_c(role, view.role->name);
    }
    return is_known;
}

/* False: it has been answered. */
static bool check(struct exchange *x)
{
    const char *role;

    if (!admin_may(x, ACCESS_ADMIN_REVOKE, "revoke", "[revoke]")) {
        return false;
    }
    if (x->params.match == NULL) {
        invalid(x, "match is missing: whose credentials, or of what",
                "{\"match\": {\"subject\": {\"user\": \"alice\"}}}");
        return false;
    }
    if (x->params.block_ms > BLOCK_FOR_MAX_MS) {
        invalid(x, "block is longer than 366 days", NULL);
        return false;
    }
    if (x->params.block_ms > 0 && !access_match_is_of_callers(x->params.match)) {
        invalid(x,
                "a block can't be about one credential (match.identifier): it says who gets "
                "nothing, or of what",
                "leave block out, or name a role, a backend or a subject instead");
        return false;
    }
    /* A name that is mistyped must not look like a drill that has found nothing. */
    role = access_match_role(x->params.match);
    if (role != NULL && !role_is_known(x, str_of(role))) {
        serve_role_unknown(x, str_of(role));
        return false;
    }
    if (hide_identifier(x) != 0) {
        exchange_fail_nomem(x);
        return false;
    }
    return true;
}

/* The same once more: a drill and its block each have their own. NULL: out of memory. */
static struct access_match *match_copy(const struct access_match *match)
{
    json_t *json = json_loads(access_match_text(match), 0, NULL);
    struct access_match *copy = NULL;
    int r = access_match_new(json, &copy, NULL);

    json_decref(json);
    return r == 0 ? copy : NULL;
}

static void note_block(const struct exchange *x, const char *event, const struct block *block)
{
    struct audit_record record;

    exchange_record(x, event, "ok", &record);
    record.until_wall_ms = block->until_wall_ms;
    record.reason = str_or_null(block->reason);
    record.block = block->id;
    record.match = access_match_text(block->match);
    audit_record_note(x->serve->options.audit, &record);
}

static void note_drill(const struct exchange *x, const char *id, const struct drill_ask *ask)
{
    struct audit_record record;

    exchange_record(x, "revoke.requested", "ok", &record);
    record.reason = str_or_null(ask->reason);
    record.block = ask->block != NULL ? ask->block->id : NULL;
    record.drill = id;
    record.match = access_match_text(ask->match);
    audit_record_note(x->serve->options.audit, &record);
}

/* --- blocks ----------------------------------------------------------------------------------- */

/* Makes one of what is asked for; NULL: it has been answered. */
static struct block *block_make(struct exchange *x)
{
    char by[BLOCK_BY_MAX_BYTES + 1];
    const struct block_ask ask = {.match = match_copy(x->params.match),
                                  .for_ms = x->params.block_ms,
                                  .reason = x->params.reason,
                                  .by = admin_name(x, by)};
    struct block *block = NULL;
    int r = ask.match != NULL ? blocks_add(&x->serve->blocks, &ask, &block) : ERR_NOMEM;

    if (r == 0) {
        note_block(x, "block.created", block);
        return block;
    }
    access_match_free(ask.match);
    if (r == ERR_LIMIT && x->serve->blocks.count >= BLOCKS_MAX) {
        exchange_fail(x, &(struct exchange_problem){.status = 429,
                                                    .code = "limit_exceeded",
                                                    .detail = "there are 200 blocks already",
                                                    .hint = "end those that aren't needed: lease "
                                                            "blocks, lease unblock"});
    } else {
        exchange_fail_status(x, failures, r, &(const struct err){.code = 0}, 0);
    }
    return NULL;
}

static void block_write(struct json_out *json, const struct block *block)
{
    json_out_object_open(json, NULL);
    json_out_string_c(json, "id", block->id);
    json_out_text_at(json, STR("match"), str_of(access_match_text(block->match)));
    json_out_time(json, "until", block->until_wall_ms);
    json_out_string_c(json, "reason", str_or_null(block->reason));
    json_out_string_c(json, "by", block->by);
    json_out_time(json, "created", block->created_wall_ms);
    json_out_object_close(json);
}

static void block_reply(struct exchange *x, uint32_t status, const struct block *block)
{
    struct json_out json;

    exchange_json(x, &json);
    block_write(&json, block);
    exchange_reply(x, status);
}

void serve_blocks_list(struct exchange *x)
{
    const struct blocks *blocks = &x->serve->blocks;
    struct str cursor = str_of(x->params.cursor);
    const struct block *after = cursor.len > 0 ? blocks_named(blocks, cursor) : NULL;
    struct list *node = after != NULL ? after->node.next : blocks->list.next;
    const char *next = NULL;
    struct json_out json;
    uint32_t count = 0;

    if (!admin_may(x, ACCESS_ADMIN_READ | ACCESS_ADMIN_REVOKE, "read or revoke",
                   "[read, revoke]")) {
        return;
    }
    if (cursor.len > 0 && after == NULL) {
        page_fail(x);
        return;
    }
    page_begin(x, &json);
    for (; node != &blocks->list; node = node->next) {
        if (page_is_full(x, count++)) {
            next = LIST_ENTRY(node->prev, struct block, node)->id;
            break;
        }
        block_write(&json, LIST_ENTRY(node, struct block, node));
    }
    page_end(x, &json, next);
}

static void client_gone(struct env_request *request, bool delivered)
{
    struct block_write *write = request->user;

    (void)delivered;
    exchange_release(write->x);
    write->x = NULL;
}

static void block_answer(struct exchange *x, const struct block *block, int status)
{
    x->request->finished = NULL;
    if (status != 0) {
        exchange_fail(x,
                      &(struct exchange_problem){
                          .status = 503,
                          .code = "degraded",
                          .detail = "the block counts, but it isn't on disk: a crash would lose it",
                          .hint = "mend the ledger's disk; leased goes on trying to write it"});
    } else if (block == NULL) { /* somebody has ended it meanwhile */
        invalid(x, "the block has ended already", NULL);
    } else {
        block_reply(x, 201, block);
    }
}

/* The grants that it means end now, and not before it is on disk. */
static void block_written(struct env_ledger_sync *sync, int status)
{
    struct block_write *write = sync->user;

    if (write->blocks != NULL) {
        list_remove(&write->node);
        blocks_enforce(write->blocks);
        if (write->x != NULL) {
            block_answer(write->x, blocks_named(write->blocks, str_of(write->id)), status);
        }
    }
    mem_free(write);
}

void serve_blocks_create(struct exchange *x)
{
    struct block_write *write;
    struct block *block;

    if (!check(x)) {
        return;
    }
    if (x->params.block_ms == 0) {
        invalid(x, "block is missing: for how long", "seconds, or a duration such as 24h");
        return;
    }
    write = mem_calloc(1, sizeof(*write));
    if (write == NULL) {
        exchange_fail_nomem(x);
        return;
    }
    block = block_make(x);
    if (block == NULL) {
        mem_free(write);
        return;
    }
    write->x = x;
    write->blocks = &x->serve->blocks;
    write->sync = (struct env_ledger_sync){.fn = block_written, .user = write};
    memcpy(write->id, block->id, sizeof(write->id));
    list_push_back(&write->blocks->writes, &write->node);
    exchange_keep(x, client_gone);
    x->request->user = write;
    if (x->serve->options.ledger != NULL) {
        env_ledger_sync(x->serve->options.ledger, &write->sync);
    } else {
        block_written(&write->sync, 0);
    }
}

void serve_blocks_delete(struct exchange *x)
{
    struct json_out json;
    struct block *block;

    if (!admin_may(x, ACCESS_ADMIN_REVOKE, "revoke", "[revoke]")) {
        return;
    }
    block = blocks_named(&x->serve->blocks, x->path_arg);
    if (block == NULL) {
        exchange_fail(x, &(struct exchange_problem){.status = 404,
                                                    .code = "not_found",
                                                    .detail = "there is no such block"});
        return;
    }
    note_block(x, "block.ended", block);
    exchange_json(x, &json);
    block_write(&json, block);
    blocks_remove(&x->serve->blocks, block);
    exchange_reply(x, 200);
}

/* --- drills ----------------------------------------------------------------------------------- */

/* For whom nobody can tell as it goes on, and for who asks again. */
static void begun_write(struct exchange *x, const char *id, const struct block *block)
{
    struct json_out json;

    exchange_json(x, &json);
    json_out_object_open(&json, NULL);
    json_out_string_c(&json, "event", "begun");
    json_out_string_c(&json, "drill", id);
    json_out_string_c(&json, "block", block != NULL ? block->id : NULL);
    json_out_object_close(&json);
}

static void begin_failed(struct exchange *x, int status)
{
    if (status == ERR_LIMIT && x->serve->drills.count >= DRILLS_MAX) {
        exchange_fail(
            x, &(struct exchange_problem){.status = 503,
                                          .code = "busy",
                                          .detail = "16 drills haven't ended yet",
                                          .hint = "their issuers don't confirm: see lease status",
                                          .retry_after_ms = 10000});
    } else {
        exchange_fail_status(x, failures, status, &(const struct err){.code = 0}, 0);
    }
}

/* The block counts already, also when the drill can't begin: then what it means ends by it. */
static void drill_begin(struct exchange *x, const struct block *block)
{
    char by[BLOCK_BY_MAX_BYTES + 1];
    char id[BLOCK_ID_BYTES + 1];
    bool is_told = false;
    const struct drill_ask ask = {
        .match = x->params.match,
        .block = block,
        .reason = x->params.reason,
        .by = admin_name(x, by),
        .request = x->request,
        .wait_ms = x->params.wait_ms > 0 ? x->params.wait_ms : WAIT_MAX_MS,
    };
    int r = drills_begin(&x->serve->drills, &ask, id, &is_told);

    if (r != 0) {
        if (block != NULL) {
            blocks_enforce(&x->serve->blocks);
        }
        begin_failed(x, r);
        return;
    }
    x->params.match = NULL; /* the drill's */
    note_drill(x, id, &ask);
    begun_write(x, id, block);
    if (is_told) {
        idempotency_note(x, &(struct env_reply){.status = 202}, buf_str(&x->serve->body));
        exchange_count(x, 200);
        exchange_release(x);
    } else {
        exchange_reply(x, 202);
    }
}

void serve_revoke(struct exchange *x)
{
    const struct block *block = NULL;

    if (!check(x)) {
        return;
    }
    if (x->params.block_ms > 0) {
        block = block_make(x);
        if (block == NULL) {
            return;
        }
    }
    drill_begin(x, block);
}
