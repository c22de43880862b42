/* 100 000 leases of one issuer that come due together: how evenly they are renewed, and whether one
 * is lost. On a virtual clock, with a model issuer that takes 20 ms for an answer.
 *
 * All are issued at the same moment for an hour, and renewed at half of it, less their splay.
 * Twice: with an issuer that is always there, and with one that refuses everything for a quarter of
 * an hour around that time, so that all are overdue when it is back. It is a failure if a lease
 * ends, if the issuer is asked for more than its limits allow, or if leases that are due wait while
 * it could be asked. */
#include "lease/core.h"
#include "support/fake_env.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define IDENTITIES 1000U
#define SECOND_MS 1000U
#define LIFE_MS 3600000U
#define LATENCY_MS 20U
#define IN_FLIGHT_MAX 32U
#define RATE 200U /* renewals a second */
#define OUTAGE_FROM_S 1500U
#define OUTAGE_TO_S 2400U
/* When the first round of renewals must be over; before the second one begins. */
#define ROUND_S 3200U
/* Of a second's budget that may be unused while leases are due. */
#define SLACK_PERCENT 10U

/* --- the issuer --- */

struct slot {
    struct env_timer timer;
    struct env_deferred deferred;
    struct lease_call *call;
    uint64_t asked_ms;
};

static struct {
    struct fake_env fake;
    struct slot slots[IN_FLIGHT_MAX];
    uint64_t start_ms;
    uint32_t in_flight;
    uint32_t in_flight_peak;
    uint32_t issued;
    uint32_t renewed;
    bool is_away;
    uint32_t asked_by_second[ROUND_S + 1];
    uint32_t renewed_by_second[ROUND_S + 1];
} world;

static uint32_t second_now(void)
{
    uint64_t second = (world.fake.now_ms - world.start_ms) / SECOND_MS;

    return second < ROUND_S ? (uint32_t)second : ROUND_S;
}

static void answer(struct slot *slot)
{
    struct lease_call *call = slot->call;
    char ref[80];
    const struct lease_field fields[] = {
        {.name = STR("username"), .value = STR("v-approle-orders")},
        {.name = STR("password"), .value = STR("abcdefghij0123456789"), .is_secret = true},
    };
    struct lease_result result = {
        .outcome = world.is_away ? LEASE_OUTCOME_RETRY : LEASE_OUTCOME_OK,
        .detail = world.is_away ? "away" : NULL,
        .lifetime_ms = LIFE_MS,
        .answered_ms = slot->asked_ms,
        .is_renewable = true,
        .is_revocable = true,
    };

    slot->call = NULL;
    world.in_flight--;
    if (call->kind == LEASE_CALL_ISSUE) {
        (void)snprintf(ref, sizeof(ref), "database/creds/orders/%024u", ++world.issued);
        result.issuer_ref = str_of(ref);
        result.fields = fields;
        result.field_count = ARRAY_LEN(fields);
    } else if (!world.is_away) {
        world.renewed++;
        world.renewed_by_second[second_now()]++;
    }
    call->fn(call, &result);
}

static void answered_now(struct env_deferred *deferred)
{
    answer(deferred->user);
}

static void answered_later(struct env_timer *timer)
{
    answer(timer->user);
}

static int call_start(struct lease_issuer *issuer, struct lease_call *call)
{
    struct slot *slot = world.slots;

    (void)issuer;
    while (slot < world.slots + IN_FLIGHT_MAX && slot->call != NULL) {
        slot++;
    }
    CHECK(slot < world.slots + IN_FLIGHT_MAX);
    world.in_flight++;
    if (world.in_flight > world.in_flight_peak) {
        world.in_flight_peak = world.in_flight;
    }
    slot->call = call;
    slot->asked_ms = world.fake.now_ms;
    if (call->kind == LEASE_CALL_ISSUE) {
        slot->deferred.fn = answered_now;
        slot->deferred.user = slot;
        env_defer(&world.fake.env, &slot->deferred);
        return 0;
    }
    world.asked_by_second[second_now()]++;
    slot->timer.fn = answered_later;
    slot->timer.user = slot;
    env_timer_arm(&world.fake.env, &slot->timer, world.fake.now_ms + LATENCY_MS);
    return 0;
}

static void call_cancel(struct lease_issuer *issuer, struct lease_call *call)
{
    (void)issuer;
    (void)call;
}

static const struct lease_issuer_ops issuer_ops = {
    .call_start = call_start,
    .call_cancel = call_cancel,
};

/* --- its leases --- */

static struct lease_core *core;

static void got(struct lease_acquire *acquire, int status, struct grant *grant)
{
    (void)acquire;
    CHECK(status == 0);
    lease_core_delivered(core, grant, true);
}

static void acquire_all(uint32_t count)
{
    static const struct access_decision decision = {.outcome = ACCESS_ALLOW,
                                                    .rule = "services",
                                                    .duration_ms = 86400000,
                                                    .bindings = {{.kind = ACCESS_BINDING_NONE}},
                                                    .binding_count = 1};
    struct access_identity identity = {.listener = "local"};
    uint32_t i;

    for (i = 0; i < count; i++) {
        struct lease_acquire acquire = {
            .ask = {.role = lease_core_role(core, STR("orders-db")),
                    .identity = &identity,
                    .decision = &decision,
                    .is_new_grant = true},
            .policy_digest = "digest",
            .request_id = "req",
            .fn = got,
        };

        identity.uid = identity.gid = 10000 + i % IDENTITIES;
        (void)snprintf(identity.user, sizeof(identity.user), "svc%u", i % IDENTITIES);
        CHECK(lease_acquire_start(core, &acquire) == 0);
        fake_env_run(&world.fake);
    }
}

static void make_core(struct lease_issuer *issuer, uint32_t count)
{
    const struct lease_role role = {.name = "orders-db",
                                    .issuer = issuer,
                                    .params_json = "{}",
                                    .ttl_ms = LIFE_MS,
                                    .max_ttl_ms = 86400000,
                                    .renew_at_percent = 50,
                                    .min_remaining_ms = 300000};
    struct audit_options audit_options = {.env = &world.fake.env, .node = "bench"};
    struct lease_core_options options = {.env = &world.fake.env,
                                         .leases_max = count,
                                         .grants_max = count};

    memset(&world, 0, sizeof(world));
    fake_env_init(&world.fake, 5000000, 1);
    world.start_ms = world.fake.now_ms;
    CHECK(audit_new(&audit_options, &options.audit, NULL) == 0);
    CHECK(lease_core_new(&options, &core, NULL) == 0);
    CHECK(lease_core_set_role(core, &role) == 0);
}

/* --- measuring --- */

struct figures {
    uint32_t first_s;
    uint32_t last_s;
    uint32_t asked_first; /* in the first second that any is asked: the bucket was full */
    uint32_t asked_peak;  /* in any other second */
    uint32_t slack_seconds;
    double cpu_us;
};

static double cpu_seconds(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static struct figures count_seconds(uint32_t count)
{
    struct figures figures = {0};
    uint32_t done = 0;
    uint32_t i;

    for (i = 0; i < ROUND_S; i++) {
        uint32_t asked = world.asked_by_second[i];
        uint32_t renewed = world.renewed_by_second[i];

        if (figures.asked_first == 0) {
            figures.asked_first = asked;
        } else if (asked > figures.asked_peak) {
            figures.asked_peak = asked;
        }
        if (renewed > 0 && done == 0) {
            figures.first_s = i;
        }
        /* The first and the last second are partly used. */
        if (done > 0 && done + renewed < count && renewed * 100 < RATE * (100 - SLACK_PERCENT)) {
            figures.slack_seconds++;
        }
        done += renewed;
        if (renewed > 0) {
            figures.last_s = i;
        }
    }
    return figures;
}

static struct figures measure(uint32_t count, bool has_outage)
{
    struct lease_issuer issuer = {.name = "vault-prod",
                                  .ops = &issuer_ops,
                                  .limits = {.in_flight = IN_FLIGHT_MAX,
                                             .renew_rate = {.count = RATE, .per_ms = SECOND_MS}}};
    struct lease_core_stats stats;
    struct figures figures;
    double begin;
    uint32_t i;

    make_core(&issuer, count);
    acquire_all(count);
    world.in_flight_peak = 0;
    begin = cpu_seconds();
    for (i = 0; i < ROUND_S; i++) {
        world.is_away = has_outage && i >= OUTAGE_FROM_S && i < OUTAGE_TO_S;
        fake_env_advance(&world.fake, SECOND_MS);
    }
    figures = count_seconds(count);
    figures.cpu_us = (cpu_seconds() - begin) * 1e6 / count;
    lease_core_stats(core, &stats);
    CHECK(stats.leases_by_state[LEASE_STATE_ACTIVE] == count);
    CHECK(world.issued == count);
    CHECK(world.renewed == count);
    CHECK(world.in_flight_peak <= IN_FLIGHT_MAX);
    CHECK(figures.asked_first <= 2 * RATE);
    CHECK(figures.asked_peak <= RATE + 1);
    CHECK(figures.slack_seconds == 0);
    return figures;
}

static void print(const char *name, const struct figures *figures, uint32_t count)
{
    printf("%s: %u renewed in %u s (%u s to %u s of %u s), none lost\n", name, count,
           figures->last_s - figures->first_s + 1, figures->first_s, figures->last_s,
           LIFE_MS / SECOND_MS);
    printf("%-40s %10u\n", "  asked in the first second", figures->asked_first);
    printf("%-40s %10u /s (budget: %u)\n", "  asked after it, at most", figures->asked_peak, RATE);
    printf("%-40s %10u (limit: %u)\n", "  in flight, at most", world.in_flight_peak, IN_FLIGHT_MAX);
    printf("%-40s %10u\n", "  seconds below 90 % of the budget", figures->slack_seconds);
    printf("%-40s %10.1f us\n", "  processor time for each", figures->cpu_us);
    printf("{\"bench\":\"renewals_%s\",\"leases\":%u,\"budget_per_s\":%u,\"asked_first_second\":%u,"
           "\"asked_peak_per_s\":%u,\"first_s\":%u,\"last_s\":%u,\"seconds_below_budget\":%u,"
           "\"cpu_us\":%.1f}\n",
           name, count, RATE, figures->asked_first, figures->asked_peak, figures->first_s,
           figures->last_s, figures->slack_seconds, figures->cpu_us);
}

int main(int argc, char **argv)
{
    uint32_t count = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : 100000;
    struct figures figures;

    figures = measure(count, false);
    print("planned", &figures, count);
    figures = measure(count, true);
    print("after_outage", &figures, count);
    return 0;
}
