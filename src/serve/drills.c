/* Leak drills that run.
 *
 * Happy path: drills_begin puts the record → lease/drill.h finds what is meant, and begins when the
 * ledger has it → each lease that is over is a line for the client → all are: the summary, the
 * stream ends, the record goes.
 *
 * Failure paths: the client goes away, or its time is up: the drill goes on. It reads slowly: what
 * there is to tell waits in the drill, one line a lease. No stream can be had: the client is
 * answered at once. The daemon dies: drills_recover begins it again, about what was there when it
 * began. */
#include "serve/drills.h"

#include "base/log.h"
#include "base/mem.h"
#include "serve/exchange.h"
#include "wire/ledger_block.h"
#include "wire/ledger_clock.h"

#include <stdio.h>
#include <string.h>

#define DRILL_MAGIC 0x64726c73U
#define LINE_MAX_BYTES 2048U

struct drill {
    uint32_t magic;
    struct list node;
    struct drills *drills;
    char id[BLOCK_ID_BYTES + 1];
    struct access_match *match; /* owned */
    struct lease_drill *drill;
    char block[BLOCK_ID_BYTES + 1]; /* "": none */
    int64_t block_until_wall_ms;
    struct env_request *request; /* NULL: nobody listens */
    struct env_timer patience;   /* the client's */
    bool has_begun;              /* what was found was told */
    bool is_ending;              /* the stream ends when its client has taken what is written */
};

/* --- telling ---------------------------------------------------------------------------------- */

static void line_send(struct drill *drill, struct buf *line)
{
    buf_add_char(line, '\n');
    if (buf_status(line) == 0 && drill->request != NULL) {
        /* One that can't be written to is dropped by env: `finished` follows. */
        (void)env_stream_write(drill->request, buf_str(line));
    }
}

static void found_tell(struct drill *drill, const struct lease_drill_counts *counts)
{
    struct json_out json;
    BUF_AUTO line;

    buf_init(&line, LINE_MAX_BYTES);
    json_out_init(&json, &line);
    json_out_object_open(&json, NULL);
    json_out_string_c(&json, "event", "found");
    json_out_string_c(&json, "drill", drill->id);
    json_out_string_c(&json, "block", str_or_null(drill->block));
    json_out_time(&json, "until", drill->block_until_wall_ms);
    json_out_u64(&json, "leases", counts->lease_count);
    json_out_object_close(&json);
    line_send(drill, &line);
    drill->has_begun = true;
}

static void event_tell(struct drill *drill, const struct lease_drill_event *event)
{
    static const char *const names[] = {
        [LEASE_DRILL_PENDING] = "pending",
        [LEASE_DRILL_REVOKED] = "revoked",
        [LEASE_DRILL_EXPIRES] = "expires_at",
        [LEASE_DRILL_UNCONFIRMED] = "unconfirmed",
    };
    struct json_out json;
    BUF_AUTO line;

    buf_init(&line, LINE_MAX_BYTES);
    json_out_init(&json, &line);
    json_out_object_open(&json, NULL);
    json_out_string_c(&json, "event", names[event->kind]);
    json_out_string_c(&json, "lease", event->lease);
    json_out_string_c(&json, "role", event->role);
    json_out_string_c(&json, "backend", event->backend);
    if (event->kind != LEASE_DRILL_REVOKED) {
        json_out_time(&json, "expires_at", event->expires_wall_ms);
    }
    if (event->kind == LEASE_DRILL_PENDING) {
        json_out_string_c(&json, "error", event->error);
    }
    json_out_object_close(&json);
    line_send(drill, &line);
}

static uint32_t pending_of(const struct lease_drill_counts *counts)
{
    return counts->lease_count - counts->revoked_count - counts->expires_count -
           counts->unconfirmed_count;
}

static void summary_tell(struct drill *drill, const struct lease_drill_counts *counts)
{
    struct json_out json;
    BUF_AUTO line;

    buf_init(&line, LINE_MAX_BYTES);
    json_out_init(&json, &line);
    json_out_object_open(&json, NULL);
    json_out_string_c(&json, "event", "summary");
    json_out_string_c(&json, "drill", drill->id);
    json_out_u64(&json, "leases", counts->lease_count);
    json_out_u64(&json, "grants", counts->grant_count);
    json_out_u64(&json, "revoked", counts->revoked_count);
    json_out_u64(&json, "pending", pending_of(counts));
    json_out_u64(&json, "unrevocable", counts->expires_count);
    json_out_u64(&json, "unconfirmed", counts->unconfirmed_count);
    json_out_time(&json, "expires_at", counts->expires_wall_ms);
    json_out_object_close(&json);
    line_send(drill, &line);
}

static void stream_end(struct drill *drill)
{
    struct lease_drill_counts counts;

    if (drill->request == NULL || drill->is_ending) {
        return;
    }
    drill->is_ending = true;
    lease_drill_counts(drill->drill, &counts);
    summary_tell(drill, &counts);
    if (drill->request != NULL) {
        env_stream_end(drill->request);
    }
}

static bool has_room(const struct drill *drill)
{
    return env_stream_room(drill->request) >= (size_t)2 * LINE_MAX_BYTES;
}

/* Tells what there is room for. True: nothing is left. */
static bool tell(struct drill *drill)
{
    struct lease_drill_counts counts;
    struct lease_drill_event event;

    if (drill->request == NULL || drill->is_ending) {
        return true;
    }
    if (!drill->has_begun) {
        lease_drill_counts(drill->drill, &counts);
        found_tell(drill, &counts);
    }
    while (drill->request != NULL && has_room(drill)) {
        if (!lease_drill_next(drill->drill, &event)) {
            return true;
        }
        event_tell(drill, &event);
    }
    return drill->request == NULL;
}

/* --- the end ---------------------------------------------------------------------------------- */

static void drill_free(struct drill *drill)
{
    env_timer_disarm(drill->drills->serve->options.env, &drill->patience);
    if (drill->request != NULL) {
        drill->request->user = NULL; /* a stream that is still being sent has nobody to tell */
    }
    list_remove(&drill->node);
    drill->drills->count--;
    lease_drill_free(drill->drill);
    access_match_free(drill->match);
    mem_free(drill);
}

static void go_on(struct drill *drill)
{
    struct lease_drill_counts counts;

    lease_drill_counts(drill->drill, &counts);
    if (tell(drill) && counts.is_over) {
        stream_end(drill);
        block_forget(drill->drills->serve, drill->id);
        drill_free(drill); /* drill is gone */
    }
}

static void news(void *user)
{
    go_on(OBJ_CAST(user, struct drill, DRILL_MAGIC));
}

static void drained(struct env_request *request)
{
    if (request->user != NULL) {
        go_on(OBJ_CAST(request->user, struct drill, DRILL_MAGIC));
    }
}

static void finished(struct env_request *request, bool delivered)
{
    struct drill *drill;

    (void)delivered;
    if (request->user == NULL) {
        return;
    }
    drill = OBJ_CAST(request->user, struct drill, DRILL_MAGIC);
    drill->request = NULL;
    env_timer_disarm(drill->drills->serve->options.env, &drill->patience);
    go_on(drill); /* drill may be gone */
}

static void patience_over(struct env_timer *timer)
{
    stream_end(OBJ_CAST(timer->user, struct drill, DRILL_MAGIC));
}

/* --- the beginning ---------------------------------------------------------------------------- */

static bool is_meant(void *user, const struct access_identity *identity)
{
    const struct drill *drill = OBJ_CAST(user, struct drill, DRILL_MAGIC);

    return access_match_fits_identity(drill->match, identity, drill->drills->serve->options.policy);
}

static struct drill *drill_new(struct drills *drills, struct access_match *match)
{
    struct drill *drill = mem_calloc(1, sizeof(*drill));

    if (drill != NULL) {
        drill->magic = DRILL_MAGIC;
        drill->drills = drills;
        drill->match = match;
        drill->patience = (struct env_timer){.fn = patience_over, .user = drill};
        list_push_back(&drills->list, &drill->node);
        drills->count++;
    }
    return drill;
}

/* On failure its match is its caller's. */
static int start(struct drill *drill, uint64_t begun_ms)
{
    const struct lease_drill_options options = {.match = drill->match,
                                                .is_meant = is_meant,
                                                .news = news,
                                                .user = drill,
                                                .begun_ms = begun_ms};

    return lease_drill_new(drill->drills->serve->options.core, &options, &drill->drill);
}

static void give_up(struct drill *drill)
{
    drill->match = NULL;
    drill_free(drill);
}

static bool stream_start(struct drill *drill, const struct drill_ask *ask)
{
    static const struct env_stream stream = {.content_type = "application/x-ndjson",
                                             .idle = "\n",
                                             .drained = drained};
    struct env *env = drill->drills->serve->options.env;

    if (ask->request == NULL) {
        return false;
    }
    ask->request->user = drill;
    ask->request->finished = finished;
    if (env_stream_begin(ask->request, &stream) != 0) {
        ask->request->user = NULL;
        ask->request->finished = NULL;
        return false;
    }
    drill->request = ask->request;
    if (ask->wait_ms > 0) {
        env_timer_arm(env, &drill->patience, env_now_ms(env) + ask->wait_ms);
    }
    return true;
}

int drills_begin(struct drills *drills, const struct drill_ask *ask,
                 char ret_id[BLOCK_ID_BYTES + 1], bool *ret_is_told)
{
    struct env *env = drills->serve->options.env;
    struct block_record record = {.match = ask->match,
                                  .created_wall_ms = env_wall_ms(env),
                                  .reason = ask->reason,
                                  .by = ask->by};
    struct drill *drill;
    int r;

    if (drills->count >= DRILLS_MAX) {
        return ERR_LIMIT;
    }
    drill = drill_new(drills, ask->match);
    if (drill == NULL) {
        return ERR_NOMEM;
    }
    block_make_id(env, 'd', drill->id);
    if (ask->block != NULL) {
        memcpy(drill->block, ask->block->id, sizeof(drill->block));
        drill->block_until_wall_ms = ask->block->until_wall_ms;
    }
    record.id = drill->id;
    r = block_put(drills->serve, &record);
    if (r == 0) {
        r = start(drill, 0);
        if (r != 0) {
            block_forget(drills->serve, drill->id);
        }
    }
    if (r != 0) {
        give_up(drill);
        return r;
    }
    memcpy(ret_id, drill->id, sizeof(drill->id));
    *ret_is_told = stream_start(drill, ask);
    return 0;
}

/* --- after a restart -------------------------------------------------------------------------- */

struct recovering {
    struct drills *drills;
    struct blocks *blocks;
};

static int drill_recover(struct drills *drills, struct str id, const struct ledger_block *record,
                         struct access_match *match)
{
    struct env *env = drills->serve->options.env;
    const struct ledger_now now = {.now_ms = env_now_ms(env),
                                   .wall_ms = env_wall_ms(env),
                                   .boot = env_boot_id(env)};
    /* In another boot nobody knows what came first: then all that is there is meant. */
    uint64_t begun_ms = ledger_clock_is_same_boot(&record->clock, &now)
                            ? ledger_clock_past_ms(&record->clock, &now, record->created_wall_ms)
                            : 0;
    struct drill *drill = drill_new(drills, match);
    int r = ERR_NOMEM;

    if (drill == NULL) {
        access_match_free(match);
        return r;
    }
    (void)snprintf(drill->id, sizeof(drill->id), "%.*s", STR_ARG(id));
    r = start(drill, begun_ms);
    if (r != 0) {
        drill_free(drill);
    }
    return r;
}

/* What can't be read of a block refuses everybody; what can't be read of a drill ends nothing: its
 * leases that were ended before are being revoked by their own records. */
static int unreadable(struct blocks *blocks, struct str id, const char *why)
{
    bool is_drill = str_starts_with(id, "d-");
    char text[ENV_LEDGER_ID_MAX_BYTES + 1];

    (void)snprintf(text, sizeof(text), "%.*s", STR_ARG(id));
    log_event(LOG_LEVEL_ERROR, is_drill ? "drill.unreadable" : "block.unreadable",
              is_drill ? "drill" : "block", text, "err", why, "hint",
              is_drill ? "it stays in the ledger, and nothing is revoked by it: look for its id in "
                         "the trail, and begin it again (lease revoke)"
                       : "it refuses everybody, and ends nothing that lives: look for its id in "
                         "the trail, block again who is meant (lease block), then end this one "
                         "(lease unblock)",
              NULL);
    return is_drill ? 0 : blocks_recover_unreadable(blocks, id);
}

static int record_read(struct str body, struct ledger_block *ret_record,
                       struct access_match **ret_match, struct err *e)
{
    json_t *json;
    int r = ledger_block_read(body, ret_record, e);

    if (r == 0) {
        json = json_loads(ret_record->match_json, JSON_REJECT_DUPLICATES, NULL);
        r = access_match_new(json, ret_match, e);
        json_decref(json);
    }
    return r;
}

static int record_recover(void *user, struct str id, struct str body)
{
    struct recovering *recovering = user;
    struct access_match *match = NULL;
    struct ledger_block record;
    struct err e = {.code = 0};
    int r = record_read(body, &record, &match, &e);

    if (r == ERR_NOMEM) {
        return r;
    }
    if (r != 0) {
        return unreadable(recovering->blocks, id, e.text);
    }
    return record.until_wall_ms != 0 ? blocks_recover(recovering->blocks, id, &record, match)
                                     : drill_recover(recovering->drills, id, &record, match);
}

int drills_recover(struct drills *drills, struct blocks *blocks, struct err *e)
{
    struct recovering recovering = {.drills = drills, .blocks = blocks};
    struct env_ledger *ledger = drills->serve->options.ledger;
    int r = ledger != NULL
                ? env_ledger_each(ledger, ENV_LEDGER_BLOCK, record_recover, &recovering, e)
                : 0;

    if (r == ERR_NOMEM) {
        (void)err_set(e, r, "%s", err_str(r));
    }
    blocks_enforce(blocks);
    return r;
}

/* --- life ------------------------------------------------------------------------------------- */

void drills_init(struct drills *drills, struct serve *serve)
{
    *drills = (struct drills){.serve = serve};
    list_init(&drills->list);
}

void drills_fini(struct drills *drills)
{
    while (!list_is_empty(&drills->list)) {
        drill_free(LIST_ENTRY(drills->list.next, struct drill, node));
    }
}

void drills_end_streams(struct drills *drills)
{
    struct list *node;
    struct list *following;

    LIST_EACH (&drills->list, node, following) {
        stream_end(LIST_ENTRY(node, struct drill, node));
    }
}
