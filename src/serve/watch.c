/* GET /watch: what becomes of the caller's grants, as server-sent events.
 *
 * Happy path: serve_watch begins the stream → it catches up: of each of the caller's grants what
 * has happened since its Last-Event-ID, or all → from then on events come as they happen, told by
 * the lease core at the end of its turn → a reload or the stop ends the stream with a comment, and
 * the client comes again with the last id that it has.
 *
 * An id says where the stream stands, not which event it is on: "everything up to here was sent".
 * The last event of a turn has the new place, those before it have the old one; so who is cut off
 * in between gets some of them twice, and none never. The place is a position of the core's
 * (observe.h) behind the start's number; who comes from another start, or with nothing, gets the
 * state of each grant that it has.
 *
 * Failure paths: what there is to tell doesn't fit into the queue: the stream falls behind and
 * catches up by itself, grant by grant, whenever its client has taken what was written. A client
 * that takes nothing is dropped by env. */
#include "serve/exchange.h"

#include "base/mem.h"

#include <stdio.h>
#include <string.h>

#define WATCH_MAGIC 0x77617463U
#define WATCH_EVENT_MAX_BYTES                                                                      \
    1024U /* one event; what is written stops before the last of these                             \
           */
#define WATCH_ID_MAX_BYTES 32U
#define WATCH_RETRY_MS 1000U

struct watch {
    uint32_t magic;
    struct list node;
    struct watches *watches;
    struct env_request *request;
    struct access_identity identity; /* its listener's name is the configuration's: see is_ending */
    char key[ACCESS_KEY_MAX_BYTES];
    char role[PARAMS_ROLE_MAX_BYTES + 1]; /* "": all */
    uint64_t position;                    /* everything up to here was sent */
    bool is_ending;                       /* nothing is looked up for it any more */
    bool is_dead;                         /* nothing can be written any more */
    bool has_open_event;                  /* written, but for its id */
    bool is_new; /* it has no id: what ended before it came isn't its concern */
    /* Catching up. */
    struct lease_observer observer; /* not the core's: for lease_grant_events */
    bool is_behind;
    uint64_t target;                 /* where the sweep ends */
    char cursor[LEASE_ID_BYTES + 1]; /* the grant that it has come to; "": none */
};

/* --- writing --- */

static void watch_write(struct watch *watch, struct str bytes)
{
    if (!watch->is_dead && env_stream_write(watch->request, bytes) != 0) {
        watch->is_dead = true; /* `finished` follows */
    }
}

static void id_write(struct watch *watch)
{
    char text[WATCH_ID_MAX_BYTES + 8];
    int len = snprintf(text, sizeof(text), "id: %08x-%llu\n\n", watch->watches->epoch,
                       (unsigned long long)watch->position);

    CHECK(len > 0 && (size_t)len < sizeof(text));
    watch_write(watch, (struct str){.ptr = text, .len = (size_t)len});
    watch->has_open_event = false;
}

static void event_data_write(struct buf *out, const struct lease_event *event)
{
    struct json_out json;
    struct lease_view lease;
    struct grant_view grant;

    lease_view(event->lease, &lease);
    grant_view(event->grant, &grant);
    json_out_init(&json, out);
    json_out_object_open(&json, NULL);
    json_out_string_c(&json, "lease", lease.id);
    json_out_string_c(&json, "grant", grant.id);
    json_out_string_c(&json, "role", grant.role->name);
    json_out_u64(&json, "version", lease.version);
    json_out_time(&json, "expires_at", event->when_wall_ms);
    json_out_string_c(&json, "reason", event->reason);
    json_out_object_close(&json);
}

static void event_write(struct watch *watch, const struct lease_event *event)
{
    BUF_AUTO text;

    buf_init(&text, WATCH_EVENT_MAX_BYTES - WATCH_ID_MAX_BYTES);
    if (watch->has_open_event) {
        id_write(watch); /* another one follows: the stream still stands where it did */
    }
    buf_add_c(&text, "event: ");
    buf_add_c(&text, lease_event_str(event->kind));
    buf_add_c(&text, "\ndata: ");
    event_data_write(&text, event);
    buf_add_char(&text, '\n');
    if (buf_status(&text) != 0) {
        watch->is_dead = true; /* out of memory: it comes again and hears of it then */
        env_stream_end(watch->request);
        return;
    }
    watch_write(watch, buf_str(&text));
    watch->has_open_event = true;
}

static bool has_room(const struct watch *watch)
{
    return env_stream_room(watch->request) >= (size_t)2 * WATCH_EVENT_MAX_BYTES;
}

/* --- catching up --- */

static bool is_of(const struct watch *watch, const struct grant *grant)
{
    struct grant_view view;

    grant_view(grant, &view);
    return (watch->role[0] == '\0' || strcmp(watch->role, view.role->name) == 0) &&
           strcmp(watch->key, view.identity_key) == 0;
}

static void sweep_event(struct lease_observer *observer, const struct lease_event *event)
{
    struct watch *watch = CONTAINER_OF(observer, struct watch, observer);

    if (event->position > watch->position && (!watch->is_new || event->kind != LEASE_EVENT_GONE)) {
        event_write(watch, event);
    }
}

static void sweep_begin(struct watch *watch)
{
    if (watch->has_open_event) {
        id_write(watch);
    }
    watch->is_behind = true;
    watch->target = lease_core_position(watch->watches->core);
    watch->cursor[0] = '\0';
}

/* The grant after the one that the sweep has come to. Where that one is forgotten meanwhile it
 * starts over: some are told twice. */
static struct grant *sweep_next(struct watch *watch)
{
    struct lease_core *core = watch->watches->core;
    struct grant *at =
        watch->cursor[0] != '\0' ? lease_core_find_grant(core, str_of(watch->cursor)) : NULL;
    struct grant *next = lease_core_next_own_grant(core, &watch->identity, at);
    struct grant_view view;

    if (next != NULL) {
        grant_view(next, &view);
        (void)snprintf(watch->cursor, sizeof(watch->cursor), "%s", view.id);
    }
    return next;
}

/* Tells what there is room for. */
static void sweep(struct watch *watch)
{
    struct grant *grant;

    while (watch->is_behind && !watch->is_dead && !watch->is_ending) {
        if (!has_room(watch)) {
            return; /* goes on when the client has taken it */
        }
        grant = sweep_next(watch);
        if (grant != NULL) {
            if (is_of(watch, grant)) {
                lease_grant_events(grant, watch->position, &watch->observer);
            }
            continue;
        }
        watch->position = watch->target;
        watch->is_behind = false;
        watch->is_new = false;
        id_write(watch);
        if (lease_core_position(watch->watches->core) != watch->position) {
            sweep_begin(watch);
        }
    }
}

static void watch_drained(struct env_request *request)
{
    sweep(OBJ_CAST(request->user, struct watch, WATCH_MAGIC));
}

/* --- as it happens --- */

static void on_event(struct lease_observer *observer, const struct lease_event *event)
{
    struct watches *watches = CONTAINER_OF(observer, struct watches, observer);
    struct list *node;
    struct list *following;

    LIST_EACH (&watches->list, node, following) {
        struct watch *watch = LIST_ENTRY(node, struct watch, node);

        if (watch->is_behind || watch->is_dead || event->position <= watch->position ||
            !is_of(watch, event->grant)) {
            continue;
        }
        if (has_room(watch)) {
            event_write(watch, event);
        } else {
            sweep_begin(watch);
        }
    }
}

static void on_told(struct lease_observer *observer, uint64_t position)
{
    struct watches *watches = CONTAINER_OF(observer, struct watches, observer);
    struct list *node;
    struct list *following;

    LIST_EACH (&watches->list, node, following) {
        struct watch *watch = LIST_ENTRY(node, struct watch, node);

        if (watch->is_behind || position <= watch->position) {
            continue;
        }
        watch->position = position;
        if (watch->has_open_event) {
            id_write(watch);
        }
    }
}

static bool on_follows(struct lease_observer *observer, const struct grant *grant)
{
    struct watches *watches = CONTAINER_OF(observer, struct watches, observer);
    struct list *node;
    struct list *following;

    LIST_EACH (&watches->list, node, following) {
        if (is_of(LIST_ENTRY(node, struct watch, node), grant)) {
            return true;
        }
    }
    return false;
}

/* --- beginning and end --- */

void watches_init(struct watches *watches, struct env *env, struct lease_core *core, uint32_t epoch)
{
    *watches = (struct watches){.env = env, .core = core, .epoch = epoch};
    watches->observer =
        (struct lease_observer){.event = on_event, .told = on_told, .follows = on_follows};
    list_init(&watches->list);
}

void watches_fini(struct watches *watches)
{
    CHECK(list_is_empty(&watches->list));
    env_undefer(&watches->ending);
}

static void watch_finished(struct env_request *request, bool delivered)
{
    struct watch *watch = OBJ_CAST(request->user, struct watch, WATCH_MAGIC);

    (void)delivered;
    list_remove(&watch->node);
    if (list_is_empty(&watch->watches->list)) {
        lease_unobserve(&watch->watches->observer);
    }
    mem_free(watch);
}

static void end_all(struct env_deferred *deferred)
{
    struct watches *watches = CONTAINER_OF(deferred, struct watches, ending);
    struct list *node;
    struct list *following;
    char text[128];
    int len = snprintf(text, sizeof(text), ": %s\n\n", watches->ending_why);

    CHECK(len > 0 && (size_t)len < sizeof(text));
    LIST_EACH (&watches->list, node, following) {
        struct watch *watch = LIST_ENTRY(node, struct watch, node);

        if (watch->is_ending && !watch->is_dead) {
            watch_write(watch, (struct str){.ptr = text, .len = (size_t)len});
            env_stream_end(watch->request);
            watch->is_dead = true;
        }
    }
}

void watches_end(struct watches *watches, const char *why)
{
    struct list *node;
    struct list *following;

    LIST_EACH (&watches->list, node, following) {
        LIST_ENTRY(node, struct watch, node)->is_ending = true;
    }
    watches->ending_why = why;
    watches->ending.fn = end_all;
    if (!list_is_empty(&watches->list)) {
        env_defer(watches->env, &watches->ending);
    }
}

/* Where a client comes from; 0: from nowhere that we know. */
static uint64_t position_of(const struct exchange *x)
{
    struct watches *watches = &x->serve->watches;
    struct str rest = env_request_header(x->request, "last-event-id");
    struct str epoch;
    char own[16];
    uint64_t position;

    (void)snprintf(own, sizeof(own), "%08x", watches->epoch);
    epoch = str_cut(&rest, '-');
    if (!str_eq_c(epoch, own) || str_parse_u64(rest, &position) != 0 ||
        position > lease_core_position(watches->core)) {
        return 0;
    }
    return position;
}

/* A role that isn't configured any more can be watched by who still has, or had, a grant of it. */
static bool is_known_role(const struct exchange *x, const struct watch *watch)
{
    struct lease_core *core = x->serve->options.core;
    struct grant *grant = NULL;

    if (watch->role[0] == '\0' || lease_core_role(core, str_of(watch->role)) != NULL) {
        return true;
    }
    do {
        grant = lease_core_next_own_grant(core, &x->identity, grant);
    } while (grant != NULL && !is_of(watch, grant));
    return grant != NULL;
}

static struct watch *watch_new(const struct exchange *x)
{
    struct watch *watch = mem_calloc(1, sizeof(*watch));

    if (watch != NULL) {
        watch->magic = WATCH_MAGIC;
        watch->watches = &x->serve->watches;
        watch->request = x->request;
        watch->identity = x->identity;
        watch->position = position_of(x);
        watch->is_new = env_request_header(x->request, "last-event-id").ptr == NULL;
        watch->observer.event = sweep_event;
        memcpy(watch->key, x->key, sizeof(watch->key));
        memcpy(watch->role, x->params.role, sizeof(watch->role));
    }
    return watch;
}

static void watch_refuse(struct exchange *x, int status)
{
    static const struct exchange_failure failures[] = {
        {ERR_LIMIT, 503, "busy", "watch with fewer connections: one tells of all roles"},
        {ERR_CLOSED, 503, "busy", "come again on a new connection"},
        {ERR_UNSUPPORTED, 501, "invalid", NULL},
        {0, 503, "busy", NULL},
    };
    struct err why = {.code = 0};

    if (status == ERR_LIMIT) {
        (void)err_set(&why, status, "there are as many streams as there may be");
    }
    x->request->finished = NULL;
    exchange_fail_status(x, failures, status, &why, 0);
}

/* So many ms after the end the client comes again; not all of them at once. */
static void watch_greet(struct watch *watch)
{
    char text[64];
    uint32_t random;
    int len;

    env_random(watch->watches->env, &random, sizeof(random));
    len =
        snprintf(text, sizeof(text), "retry: %u\n\n", WATCH_RETRY_MS / 2 + random % WATCH_RETRY_MS);

    CHECK(len > 0 && (size_t)len < sizeof(text));
    watch_write(watch, (struct str){.ptr = text, .len = (size_t)len});
}

static void watch_start(struct watches *watches, struct watch *watch)
{
    if (list_is_empty(&watches->list)) {
        lease_observe(watches->core, &watches->observer);
    }
    list_push_back(&watches->list, &watch->node);
    watch_greet(watch);
    sweep_begin(watch);
    sweep(watch);
}

void serve_watch(struct exchange *x)
{
    static const struct env_stream stream = {.content_type = "text/event-stream",
                                             .idle = ": nothing new\n\n",
                                             .drained = watch_drained};
    struct watch *watch = watch_new(x);
    int r;

    if (watch == NULL) {
        exchange_fail_nomem(x);
        return;
    }
    if (!is_known_role(x, watch)) {
        mem_free(watch);
        serve_role_unknown(x, str_of(x->params.role));
        return;
    }
    x->request->user = watch;
    x->request->finished = watch_finished;
    r = env_stream_begin(x->request, &stream);
    if (r != 0) {
        mem_free(watch);
        watch_refuse(x, r);
        return;
    }
    exchange_count(x, 200);
    watch_start(&x->serve->watches, watch);
    exchange_release(x);
}
