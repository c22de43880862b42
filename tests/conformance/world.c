#include "world.h"

#include "backend/sink.h"
#include "base/log.h"
#include "base/mem.h"
#include "spy.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define START_MS 5000U
#define SETTLE_SECONDS 120U /* longer than any deadline of the host */
#define HEALTH_INTERVAL_MS 10000U
#define RUNS_MAX 1000U /* a plugin that always asks again at once has no end */
#define DEEP_BYTES 20000U

const char *const answers_names[ANSWERS_COUNT] = {
    [ANSWERS_NONE] = "silent", [ANSWERS_REFUSED] = "refused", [ANSWERS_LOST] = "lost",
    [ANSWERS_ERROR] = "error", [ANSWERS_DENIED] = "denied",   [ANSWERS_GARBAGE] = "garbage",
    [ANSWERS_EMPTY] = "empty", [ANSWERS_DEEP] = "deep",       [ANSWERS_GIVEN] = "given",
};

/* --- what calls take -------------------------------------------------------------------------- */

static struct {
    uint64_t count;
    char call[64];
    uint64_t slowdown;
} slow;

static void on_log(void *user, enum log_level level, const char *event,
                   const struct log_field *fields, size_t field_count)
{
    (void)user;
    (void)level;
    if (strcmp(event, "plugin.slow") != 0) {
        return;
    }
    slow.count++;
    for (size_t i = 0; i < field_count; i++) {
        if (strcmp(fields[i].key, "path") == 0) {
            (void)snprintf(slow.call, sizeof(slow.call), "%.*s", STR_ARG(fields[i].value));
        }
    }
}

void world_watch_log(void)
{
    log_set_sink(on_log, NULL, LOG_LEVEL_WARN);
}

uint64_t world_slow_count(void)
{
    return slow.count;
}

const char *world_slow_call(void)
{
    return slow.call;
}

/* The one thing here that is real: what the plugin's code takes. */
static uint64_t stopwatch_us(struct env *env)
{
    struct timespec now;

    (void)env;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return ((uint64_t)now.tv_sec * 1000000U + (uint64_t)now.tv_nsec / 1000U) / slow.slowdown;
}

/* --- answers ---------------------------------------------------------------------------------- */

/* Behind scheme and address. */
static const char *path_of(const struct env_http *http)
{
    const char *path = strstr(http->url, "://");

    path = path != NULL ? strchr(path + 3, '/') : NULL;
    return path != NULL ? path : "/";
}

static struct env_http_reply given_for(const struct world *world, const struct env_http *http)
{
    const struct world_setup *setup = world->setup;

    for (size_t i = 0; i < setup->given_count; i++) {
        if (str_starts_with(str_of(path_of(http)), setup->given[i].path)) {
            return (struct env_http_reply){.status = setup->given[i].status,
                                           .body = setup->given[i].body};
        }
    }
    return (struct env_http_reply){.status = 200, .body = STR("{}")};
}

static void answer(struct world *world, struct env_http *http)
{
    static char deep[DEEP_BYTES];
    struct env_http_reply reply = {.status = 200, .body = STR("{}")};
    int status = 0;

    memset(deep, '[', sizeof(deep));
    switch (world->answers) {
    case ANSWERS_REFUSED:
        status = ERR_CONNECT;
        break;
    case ANSWERS_LOST:
        status = ERR_LOST;
        break;
    case ANSWERS_ERROR:
        reply = (struct env_http_reply){.status = 500, .body = STR("{\"errors\":[\"no\"]}")};
        break;
    case ANSWERS_DENIED:
        reply = (struct env_http_reply){.status = 403, .body = STR("{\"errors\":[\"no\"]}")};
        break;
    case ANSWERS_GARBAGE:
        reply.body = STR("\xff<html>{\"a\":");
        break;
    case ANSWERS_DEEP:
        reply.body = (struct str){deep, sizeof(deep)};
        break;
    case ANSWERS_GIVEN:
        reply = given_for(world, http);
        break;
    case ANSWERS_NONE:
    case ANSWERS_EMPTY:
    case ANSWERS_COUNT:
        break;
    }
    fake_env_http_finish(&world->fake, http, status, status == 0 ? &reply : NULL, NULL);
}

static void intent_confirm(struct ask *ask)
{
    struct lease_intent *intent = ask->pending;

    ask->pending = NULL;
    intent->impl = NULL;
    intent->fn(intent, 0);
}

void world_run(struct world *world, struct ask *ask)
{
    for (size_t i = 0; i < RUNS_MAX; i++) {
        struct env_http *http;

        fake_env_advance(&world->fake, 0);
        http = fake_env_http_first(&world->fake);
        if (ask != NULL && ask->pending != NULL) {
            intent_confirm(ask);
        } else if (http != NULL && world->answers != ANSWERS_NONE) {
            answer(world, http);
        } else {
            return;
        }
    }
    spy_note("it asks again and again without a pause");
}

void world_settle(struct world *world, struct ask *ask)
{
    for (size_t i = 0; i < SETTLE_SECONDS; i++) {
        world_run(world, ask);
        fake_env_advance(&world->fake, 1000);
    }
    world_run(world, ask);
}

/* --- calls ------------------------------------------------------------------------------------ */

static void ask_ended(struct lease_call *call, const struct lease_result *result)
{
    struct ask *ask = call->user;

    ask->end_count++;
    ask->outcome = result->outcome;
    ask->is_renewable = result->is_renewable;
    ask->is_revocable = result->is_revocable;
    if (call->kind == LEASE_CALL_ISSUE) {
        (void)snprintf(ask->ref, sizeof(ask->ref), "%.*s", STR_ARG(result->issuer_ref));
    }
    (void)snprintf(ask->detail, sizeof(ask->detail), "%s",
                   result->detail != NULL ? result->detail : "");
    if (ask->pending != NULL) {
        lease_intent_forget(ask->pending);
        ask->pending = NULL;
    }
}

static int ask_intends(struct lease_call *call, struct str ref, struct lease_intent *intent)
{
    struct ask *ask = call->user;

    (void)ref;
    ask->pending = intent;
    intent->impl = ask;
    return 0;
}

void world_ask(struct world *world, struct ask *ask, enum lease_call_kind kind)
{
    struct lease_issuer *issuer = backend_issuer(world->backend);
    char ref[WORLD_REF_MAX_BYTES];

    (void)snprintf(ref, sizeof(ref), "%s", ask->ref[0] != '\0' ? ask->ref : "no-such-lease");
    *ask = (struct ask){
        .call = {.kind = kind,
                 .role = "the-role",
                 .params_json = world->setup->params_json,
                 .caller = {.user = "joe", .reason = "deploy 7", .sans = "", .uid = 1000},
                 .ttl_ms = 600000,
                 .intend = kind == LEASE_CALL_ISSUE ? ask_intends : NULL,
                 .fn = ask_ended}};
    memcpy(ask->ref, ref, sizeof(ref));
    ask->call.issuer_ref = kind != LEASE_CALL_ISSUE ? str_of(ask->ref) : STR("");
    ask->call.user = ask;
    if (issuer->ops->call_start(issuer, &ask->call) != 0) {
        ask->end_count = 1; /* out of memory: it never began */
        ask->outcome = LEASE_OUTCOME_RETRY;
    }
}

void world_cancel(struct world *world, struct ask *ask)
{
    struct lease_issuer *issuer = backend_issuer(world->backend);

    if (ask->end_count == 0) {
        issuer->ops->call_cancel(issuer, &ask->call);
    }
}

static void passed_ended(struct backend_call *call, const struct backend_call_result *result)
{
    (void)result;
    ((struct passed *)call->user)->end_count++;
}

void world_pass(struct world *world, struct passed *passed)
{
    *passed = (struct passed){.call = {.method = "GET",
                                       .path = "/v1/sys/health",
                                       .is_repeatable = true,
                                       .fn = passed_ended}};
    passed->call.user = passed;
    if (backend_call_start(world->backend, &passed->call) != 0) {
        passed->end_count = 1; /* out of memory */
    }
}

static void given_done(struct env_append *append, int status)
{
    struct given *given = append->user;

    given->end_count++;
    given->status = status;
}

void world_give(struct world *world, struct given *given, struct str lines)
{
    *given = (struct given){.append = {.bytes = lines, .fn = given_done, .user = given}};
    if (env_append_start(world->sink, &given->append) != 0) {
        given->end_count = 1;
    }
}

/* --- life ------------------------------------------------------------------------------------- */

static int borrow_start(void *user, struct lease_loan *loan)
{
    return fake_lender_start(&((struct world *)user)->lender, loan);
}

static void borrow_cancel(void *user, struct lease_loan *loan)
{
    fake_lender_cancel(&((struct world *)user)->lender, loan);
}

/* What is lent comes from somebody who is no better than the plugin's own server. */
static void set_up_lender(struct world *world)
{
    struct fake_lender *lender = &world->lender;

    lender->fake = &world->fake;
    memcpy(lender->fields, world->setup->lent, sizeof(lender->fields));
    lender->field_count = world->setup->lent_count;
    lender->is_held = world->answers == ANSWERS_NONE;
    if (world->answers == ANSWERS_REFUSED || world->answers == ANSWERS_DENIED) {
        lender->status = world->answers == ANSWERS_DENIED ? ERR_DENIED : ERR_UNAVAILABLE;
    }
}

static int open_backend(struct world *world, struct err *e)
{
    const struct world_setup *setup = world->setup;
    const char *address = "https://issuer.invalid";
    const struct backend_options options = {
        .env = &world->fake.env,
        .plugin = setup->plugin,
        .name = "under-test",
        .addresses = &address,
        .address_count = LEASED_HAS(setup->plugin, flags) &&
                                 (setup->plugin->flags & LEASED_PLUGIN_NO_ADDRESS) != 0
                             ? 0
                             : 1,
        .config_json = setup->config_json,
        .health_interval_ms = HEALTH_INTERVAL_MS,
        .borrows = setup->lent_count > 0 ? FAKE_LENDER_ROLE : NULL,
        .borrow_start = borrow_start,
        .borrow_cancel = borrow_cancel,
        .user = world,
    };

    set_up_lender(world);
    return backend_open(&options, &world->backend, e);
}

static int open_sink(struct world *world, struct err *e)
{
    const struct sink_options options = {.env = &world->fake.env,
                                         .plugin = world->setup->plugin,
                                         .name = "under-test",
                                         .config_json = world->setup->config_json};

    return sink_open(&options, &world->sink, e);
}

static void take_down(struct world *world)
{
    fake_env_run(&world->fake);
    fake_env_fini(&world->fake);
    if (mem_in_use_bytes() > world->bytes_before) {
        spy_note("%zu bytes of the host's memory were left behind",
                 mem_in_use_bytes() - world->bytes_before);
    }
}

bool world_open(struct world *world, const struct world_setup *setup, enum answers answers)
{
    struct err e = {0};
    int r;

    *world = (struct world){.setup = setup, .answers = answers, .bytes_before = mem_in_use_bytes()};
    slow.slowdown = setup->slowdown;
    world->slow_before = slow.count;
    fake_env_init(&world->fake, START_MS, 3);
    world->ops = *world->fake.env.ops;
    world->ops.stopwatch_us = stopwatch_us;
    world->fake.env.ops = &world->ops;
    memcpy(world->fake.secrets, setup->secrets, sizeof(setup->secrets));
    world->fake.secret_count = setup->secret_count;
    r = setup->plugin->kind == LEASED_KIND_SINK ? open_sink(world, &e) : open_backend(world, &e);
    if (r != 0) {
        if (!spy_has_failed()) {
            spy_note("open refuses: %s", e.text);
        }
        take_down(world);
        return false;
    }
    world_run(world, NULL);
    return true;
}

static void closed(void *user)
{
    ((struct world *)user)->closed_count++;
}

void world_close(struct world *world)
{
    if (world->backend != NULL) {
        backend_close(world->backend, true, closed, world);
    } else {
        env_file_close(world->sink, closed, world);
    }
    world_settle(world, NULL);
    if (world->closed_count != 1) {
        spy_note("the host doesn't get the plugin closed");
        return; /* what is still there can't be taken down */
    }
    if (spy_running_count() > 0) {
        spy_note("close hasn't ended");
    }
    take_down(world);
}
