/* The audit trail: numbers and chains records, hands each line to the ledger and every sink, and
 * tells those who wait when it is durable.
 *
 * Happy path: audit_record_write formats the record (its number and hash are fixed from here on) →
 * its line goes into the ledger, in the commit of the change that it tells of (outbox.c), and into
 * the queue of each sink → committed: `fn` runs with 0, and the sinks append in groups (sink.c).
 * Without a ledger the sinks append at once, and `fn` runs when every required one has it.
 *
 * Failure paths. A required sink or the ledger fails or is late: everybody who waits for a record
 * that it doesn't have is told so, and new writes are refused until it is back. The records stay
 * queued, in order, and are appended again. They can't be taken back: their hashes are in what
 * follows, and other sinks may have them already. And they needn't be: a record says what was
 * decided, and that remains true when the credential then didn't leave. What its owner does about
 * the failure (the lease is revoked, the grant ends) is on record as well, by notes behind it, so a
 * reader sees `lease.issued`, then `lease.revoking` with the reason. The queue of notes is bounded;
 * a note over the limit gets no number, so that it leaves no gap in the chain, and is counted in
 * the `sink.restored` record. An optional sink that fails loses records one by one once its queue
 * is full; they are a gap in that sink only, and named in its `sink.restored` record. The process
 * dies: what the ledger has is in the files after the next start (replay.c); what wasn't durable is
 * lost, and with it nothing that anybody was given. */
#include "audit/audit.h"

#include "audit/audit_internal.h"
#include "audit/head.h"
#include "base/mem.h"
#include "base/mutant.h"
#include "base/secret.h"

#include <string.h>

/* --- waiting --- */

/* The last record that is in the ledger, or without one in every required sink. */
static uint64_t confirmed_seq(const struct audit *audit)
{
    uint64_t seq = audit->head_seq;
    size_t i;

    if (MUTATED(7)) {
        return seq;
    }
    if (audit->outbox.ledger != NULL) {
        return audit->outbox.committed_seq;
    }

    for (i = 0; i < audit->sink_count; i++) {
        const struct audit_sink *sink = &audit->sinks[i];

        if (sink->is_required && sink->durable_seq < seq) {
            seq = sink->durable_seq;
        }
    }
    return seq;
}

void audit_settle(struct audit *audit)
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

/* New ones can't come in meanwhile unless they wait for something else, so they must not be in the
 * same list. */
void audit_fail_waiting(struct audit *audit, uint64_t seq, int status)
{
    struct list failed;
    struct list *cursor;
    struct list *following;

    list_init(&failed);
    LIST_EACH (&audit->waiting, cursor, following) {
        if (LIST_ENTRY(cursor, struct audit_write, node)->seq > seq) {
            list_move_back(&failed, cursor);
        }
    }
    while ((cursor = list_pop_front(&failed)) != NULL) {
        struct audit_write *write = LIST_ENTRY(cursor, struct audit_write, node);

        write->fn(write, status);
    }
}

static void settle_run(struct env_deferred *deferred)
{
    audit_settle(OBJ_CAST(deferred->user, struct audit, AUDIT_MAGIC));
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
    record->ledger_seq = audit->outbox.ledger_seq;
    record->policy_revision = audit_revision(audit, record->policy_digest);
    buf_reset(&audit->line);
    r = audit_record_format(record, audit->head_hash, &audit->line, ret_hash);
    if (r != ERR_TOO_LARGE) {
        return r;
    }
    /* What happened must be on record even where somebody managed to make the words too long. */
    shorter = *record;
    shorter.reason = NULL;
    shorter.ticket = NULL;
    shorter.comment = NULL;
    shorter.match = NULL;
    shorter.error = "details are left out: the record was too long";
    buf_reset(&audit->line);
    return audit_record_format(&shorter, audit->head_hash, &audit->line, ret_hash);
}

/* Room in each sink for the line; a bit for each that accepts it. */
static int sinks_reserve(struct audit *audit, bool is_awaited, uint32_t *ret_accepts)
{
    size_t max_bytes = is_awaited ? AUDIT_WRITE_QUEUE_MAX_BYTES : AUDIT_NOTE_QUEUE_MAX_BYTES;
    uint32_t accepts = 0;
    size_t i;

    for (i = 0; i < audit->sink_count; i++) {
        struct audit_sink *sink = &audit->sinks[i];
        int r = audit_sink_reserve(sink, audit->line.len,
                                   sink->is_required ? max_bytes : AUDIT_OPTIONAL_QUEUE_MAX_BYTES);

        if (r != 0 && sink->is_required) {
            return r;
        }
        accepts |= r == 0 ? 1U << i : 0;
    }
    *ret_accepts = accepts;
    return 0;
}

int audit_queue(struct audit *audit, struct audit_record *record, bool is_awaited)
{
    char hash[AUDIT_HASH_HEX_BYTES + 1];
    struct str line;
    uint32_t accepts = 0;
    bool is_held;
    size_t i;
    int r = line_format(audit, record, hash);

    if (r == 0) {
        r = sinks_reserve(audit, is_awaited, &accepts);
    }
    if (r == 0) {
        r = outbox_put(audit, record->seq, accepts, is_awaited, &is_held);
    }
    if (r != 0) {
        return r;
    }
    line = buf_str(&audit->line);
    for (i = 0; i < audit->sink_count; i++) {
        struct audit_sink *sink = &audit->sinks[i];

        if ((accepts & (1U << i)) == 0) {
            audit_sink_lose(sink, record->seq, record->seq);
            continue;
        }
        audit_sink_add(sink, line, record->seq);
        if (!is_held) {
            audit_sink_release(sink, line.len, record->seq);
        }
    }
    audit->head_seq = record->seq;
    if (!MUTATED(17) || record->seq % 64 != 0) {
        memcpy(audit->head_hash, hash, sizeof(hash));
    }
    if (audit->listener.fn != NULL) {
        audit->listener.fn(audit->listener.user, record, line);
    }
    return 0;
}

void audit_listen(struct audit *audit, const struct audit_listener *listener)
{
    audit->listener = *listener;
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
    r = audit_queue(audit, record, true);
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
    if (!audit->is_closing && audit_queue(audit, record, false) != 0) {
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

    outbox_fini(audit);
    audit_fail_waiting(audit, 0, ERR_CANCELED);
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
            audit_fail_waiting(audit, sink->durable_seq, status);
        }
        break;
    case AUDIT_SINK_RESTORED:
    case AUDIT_SINK_WROTE:
        sink->restored_is_due = sink->restored_is_due || event == AUDIT_SINK_RESTORED;
        audit_outage_tell(audit);
        outbox_durable(audit);
        audit_settle(audit);
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
static int heads_find(struct audit *audit, struct audit_line *ret_heads, struct err *e)
{
    size_t i;

    for (i = 0; i < audit->sink_count; i++) {
        struct audit_line *head = &ret_heads[i];
        int r = audit_head_find(audit->sinks[i].file, audit->sinks[i].path, head, e);

        if (r != 0 && r != ERR_NOT_FOUND) {
            return r;
        }
        if (r == 0 && head->seq > audit->head_seq) {
            audit->head_seq = head->seq;
            memcpy(audit->head_hash, head->hash, sizeof(head->hash));
        }
    }
    return 0;
}

/* The sinks are open. */
static int chain_start(struct audit *audit, const struct audit_options *options, struct err *e)
{
    struct audit_line heads[AUDIT_SINKS_MAX] = {{.seq = 0}};
    size_t i;
    int r = heads_find(audit, heads, e);

    outbox_init(audit, options->ledger, options->confirm_max_ms);
    for (i = 0; r == 0 && i < audit->sink_count; i++) {
        audit_sink_start(&audit->sinks[i],
                         audit->outbox.ledger != NULL ? heads[i].seq : audit->head_seq,
                         sink_changed, audit);
        audit_sink_limit(&audit->sinks[i], options->confirm_max_ms, options->reserve_bytes);
    }
    return r == 0 && audit->outbox.ledger != NULL ? outbox_replay(audit, heads, e) : r;
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
    return chain_start(audit, options, e);
}

static void close_run(struct env_deferred *deferred)
{
    close_finish(OBJ_CAST(deferred->user, struct audit, AUDIT_MAGIC));
}

static void file_closed(void *user)
{
    (void)user;
}

/* Those that were given open, from the sink at `first` on. */
static void files_abandon(const struct audit_options *options, size_t first)
{
    size_t i;

    for (i = first; i < options->sink_count; i++) {
        if (options->sinks[i].file != NULL) {
            env_file_close(options->sinks[i].file, file_closed, NULL);
        }
    }
}

int audit_new(const struct audit_options *options, struct audit **ret_audit, struct err *e)
{
    struct audit *audit = mem_calloc(1, sizeof(*audit));
    size_t i;
    int r;

    if (audit == NULL) {
        files_abandon(options, 0);
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
    audit->node = mem_strdup(options->node != NULL ? options->node : "");
    r = audit->node != NULL ? audit_ref_init(audit, options->ledger, e)
                            : err_set(e, ERR_NOMEM, "%s", err_str(ERR_NOMEM));
    if (r == 0) {
        r = sinks_open(audit, options, e);
    }
    if (r != 0) {
        for (i = 0; i < audit->sink_count; i++) {
            audit_sink_abandon(&audit->sinks[i]);
        }
        files_abandon(options, audit->sink_count);
        secret_free(audit->key);
        mem_free(audit->node);
        mem_free(audit);
        return r;
    }
    *ret_audit = audit;
    return 0;
}

/* What is on its way into the ledger comes first: the sinks get it from there. */
static void sinks_close(struct audit *audit)
{
    size_t i;

    for (i = 0; i < audit->sink_count; i++) {
        audit_sink_close(&audit->sinks[i]);
    }
    if (audit->sink_count == 0) {
        env_defer(audit->env, &audit->close);
    }
}

void audit_outbox_told(struct audit *audit)
{
    if (audit->is_closing && outbox_is_idle(audit)) {
        sinks_close(audit);
    }
}

void audit_close(struct audit *audit, void (*closed)(void *user), void *user)
{
    CHECK(!audit->is_closing);
    audit->is_closing = true;
    audit->closed = closed;
    audit->closed_user = user;
    outbox_close(audit);
    if (outbox_is_idle(audit)) {
        sinks_close(audit);
    }
}

int audit_failure(const struct audit *audit, struct err *e)
{
    size_t i;

    for (i = 0; i < audit->sink_count; i++) {
        const struct audit_sink *sink = &audit->sinks[i];

        if (sink->is_required && audit_sink_is_down(sink)) {
            return err_set(e, ERR_IO, "a required audit sink fails (%s: %s)", sink->path,
                           err_str(sink->failure));
        }
    }
    return outbox_failure(audit, e);
}

bool audit_is_ready(const struct audit *audit)
{
    return audit_failure(audit, NULL) == 0;
}

int audit_reopen(struct audit *audit, struct err *e)
{
    int first = 0;
    size_t i;

    for (i = 0; i < audit->sink_count && !audit->is_closing; i++) {
        int r = audit_sink_reopen(&audit->sinks[i], first == 0 ? e : NULL);

        first = first == 0 ? r : first;
    }
    outbox_trim(audit); /* else a crash now could bring into the new file what is in the old one */
    return first;
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
