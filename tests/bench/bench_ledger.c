/* A restart with many live leases: how long it takes from opening the ledger to being ready to
 * serve, what is kept, what is asked of the issuer meanwhile, and what it takes in memory.
 *
 * Two processes, as in life. The first has a core with a real ledger and a model issuer, gives out
 * all leases, and ends without a word once they are on disk. The second opens the ledger and does
 * what daemon_ledger_recover does; it does so twice, with grants that hang on nothing but their
 * duration, and with grants that all hang on one process, which lives through both.
 *
 * usage: bench_ledger [LEASES...]     (100000 1000000)
 */
#include "env/ledger.h"
#include "env/process.h"
#include "io/alloc.h"
#include "io/io.h"
#include "io/secret_memory.h"
#include "lease/core.h"
#include "wire/ledger_grant.h"
#include "wire/ledger_lease.h"

#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define IDENTITIES 1000U
#define BATCH 400U /* acquires under way at once; each has a place in secret memory */
#define LIFE_MS 3600000U
#define PATH_MAX_BYTES 256U

static struct {
    struct io *io;
    struct env *env;
    struct env_ops ops;
    struct env_ledger *ledger;
    struct lease_core *core;
    struct access_decision decision;
    uint32_t got;
    uint32_t issued;
    uint32_t asked;
} world;

/* --- the issuer answers at the end of the turn --- */

struct answer {
    struct env_deferred deferred;
    struct lease_call *call;
};

static struct answer answers[BATCH];

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
        .lifetime_ms = LIFE_MS,
        .answered_ms = env_now_ms(world.env),
        .is_renewable = true,
        .is_revocable = true,
        .fields = fields,
        .field_count = ARRAY_LEN(fields),
    };

    answer->call = NULL;
    world.issued++;
    (void)snprintf(user, sizeof(user), "v-approle-orders-%026u", world.issued);
    (void)snprintf(ref, sizeof(ref), "database/creds/orders/%024u", world.issued);
    result.issuer_ref = str_of(ref);
    call->fn(call, &result);
}

static int call_start(struct lease_issuer *issuer, struct lease_call *call)
{
    struct answer *answer = &answers[world.asked % BATCH];

    (void)issuer;
    if (call->kind != LEASE_CALL_ISSUE) {
        return ERR_LIMIT; /* nothing else belongs into a restart */
    }
    world.asked++;
    CHECK(answer->call == NULL);
    answer->call = call;
    answer->deferred.fn = answered;
    answer->deferred.user = answer;
    env_defer(world.env, &answer->deferred);
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
static struct lease_issuer issuer = {.name = "vault-prod",
                                     .ops = &issuer_ops,
                                     .limits = {.in_flight = BATCH}};

/* --- one daemon's life --- */

static int user_name(struct env *env, uint32_t uid, char ret_name[ENV_NAME_MAX_BYTES])
{
    (void)env;
    (void)snprintf(ret_name, ENV_NAME_MAX_BYTES, "svc%u", uid - 10000);
    return 0;
}

static double seconds(clockid_t clock)
{
    struct timespec now;

    (void)clock_gettime(clock, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* Its key is beside it, as where none is configured. */
static void open_ledger(const char *path)
{
    const struct env_ledger_options options = {.path = path};
    struct err e = {0};

    if (env_ledger_open(world.env, &options, &world.ledger, &e) != 0) {
        (void)fprintf(stderr, "%s\n", e.text);
        exit(1);
    }
}

static void start(enum access_binding binding)
{
    CHECK(io_use_allocator() == 0);
    CHECK(io_use_secret_memory(1U << 20, IO_LOCK_MEMORY_TRY, NULL) == 0);
    CHECK(io_new(&world.io, NULL) == 0);
    world.env = io_env(world.io);
    world.ops = *world.env->ops;
    world.ops.user_name = user_name;
    world.env->ops = &world.ops;
    world.decision = (struct access_decision){.outcome = ACCESS_ALLOW,
                                              .rule = "services",
                                              .duration_ms = 86400000,
                                              .bindings = {{.kind = binding}},
                                              .binding_count = 1};
}

/* The trail goes through the ledger, as the daemon's. */
static void open_trail(const char *path, struct audit **ret_audit)
{
    char trail[PATH_MAX_BYTES + 8];
    const struct audit_sink_options sink = {.kind = "file", .path = trail, .is_required = true};
    const struct audit_options options = {.env = world.env,
                                          .node = "bench",
                                          .ledger = world.ledger,
                                          .sinks = &sink,
                                          .sink_count = 1,
                                          .confirm_max_ms = 60000};
    struct err e = {0};

    (void)snprintf(trail, sizeof(trail), "%s.audit", path);
    if (audit_new(&options, ret_audit, &e) != 0) {
        (void)fprintf(stderr, "%s\n", e.text);
        exit(1);
    }
}

static void make_core(const char *path, uint32_t count)
{
    const struct lease_role role = {.name = "orders-db",
                                    .issuer = &issuer,
                                    .params_json = "{\"path\":\"database/creds/orders\"}",
                                    .ttl_ms = LIFE_MS,
                                    .max_ttl_ms = 86400000,
                                    .renew_at_percent = 50,
                                    .min_remaining_ms = 300000,
                                    .binding = ACCESS_BINDING_PROCESS};
    struct lease_core_options options = {
        .env = world.env, .ledger = world.ledger, .leases_max = count, .grants_max = count};

    open_trail(path, &options.audit);
    CHECK(lease_core_new(&options, &world.core, NULL) == 0);
    CHECK(lease_core_set_role(world.core, &role) == 0);
}

/* --- the first one --- */

struct asking {
    struct lease_acquire acquire;
    struct access_identity identity;
};

static void got(struct lease_acquire *acquire, int status, struct grant *grant)
{
    (void)acquire;
    CHECK(status == 0);
    world.got++;
    lease_core_delivered(world.core, grant, true);
}

static void ask(struct asking *asking, uint32_t index, const struct env_process *holder)
{
    struct access_identity *identity = &asking->identity;

    *identity = (struct access_identity){.listener = "local",
                                         .uid = 10000 + index % IDENTITIES,
                                         .gid = 10000 + index % IDENTITIES,
                                         .pid = holder->pid,
                                         .start_ticks = holder->start_ticks};
    (void)snprintf(identity->user, sizeof(identity->user), "svc%u", index % IDENTITIES);
    (void)snprintf(identity->unit, sizeof(identity->unit), "svc%u.service", index % IDENTITIES);
    asking->acquire = (struct lease_acquire){
        .ask = {.role = lease_core_role(world.core, STR("orders-db")),
                .identity = identity,
                .decision = &world.decision,
                .is_new_grant = true},
        .policy_digest = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
        .request_id = "req",
        .fn = got,
    };
    CHECK(lease_acquire_start(world.core, &asking->acquire) == 0);
}

static void synced(struct env_ledger_sync *sync, int status)
{
    CHECK(status == 0);
    *(bool *)sync->user = true;
}

static void write_all(const char *path, uint32_t count, enum access_binding binding, pid_t pid)
{
    static struct asking askings[BATCH];
    bool is_synced = false;
    struct env_ledger_sync sync = {.fn = synced, .user = &is_synced};
    struct env_process holder;
    uint32_t asked = 0;
    double begin;

    start(binding);
    open_ledger(path);
    make_core(path, count);
    CHECK(env_process_lookup(world.env, pid, &holder) == 0);
    begin = seconds(CLOCK_MONOTONIC);
    while (asked < count) {
        uint32_t i;

        for (i = 0; i < BATCH && asked < count; i++) {
            ask(&askings[i], asked++, &holder);
        }
        while (world.got < asked) {
            io_run_once(world.io, true);
        }
    }
    env_ledger_sync(world.ledger, &sync);
    while (!is_synced) {
        io_run_once(world.io, true);
    }
    printf("%-40s %10.0f /s\n", "  given out, each on disk before it leaves",
           count / (seconds(CLOCK_MONOTONIC) - begin));
}

/* --- the second one --- */

static int recover_lease(void *user, struct str id, struct str body)
{
    struct ledger_lease record;

    (void)user;
    CHECK(ledger_lease_read(body, &record, NULL) == 0);
    CHECK(lease_core_recover(world.core, id, &record, &issuer) == 0);
    return 0;
}

static int recover_grant(void *user, struct str id, struct str body)
{
    struct ledger_grant record;

    (void)user;
    CHECK(ledger_grant_read(body, &record, NULL) == 0);
    CHECK(lease_core_recover_grant(world.core, id, &record) == 0);
    return 0;
}

/* As the daemon does it, without its log and its policy. */
static void recover(struct lease_recovery *ret_recovery)
{
    CHECK(env_ledger_each(world.ledger, ENV_LEDGER_LEASE, recover_lease, NULL, NULL) == 0);
    CHECK(env_ledger_each(world.ledger, ENV_LEDGER_GRANT, recover_grant, NULL, NULL) == 0);
    lease_core_recovered(world.core, ret_recovery);
}

struct figures {
    double ready_s;
    double cpu_s;
    double bytes;
    struct lease_recovery recovery;
    uint32_t kept; /* leases, a few turns later */
    uint32_t held; /* grants */
    uint32_t minted;
};

static void print(const char *binding, uint32_t count, double ledger_bytes,
                  const struct figures *figures)
{
    unsigned int adopted = (unsigned int)figures->recovery.adopted_count;
    unsigned int lost = count - figures->kept;

    printf("%-40s %10.3f s (goal: %u)\n", "  from opening the ledger to ready", figures->ready_s,
           count > 100000 ? 8U : 1U);
    printf("%-40s %10.3f s\n", "  of it processor time", figures->cpu_s);
    printf("%-40s %10.0f bytes (goal: 1024)\n", "  memory a lease", figures->bytes);
    printf("%-40s %10.0f bytes\n", "  ledger a lease", ledger_bytes);
    printf("%-40s %10u leases, %u grants\n", "  adopted", adopted,
           (unsigned int)figures->recovery.grant_count);
    printf("%-40s %10u leases (goal: 0)\n", "  lost", lost);
    printf("%-40s %10u leases (goal: 0)\n", "  minted", figures->minted);
    printf("{\"bench\":\"ledger_%u_%s\",\"leases\":%u,\"ready_s\":%.3f,\"ready_cpu_s\":%.3f,",
           count, binding, count, figures->ready_s, figures->cpu_s);
    printf("\"bytes_per_lease\":%.0f,\"ledger_bytes_per_lease\":%.0f,\"adopted\":%u,",
           figures->bytes, ledger_bytes, adopted);
    printf("\"grants\":%u,\"lost\":%u,\"minted\":%u}\n", figures->held, lost, figures->minted);
}

static double file_bytes(const char *path, const char *suffix)
{
    char name[PATH_MAX_BYTES + 8];
    struct stat status;

    (void)snprintf(name, sizeof(name), "%s%s", path, suffix);
    return stat(name, &status) == 0 ? (double)status.st_size : 0;
}

static void restart(const char *path, uint32_t count, enum access_binding binding)
{
    double ledger_bytes = (file_bytes(path, "") + file_bytes(path, "-wal")) / count;
    struct lease_core_stats stats;
    struct figures figures = {0};
    struct mallinfo2 before;
    struct mallinfo2 after;
    double begin;
    double cpu_begin;
    uint32_t i;

    start(binding);
    before = mallinfo2();
    begin = seconds(CLOCK_MONOTONIC);
    cpu_begin = seconds(CLOCK_PROCESS_CPUTIME_ID);
    open_ledger(path);
    make_core(path, count);
    recover(&figures.recovery);
    figures.ready_s = seconds(CLOCK_MONOTONIC) - begin;
    figures.cpu_s = seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu_begin;
    after = mallinfo2();
    figures.bytes =
        (double)(after.uordblks + after.hblkhd - before.uordblks - before.hblkhd) / count;
    for (i = 0; i < 10; i++) { /* what it does by itself right after */
        io_run_once(world.io, false);
    }
    lease_core_stats(world.core, &stats);
    figures.kept = (uint32_t)(stats.leases_by_state[LEASE_STATE_ACTIVE] +
                              stats.leases_by_state[LEASE_STATE_RENEWING]);
    figures.held = (uint32_t)stats.grants_held;
    figures.minted = world.issued;
    print(binding == ACCESS_BINDING_NONE ? "none" : "process", count, ledger_bytes, &figures);
}

/* --- both --- */

typedef void (*life_fn)(const char *path, uint32_t count, enum access_binding binding);

static pid_t holder_pid;

static void first_life(const char *path, uint32_t count, enum access_binding binding)
{
    write_all(path, count, binding, holder_pid);
}

/* In a process of its own, which ends as if it were killed. */
static void live(life_fn life, const char *path, uint32_t count, enum access_binding binding)
{
    int status = 0;
    pid_t pid;

    (void)fflush(stdout);
    pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        life(path, count, binding);
        (void)fflush(stdout);
        _exit(0);
    }
    CHECK(waitpid(pid, &status, 0) == pid);
    if (status != 0) {
        exit(1);
    }
}

static void measure(const char *folder, uint32_t count, enum access_binding binding)
{
    static const char *const suffixes[] = {"", "-wal", "-shm", ".key", ".audit"};
    char path[PATH_MAX_BYTES];
    char name[PATH_MAX_BYTES + 8];
    size_t i;

    (void)snprintf(path, sizeof(path), "%s/ledger.db", folder);
    printf("%u leases, bound to %s\n", count,
           binding == ACCESS_BINDING_NONE ? "nothing but their duration" : "one process");
    live(first_life, path, count, binding);
    live(restart, path, count, binding);
    for (i = 0; i < ARRAY_LEN(suffixes); i++) {
        (void)snprintf(name, sizeof(name), "%s%s", path, suffixes[i]);
        (void)unlink(name);
    }
}

int main(int argc, char **argv)
{
    const char *parent = getenv("TMPDIR");
    char folder[PATH_MAX_BYTES - 16];
    static const char *const usual[] = {"100000", "1000000"};
    const char *const *counts = argc > 1 ? (const char *const *)argv + 1 : usual;
    size_t count = argc > 1 ? (size_t)argc - 1 : ARRAY_LEN(usual);
    size_t i;

    (void)snprintf(folder, sizeof(folder), "%s/leased-bench-XXXXXX",
                   parent != NULL ? parent : "/tmp");
    CHECK(mkdtemp(folder) != NULL);
    holder_pid = fork();
    if (holder_pid == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        for (;;) {
            (void)pause();
        }
    }
    for (i = 0; i < count; i++) {
        uint32_t leases = (uint32_t)strtoul(counts[i], NULL, 10);

        measure(folder, leases, ACCESS_BINDING_NONE);
        measure(folder, leases, ACCESS_BINDING_PROCESS);
    }
    (void)kill(holder_pid, SIGKILL);
    (void)waitpid(holder_pid, NULL, 0);
    return rmdir(folder) == 0 ? 0 : 1;
}
