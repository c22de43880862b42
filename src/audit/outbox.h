/* The outbox: records in the ledger until every sink has them. Internal to audit/. */
#ifndef LEASED_AUDIT_OUTBOX_H
#define LEASED_AUDIT_OUTBOX_H

#include "audit/sink.h"
#include "env/ledger.h"

/* A record's id in the ledger: its number in so many digits, so that ids sort as numbers do. */
#define OUTBOX_ID_BYTES 20

/* The setting that says which was the last one removed, so that an empty outbox isn't that of an
 * older copy of the ledger. */
#define OUTBOX_REMOVED_ID "audit-removed"

/* So many records leave together, or what there is after this time: a removal is a commit of its
 * own unless a record comes with it. */
#define OUTBOX_TRIM_RECORDS 64U
#define OUTBOX_TRIM_MS 1000U

struct audit;

struct outbox {
    struct env_ledger *ledger; /* NULL: there is no outbox */
    struct list entries;       /* records on their way into the ledger, by number */
    struct list kept_back;     /* those behind them, until the sinks have what passed by */
    uint64_t committed_seq;
    /* The last that the ledger has confirmed, in this run or an earlier one: every record says it,
     * which is how a start finds out that the ledger is an older copy (replay.c). */
    uint64_t ledger_seq;
    uint64_t removed_seq; /* all up to it are removed, or were never there */
    uint64_t skipped_seq; /* the last that only the sinks got, while the ledger failed */
    uint64_t confirm_max_ms;
    bool is_late; /* the ledger takes longer than that */
    struct env_timer late_timer;
    struct env_timer trim_timer;
};

/* `ledger` may be NULL; it outlives the outbox. Without sinks there is none either. */
void outbox_init(struct audit *audit, struct env_ledger *ledger, uint64_t confirm_max_ms);

/* Nothing is kept back any more. */
void outbox_close(struct audit *audit);

/* After outbox_is_idle. The last removals are queued. */
void outbox_fini(struct audit *audit);

/* Puts audit->line into the ledger as record `seq`, which then was added to the sinks in `accepts`
 * (a bit each): they get it with the commit, and ret_is_held says so. Where the ledger fails and
 * nobody awaits the record, it passes the outbox by and the sinks may have it at once. ERR_NOMEM,
 * ERR_LIMIT: nothing was done. */
int outbox_put(struct audit *audit, uint64_t seq, uint32_t accepts, bool is_awaited,
               bool *ret_is_held) ATTR_MUST_USE;

/* 0 when the ledger has taken all that it was given, in time, and the sinks have what passed it by.
 * Else ERR_IO, and which it is. */
int outbox_failure(const struct audit *audit, struct err *e);

/* Nothing is on its way. */
bool outbox_is_idle(const struct audit *audit);

/* A sink has more than before: what all have will be removed, and what waited for it goes on. */
void outbox_durable(struct audit *audit);

/* Removes now what all sinks have. */
void outbox_trim(struct audit *audit);

/* Start: gives each sink what is in the outbox behind its last record (heads, one for each sink;
 * number 0: none), and moves the head of the chain on. The sinks are started. ERR_CORRUPT: the
 * outbox is damaged, or not of the trail in the files, or the ledger is an older copy; the text
 * says what to do. */
int outbox_replay(struct audit *audit, const struct audit_line *heads, struct err *e) ATTR_MUST_USE;

#endif
