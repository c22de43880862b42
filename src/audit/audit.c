/* The audit trail: numbers and chains records, hands each line to every sink, and tells those who
 * wait when it is durable.
 *
 * Happy path: audit_record_write formats the record (its number and hash are fixed from here on) →
 * its line goes into the queue of each sink → the sinks append in groups (sink.c) → when every
 * required one has it, `fn` runs with 0.
 *
 * Failure paths. A required sink fails or is late: everybody who waits for a record that it doesn't
 * have is told so, and new writes are refused until it is back. The records stay queued, in order,
 * and are appended again. They can't be taken back: their hashes are in what follows, and other
 * sinks may have them already. And they needn't be: a record says what was decided, and that
 * remains true when the credential then didn't leave. What its owner does about the failure (the
 * lease is revoked, the grant ends) is on record as well, by notes behind it, so a reader sees
 * `lease.issued`, then `lease.revoking` with the reason. The queue of notes is bounded; a note over
 * the limit gets no number, so that it leaves no gap in the chain, and is counted in the
 * `sink.restored` record. An optional sink that fails loses records one by one once its queue is
 * full; they are a gap in that sink only, and named in its `sink.restored` record. The process
 * dies: what wasn't durable is lost, and with it nothing that anybody was given. */
#include "audit/audit.h"

#include "audit/audit_internal.h"
#include "audit/head.h"
#include "base/mem.h"
#include "base/mutant.h"
#include "base/secret.h"

#include <assert.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <string.h>

#define AUDIT_REF_HASH_BYTES 16

/* --- waiting --- */

/* The last record that every required sink has. */
static uint64_t confirmed_seq(const struct audit *audit)
{
    uint64_t seq = audit->head_seq;
    size_t i;

    for (i = 0; i < audit->sink_count; i++) {
        const struct audit_sink *sink = &audit->sinks[i];

        if (sink->is_required && sink->durable_seq < seq) {
            seq = sink->durable_seq;
        }
    }
    return seq;
}

static void settle_waiting(struct audit *audit)
{
    while (!list_is_empty(&audit->waiting)) {
        struct audit_write *write = LIST_ENTRY(audit->waiting.next, struct audit_write, node);

        if (write->seq > confirmed_seq(audit)) {
            break;
        }
        list_remove(&write->node);
        write->fn(write, 0);
    }
}

/* Everybody who waits for a record behind `seq` is told `status`. New ones can't come in meanwhile
 * unless they wait for something else, so they must not be in the same list. */
static void fail_waiting(struct audit *audit, uint64_t seq, int status)
{
    struct list failed;
    struct list *cursor;
    struct list *following;

    list_init(&failed);
    LIST_EACH (&audit->waiting, cursor, following) {
        if (LIST_ENTRY(cursor, struct audit_write, node)->seq > seq) {
            list_remove(cursor);
            list_push_back(&failed, cursor);
        }
    }
    while ((cursor = list_pop_front(&failed)) != NULL) {
        struct audit_write *write = LIST_ENTRY(cursor, struct audit_write, node);

        write->fn(write, status);
    }
}

static void settle_run(struct env_deferred *deferred)
{
    settle_waiting(OBJ_CAST(deferred->user, struct audit, AUDIT_MAGIC));
}

/* --- records --- */

static int line_format(struct audit *audit, struct audit_record *record,
                       char ret_hash[AUDIT_HASH_HEX_BYTES + 1])
{
    struct audit_record shorter;
    int r;

    record->seq = audit->head_seq + 1;
    record->time_wall_ms = env_wall_ms(audit->env);
    record->node = audit->node;
    buf_reset(&audit->line);
    r = audit_record_format(record, audit->head_hash, &audit->line, ret_hash);
    if (r != ERR_TOO_LARGE) {
        return r;
    }
    /* What happened must be on record even where somebody managed to make the words too long. */
    shorter = *record;
    shorter.reason = NULL;
    shorter.ticket = NULL;
    shorter.error = "details are left out: the record was too long";
    buf_reset(&audit->line);
    return audit_record_format(&shorter, audit->head_hash, &audit->line, ret_hash);
}

int audit_queue(struct audit *audit, struct audit_record *record, size_t max_bytes)
{
    char hash[AUDIT_HASH_HEX_BYTES + 1];
    bool accepts[AUDIT_SINKS_MAX] = {false};
    size_t i;
    int r = line_format(audit, record, hash);

    if (r != 0) {
        return r;
    }
    for (i = 0; i < audit->sink_count; i++) {
        struct audit_sink *sink = &audit->sinks[i];

        r = audit_sink_reserve(sink, audit->line.len,
                               sink->is_required ? max_bytes : AUDIT_OPTIONAL_QUEUE_MAX_BYTES);
        if (r != 0 && sink->is_required) {
            return r;
        }
        accepts[i] = r == 0;
    }
    for (i = 0; i < audit->sink_count; i++) {
        if (accepts[i]) {
            audit_sink_add(&audit->sinks[i], buf_str(&audit->line), record->seq);
        } else {
            audit_sink_lose(&audit->sinks[i], record->seq);
        }
    }
    audit->head_seq = record->seq;
    if (!MUTATED(17) || record->seq % 64 != 0) {
        memcpy(audit->head_hash, hash, sizeof(hash));
    }
    return 0;
}

int audit_record_write(struct audit *audit, struct audit_record *record, struct audit_write *write)
{
    int r;

    if (audit->is_closing) {
        return ERR_CLOSED;
    }
    if (!audit_is_ready(audit)) {
        return ERR_UNAVAILABLE;
    }
    r = audit_queue(audit, record, AUDIT_WRITE_QUEUE_MAX_BYTES);
    if (r == 0 && write != NULL && write->fn != NULL) {
        write->seq = record->seq;
        list_push_back(&audit->waiting, &write->node);
        if (confirmed_seq(audit) >= write->seq) {
            env_defer(audit->env, &audit->settle);
        }
    }
    return r;
}

void audit_record_note(struct audit *audit, struct audit_record *record)
{
    if (!audit->is_closing && audit_queue(audit, record, AUDIT_NOTE_QUEUE_MAX_BYTES) != 0) {
        audit->lost_count++;
    }
}

void audit_write_forget(struct audit_write *write)
{
    list_remove(&write->node);
}

/* --- life --- */

static void close_finish(struct audit *audit)
{
    void (*closed)(void *user) = audit->closed;
    void *user = audit->closed_user;
    size_t i;

    fail_waiting(audit, 0, ERR_CANCELED);
    env_undefer(&audit->settle);
    for (i = 0; i < audit->sink_count; i++) {
        audit_sink_fini(&audit->sinks[i]);
    }
    buf_fini(&audit->line);
    secret_free(audit->key);
    mem_free(audit->node);
    mem_free(audit);
    closed(user);
}

static void sink_changed(struct audit_sink *sink, enum audit_sink_event event, int status)
{
    struct audit *audit = OBJ_CAST(sink->user, struct audit, AUDIT_MAGIC);

    switch (event) {
    case AUDIT_SINK_FAILED:
        audit_outage_begin(audit, sink, status);
        if (sink->is_required) {
            fail_waiting(audit, sink->durable_seq, status);
        }
        break;
    case AUDIT_SINK_RESTORED:
        sink->restored_is_due = true;
        audit_outage_tell(audit);
        settle_waiting(audit);
        break;
    case AUDIT_SINK_WROTE:
        audit_outage_tell(audit);
        settle_waiting(audit);
        break;
    case AUDIT_SINK_CLOSED:
        audit->closed_sink_count++;
        if (audit->closed_sink_count == audit->sink_count) {
            close_finish(audit); /* self is gone */
        }
        break;
    }
}

/* The furthest head of all files: a file that fell behind has a gap, but no number may be given out
 * twice. */
static int head_find(struct audit *audit, struct err *e)
{
    size_t i;

    for (i = 0; i < audit->sink_count; i++) {
        struct audit_line head;
        int r = audit_head_find(audit->sinks[i].file, audit->sinks[i].path, &head, e);

        if (r == 0 && head.seq > audit->head_seq) {
            audit->head_seq = head.seq;
            memcpy(audit->head_hash, head.hash, sizeof(head.hash));
        } else if (r != 0 && r != ERR_NOT_FOUND) {
            return r;
        }
    }
    return 0;
}

static int sinks_open(struct audit *audit, const struct audit_options *options, struct err *e)
{
    size_t i;
    int r;

    if (options->sink_count > AUDIT_SINKS_MAX) {
        return err_set(e, ERR_LIMIT, "there are %zu audit sinks; at most %d are possible",
                       options->sink_count, AUDIT_SINKS_MAX);
    }
    for (i = 0; i < options->sink_count; i++) {
        audit->sink_count = i + 1;
        r = audit_sink_open(&audit->sinks[i], audit->env, &options->sinks[i], e);
        if (r != 0) {
            return r;
        }
    }
    r = head_find(audit, e);
    for (i = 0; r == 0 && i < audit->sink_count; i++) {
        audit_sink_start(&audit->sinks[i], audit->head_seq, sink_changed, audit);
        audit_sink_limit(&audit->sinks[i], options->confirm_max_ms, options->reserve_bytes);
    }
    return r;
}

static void close_run(struct env_deferred *deferred)
{
    close_finish(OBJ_CAST(deferred->user, struct audit, AUDIT_MAGIC));
}

int audit_new(const struct audit_options *options, struct audit **ret_audit, struct err *e)
{
    struct audit *audit = mem_calloc(1, sizeof(*audit));
    size_t i;
    int r;

    if (audit == NULL) {
        return err_set(e, ERR_NOMEM, "%s", err_str(ERR_NOMEM));
    }
    audit->magic = AUDIT_MAGIC;
    audit->env = options->env;
    list_init(&audit->waiting);
    buf_init(&audit->line, AUDIT_RECORD_MAX_BYTES);
    audit->settle.fn = settle_run;
    audit->settle.user = audit;
    audit->close.fn = close_run;
    audit->close.user = audit;
    memcpy(audit->head_hash, AUDIT_HASH_ZERO, sizeof(audit->head_hash));
    audit->key = secret_alloc(AUDIT_KEY_BYTES);
    audit->node = mem_strdup(options->node != NULL ? options->node : "");
    if (audit->key != NULL && audit->node != NULL) {
        env_random(audit->env, audit->key, AUDIT_KEY_BYTES);
        r = sinks_open(audit, options, e);
    } else {
        r = err_set(e, ERR_NOMEM, "%s", err_str(ERR_NOMEM));
    }
    if (r != 0) {
        for (i = 0; i < audit->sink_count; i++) {
            audit_sink_abandon(&audit->sinks[i]);
        }
        secret_free(audit->key);
        mem_free(audit->node);
        mem_free(audit);
        return r;
    }
    *ret_audit = audit;
    return 0;
}

void audit_close(struct audit *audit, void (*closed)(void *user), void *user)
{
    size_t i;

    CHECK(!audit->is_closing);
    audit->is_closing = true;
    audit->closed = closed;
    audit->closed_user = user;
    for (i = 0; i < audit->sink_count; i++) {
        audit_sink_close(&audit->sinks[i]);
    }
    if (audit->sink_count == 0) {
        env_defer(audit->env, &audit->close);
    }
}

bool audit_is_ready(const struct audit *audit)
{
    size_t i;

    for (i = 0; i < audit->sink_count; i++) {
        if (audit->sinks[i].is_required && audit_sink_is_down(&audit->sinks[i])) {
            return false;
        }
    }
    return true;
}

int audit_reopen(struct audit *audit, struct err *e)
{
    int first = 0;
    size_t i;

    for (i = 0; i < audit->sink_count && !audit->is_closing; i++) {
        int r = audit_sink_reopen(&audit->sinks[i], first == 0 ? e : NULL);

        first = first == 0 ? r : first;
    }
    return first;
}

const char *audit_ref(const struct audit *audit, struct str value, char out[AUDIT_REF_MAX_BYTES])
{
    static const char digits[] = "0123456789abcdef";
    static const char begin[] = "hmac:";
    static const char unavailable[] = "hmac:unavailable";
    unsigned char hash[EVP_MAX_MD_SIZE] = {0};
    char *at = out + sizeof(begin) - 1;
    size_t i;

    static_assert(sizeof(begin) + 2 * AUDIT_REF_HASH_BYTES <= AUDIT_REF_MAX_BYTES, "it fits");
    memcpy(out, begin, sizeof(begin));
    if (HMAC(EVP_sha256(), audit->key, (int)AUDIT_KEY_BYTES,
             (const unsigned char *)(value.ptr != NULL ? value.ptr : ""), value.len, hash,
             NULL) == NULL) {
        memcpy(out, unavailable, sizeof(unavailable));
        return out;
    }
    for (i = 0; i < AUDIT_REF_HASH_BYTES; i++) {
        *at++ = digits[hash[i] >> 4];
        *at++ = digits[hash[i] & 0x0f];
    }
    *at = '\0';
    return out;
}

uint64_t audit_lag_records(const struct audit *audit)
{
    uint64_t most = 0;
    size_t i;

    for (i = 0; i < audit->sink_count; i++) {
        uint64_t lag = audit_sink_lag(&audit->sinks[i]);

        most = lag > most ? lag : most;
    }
    return most;
}

const char *audit_sink_at(const struct audit *audit, size_t index, uint64_t *ret_lag)
{
    if (index >= audit->sink_count) {
        return NULL;
    }
    *ret_lag = audit_sink_lag(&audit->sinks[index]);
    return audit->sinks[index].path;
}
