/* What a hand-out waits for on the disk, with and without the outbox: the lease in the ledger and
 * lease.issued, then grant.created and credential.read; by a few consumers at once, each of whom
 * begins the next when the one before is through. At the end the lease leaves the ledger and its
 * end is on record. In the current folder, so that TMPDIR on memory doesn't flatter it. */
#include "audit/audit.h"
#include "io/alloc.h"
#include "io/io.h"
#include "io/secret_memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define ROUNDS 4000U
#define CONSUMERS_MAX 16U

struct bench {
    struct io *io;
    struct audit *audit;
    struct env_ledger *ledger;
    uint32_t started_count;
    uint32_t done_count;
    bool is_closed;
};

struct consumer {
    struct bench *bench;
    struct env_ledger_sync sync;
    struct audit_write first;
    struct audit_write second;
    uint32_t waiting_count;
    bool is_issued;
    char lease[40];
};

static double seconds(clockid_t clock)
{
    struct timespec now;

    (void)clock_gettime(clock, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static struct audit_record record_of(const struct consumer *consumer, const char *event)
{
    return (struct audit_record){.event = event,
                                 .outcome = "ok",
                                 .listener = "local",
                                 .has_identity = true,
                                 .uid = 1000,
                                 .user = "consumer",
                                 .role = "orders-db",
                                 .backend = "vault-prod",
                                 .lease = consumer->lease,
                                 .grant = "g-0123456789abcdef0123456789abcdef",
                                 .issuer_ref = "hmac:0123456789abcdef0123456789abcdef",
                                 .identifier_ref = "hmac:0123456789abcdef0123456789abcdef"};
}

static void next(struct consumer *consumer);

static void arrived(struct consumer *consumer, int status)
{
    CHECK(status == 0);
    if (--consumer->waiting_count == 0) {
        next(consumer);
    }
}

static void written(struct audit_write *write, int status)
{
    arrived(write->user, status);
}

static void synced(struct env_ledger_sync *sync, int status)
{
    arrived(sync->user, status);
}

static void write_record(struct consumer *consumer, const char *event, struct audit_write *write)
{
    struct audit_record record = record_of(consumer, event);

    *write = (struct audit_write){.fn = written, .user = consumer};
    CHECK(audit_record_write(consumer->bench->audit, &record, write) == 0);
    consumer->waiting_count++;
}

static void issue(struct consumer *consumer)
{
    struct bench *bench = consumer->bench;
    char body[600];

    (void)snprintf(consumer->lease, sizeof(consumer->lease), "l-%032u", bench->started_count++);
    memset(body, 'b', sizeof(body));
    CHECK(env_ledger_put(bench->ledger, ENV_LEDGER_LEASE, str_of(consumer->lease),
                         (struct str){body, sizeof(body)}) == 0);
    consumer->sync = (struct env_ledger_sync){.fn = synced, .user = consumer};
    env_ledger_sync(bench->ledger, &consumer->sync);
    consumer->waiting_count++;
    write_record(consumer, "lease.issued", &consumer->first);
}

/* The consumer has its credential, and then no need of it any more. */
static void end(struct consumer *consumer)
{
    struct audit_record revoked = record_of(consumer, "lease.revoked");
    struct bench *bench = consumer->bench;

    bench->done_count++;
    CHECK(env_ledger_remove(bench->ledger, ENV_LEDGER_LEASE, str_of(consumer->lease)) == 0);
    audit_record_note(bench->audit, &revoked);
}

static void next(struct consumer *consumer)
{
    if (consumer->is_issued) {
        consumer->is_issued = false;
        write_record(consumer, "grant.created", &consumer->first);
        write_record(consumer, "credential.read", &consumer->second);
        return;
    }
    if (consumer->lease[0] != '\0') {
        end(consumer);
    }
    if (consumer->bench->started_count < ROUNDS) {
        consumer->is_issued = true;
        issue(consumer);
    }
}

static void closed(void *user)
{
    ((struct bench *)user)->is_closed = true;
}

static void run_until_closed(struct bench *bench)
{
    while (!bench->is_closed) {
        io_run_once(bench->io, true);
    }
    bench->is_closed = false;
}

static void run(const char *folder, bool has_outbox, uint32_t consumer_count)
{
    static struct consumer consumers[CONSUMERS_MAX];
    struct bench bench = {.started_count = 0};
    char trail[128];
    char ledger[128];
    struct env_ledger_options at;
    struct audit_sink_options sink = {.kind = "file", .path = trail, .is_required = true};
    struct audit_options options = {.node = "bench", .sinks = &sink, .sink_count = 1};
    struct err e = {.code = 0};
    double cpu;
    double start;
    uint32_t i;

    (void)snprintf(trail, sizeof(trail), "%s/audit.jsonl", folder);
    (void)snprintf(ledger, sizeof(ledger), "%s/ledger.db", folder);
    at = (struct env_ledger_options){.path = ledger};
    CHECK(io_new(&bench.io, NULL) == 0);
    CHECK(env_ledger_open(io_env(bench.io), &at, &bench.ledger, &e) == 0);
    options.env = io_env(bench.io);
    options.ledger = has_outbox ? bench.ledger : NULL;
    CHECK(audit_new(&options, &bench.audit, &e) == 0);
    start = seconds(CLOCK_MONOTONIC);
    cpu = seconds(CLOCK_PROCESS_CPUTIME_ID);
    for (i = 0; i < consumer_count; i++) {
        consumers[i] = (struct consumer){.bench = &bench};
        next(&consumers[i]);
    }
    while (bench.done_count < ROUNDS) {
        io_run_once(bench.io, true);
    }
    start = seconds(CLOCK_MONOTONIC) - start;
    audit_close(bench.audit, closed, &bench);
    run_until_closed(&bench);
    env_ledger_close(bench.ledger, closed, &bench);
    run_until_closed(&bench);
    cpu = seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu;
    (void)printf("handout_%s_%u %.0f us\n", has_outbox ? "outbox" : "apart", consumer_count,
                 start * 1e6 * consumer_count / ROUNDS);
    (void)printf("handout_%s_%u_cpu %.0f us\n", has_outbox ? "outbox" : "apart", consumer_count,
                 cpu * 1e6 / ROUNDS);
    CHECK(io_close(bench.io) == 0);
    (void)unlink(trail);
    (void)unlink(ledger);
}

int main(void)
{
    static const uint32_t counts[] = {1, 4, CONSUMERS_MAX};
    char here[64];
    char folder[100];
    size_t i;

    CHECK(io_use_allocator() == 0);
    CHECK(io_use_secret_memory(1U << 20, IO_LOCK_MEMORY_TRY, NULL) == 0);
    CHECK(getcwd(here, sizeof(here)) != NULL);
    (void)snprintf(folder, sizeof(folder), "%s/bench-handout-XXXXXX", here);
    CHECK(mkdtemp(folder) != NULL);
    for (i = 0; i < ARRAY_LEN(counts); i++) {
        run(folder, false, counts[i]);
        run(folder, true, counts[i]);
    }
    (void)rmdir(folder);
    return 0;
}
