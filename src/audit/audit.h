/* The audit trail: decisions and effects, chained, fanned out to sinks. With a ledger or a required
 * sink nothing that depends on a record goes on before the record is durable there.
 *
 * Durability is asynchronous: audit_record_write queues the record (order = call order) and `fn`
 * runs when the ledger has it (without a ledger: every required sink), or with an error when it, or
 * a required sink, failed or did not confirm within the limit. */
#ifndef LEASED_AUDIT_AUDIT_H
#define LEASED_AUDIT_AUDIT_H

#include "env/file.h"
#include "env/ledger.h"
#include "wire/audit_record.h"

struct audit;

#define AUDIT_SINKS_MAX 8
#define AUDIT_CONFIRM_DEFAULT_MS 2000U

/* What may wait for one sink, and so stand in the ledger for it: records that somebody waits for,
 * notes (more than 10 000 of them, for a time when the disk is full), and both for an optional
 * sink, which then loses records. */
#define AUDIT_WRITE_QUEUE_MAX_BYTES (4U * 1024U * 1024U)
#define AUDIT_NOTE_QUEUE_MAX_BYTES (8U * 1024U * 1024U)
#define AUDIT_OPTIONAL_QUEUE_MAX_BYTES (4U * 1024U * 1024U)

struct audit_sink_options {
    const char *kind; /* "file", "stdout" or "open" */
    const char *path; /* file; of one that is open: what it is called */
    /* One that is open already, and has nothing to be read back: taken (even on error). */
    struct env_file *file;
    bool is_required;
};

struct audit_options {
    struct env *env;
    const char *node; /* stands in each record; copied */
    /* May be NULL. Then records are durable only where the sinks have them, and the key of
     * audit_ref is per start. Opened in this turn of the loop, and closed after audit_close. */
    struct env_ledger *ledger;
    const struct audit_sink_options *sinks;
    size_t sink_count;
    uint64_t confirm_max_ms; /* [2000] a sink that takes longer counts as failing */
    /* Of the disk, kept for each file sink alone, so that what nobody waits for (revocations, ends
     * of grants, renewals) is on record even when somebody else has filled the disk. A sink that
     * can't renew it counts as failing for those who wait. 0: nothing. */
    size_t reserve_bytes;
};

/* A write that somebody waits for; embedded in its owner. */
struct audit_write {
    /* `status` 0: durable in the ledger, or without one in each required sink. Else an ERR_* or
     * negated errno: no credential may leave. Runs from the loop, exactly once. NULL: nobody waits.
     */
    void (*fn)(struct audit_write *write, int status);
    void *user;
    struct list node;
    uint64_t seq;
};

/* Opens the sinks and finds the head of the chain: the furthest last record of the file sinks and
 * of what the ledger has for them, which each is given. A last line that a crash has cut off gets
 * its end, and the chain goes on behind it. ERR_CORRUPT when a file ends in something that is no
 * record, or in one that was changed, or when it and the ledger contradict each other: then nothing
 * was touched. */
int audit_new(const struct audit_options *options, struct audit **ret_audit,
              struct err *e) ATTR_MUST_USE;

/* Writes what is queued (a failing sink tries once more), ends all waits, queues what leaves the
 * ledger, then `closed` runs and the memory goes. It waits for a disk that hangs, so its caller has
 * a time limit of its own. */
void audit_close(struct audit *audit, void (*closed)(void *user), void *user);

/* Queues one record; seq, time and node are filled in here. `write` may be NULL when nobody waits.
 * ERR_NOMEM, ERR_LIMIT (queue full), ERR_UNAVAILABLE (a required sink or the ledger is failing) or
 * ERR_CLOSED: then nothing was queued and fn won't run. A record that failed later isn't taken
 * back: it is written when the sink is again, and its owner's consequences are notes behind it. */
int audit_record_write(struct audit *audit, struct audit_record *record,
                       struct audit_write *write) ATTR_MUST_USE;

/* For effects that must be on record but that nothing waits for (revocations go on when the sink
 * fails). When it can't be queued it is kept and written first when the sink is back; the number of
 * records so kept is bounded, and what is lost past it is said in a `sink.restored` record. Does
 * nothing after audit_close. */
void audit_record_note(struct audit *audit, struct audit_record *record);

#define AUDIT_REVISION_MAX_BYTES 64

/* The revision of the work tree that the policy of this digest came from; from now on it stands in
 * each record that names that policy. The last few policies are known. Both are copied; a longer
 * revision is cut; "": it has none. */
void audit_set_revision(struct audit *audit, const char *digest, const char *revision);

/* Hears of each record that is queued, with its line; from inside the call that queues it. `fn`
 * NULL: nobody does. It must not write records. */
struct audit_listener {
    void (*fn)(void *user, const struct audit_record *record, struct str line);
    void *user;
};
void audit_listen(struct audit *audit, const struct audit_listener *listener);

/* Stops waiting: fn won't run. */
void audit_write_forget(struct audit_write *write);

/* False while a required sink or the ledger fails: no hand-outs, re-reads included. */
bool audit_is_ready(const struct audit *audit);

/* Why it isn't: ERR_IO, and a text that names the sink or the ledger. 0 while it is. */
int audit_failure(const struct audit *audit, struct err *e);

/* Reopens the files, for log rotation; a failing sink tries again at once. The first failure is
 * returned; that file goes on in use as it was. */
int audit_reopen(struct audit *audit, struct err *e) ATTR_MUST_USE;

/* "hmac:" and 32 hex digits: keyed hash of a value that must not stand in the trail itself. The key
 * is per installation with a ledger, else per start. Returns `out`. */
#define AUDIT_REF_MAX_BYTES 40
const char *audit_ref(const struct audit *audit, struct str value, char out[AUDIT_REF_MAX_BYTES]);

#define AUDIT_DERIVED_KEY_BYTES 32

/* A key for another purpose, made from that of audit_ref: as long as that is kept, it is the same,
 * and no reference tells anything about it. ret_key is in secret memory. ERR_NOMEM. */
int audit_derive_key(const struct audit *audit, const char *purpose,
                     unsigned char ret_key[AUDIT_DERIVED_KEY_BYTES]) ATTR_MUST_USE;

/* Records not yet confirmed by the slowest sink; for the metrics. */
uint64_t audit_lag_records(const struct audit *audit);

/* The path (or name) of sink number `index`, and how many records it hasn't confirmed; NULL: there
 * are no more. Borrowed until audit_close. */
const char *audit_sink_at(const struct audit *audit, size_t index, uint64_t *ret_lag);

#endif
