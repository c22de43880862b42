/* One sink of the audit trail: a queue of lines in front of an append-only file ("-" is stdout).
 * Internal to audit/. */
#ifndef LEASED_AUDIT_SINK_H
#define LEASED_AUDIT_SINK_H

#include "audit/audit.h"

/* The first retry of a failed append comes after this long, the later ones after twice as long each
 * time. */
#define AUDIT_RETRY_MIN_MS 100U
#define AUDIT_RETRY_MAX_MS 5000U

struct audit_sink;

enum audit_sink_event {
    AUDIT_SINK_WROTE,    /* durable_seq has grown */
    AUDIT_SINK_FAILED,   /* it was fine and isn't any more; told once */
    AUDIT_SINK_RESTORED, /* it failed before, and durable_seq has grown */
    AUDIT_SINK_CLOSED,
};

/* Runs from the loop. `status` says why for AUDIT_SINK_FAILED, else 0. */
typedef void (*audit_sink_fn)(struct audit_sink *sink, enum audit_sink_event event, int status);

/* Whole lines, one after the other. */
struct audit_lines {
    char *bytes;
    size_t len;
    size_t cap;
    uint64_t count;
    uint64_t last_seq;
    uint64_t since_ms; /* when the first of them could have been appended */
};

/* The beginning of the lines that wait: what may be appended. */
struct audit_ready {
    size_t len;
    uint64_t count;
    uint64_t last_seq;
    uint64_t since_ms;
};

struct audit_sink {
    uint32_t magic;
    struct env *env;
    struct env_file *file; /* NULL once closed */
    char *path;
    bool is_required;
    audit_sink_fn fn;
    void *user;
    struct audit_lines batch;   /* what is being appended, or is to be appended again */
    struct audit_lines pending; /* what comes after; of it may be appended … */
    struct audit_ready ready;
    int failure; /* why it is down */
    uint64_t durable_seq;
    bool is_in_flight;
    bool is_failing; /* the last attempt failed, or is late */
    bool is_short;   /* it writes, out of its reserve, which can't be renewed */
    bool is_closing;
    bool restored_is_due; /* its sink.restored record isn't queued yet */
    uint64_t lost_count;  /* records that an optional sink didn't get while it failed … */
    uint64_t lost_first_seq;
    uint64_t lost_last_seq;
    uint64_t retry_ms;
    uint64_t confirm_max_ms;
    struct env_append append;
    struct env_deferred flush;
    struct env_timer confirm_timer;
    struct env_timer retry_timer;
};

/* Opens the file, unless it is. `sink` is zeroed; the file's end is looked at, so that a cut-off
 * line isn't continued. */
int audit_sink_open(struct audit_sink *sink, struct env *env,
                    const struct audit_sink_options *options, struct err *e) ATTR_MUST_USE;

/* From here on lines may be added. `seq`: the last record that it has. */
void audit_sink_start(struct audit_sink *sink, uint64_t seq, audit_sink_fn fn, void *user);

/* Before the first line. */
void audit_sink_limit(struct audit_sink *sink, uint64_t confirm_max_ms, size_t reserve_bytes);

/* For a sink that was opened and not started. */
void audit_sink_abandon(struct audit_sink *sink);

/* Makes room for one line, so that audit_sink_add can't fail: that way a record goes to all sinks
 * or to none. ERR_NOMEM, or ERR_LIMIT when `max_bytes` would be passed. */
int audit_sink_reserve(struct audit_sink *sink, size_t line_bytes, size_t max_bytes) ATTR_MUST_USE;
void audit_sink_add(struct audit_sink *sink, struct str line, uint64_t seq);

/* The first added line that waits for it may be appended; in the order in which they were added. */
void audit_sink_release(struct audit_sink *sink, size_t line_bytes, uint64_t seq);

/* Counts records that this sink won't get. */
void audit_sink_lose(struct audit_sink *sink, uint64_t first_seq, uint64_t last_seq);

/* Opens the file anew; a failing sink tries again at once. */
int audit_sink_reopen(struct audit_sink *sink, struct err *e) ATTR_MUST_USE;

/* Appends what is queued (a failing sink tries once more), closes the file, and tells
 * AUDIT_SINK_CLOSED. */
void audit_sink_close(struct audit_sink *sink);

/* Frees the memory; after AUDIT_SINK_CLOSED, or when the sink was never opened. */
void audit_sink_fini(struct audit_sink *sink);

/* Does it fail, or write out of its reserve? */
bool audit_sink_is_down(const struct audit_sink *sink);

uint64_t audit_sink_lag(const struct audit_sink *sink);

#endif
