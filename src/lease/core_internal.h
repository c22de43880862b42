/* The core itself, for the files of this folder. Nothing else includes it. */
#ifndef LEASED_LEASE_CORE_INTERNAL_H
#define LEASED_LEASE_CORE_INTERNAL_H

#include "lease/account.h"
#include "lease/durable.h"
#include "lease/fsm.h"
#include "lease/grant.h"
#include "lease/holder.h"
#include "lease/lease.h"
#include "lease/queue.h"
#include "lease/rates.h"
#include "lease/readers.h"
#include "lease/record.h"
#include "lease/refusal.h"
#include "lease/role.h"
#include "lease/text.h"
#include "lease/verify.h"

#define LEASE_CORE_MAGIC 0x636f7265U
#define CORE_ENDED_MAX 512 /* ended leases, and ended grants, that are kept to be looked at */
#define CORE_READS_FLUSH_MS 60000U /* how often counts of reads go on record */
#define CORE_ANCHORS_MAX 32        /* ends of anchors that are remembered for one issuer */

/* What a wheel entry is embedded in. */
enum core_entry {
    CORE_ENTRY_LEASE,
    CORE_ENTRY_GRANT,
    CORE_ENTRY_QUEUE,
    CORE_ENTRY_READS,
    CORE_ENTRY_DRAIN,
    CORE_ENTRY_ACQUIRES,
    CORE_ENTRY_ADOPTED,
    CORE_ENTRY_VERIFY,
    CORE_ENTRY_DRILL,
    CORE_ENTRY_WINDOWS,
};

/* One place at an issuer: a call that is in flight. */
struct call {
    uint32_t magic;
    struct list by_issuer;
    struct list node; /* in its issuer's free_calls */
    struct lease_call call;
    struct issuer *issuer;
    struct lease *lease;
    struct secret ref; /* the issuer's reference, opened for the call */
};

/* What an issuer has said about the end of what its leases hang on. */
struct anchor {
    uint64_t anchor;
    uint64_t ends_ms;
};

struct issuer {
    struct list node; /* in the core's issuers */
    struct lease_core *core;
    struct lease_issuer *config;
    struct queue queue;
    struct list calls; /* all of them, at least queue.in_flight_max */
    uint32_t call_count;
    struct list free_calls;
    struct list sources;
    uint32_t lease_count;                    /* leases of its sources that aren't over */
    uint32_t left_count;                     /* … that a drain has left for the next daemon */
    struct anchor anchors[CORE_ANCHORS_MAX]; /* a ring */
    size_t anchor_next;
};

struct lease_core {
    uint32_t magic;
    struct lease_core_options options;
    struct env *env;
    struct audit *audit;
    struct env_ledger *ledger;       /* NULL: none */
    unsigned char *token_key;        /* owned, AUDIT_DERIVED_KEY_BYTES in secret memory; token.c */
    struct lease_verifier *verifier; /* NULL: none */
    struct wheel wheel;
    struct env_timer timer;   /* armed for the wheel's next deadline */
    struct env_deferred turn; /* core_touch: what is done once a turn of the loop */
    struct map roles;
    struct list issuers;
    struct index lease_ids;
    struct index grant_ids;
    struct list leases_by_age; /* in order of creation, those that are over too */
    struct list grants_by_age;
    struct index grant_keys; /* what a caller that asks again gets: by holder and binding */
    struct index holders;
    struct index accounts;
    struct list unheld_accounts; /* those without holders, whose rate isn't whole yet */
    struct rates rates;
    struct map texts;
    struct index watched; /* watched.h */
    size_t closing_watch_count;
    struct list leases_by_state[LEASE_STATE_COUNT]; /* those that are ending */
    struct list grants_by_state[GRANT_STATE_COUNT];
    uint64_t lease_counts[LEASE_STATE_COUNT];
    uint64_t grant_counts[GRANT_STATE_COUNT];
    struct list durables;    /* what waits for the ledger, and goes with the core */
    struct list read_grants; /* whose reads aren't all on record */
    struct wheel_entry reads_due;
    struct list acquires; /* that aren't answered, in the order of their deadlines */
    struct wheel_entry acquires_due;
    struct list finishing; /* acquires that will get their credential in this turn */
    struct list loans;     /* struct lease_loan, that haven't begun */
    struct list observers; /* struct lease_observer */
    struct list drills;    /* struct lease_drill */
    struct grant *changed; /* the first that these will hear of in this turn */
    uint64_t position;     /* of the last event, observe.h */
    uint64_t told_position;
    struct list waits;             /* struct lease_wait, for something */
    struct list waits_done;        /* to be told in this turn */
    struct lease_core_stats stats; /* the totals */
    uint32_t recheck_run;
    struct lease_recovery recovery;
    struct lease *adopted_next; /* adopted.c: where its walk stands; NULL: it is over */
    struct wheel_entry adopted_due;
    struct list links;         /* recover.c: successors whose predecessors aren't known yet */
    struct map left;           /* left.c: leases that stay in the ledger as they are */
    bool is_all_left;          /* … not all of them fit into memory */
    bool is_unlinked;          /* recover.c: leases are there, their successors aren't known yet */
    int64_t wall_offset_ms;    /* from our clock to unix time, core_wall_of */
    uint64_t window_count;     /* window.c: grants with a window that haven't ended */
    int64_t windows_offset_ms; /* … and the offset by which their ends are counted */
    struct wheel_entry windows_due;
    uint64_t timer_ms; /* when `timer` is armed for; WHEEL_NEVER: it isn't */
    bool is_draining;
    bool is_recovering;         /* recover_grant.c: other holders of its lease may still come */
    bool is_keeping;            /* … and some leases are left for the next daemon */
    uint64_t left_count;        /* of them */
    uint64_t login_bound_count; /* leases in revoking that nobody can hurry */
    struct wheel_entry drain_due;
    bool is_closing;
    void (*closed)(void *user);
    void *closed_user;
};

static inline uint64_t core_now_ms(const struct lease_core *core)
{
    return env_now_ms(core->env);
}

/* Something has changed that the end of this turn must look at: calls to send, waits to tell,
 * deadlines. */
void core_touch(struct lease_core *core);

/* Unix time for a deadline of our clock; 0 for one that never comes. Of one deadline it is always
 * the same, until the wall clock is set. */
int64_t core_wall_of(struct lease_core *core, uint64_t when_ms);

/* The way back; what was before our clock's beginning is its first moment. */
uint64_t core_when_of(struct lease_core *core, int64_t wall_ms);

/* What lies between the two clocks; changes when the wall clock is set. */
int64_t core_wall_offset_ms(struct lease_core *core);

uint64_t core_random(struct lease_core *core);

/* A new id: `prefix` and 128 random bits. */
void core_make_id(struct lease_core *core, char prefix, char out[LEASE_ID_BYTES + 1]);

/* The hash of an id; ids are random, so a part of one is as good as all of it. */
uint64_t core_id_hash(const struct index *ids, const char *id);

/* --- token.c --- */

/* Makes the key of grant tokens. ERR_NOMEM. */
int token_init(struct lease_core *core) ATTR_MUST_USE;

/* --- calls.c --- */

/* Queues the call that the lease's state asks for; it is sent from the loop. ERR_LIMIT: too many
 * issues wait. */
int calls_push(struct lease *lease, enum queue_class kind) ATTR_MUST_USE;

/* What is queued of it isn't any more; fine when nothing is. */
void calls_drop(struct lease *lease);

/* Sends what may be sent now. */
void calls_pump(struct lease_core *core);

/* Asks each call in flight to end. */
void calls_cancel_all(struct lease_core *core);

/* The lease that this call is for. */
struct lease *call_lease(const struct lease_call *call);

bool calls_are_in_flight(const struct lease_core *core);

int issuer_new(struct lease_core *core, struct lease_issuer *config,
               struct issuer **ret_issuer) ATTR_MUST_USE;
void issuer_free(struct issuer *issuer);
/* At least as many places as its limits say. */
int issuer_grow(struct issuer *issuer) ATTR_MUST_USE;

/* --- waits.c --- */

enum wait_kind {
    WAIT_RENEW = 1,
    WAIT_ROTATE,
    WAIT_REVOKE,
    WAIT_DRAIN, /* for no lease: for all */
};

void waits_add(struct lease *lease, enum wait_kind kind, struct lease_wait *wait);

/* Ends each wait of this kind for this lease, from the loop. `text` (may be NULL) is for people. */
void waits_end(struct lease *lease, enum wait_kind kind, int status, const char *text);

/* Ends one wait, which may be in no list, from the loop. */
void wait_end(struct lease_core *core, struct lease_wait *wait, int status, const char *text);

/* Ends those who wait for the drain. */
void waits_end_drain(struct lease_core *core, int status, const char *text);

/* Tells those whose wait has ended; with `is_closing` all others too. */
void waits_tell(struct lease_core *core, bool is_closing);

/* --- acquire.c --- */

/* What a credential must have left, beside what its role says: what the caller or its rule asks.
 * `grant` is the one that is read. A grant of another role that the caller's token names isn't
 * looked at: it may be gone before there is an answer. */
uint64_t acquire_wished_ms(const struct lease_ask *ask, const struct grant *grant);

/* Decides what becomes of an acquire that waits for its grant, as things are now. */
void acquire_step(struct lease_acquire *acquire);
/* Ends it, from the loop; status 0: its grant is as it must be for a hand-out. */
void acquire_finish(struct lease_acquire *acquire, int status);
void acquire_finished(struct env_deferred *deferred);

/* Looks again at each acquire that waits for a grant of this lease. */
void acquire_wake_lease(struct lease *lease);
void acquire_wake_grant(struct grant *grant);

/* Ends each acquire that waits for the grant or for a grant of the lease. */
struct acquire_failure {
    int status;
    uint64_t retry_after_ms;
    const char *text;
};
void acquire_fail(struct lease_acquire *acquire, const struct acquire_failure *failure);
/* What those are told who wait for a grant that has ended. */
struct acquire_failure grant_failure(const struct grant *grant);
void acquire_fail_lease(struct lease *lease, const struct acquire_failure *failure);
void acquire_fail_grant(struct grant *grant, const struct acquire_failure *failure);
/* `with_own`: also those of the daemon itself. */
void acquire_cancel_all(struct lease_core *core, bool with_own);

/* Ends those that have waited for acquire_timeout_ms. */
void acquire_due(struct lease_core *core);

/* --- window.c --- */

/* The grant can be found, or not any more: its window (if it has one) is looked after so long. */
void window_join(struct grant *grant);
void window_leave(struct grant *grant);
/* Another window (0: none) from now on; window_refit counts its end by it. */
void window_set(struct grant *grant, int64_t window_wall_ms);
/* The grant's life begins: the end of its duration, or of its window. */
void window_begin(struct grant *grant);
/* Counts the end of one that has begun anew, by what the wall clock shows now. */
void window_refit(struct grant *grant);
/* The earlier of the two ends. */
uint64_t window_until_ms(struct lease_core *core, uint64_t own_until_ms, int64_t window_wall_ms);
/* What the grant's rule gives it without its window; 0: no limit. */
uint64_t window_allowed_ms(const struct grant *grant);
void windows_due(struct lease_core *core);

/* --- reads.c --- */

void reads_count(struct grant *grant);
/* The grant that the caller's token names, if that is the one to be read; else NULL. */
struct grant *reads_named(const struct lease_ask *ask);
/* Puts the grant's counted reads on record. */
void reads_flush_grant(struct grant *grant);
void reads_flush(struct lease_core *core);

/* --- anchor.c --- */

/* When this lease's anchor ends; UINT64_MAX if nothing is known. */
uint64_t anchor_ends_ms(const struct lease *lease);

/* --- drain.c --- */

void drain_check(struct lease_core *core);
/* Is the grant left for the next daemon? */
bool drain_keeps(const struct grant *grant);
/* Leaves the lease for the next daemon, if this one stops and that one can go on with it. */
bool drain_leave(struct lease *lease);
/* It is over after all. Fine when it wasn't left. */
void drain_retake(struct lease *lease);
void drain_due(struct lease_core *core);

/* --- lend.c --- */

/* Is it this daemon itself? */
bool lend_is_own(const struct holder *holder);
/* Does one of its backends still work with what this holder has? */
bool lend_is_needed(const struct lease_core *core, const struct holder *holder);
/* Is a grant of the daemon itself on the lease? */
bool lend_holds(const struct lease *lease);
/* Gives back what the issuer's backend has borrowed, if it isn't needed any more; it may be unknown
 * by now. */
void lend_settle(struct lease_core *core, const struct lease_issuer *config);
void lend_drain(struct lease_core *core);
/* What an earlier daemon's backends borrowed and ours don't. */
void lend_recovered(struct lease_core *core);

/* --- observe.c --- */

/* A lease is on record: its holders may read it. */
void observe_ready(struct lease *lease);
/* It has been superseded, or will end at another time than was told. */
void observe_superseded(struct lease *lease);
/* It couldn't be replaced; told only if that is its end. */
void observe_ending(struct lease *lease);
/* The grant was handed out, has ended, or got a lease that is no successor. */
void observe_grant(struct grant *grant);
void observe_grant_ending(struct grant *grant);
/* Tells the observers what has happened in this turn. */
void observe_tell(struct lease_core *core);
/* Does its holder hear of what happens to it? */
bool observe_is_followed(const struct grant *grant);

/* --- ack.c --- */

/* The grant's holder has read the successor: its old lease is left, now, or when it says so. */
void ack_await(struct grant *grant);
/* Those that have read the successor leave the lease. */
void ack_due(struct lease *lease);
/* A superseded lease is back from the ledger, and so is its successor. */
void ack_recover(struct lease *lease);

/* --- recover.c --- */

/* A time of a record in our clock. UINT64_MAX: none; now, when it has passed. */
uint64_t recover_when_ms(const struct lease_core *core, const struct ledger_clock *clock,
                         int64_t wall_ms);
/* The same of one that has passed; 0: before the boot. */
uint64_t recover_past_ms(const struct lease_core *core, const struct ledger_clock *clock,
                         int64_t wall_ms);
/* How long ago the record was written; 0: nobody can know. */
uint64_t recover_age_ms(const struct lease_core *core, const struct ledger_clock *clock);
/* Is it the boot in which the record was written? */
bool recover_is_same_boot(const struct lease_core *core, const struct ledger_clock *clock);
/* "l-" or "g-" and 32 hexadecimal digits. */
bool recover_is_id(struct str id, char prefix);

/* --- left.c --- */

/* Does the lease of this id stay in the ledger, or may it? */
bool left_has(const struct lease_core *core, struct str id);
void left_forget(struct lease_core *core);

/* --- adopted.c --- */

/* All leases of the ledger are there: those that go on are put on record in the seconds after. */
void adopted_start(struct lease_core *core);
void adopted_due(struct lease_core *core);
/* Puts it on record now, unless it is or needn't be. */
void adopted_tell(struct lease *lease);
/* It is about to be freed. */
void adopted_forget(struct lease *lease);

/* --- drill.c --- */

/* A drilled lease is over, or its revocation has failed for now. */
void drill_lease_over(struct lease *lease);
void drill_lease_failed(struct lease *lease);
/* A drill's time has come. */
void drill_due(struct wheel_entry *entry);
/* Tells their owners what there is. */
void drill_tell(struct lease_core *core);

/* --- ended.c --- */

/* Frees the oldest of what has ended and nobody points to any more, down to CORE_ENDED_MAX of each
 * kind. */
void ended_trim(struct lease_core *core);

#endif
