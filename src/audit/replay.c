/* What a start finds in the outbox: records that not every file has.
 *
 * Happy path: the files' last records are known → the records of the outbox, in their order, each
 * continues the one before it and fits what each file ends with → to each sink go those behind its
 * own last record; stdout and a file that is new or was rotated away get all there are, which after
 * a crash may be some that stand in the rotated one, too → the last one is the head of the chain.
 *
 * How much there is at most, the queues of the earlier run have bounded (outbox.c), so it is taken
 * into the queues whole; until it is written, new notes find less room.
 *
 * Failure paths. A record that is none, a hole that no file covers, two that don't continue each
 * other, or the files and the outbox contradict each other: no start, and nothing is touched. A
 * hole that a file covers was left by records that passed a failing ledger by before a crash. A
 * sink that was behind by more than the outbox has (the ledger failed in the earlier run, or it is
 * optional): it is told which records it lacks, as after an outage.
 *
 * The ledger is an older copy: what is in the outbox may fit all the same, or there is nothing. But
 * the file's last record says up to which one the ledger had them when it was written, and the
 * ledger knows of none so late. That a file has more records than the ledger proves nothing: while
 * it fails, they pass it by; but then they don't say that it has them. */
#include "audit/audit_internal.h"
#include "base/str.h"
#include "wire/ledger_header.h"

#include <inttypes.h>
#include <string.h>

#define HINT_LEDGER                                                                                \
    "keep a copy of the ledger and take its outbox away: sqlite3 LEDGER \"DELETE FROM record "     \
    "WHERE kind = " LEDGER_SQL(LEDGER_KIND_AUDIT) " OR id = '" OUTBOX_REMOVED_ID "'\""

struct replay {
    struct audit *audit;
    const struct audit_line *heads;
    uint64_t wanted_seqs[AUDIT_SINKS_MAX]; /* the next for each sink; 0: whatever comes first */
    struct audit_line last;                /* of the outbox; number 0: none yet */
    uint64_t removed_seq;                  /* what was the last one removed; 0: none ever was */
    struct err *e;
};

static int record_read(struct replay *replay, struct str id, struct str body,
                       struct audit_line *ret_line)
{
    struct err why = {.code = 0};
    struct str line = body;
    uint64_t seq = 0;
    int r = ERR_INVALID;

    if (body.len > 0 && body.ptr[body.len - 1] == '\n') {
        line.len--;
        r = audit_line_parse(line, ret_line, &why);
    } else {
        (void)err_set(&why, r, "its end is missing");
    }
    if (r == ERR_NOMEM) {
        return err_set(replay->e, r, "%s", err_str(r));
    }
    if (r == 0 &&
        (id.len != OUTBOX_ID_BYTES || str_parse_u64(id, &seq) != 0 || seq != ret_line->seq)) {
        r = err_set(&why, ERR_CORRUPT, "it is record %" PRIu64, ret_line->seq);
    }
    if (r != 0) {
        return err_set(replay->e, ERR_CORRUPT,
                       "the ledger's audit record %.*s is damaged (%s): " HINT_LEDGER, STR_ARG(id),
                       why.text);
    }
    return 0;
}

/* Of the furthest file. */
static size_t furthest(const struct replay *replay)
{
    size_t at = 0;
    size_t i;

    for (i = 0; i < replay->audit->sink_count; i++) {
        at = replay->heads[i].seq > replay->heads[at].seq ? i : at;
    }
    return at;
}

/* Does it continue the one before it in the outbox, or behind a hole what is in a file? That it
 * fits the end of that file is for check_file. */
static int check_chain(const struct replay *replay, const struct audit_line *line)
{
    const struct audit_line *last = &replay->last;

    if (last->seq != 0 && line->seq > last->seq + 1 &&
        replay->heads[furthest(replay)].seq >= line->seq - 1) {
        return 0;
    }
    if (last->seq != 0 && line->seq != last->seq + 1) {
        return err_set(replay->e, ERR_CORRUPT,
                       "the ledger's audit records %" PRIu64 " to %" PRIu64
                       " are missing: " HINT_LEDGER,
                       last->seq + 1, line->seq - 1);
    }
    if (last->seq != 0 && strcmp(line->prev, last->hash) != 0) {
        return err_set(replay->e, ERR_CORRUPT,
                       "the ledger's audit record %" PRIu64
                       " doesn't continue the one before it: " HINT_LEDGER,
                       line->seq);
    }
    return 0;
}

/* Does it fit the end of the file? */
static int check_file(const struct replay *replay, const struct audit_line *line, size_t index)
{
    const struct audit_line *head = &replay->heads[index];
    const char *path = replay->audit->sinks[index].path;

    if (head->seq != 0 && ((line->seq == head->seq && strcmp(line->hash, head->hash) != 0) ||
                           (line->seq == head->seq + 1 && strcmp(line->prev, head->hash) != 0))) {
        return err_set(replay->e, ERR_CORRUPT,
                       "%s and the ledger's audit record %" PRIu64
                       " are of two trails (was one of them replaced or changed?): move the file "
                       "away to go on from the ledger, or " HINT_LEDGER,
                       path, line->seq);
    }
    return 0;
}

/* The furthest file must reach up to the first record of the outbox, or be new. */
static int check_begin(const struct replay *replay, const struct audit_line *line)
{
    const struct audit *audit = replay->audit;
    size_t at = furthest(replay);
    bool has_required = false;
    size_t i;

    for (i = 0; i < audit->sink_count; i++) {
        has_required = has_required || audit->sinks[i].is_required;
    }
    if (replay->last.seq == 0 && has_required && replay->heads[at].seq != 0 &&
        line->seq > replay->heads[at].seq + 1) {
        return err_set(replay->e, ERR_CORRUPT,
                       "%s ends with record %" PRIu64 ", and the ledger goes on with %" PRIu64
                       ": the file was cut off or replaced by an older one. Bring it back, or move "
                       "it away to begin a new one",
                       audit->sinks[at].path, replay->heads[at].seq, line->seq);
    }
    return 0;
}

static int give(struct replay *replay, size_t index, struct str body, uint64_t seq)
{
    struct audit_sink *sink = &replay->audit->sinks[index];
    uint64_t *wanted_seq = &replay->wanted_seqs[index];
    int r;

    if (seq < *wanted_seq) {
        return 0;
    }
    r = audit_sink_reserve(sink, body.len, SIZE_MAX);
    if (r != 0) {
        return err_set(replay->e, r, "%s", err_str(r));
    }
    if (*wanted_seq != 0 && seq > *wanted_seq) {
        audit_sink_lose(sink, *wanted_seq, seq - 1);
    }
    audit_sink_add(sink, body, seq);
    audit_sink_release(sink, body.len, seq);
    *wanted_seq = seq + 1;
    return 0;
}

static int replay_one(void *user, struct str id, struct str body)
{
    struct replay *replay = user;
    struct audit_line line = {0};
    size_t i;
    int r = record_read(replay, id, body, &line);

    if (r == 0) {
        r = check_begin(replay, &line);
    }
    if (r == 0) {
        r = check_chain(replay, &line);
    }
    for (i = 0; r == 0 && i < replay->audit->sink_count; i++) {
        r = check_file(replay, &line, i);
    }
    for (i = 0; r == 0 && i < replay->audit->sink_count; i++) {
        r = give(replay, i, body, line.seq);
    }
    if (r != 0) {
        return r;
    }
    if (replay->last.seq == 0) {
        replay->audit->outbox.removed_seq = line.seq - 1;
    }
    replay->last = line;
    return 0;
}

/* One that can't be read proves nothing. */
static int removed_find(void *user, struct str id, struct str body)
{
    struct replay *replay = user;

    if (str_eq_c(id, OUTBOX_REMOVED_ID) && str_parse_u64(body, &replay->removed_seq) != 0) {
        replay->removed_seq = UINT64_MAX;
    }
    return 0;
}

/* Does the ledger know what the files say that it had? A new one knows nothing. */
static int check_age(struct replay *replay)
{
    struct audit *audit = replay->audit;
    uint64_t known_seq = 0;
    size_t i;
    int r =
        env_ledger_each(audit->outbox.ledger, ENV_LEDGER_SETTING, removed_find, replay, replay->e);

    known_seq = replay->last.seq > replay->removed_seq ? replay->last.seq : replay->removed_seq;
    for (i = 0; r == 0 && known_seq != 0 && i < audit->sink_count; i++) {
        if (replay->heads[i].ledger_seq > known_seq) {
            r = err_set(replay->e, ERR_CORRUPT,
                        "the ledger is an older copy: it ends with audit record %" PRIu64
                        ", and by %s it had record %" PRIu64
                        ". Leases that have been revoked would be handed out. Bring the newer one "
                        "back; if it is lost, move the ledger away to begin a new one (what it has "
                        "issued lives to its end at the issuer)",
                        known_seq, audit->sinks[i].path, replay->heads[i].ledger_seq);
        }
    }
    audit->outbox.ledger_seq = known_seq;
    return r;
}

/* What neither a sink nor the outbox has. */
static void sink_finish(struct audit *audit, struct audit_sink *sink, uint64_t wanted_seq)
{
    if (wanted_seq != 0 && wanted_seq <= audit->head_seq) {
        audit_sink_lose(sink, wanted_seq, audit->head_seq);
    }
    if (audit_sink_lag(sink) == 0) {
        sink->durable_seq = audit->head_seq;
    }
}

int outbox_replay(struct audit *audit, const struct audit_line *heads, struct err *e)
{
    struct replay replay = {.audit = audit, .heads = heads, .e = e};
    size_t i;
    int r;

    for (i = 0; i < audit->sink_count; i++) {
        replay.wanted_seqs[i] = heads[i].seq != 0 ? heads[i].seq + 1 : 0;
    }
    audit->outbox.removed_seq = audit->head_seq;
    r = env_ledger_each(audit->outbox.ledger, ENV_LEDGER_AUDIT, replay_one, &replay, e);
    if (r == 0) {
        r = check_age(&replay);
    }
    if (r != 0) {
        return r;
    }
    if (replay.last.seq > audit->head_seq) {
        audit->head_seq = replay.last.seq;
        memcpy(audit->head_hash, replay.last.hash, sizeof(audit->head_hash));
    }
    audit->outbox.committed_seq = audit->head_seq;
    if (audit->outbox.ledger_seq > audit->head_seq) {
        audit->outbox.ledger_seq = audit->head_seq; /* the file was moved away: a new trail */
    }
    for (i = 0; i < audit->sink_count; i++) {
        sink_finish(audit, &audit->sinks[i], replay.wanted_seqs[i]);
    }
    if (audit->head_seq > replay.last.seq) {
        outbox_trim(audit); /* with the next record: what passed by must leave no hole before it */
    }
    outbox_durable(audit);
    return 0;
}
