/* What a world hears of its daemon from outside: calls that go to the model issuer, and lines of
 * the log, which are looked at for secrets and are a part of the trace. Checkers, where there are
 * any, are told of both. */
#include "sim_check.h"
#include "sim_oom.h"
#include "base/log.h"

#include <string.h>

static void network_sent(void *user, const struct sim_call *call)
{
    struct sim_world *world = user;

    if (world->check != NULL && !call->is_for_target) {
        sim_check_sent(world->check, call);
    }
}

/* What the credentials are for: it takes one that is valid, once it knows it. */
static void target_answer(struct sim_world *world, const struct sim_call *call,
                          struct sim_answer *answer)
{
    const struct sim_credential *credential = sim_issuer_find(&world->vault.issuer, call->secret);
    bool is_good = credential != NULL &&
                   sim_credential_until_ms(credential, call->now_ms) > call->now_ms &&
                   credential->known_ms <= call->now_ms;

    answer->status = is_good ? 204 : 401;
}

static void network_answer(void *user, const struct sim_call *call, struct sim_answer *answer)
{
    struct sim_world *world = user;
    struct sim_issuer *issuer;

    if (call->is_for_target) {
        target_answer(world, call, answer);
        return;
    }
    issuer = sim_world_issuer_at(world, call);
    if (issuer == NULL) {
        sim_fail(&world->sim, "a request to nobody: %.*s", STR_ARG(call->url));
    }
    issuer->kind->answer(issuer, call, answer);
    if (world->check != NULL) {
        sim_check_executed(world->check, call, answer);
    }
}

static void network_ended(void *user, uint64_t id, bool is_delivered)
{
    struct sim_world *world = user;

    for (size_t i = 0; i < world->backend_count; i++) {
        sim_issuer_ended(world->backends[i].issuer, id, is_delivered);
    }
    if (world->check != NULL) {
        sim_check_exchange_ended(world->check, id, is_delivered);
    }
}

static void network_canceled(void *user, uint64_t id)
{
    const struct sim_world *world = user;

    if (world->check != NULL) {
        sim_check_canceled(world->check, id);
    }
}

static void log_line(void *user, enum log_level level, const char *event,
                     const struct log_field *fields, size_t field_count)
{
    struct sim_world *world = user;
    BUF_AUTO line;

    sim_oom_outside();
    buf_init(&line, 4096);
    buf_printf(&line, "log %s %s", log_level_str(level), event);
    for (size_t i = 0; i < field_count; i++) {
        buf_printf(&line, " %s=%.*s", fields[i].key, STR_ARG(fields[i].value));
        if (world->check != NULL && strcmp(event, "lease.issue.lost") == 0 &&
            strcmp(fields[i].key, "lease") == 0) {
            sim_check_issue_lost(world->check, fields[i].value);
        }
    }
    if (buf_status(&line) == 0) {
        sim_trace(&world->sim, "%s", line.bytes);
        if (sim_is_leak(buf_str(&line))) {
            sim_fail(&world->sim, "S6: a secret in the log: %s", line.bytes);
        }
    }
    sim_oom_inside();
}

void sim_outside_listen(struct sim_world *world)
{
    world->sim.server = (struct sim_server){.sent = network_sent,
                                            .answer = network_answer,
                                            .ended = network_ended,
                                            .canceled = network_canceled,
                                            .user = world};
    log_set_sink(log_line, world, LOG_LEVEL_DEBUG);
}
