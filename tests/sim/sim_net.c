/* The simulated network: each exchange takes a while on its way there and back, and either way may
 * lose it. What matters most: executed at the server, answer lost.
 *
 * Each exchange draws its fate when it starts. Cancelling one that is under way doesn't call it
 * back: the server may execute it all the same, and an answer that is on its way may still come. */
#include "sim.h"

#include "sim_oom.h"
#include "base/mem.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define LATENCY_MAX_MS 40
#define SLOW_MAX_MS 8000
#define CONNECT_TIMEOUT_MS 5000
#define ANSWER_MAX_BYTES (64U * 1024U)
#define GARBAGE "<html><body>Welcome to the hotel's network"

enum fate {
    FATE_OK,
    FATE_REFUSED,
    FATE_UNREACHABLE,
    FATE_LOST_REQUEST,
    FATE_LOST_ANSWER,
    FATE_GARBAGE,
    FATE_BAD_GATEWAY_BEFORE, /* wasn't executed */
    FATE_BAD_GATEWAY_AFTER,  /* was */
    FATE_DUPLICATED,
    FATE_TRUNCATED,
    FATE_ODD,
    FATE_STRIPPED,
    FATE_REDIRECTED, /* wasn't executed */
};

struct exchange {
    struct sim_event arrive;   /* the request reaches the server */
    struct sim_event complete; /* the caller hears of it */
    struct env_http *http;
    struct sim *sim;
    struct list node;
    struct sim_answer answer;
    uint64_t id;
    uint64_t deadline_ms;
    enum fate fate;
    bool was_executed;
    bool is_canceled;
    bool answer_came_first; /* before the cancelling had an effect */
};

static bool is_for_target(const struct env_http *http)
{
    return str_starts_with(str_of(http->url), SIM_TARGET);
}

static bool is_down(const struct sim *sim, const struct env_http *http)
{
    return (sim->is_issuer_down && !is_for_target(http)) ||
           (sim->down_prefix != NULL && str_starts_with(str_of(http->url), sim->down_prefix));
}

/* A world without these draws nothing for them. */
static enum fate draw_odd_fate(struct sim *sim)
{
    const struct {
        uint32_t permille;
        enum fate fate;
    } fates[] = {
        {sim->faults.truncated, FATE_TRUNCATED},
        {sim->faults.odd, FATE_ODD},
        {sim->faults.stripped, FATE_STRIPPED},
        {sim->faults.redirected, FATE_REDIRECTED},
    };

    for (size_t i = 0; i < ARRAY_LEN(fates); i++) {
        if (fates[i].permille > 0 && sim_random_chance(&sim->random, fates[i].permille)) {
            return fates[i].fate;
        }
    }
    return FATE_OK;
}

static enum fate draw_fate(struct sim *sim, const struct env_http *http)
{
    const struct sim_faults *faults = &sim->faults;
    const struct {
        uint32_t permille;
        enum fate fate;
    } fates[] = {
        {is_down(sim, http) ? 1000 : 0, FATE_REFUSED},
        {faults->refused, FATE_REFUSED},
        {faults->unreachable, FATE_UNREACHABLE},
        {faults->lost_request, FATE_LOST_REQUEST},
        {faults->lost_answer, FATE_LOST_ANSWER},
        {faults->garbage, FATE_GARBAGE},
        {faults->bad_gateway / 2, FATE_BAD_GATEWAY_BEFORE},
        {faults->bad_gateway / 2, FATE_BAD_GATEWAY_AFTER},
        {faults->duplicated, FATE_DUPLICATED},
    };

    for (size_t i = 0; i < ARRAY_LEN(fates); i++) {
        if (sim_random_chance(&sim->random, fates[i].permille)) {
            return fates[i].fate;
        }
    }
    return draw_odd_fate(sim);
}

/* Nothing in between can answer for the target, or change what it says: TLS sees to that. Of the
 * issuer's answers the daemon is to notice it by itself. */
static enum fate fate_at_target(enum fate fate)
{
    switch (fate) {
    case FATE_OK:
    case FATE_REFUSED:
    case FATE_UNREACHABLE:
    case FATE_LOST_REQUEST:
    case FATE_DUPLICATED:
        return fate;
    default:
        return FATE_LOST_ANSWER;
    }
}

static uint64_t draw_latency(struct sim *sim)
{
    bool is_slow = sim_random_chance(&sim->random, sim->faults.slow);

    return 1 + sim_random_below(&sim->random, is_slow ? SLOW_MAX_MS : LATENCY_MAX_MS);
}

static struct str path_of(const char *url)
{
    const char *path = strstr(url, "://");
    struct str rest;

    path = path != NULL ? strchr(path + 3, '/') : NULL;
    rest = str_of(path != NULL ? path : "/");
    return str_cut(&rest, '?');
}

static struct str header_of(const struct env_http *http, struct str wanted)
{
    for (size_t i = 0; i < http->header_count; i++) {
        struct str name = http->headers[i].name;

        if (name.len == wanted.len && strncasecmp(name.ptr, wanted.ptr, name.len) == 0) {
            return http->headers[i].value;
        }
    }
    return STR("");
}

static struct sim_call call_of(const struct exchange *x)
{
    return (struct sim_call){.id = x->id,
                             .now_ms = x->sim->now_ms,
                             .method = str_of(x->http->method),
                             .url = str_of(x->http->url),
                             .path = path_of(x->http->url),
                             .http = x->http,
                             .is_late = x->deadline_ms < x->sim->now_ms,
                             .token = header_of(x->http, STR("X-Vault-Token")),
                             .body = x->http->body,
                             .is_for_target = is_for_target(x->http),
                             .secret = header_of(x->http, STR("X-Secret"))};
}

struct str sim_call_value(const struct sim_call *call, const char *name)
{
    for (size_t i = 0; i < call->variable_count; i++) {
        if (str_eq_c(call->variables[i].name, name)) {
            return call->variables[i].value;
        }
    }
    return call->http != NULL ? header_of(call->http, str_of(name)) : STR("");
}

const char *sim_call_bearer(const struct sim_call *call)
{
    static char token[4096];
    struct str value = sim_call_value(call, "authorization");

    token[0] = '\0';
    if (str_starts_with(value, "Bearer ")) {
        (void)snprintf(token, sizeof(token), "%.*s", (int)(value.len - 7), value.ptr + 7);
    }
    return token;
}

static void execute(struct exchange *x)
{
    struct sim *sim = x->sim;
    struct sim_call call = call_of(x);

    buf_reset(&x->answer.body);
    x->answer.retry_after_s = 0;
    x->answer.date[0] = '\0';
    sim->server.answer(sim->server.user, &call, &x->answer);
    x->was_executed = true;
    CHECK(buf_status(&x->answer.body) == 0);
    sim_trace(sim, "net %llu: %.*s %.*s executed: %u", (unsigned long long)x->id,
              STR_ARG(call.method), STR_ARG(call.path), x->answer.status);
}

/* Replaces the answer by one that the server didn't make. */
static void replace_answer(struct exchange *x, uint32_t status, const char *body)
{
    x->answer.status = status;
    x->answer.retry_after_s = 0;
    x->answer.date[0] = '\0';
    buf_reset(&x->answer.body);
    buf_add_c(&x->answer.body, body);
}

/* Which page it is goes by the exchange's number, so that no seed means anything else. */
static uint32_t page_status(const struct exchange *x)
{
    static const uint32_t statuses[] = {502, 503, 504, 403, 404};

    return statuses[x->id % (x->fate == FATE_BAD_GATEWAY_BEFORE ? ARRAY_LEN(statuses) : 3U)];
}

/* Something in between answers by itself. */
static bool is_intercepted(const struct exchange *x)
{
    return x->fate == FATE_BAD_GATEWAY_BEFORE || x->fate == FATE_REDIRECTED;
}

/* Nobody who reads it sees that it was longer. */
static void truncate_answer(struct exchange *x)
{
    struct buf *body = &x->answer.body;

    if (body->len > 0) {
        body->len = sim_random_below(&x->sim->random, body->len);
        body->bytes[body->len] = '\0';
    }
}

/* The server's own answer to an issue, without the credential and its life; the lease can be told
 * still. */
static void strip_answer(struct exchange *x)
{
    json_t *root = json_loadb(x->answer.body.bytes, x->answer.body.len, 0, NULL);
    char *text = NULL;

    if (json_is_object(json_object_get(root, "data")) &&
        json_string_length(json_object_get(root, "lease_id")) > 0) {
        (void)json_object_set_new(root, "data", json_null());
        (void)json_object_set_new(root, "lease_duration", json_integer(0));
        text = json_dumps(root, JSON_COMPACT);
        replace_answer(x, 200, text);
        mem_free(text);
    }
    json_decref(root);
}

static const char *odd_body(const struct exchange *x)
{
    static const char *const bodies[] = {
        "{}",
        "[]",
        "null",
        "{\"data\":null,\"lease_id\":\"\",\"auth\":null}",
        "{\"data\":{},\"lease_id\":7,\"lease_duration\":-1,\"renewable\":\"yes\"}",
        "{\"errors\":[]}",
        "{\"auth\":{\"client_token\":\"\"},\"wrap_info\":null}",
    };

    return bodies[x->id % ARRAY_LEN(bodies)];
}

static void arrived(struct sim_event *event)
{
    struct exchange *x = CONTAINER_OF(event, struct exchange, arrive);
    struct sim *sim = x->sim;
    uint64_t back_ms;

    sim_oom_outside();
    if (!is_intercepted(x)) {
        execute(x);
    }
    if (x->fate == FATE_DUPLICATED) {
        sim->server.ended(sim->server.user, x->id, false);
        execute(x);
    }
    if (x->fate == FATE_TRUNCATED) {
        truncate_answer(x);
    } else if (x->fate == FATE_STRIPPED) {
        strip_answer(x);
    } else if (x->fate == FATE_ODD) {
        replace_answer(x, 200, odd_body(x));
    } else if (x->fate == FATE_REDIRECTED) {
        replace_answer(x, 307, "");
    } else if (x->fate == FATE_GARBAGE) {
        replace_answer(x, 200, GARBAGE);
    } else if (x->fate == FATE_BAD_GATEWAY_BEFORE || x->fate == FATE_BAD_GATEWAY_AFTER) {
        replace_answer(x, page_status(x), GARBAGE);
    }
    sim_oom_inside();
    back_ms = sim->now_ms + draw_latency(sim);
    if (back_ms > x->deadline_ms) {
        x->fate = FATE_LOST_ANSWER;
    }
    if (x->fate == FATE_LOST_ANSWER &&
        (back_ms > x->deadline_ms || sim_random_chance(&sim->random, 500))) {
        back_ms = x->deadline_ms;
    }
    sim_schedule(sim, &x->complete, back_ms);
}

/* What the caller is told. */
static int completion_status(const struct exchange *x)
{
    if (x->sim->is_dead) {
        return ERR_CANCELED;
    }
    switch (x->fate) {
    case FATE_REFUSED:
        return ERR_CONNECT;
    case FATE_UNREACHABLE:
        return ERR_TIMEOUT;
    case FATE_LOST_REQUEST:
    case FATE_LOST_ANSWER:
        return ERR_LOST;
    default:
        return x->is_canceled && !x->answer_came_first ? ERR_CANCELED : 0;
    }
}

static void fill_reply(const struct exchange *x, char retry_after[16], struct env_http_reply *reply)
{
    reply->status = x->answer.status;
    reply->body = buf_str(&x->answer.body);
    reply->headers[reply->header_count++] =
        (struct env_http_header){STR("content-type"), STR("application/json")};
    if (x->fate == FATE_REDIRECTED) {
        reply->headers[reply->header_count++] =
            (struct env_http_header){STR("location"),
                                     STR("https://vault-active.example:8200/v1/sys/health")};
    }
    if (x->answer.date[0] != '\0') {
        reply->headers[reply->header_count++] =
            (struct env_http_header){STR("date"), str_of(x->answer.date)};
    }
    if (x->answer.retry_after_s > 0) {
        (void)snprintf(retry_after, 16, "%u", x->answer.retry_after_s);
        reply->headers[reply->header_count++] =
            (struct env_http_header){STR("retry-after"), str_of(retry_after)};
    }
}

static void completed(struct sim_event *event)
{
    struct exchange *x = CONTAINER_OF(event, struct exchange, complete);
    struct sim *sim = x->sim;
    struct env_http *http = x->http;
    struct env_http_reply reply = {0};
    uint64_t failed_count = sim_oom_failed_count();
    char retry_after[16];
    int status = completion_status(x);
    bool is_whole = status == 0 &&
                    (x->fate == FATE_OK || x->fate == FATE_DUPLICATED || x->fate == FATE_STRIPPED);

    sim_trace(sim, "net %llu: ended: %s", (unsigned long long)x->id,
              status == 0 ? "answer" : err_str(status));
    list_remove(&x->node);
    if (status == 0) {
        fill_reply(x, retry_after, &reply);
    }
    http->fn(http, status, &reply, status == 0 ? "" : err_str(status));
    if (x->was_executed) {
        /* What the daemon had no memory to read it doesn't know. */
        is_whole = is_whole && failed_count == sim_oom_failed_count();
        sim->server.ended(sim->server.user, x->id, is_whole);
    }
    buf_fini(&x->answer.body);
    free(x);
}

static void depart(struct exchange *x)
{
    struct sim *sim = x->sim;
    uint64_t latency_ms = draw_latency(sim);
    uint64_t connect_ms =
        x->http->connect_timeout_ms > 0 ? x->http->connect_timeout_ms : CONNECT_TIMEOUT_MS;

    switch (x->fate) {
    case FATE_REFUSED:
        sim_schedule_in(sim, &x->complete, latency_ms);
        break;
    case FATE_UNREACHABLE:
        sim_schedule_in(sim, &x->complete,
                        connect_ms < x->http->timeout_ms ? connect_ms : x->http->timeout_ms);
        break;
    case FATE_LOST_REQUEST:
        sim_schedule(sim, &x->complete, x->deadline_ms);
        break;
    default:
        sim_schedule_in(sim, &x->arrive, latency_ms);
        break;
    }
}

int sim_http_start(struct env *env, struct env_http *http, struct err *e)
{
    struct sim *sim = env->impl;
    struct exchange *x;
    struct sim_call call;

    (void)e;
    if (sim->is_dead) {
        return ERR_CANCELED;
    }
    x = calloc(1, sizeof(*x));
    CHECK(x != NULL);
    CHECK(http->timeout_ms > 0);
    x->http = http;
    x->sim = sim;
    x->id = ++sim->exchange_count;
    x->deadline_ms = sim->now_ms + http->timeout_ms;
    x->arrive.fn = arrived;
    x->complete.fn = completed;
    x->fate = draw_fate(sim, http);
    if (is_for_target(http)) {
        x->fate = fate_at_target(x->fate);
    }
    buf_init(&x->answer.body, ANSWER_MAX_BYTES);
    http->impl = x;
    call = call_of(x);
    sim_trace(sim, "net %llu: %.*s %.*s sent", (unsigned long long)x->id, STR_ARG(call.method),
              STR_ARG(call.path));
    sim_oom_outside();
    sim->server.sent(sim->server.user, &call);
    sim_oom_inside();
    list_push_back(&sim->exchanges, &x->node);
    depart(x);
    return 0;
}

void sim_http_cancel(struct env *env, struct env_http *http)
{
    struct sim *sim = env->impl;
    struct exchange *x = http->impl;

    if (x->is_canceled) {
        return;
    }
    x->is_canceled = true;
    if (sim->server.canceled != NULL) {
        sim->server.canceled(sim->server.user, x->id);
    }
    x->answer_came_first =
        x->was_executed && x->fate == FATE_OK && sim_random_chance(&sim->random, 300);
    if (x->arrive.heap_index != 0) {
        sim_unschedule(sim, &x->arrive);
        if (!is_intercepted(x) && sim_random_chance(&sim->random, 500)) {
            sim_oom_outside();
            execute(x);
            sim_oom_inside();
        }
    }
    sim_schedule_in(sim, &x->complete, 0);
}

size_t sim_net_count(const struct sim *sim, bool (*counts)(void *user, const struct sim_call *call),
                     void *user)
{
    size_t count = 0;
    struct list *node;
    struct list *following;

    LIST_EACH (&sim->exchanges, node, following) {
        const struct exchange *x = LIST_ENTRY(node, struct exchange, node);
        struct sim_call call = call_of(x);

        count += !x->is_canceled && counts(user, &call);
    }
    return count;
}
