/* Between the files of audit/. */
#ifndef LEASED_AUDIT_AUDIT_INTERNAL_H
#define LEASED_AUDIT_AUDIT_INTERNAL_H

#include "audit/outbox.h"

#define AUDIT_MAGIC 0xa0d17a11U
#define AUDIT_KEY_BYTES 32

/* Of grants that began under an earlier policy, or requests that were decided by one. */
#define AUDIT_REVISIONS_MAX 8

struct audit_revision {
    char digest[AUDIT_HASH_HEX_BYTES + 1];
    char revision[AUDIT_REVISION_MAX_BYTES + 1];
};

struct audit {
    uint32_t magic;
    struct env *env;
    char *node;
    struct audit_sink sinks[AUDIT_SINKS_MAX];
    size_t sink_count;
    uint64_t head_seq;
    char head_hash[AUDIT_HASH_HEX_BYTES + 1];
    struct outbox outbox;
    struct audit_listener listener;
    struct list waiting;        /* audit_write, by seq */
    struct env_deferred settle; /* for records that no sink has to confirm */
    struct buf line;
    uint64_t lost_count; /* notes that weren't queued */
    bool is_closing;
    size_t closed_sink_count;
    struct env_deferred close;
    void (*closed)(void *user);
    void *closed_user;
    struct audit_revision revisions[AUDIT_REVISIONS_MAX];
    size_t revision_next; /* which of them is the oldest */
    unsigned char *key;   /* owned, AUDIT_KEY_BYTES in secret memory */
};

/* Gives the record its number and queues it for the ledger and every sink, or changes nothing.
 * ERR_NOMEM or ERR_LIMIT, which comes sooner for records that somebody waits for. */
int audit_queue(struct audit *audit, struct audit_record *record, bool is_awaited) ATTR_MUST_USE;

/* NULL: none is known, or there is none. */
const char *audit_revision(const struct audit *audit, const char *digest);

/* Those whose records are durable are told. */
void audit_settle(struct audit *audit);

/* Everybody who waits for a record behind `seq` is told `status`. */
void audit_fail_waiting(struct audit *audit, uint64_t seq, int status);

/* The ledger has told of one more record. */
void audit_outbox_told(struct audit *audit);

/* The key of audit_ref, from the ledger (may be NULL) or new. */
int audit_ref_init(struct audit *audit, struct env_ledger *ledger, struct err *e) ATTR_MUST_USE;

/* Puts on record that a sink fails. */
void audit_outage_begin(struct audit *audit, const struct audit_sink *sink, int status);

/* Puts on record what is due to be said: which sinks are back, and how much wasn't recorded. What
 * finds no room is tried again with the next call. */
void audit_outage_tell(struct audit *audit);

#endif
