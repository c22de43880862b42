/* Records in the ledger, on their way to the sinks.
 *
 * Happy path: outbox_put queues the line in the same turn as the change that it tells of, so both
 * are in one commit → put_told: who waits is told, and the sinks may append it (sink.c) → all have
 * it → it is removed, with a later record's commit, or after a second. A sink never has what the
 * ledger doesn't: so after a crash each gets exactly what it lacks (replay.c), and the trail tells
 * of nothing that the ledger doesn't know.
 *
 * Failure paths. The ledger fails, or takes too long: who waits is told so and nobody is taken on;
 * what nobody waits for goes to the sinks at once, as if there were no ledger, because a full disk
 * often is one and the trail may have a reserve on it. Such records aren't put (they would fill the
 * ledger's queue, and leave a hole where one found no room); when it is back, new ones are kept
 * back until every required sink has what passed it by, so that the next record in the ledger
 * continues what is in the files. A crash meanwhile loses what only memory had, as without a
 * ledger. A sink fails: its records stay, as many as its queue in memory holds (audit.h), which is
 * what bounds the outbox. An optional sink that has lost records isn't waited for. */
#include "audit/outbox.h"

#include "audit/audit_internal.h"
#include "base/log.h"
#include "base/mem.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct outbox_entry {
    struct env_ledger_sync sync;
    struct list node;
    struct audit *audit;
    uint64_t seq;
    uint64_t since_ms;
    size_t line_bytes;
    uint32_t accepts;
    bool is_released;
    char line[]; /* of one that is kept back */
};

/* --- how far the sinks are --- */

/* What the ledger needn't keep any more. */
static uint64_t floor_seq(const struct audit *audit)
{
    uint64_t seq = audit->head_seq;
    size_t i;

    for (i = 0; i < audit->sink_count; i++) {
        const struct audit_sink *sink = &audit->sinks[i];

        if ((sink->is_required || sink->lost_count == 0) && sink->durable_seq < seq) {
            seq = sink->durable_seq;
        }
    }
    return seq;
}

static bool has_caught_up(const struct audit *audit)
{
    size_t i;

    for (i = 0; i < audit->sink_count; i++) {
        const struct audit_sink *sink = &audit->sinks[i];

        if (sink->is_required && sink->durable_seq < audit->outbox.skipped_seq) {
            return false;
        }
    }
    return true;
}

static int ledger_failure(const struct outbox *outbox, struct err *e)
{
    struct err why = {.code = 0};

    if (!env_ledger_is_ready(outbox->ledger, e != NULL ? &why : NULL)) {
        return err_set(e, ERR_IO, "%s", why.text);
    }
    if (outbox->is_late) {
        return err_set(e, ERR_IO, "the ledger doesn't confirm in time");
    }
    return 0;
}

int outbox_failure(const struct audit *audit, struct err *e)
{
    const struct outbox *outbox = &audit->outbox;
    int r = outbox->ledger != NULL ? ledger_failure(outbox, e) : 0;

    if (r == 0 && !has_caught_up(audit)) {
        r = err_set(e, ERR_IO, "the audit sinks don't have yet what passed the ledger by");
    }
    return r;
}

bool outbox_is_idle(const struct audit *audit)
{
    return list_is_empty(&audit->outbox.entries) && list_is_empty(&audit->outbox.kept_back);
}

/* --- removing --- */

static struct str id_of(uint64_t seq, char out[OUTBOX_ID_BYTES + 1])
{
    (void)snprintf(out, OUTBOX_ID_BYTES + 1, "%020" PRIu64, seq);
    return (struct str){.ptr = out, .len = OUTBOX_ID_BYTES};
}

/* That they were there is put first, so that the ledger knows it at any time. */
static int remove_up_to(struct audit *audit, uint64_t seq)
{
    struct outbox *outbox = &audit->outbox;
    char id[OUTBOX_ID_BYTES + 1];
    int r;

    if (seq <= outbox->removed_seq) {
        return 0;
    }
    r = env_ledger_put(outbox->ledger, ENV_LEDGER_SETTING, STR(OUTBOX_REMOVED_ID), id_of(seq, id));
    if (r == 0) {
        r = env_ledger_remove_up_to(outbox->ledger, ENV_LEDGER_AUDIT, id_of(seq, id));
    }
    if (r == 0) {
        outbox->removed_seq = seq;
    }
    return r;
}

static void trim_plan(struct audit *audit)
{
    struct outbox *outbox = &audit->outbox;

    if (floor_seq(audit) > outbox->removed_seq && outbox->trim_timer.heap_index == 0) {
        env_timer_arm(audit->env, &outbox->trim_timer, env_now_ms(audit->env) + OUTBOX_TRIM_MS);
    }
}

void outbox_trim(struct audit *audit)
{
    if (audit->outbox.ledger != NULL) {
        (void)remove_up_to(audit, floor_seq(audit)); /* else with the next */
    }
}

/* While the ledger fails its queue isn't filled with removals. */
static void trim_is_due(struct env_timer *timer)
{
    struct audit *audit = OBJ_CAST(timer->user, struct audit, AUDIT_MAGIC);

    if (env_ledger_is_ready(audit->outbox.ledger, NULL)) {
        outbox_trim(audit);
    }
    trim_plan(audit);
}

/* --- putting --- */

static void entry_release(struct outbox_entry *entry)
{
    size_t i;

    for (i = 0; i < entry->audit->sink_count && !entry->is_released; i++) {
        if ((entry->accepts & (1U << i)) != 0) {
            audit_sink_release(&entry->audit->sinks[i], entry->line_bytes, entry->seq);
        }
    }
    entry->is_released = true;
}

/* The sinks may have all there is; those that were kept back pass the ledger by. */
static void release_all(struct outbox *outbox)
{
    struct list *node;

    for (node = outbox->entries.next; node != &outbox->entries; node = node->next) {
        entry_release(LIST_ENTRY(node, struct outbox_entry, node));
    }
    while ((node = list_pop_front(&outbox->kept_back)) != NULL) {
        struct outbox_entry *entry = LIST_ENTRY(node, struct outbox_entry, node);

        entry_release(entry);
        outbox->skipped_seq = entry->seq;
        mem_free(entry);
    }
}

/* The time of the oldest that is on its way. */
static void late_watch(struct audit *audit)
{
    struct outbox *outbox = &audit->outbox;
    uint64_t when_ms;

    env_timer_disarm(audit->env, &outbox->late_timer);
    outbox->is_late = false;
    if (list_is_empty(&outbox->entries)) {
        return;
    }
    when_ms = LIST_ENTRY(outbox->entries.next, struct outbox_entry, node)->since_ms +
              outbox->confirm_max_ms;
    outbox->is_late = when_ms <= env_now_ms(audit->env);
    if (!outbox->is_late) {
        env_timer_arm(audit->env, &outbox->late_timer, when_ms);
    }
}

static void ledger_is_late(struct env_timer *timer)
{
    struct audit *audit = OBJ_CAST(timer->user, struct audit, AUDIT_MAGIC);

    log_event(LOG_LEVEL_ERROR, "audit.ledger.late", "detail",
              "the ledger doesn't confirm in time: no credential leaves until it does", NULL);
    audit->outbox.is_late = true;
    release_all(&audit->outbox);
    audit_fail_waiting(audit, audit->outbox.committed_seq, ERR_TIMEOUT);
}

static void put_told(struct env_ledger_sync *sync, int status)
{
    struct outbox_entry *entry = CONTAINER_OF(sync, struct outbox_entry, sync);
    struct audit *audit = OBJ_CAST(sync->user, struct audit, AUDIT_MAGIC);
    struct outbox *outbox = &audit->outbox;

    CHECK(outbox->entries.next == &entry->node);
    if (status == 0) {
        outbox->committed_seq = outbox->ledger_seq = entry->seq;
        entry_release(entry);
    } else {
        release_all(outbox);
    }
    list_remove(&entry->node);
    mem_free(entry);
    late_watch(audit);
    if (status == 0) {
        audit_settle(audit);
    } else {
        audit_fail_waiting(audit, outbox->committed_seq, status);
    }
    audit_outbox_told(audit);
}

/* Those before it go first: the sinks get their lines in order. */
static int pass_by(struct audit *audit, uint64_t seq)
{
    release_all(&audit->outbox);
    audit->outbox.skipped_seq = seq;
    return 0;
}

/* Taken on success. */
static int entry_put(struct outbox_entry *entry, struct str line)
{
    struct audit *audit = entry->audit;
    struct outbox *outbox = &audit->outbox;
    char id[OUTBOX_ID_BYTES + 1];
    int r;

    if (floor_seq(audit) >= outbox->removed_seq + OUTBOX_TRIM_RECORDS) {
        outbox_trim(audit);
    }
    /* What stands before those that passed by goes, whatever an optional sink still lacks: there is
     * never a hole. */
    r = remove_up_to(audit, outbox->skipped_seq);
    if (r == 0) {
        r = env_ledger_put(outbox->ledger, ENV_LEDGER_AUDIT, id_of(entry->seq, id), line);
    }
    if (r != 0) {
        return r;
    }
    entry->sync = (struct env_ledger_sync){.fn = put_told, .user = audit};
    entry->since_ms = env_now_ms(audit->env);
    list_push_back(&outbox->entries, &entry->node);
    env_ledger_sync(outbox->ledger, &entry->sync);
    if (outbox->entries.next == &entry->node) {
        late_watch(audit);
    }
    return 0;
}

/* The sinks have caught up. */
static void kept_back_put(struct audit *audit)
{
    struct outbox *outbox = &audit->outbox;
    struct list *node;

    while ((node = list_pop_front(&outbox->kept_back)) != NULL) {
        struct outbox_entry *entry = LIST_ENTRY(node, struct outbox_entry, node);

        if (entry_put(entry, (struct str){entry->line, entry->line_bytes}) != 0) {
            list_push_front(&outbox->kept_back, node);
            release_all(outbox);
        }
    }
}

void outbox_durable(struct audit *audit)
{
    struct outbox *outbox = &audit->outbox;

    if (outbox->ledger == NULL) {
        return;
    }
    if (ledger_failure(outbox, NULL) != 0) {
        release_all(outbox);
    } else if (has_caught_up(audit)) {
        kept_back_put(audit);
    }
    trim_plan(audit);
}

static struct outbox_entry *entry_new(struct audit *audit, uint64_t seq, uint32_t accepts,
                                      bool is_kept_back)
{
    size_t line_bytes = audit->line.len;
    struct outbox_entry *entry = mem_calloc(1, sizeof(*entry) + (is_kept_back ? line_bytes : 0));

    if (entry != NULL) {
        entry->audit = audit;
        entry->seq = seq;
        entry->line_bytes = line_bytes;
        entry->accepts = accepts;
        memcpy(entry->line, audit->line.bytes, is_kept_back ? line_bytes : 0);
    }
    return entry;
}

int outbox_put(struct audit *audit, uint64_t seq, uint32_t accepts, bool is_awaited,
               bool *ret_is_held)
{
    struct outbox *outbox = &audit->outbox;
    struct outbox_entry *entry;
    bool is_kept_back;
    int r = 0;

    *ret_is_held = false;
    if (outbox->ledger == NULL) {
        return 0;
    }
    if (ledger_failure(outbox, NULL) != 0) {
        return pass_by(audit, seq);
    }
    if (has_caught_up(audit)) {
        kept_back_put(audit); /* the sinks may fall behind with that */
    }
    is_kept_back = !has_caught_up(audit);
    entry = entry_new(audit, seq, accepts, is_kept_back);
    if (entry == NULL) {
        return ERR_NOMEM;
    }
    if (is_kept_back) {
        list_push_back(&outbox->kept_back, &entry->node);
    } else {
        r = entry_put(entry, buf_str(&audit->line));
    }
    if (r != 0) {
        mem_free(entry);
        return is_awaited || r == ERR_NOMEM ? r : pass_by(audit, seq);
    }
    *ret_is_held = true;
    return 0;
}

/* --- life --- */

void outbox_init(struct audit *audit, struct env_ledger *ledger, uint64_t confirm_max_ms)
{
    struct outbox *outbox = &audit->outbox;

    list_init(&outbox->entries);
    list_init(&outbox->kept_back);
    outbox->ledger = audit->sink_count > 0 ? ledger : NULL;
    outbox->confirm_max_ms = confirm_max_ms > 0 ? confirm_max_ms : AUDIT_CONFIRM_DEFAULT_MS;
    outbox->late_timer.fn = ledger_is_late;
    outbox->late_timer.user = audit;
    outbox->trim_timer.fn = trim_is_due;
    outbox->trim_timer.user = audit;
}

void outbox_close(struct audit *audit)
{
    if (!list_is_empty(&audit->outbox.kept_back)) {
        release_all(&audit->outbox);
    }
}

void outbox_fini(struct audit *audit)
{
    CHECK(outbox_is_idle(audit));
    outbox_trim(audit);
    env_timer_disarm(audit->env, &audit->outbox.late_timer);
    env_timer_disarm(audit->env, &audit->outbox.trim_timer);
}
