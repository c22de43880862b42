/* The simulated network: each exchange takes a while on its way there and back, and either way may
 * lose it. What matters most: executed at the server, answer lost. */
#include "sim.h"

#include <stdlib.h>
#include <string.h>

#define SIM_LATENCY_MAX_MS 40
#define SIM_SLOW_MAX_MS 8000
#define SIM_REPLY_MAX_BYTES (64U * 1024U)

enum fate {
    FATE_OK,
    FATE_REFUSED,
    FATE_LOST_REQUEST,
    FATE_LOST_ANSWER,
};

struct exchange {
    struct sim_event arrive;   /* the request reaches the server */
    struct sim_event complete; /* the caller hears of it */
    struct env_http *http;
    struct sim *sim;
    struct list node;
    struct buf body;
    uint32_t status;
    enum fate fate;
    bool was_executed;
    bool is_canceled;
};

static enum fate draw_fate(struct sim *sim)
{
    const struct sim_faults *faults = &sim->faults;

    if (sim_random_chance(&sim->random, faults->refused)) {
        return FATE_REFUSED;
    }
    if (sim_random_chance(&sim->random, faults->lost_request)) {
        return FATE_LOST_REQUEST;
    }
    return sim_random_chance(&sim->random, faults->lost_answer) ? FATE_LOST_ANSWER : FATE_OK;
}

static uint64_t draw_latency(struct sim *sim)
{
    uint64_t max =
        sim_random_chance(&sim->random, sim->faults.slow) ? SIM_SLOW_MAX_MS : SIM_LATENCY_MAX_MS;

    return 1 + sim_random_below(&sim->random, max);
}

/* When the caller gives up on an answer that will not come. */
static uint64_t deadline(const struct exchange *x)
{
    return x->arrive.when_ms + x->http->timeout_ms;
}

static void complete_at(struct exchange *x, uint64_t when_ms)
{
    sim_schedule(x->sim, &x->complete, when_ms);
}

static struct str path_of(const char *url)
{
    const char *path = strstr(url, "://");

    path = path != NULL ? strchr(path + 3, '/') : NULL;
    return str_of(path != NULL ? path : "/");
}

static struct str token_of(const struct env_http *http)
{
    size_t i;

    for (i = 0; i < http->header_count; i++) {
        if (str_eq_c(http->headers[i].name, "X-Vault-Token")) {
            return http->headers[i].value;
        }
    }
    return STR("");
}

static void arrived(struct sim_event *event)
{
    struct exchange *x = CONTAINER_OF(event, struct exchange, arrive);
    struct sim *sim = x->sim;
    uint64_t back_ms;

    x->was_executed = true;
    x->status = sim->server(sim->server_user, sim->now_ms, str_of(x->http->method),
                            path_of(x->http->url), token_of(x->http), x->http->body, &x->body);
    back_ms = sim->now_ms + draw_latency(sim);
    if (x->fate == FATE_LOST_ANSWER || back_ms > deadline(x)) {
        sim->lost_answer_count++;
        x->fate = FATE_LOST_ANSWER;
        back_ms =
            sim_random_chance(&sim->random, 500) || back_ms > deadline(x) ? deadline(x) : back_ms;
    }
    complete_at(x, back_ms);
}

static int completion_status(const struct exchange *x)
{
    if (x->fate == FATE_REFUSED) {
        return ERR_CONNECT;
    }
    if (x->fate != FATE_OK) {
        return ERR_LOST;
    }
    return x->is_canceled ? ERR_CANCELED : 0;
}

static void completed(struct sim_event *event)
{
    struct exchange *x = CONTAINER_OF(event, struct exchange, complete);
    struct env_http *http = x->http;
    struct env_http_reply reply = {0};
    struct buf body = x->body;
    int status = completion_status(x);

    sim_trace(x->sim, "http %s %s: %d %u", http->method, path_of(http->url).ptr, status,
              status == 0 ? x->status : 0);
    list_remove(&x->node);
    if (status == 0) {
        reply.status = x->status;
        reply.body = buf_str(&body);
    }
    free(x);
    http->fn(http, status, &reply, status == 0 ? "" : err_str(status));
    buf_fini(&body);
}

int sim_http_start(struct env *env, struct env_http *http, struct err *e)
{
    struct sim *sim = env->impl;
    struct exchange *x = calloc(1, sizeof(*x));

    (void)e;
    CHECK(x != NULL);
    CHECK(http->timeout_ms > 0);
    x->http = http;
    x->sim = sim;
    x->arrive.fn = arrived;
    x->complete.fn = completed;
    x->fate = draw_fate(sim);
    buf_init(&x->body, SIM_REPLY_MAX_BYTES);
    http->impl = x;
    list_push_back(&sim->exchanges, &x->node);
    sim->exchange_count++;
    switch (x->fate) {
    case FATE_REFUSED:
        complete_at(x, sim->now_ms + draw_latency(sim));
        break;
    case FATE_LOST_REQUEST:
        complete_at(x, sim->now_ms + http->timeout_ms);
        break;
    case FATE_OK:
    case FATE_LOST_ANSWER:
        sim_schedule(sim, &x->arrive, sim->now_ms + draw_latency(sim));
        break;
    }
    return 0;
}

/* The request may be on the wire already: then it is executed all the same. */
void sim_http_cancel(struct env *env, struct env_http *http)
{
    struct sim *sim = env->impl;
    struct exchange *x = http->impl;

    if (x->is_canceled) {
        return;
    }
    x->is_canceled = true;
    if (x->was_executed && x->fate == FATE_OK) {
        sim->lost_answer_count++; /* the answer is on its way to nobody */
    }
    if (!x->was_executed) {
        sim_unschedule(sim, &x->arrive);
        if (x->fate != FATE_REFUSED && sim_random_chance(&sim->random, 500)) {
            (void)sim->server(sim->server_user, sim->now_ms, str_of(http->method),
                              path_of(http->url), token_of(http), http->body, &x->body);
            x->was_executed = true;
            x->fate = FATE_LOST_ANSWER;
            sim->lost_answer_count++;
        }
    }
    complete_at(x, sim->now_ms);
}
