/* What a live lease costs: memory with its grant, its places on the wheel and its secret, and the
 * time of a cached read.
 *
 * 1 000 identities hold 100 leases each (a database credential: user name, password, a Vault lease
 * id), once bound to their duration alone, once each bound to a process of its own, which is
 * watched. The issuer answers at once, the trail has no sink. Bytes are what malloc has given out,
 * its own part included. */
#include "env/process.h"
#include "lease/recheck.h"
#include "io/seal.h"
#include "lease/core.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define IDENTITIES 1000U
#define READS 2000000U

/* --- the smallest world that a core runs in --- */

static struct {
    struct env env;
    struct io_seal *seal;
    struct list deferreds;
    uint64_t random_state;
    uint64_t issued;
} world;

static uint64_t now_ms(struct env *env)
{
    (void)env;
    return 5000000;
}

static int64_t wall_ms(struct env *env)
{
    (void)env;
    return 1767225600000;
}

static void fill_random(struct env *env, void *bytes, size_t size)
{
    unsigned char *at = bytes;

    (void)env;
    while (size-- > 0) {
        world.random_state = world.random_state * 6364136223846793005ULL + 1442695040888963407ULL;
        *at++ = (unsigned char)(world.random_state >> 56);
    }
}

static void timer_arm(struct env *env, struct env_timer *timer, uint64_t when_ms)
{
    (void)env;
    timer->when_ms = when_ms;
}

static void timer_disarm(struct env *env, struct env_timer *timer)
{
    (void)env;
    timer->heap_index = 0;
}

static void defer(struct env *env, struct env_deferred *deferred)
{
    (void)env;
    if (!list_is_linked(&deferred->node)) {
        list_push_back(&world.deferreds, &deferred->node);
    }
}

static int process_lookup(struct env *env, int32_t pid, struct env_process *ret_process)
{
    (void)env;
    *ret_process = (struct env_process){.pid = pid, .start_ticks = (uint64_t)pid};
    return 0;
}

static int watch_start(struct env *env, struct env_process_watch *watch)
{
    (void)env;
    (void)watch;
    return 0;
}

static void watch_close(struct env *env, struct env_process_watch *watch)
{
    (void)env;
    watch->closed(watch);
}

static bool watch_has_ended(struct env *env, struct env_process_watch *watch)
{
    (void)env;
    (void)watch;
    return false;
}

static int seal(struct env *env, struct str owner, struct str plain, char *ret_sealed)
{
    (void)env;
    return io_seal(world.seal, owner, plain, ret_sealed);
}

static int unseal(struct env *env, struct str owner, struct str sealed, char *ret_plain)
{
    (void)env;
    return io_unseal(world.seal, owner, sealed, ret_plain);
}

static int user_name(struct env *env, uint32_t uid, char ret_name[ENV_NAME_MAX_BYTES])
{
    (void)env;
    (void)snprintf(ret_name, ENV_NAME_MAX_BYTES, "svc%u", uid - 10000);
    return 0;
}

static const struct env_ops world_ops = {
    .user_name = user_name,
    .now_ms = now_ms,
    .wall_ms = wall_ms,
    .random = fill_random,
    .timer_arm = timer_arm,
    .timer_disarm = timer_disarm,
    .defer = defer,
    .process_lookup = process_lookup,
    .process_watch_start = watch_start,
    .process_watch_close = watch_close,
    .process_watch_has_ended = watch_has_ended,
    .seal = seal,
    .unseal = unseal,
};

static void run(void)
{
    struct list *node;

    while ((node = list_pop_front(&world.deferreds)) != NULL) {
        struct env_deferred *deferred = LIST_ENTRY(node, struct env_deferred, node);

        deferred->fn(deferred);
    }
}

/* --- an issuer that answers at the end of the turn --- */

struct answer {
    struct env_deferred deferred;
    struct lease_call *call;
};

static struct answer answers[64];

static void answered(struct env_deferred *deferred)
{
    struct answer *answer = deferred->user;
    struct lease_call *call = answer->call;
    char ref[80];
    char user[48];
    const struct lease_field fields[] = {
        {.name = STR("username"), .value = {.ptr = user, .len = 43}},
        {.name = STR("password"), .value = STR("abcdefghij0123456789"), .is_secret = true},
    };
    struct lease_result result = {
        .outcome = LEASE_OUTCOME_OK,
        .lifetime_ms = 3600000,
        .answered_ms = 5000000,
        .is_renewable = true,
        .is_revocable = true,
        .fields = fields,
        .field_count = 2,
    };

    answer->call = NULL;
    world.issued++;
    (void)snprintf(user, sizeof(user), "v-approle-orders-%026llu",
                   (unsigned long long)world.issued);
    (void)snprintf(ref, sizeof(ref), "database/creds/orders/%024llu",
                   (unsigned long long)world.issued);
    result.issuer_ref = str_of(ref);
    call->fn(call, &result);
}

static int call_start(struct lease_issuer *issuer, struct lease_call *call)
{
    size_t i;

    (void)issuer;
    for (i = 0; i < ARRAY_LEN(answers); i++) {
        if (answers[i].call == NULL) {
            answers[i].call = call;
            answers[i].deferred.fn = answered;
            answers[i].deferred.user = &answers[i];
            defer(NULL, &answers[i].deferred);
            return 0;
        }
    }
    return ERR_LIMIT;
}

static void call_cancel(struct lease_issuer *issuer, struct lease_call *call)
{
    (void)issuer;
    (void)call;
}

/* --- measuring --- */

static const struct lease_issuer_ops issuer_ops = {
    .call_start = call_start,
    .call_cancel = call_cancel,
};
static struct lease_issuer issuer = {.name = "vault-prod",
                                     .ops = &issuer_ops,
                                     .limits = {.in_flight = 32}};
static const struct lease_role role = {.name = "orders-db",
                                       .issuer = &issuer,
                                       .params_json = "{}",
                                       .ttl_ms = 3600000,
                                       .max_ttl_ms = 86400000,
                                       .renew_at_percent = 50,
                                       .min_remaining_ms = 300000,
                                       .binding = ACCESS_BINDING_PROCESS};
static struct access_identity identities[IDENTITIES];
static const struct lease_role *known_role;
static struct access_decision decision = {.outcome = ACCESS_ALLOW,
                                          .rule = "services",
                                          .duration_ms = 86400000,
                                          .bindings = {{.kind = ACCESS_BINDING_PROCESS}},
                                          .binding_count = 1};
static struct lease_core *core;
static uint32_t got_count;

static void got(struct lease_acquire *acquire, int status, struct grant *grant)
{
    (void)acquire;
    CHECK(status == 0);
    got_count++;
    lease_core_delivered(core, grant, true);
}

static void make_identities(void)
{
    uint32_t i;

    for (i = 0; i < IDENTITIES; i++) {
        struct access_identity *identity = &identities[i];

        identity->listener = "local";
        identity->uid = 10000 + i;
        identity->gid = identity->uid;
        (void)snprintf(identity->user, sizeof(identity->user), "svc%u", i);
        (void)snprintf(identity->unit, sizeof(identity->unit), "svc%u.service", i);
    }
}

static struct lease_ask ask_of(uint32_t index)
{
    struct access_identity *identity = &identities[index % IDENTITIES];

    identity->pid = (int32_t)index + 1;
    identity->start_ticks = index + 1;
    return (struct lease_ask){.role = known_role, .identity = identity, .decision = &decision};
}

static double seconds(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static double acquire_all(uint32_t count, bool is_new_grant)
{
    double start = seconds();
    uint32_t i;

    got_count = 0;
    for (i = 0; i < count; i++) {
        struct lease_acquire acquire = {
            .ask = ask_of(i),
            .policy_digest = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
            .request_id = "req",
            .fn = got,
        };

        acquire.ask.is_new_grant = is_new_grant;
        CHECK(lease_acquire_start(core, &acquire) == 0);
        run();
    }
    CHECK(got_count == count);
    return count / (seconds() - start);
}

static double read_all(uint32_t count, bool is_opened)
{
    double start = seconds();
    uint32_t i;

    for (i = 0; i < READS; i++) {
        const struct lease_ask ask = ask_of((uint32_t)((uint64_t)i * 2654435761U % count));
        struct lease_credential credential;
        struct grant *grant = lease_core_cached(core, &ask);

        CHECK(grant != NULL);
        if (is_opened) {
            CHECK(lease_credential_open(core, grant_lease(grant), &credential) == 0);
            lease_credential_close(&credential);
        }
    }
    return READS / (seconds() - start);
}

static void judge(void *user, const struct access_identity *identity,
                  const struct access_request *request, struct access_decision *ret_decision)
{
    (void)user;
    (void)identity;
    (void)request;
    *ret_decision = decision;
}

static double recheck_all(uint32_t count)
{
    double start = seconds();

    CHECK(lease_core_recheck(core, &(struct lease_recheck){.policy_digest = "digest",
                                                           .judge = judge}) == 0);
    return count / (seconds() - start);
}

static void closed(void *user)
{
    *(bool *)user = true;
}

struct figures {
    double bytes;
    double acquires;
    double found; /* cached reads, without the credential */
    double reads;
    double rechecks; /* without the policy's own part */
};

static struct figures measure(uint32_t count, enum access_binding binding)
{
    struct audit_options audit_options = {.env = &world.env, .node = "bench"};
    struct lease_core_options options = {.env = &world.env,
                                         .leases_max = count,
                                         .grants_max = count};
    struct figures figures;
    struct mallinfo2 before;
    struct mallinfo2 after;
    bool is_closed = false;

    decision.bindings[0].kind = binding;
    CHECK(audit_new(&audit_options, &options.audit, NULL) == 0);
    CHECK(lease_core_new(&options, &core, NULL) == 0);
    CHECK(lease_core_set_role(core, &role) == 0);
    known_role = lease_core_role(core, STR("orders-db"));
    before = mallinfo2();
    figures.acquires = acquire_all(count, binding == ACCESS_BINDING_NONE);
    after = mallinfo2();
    figures.bytes =
        (double)(after.uordblks + after.hblkhd - before.uordblks - before.hblkhd) / count;
    figures.found = read_all(count, false);
    figures.reads = read_all(count, true);
    figures.rechecks = recheck_all(count);
    lease_core_close(core, closed, &is_closed);
    run();
    CHECK(is_closed);
    return figures;
}

int main(int argc, char **argv)
{
    uint32_t count = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : 100000;
    struct figures alone;
    struct figures bound;

    world.env.ops = &world_ops;
    CHECK(io_seal_new(IO_SEALS_MAX, &world.seal) == 0);
    list_init(&world.deferreds);
    make_identities();
    alone = measure(count, ACCESS_BINDING_NONE);
    bound = measure(count, ACCESS_BINDING_PROCESS);
    printf("%-40s %10u\n", "live leases", count);
    printf("%-40s %10.0f bytes (goal: 1024)\n", "memory a live lease", alone.bytes);
    printf("%-40s %10.0f bytes\n", "the same with a process of its own", bound.bytes);
    printf("%-40s %10.0f /s\n", "acquired", bound.acquires);
    printf("%-40s %10.0f /s\n", "cached reads, found", bound.found);
    printf("%-40s %10.0f /s\n", "cached reads, opened", bound.reads);
    printf("%-40s %10.0f /s\n", "grants judged anew", bound.rechecks);
    printf("{\"bench\":\"lease\",\"leases\":%u,\"bytes_per_lease\":%.0f,"
           "\"bytes_per_lease_with_process\":%.0f,\"acquires_per_s\":%.0f,"
           "\"cached_reads_per_s\":%.0f}\n",
           count, alone.bytes, bound.bytes, bound.acquires, bound.reads);
    return 0;
}
