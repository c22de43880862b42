/* Operations under way in a plugin: a fixed pool, one deadline each, exactly one end.
 *
 * Life: free → queued (op_start; the plugin is called from the loop, so it is never entered from
 * inside one of its own calls) → running (the plugin has accepted it) → ended → free. A running
 * operation whose deadline passes is cancelled and reported as ended, and stays as overdue until
 * the plugin's own end arrives: that one is counted, and what a late issue created is revoked.
 * (What one leaves behind that somebody still waits for is his: lease_result.orphan_ref.)
 *
 * An operation that the guard keeps back ends without the plugin. One that ends as SEALED has done
 * nothing, so where another address serves it is handed to the plugin again, within its deadline.
 */
#ifndef LEASED_BACKEND_OP_H
#define LEASED_BACKEND_OP_H

#include "backend/host.h"
#include "backend/result.h"
#include "backend/sweep.h"
#include "backend/warning.h"

enum op_state {
    OP_STATE_QUEUED,
    OP_STATE_STARTING, /* the plugin's start function runs */
    OP_STATE_RUNNING,
    OP_STATE_OVERDUE,
};

#define OP_MAGIC 0x6f706572U

struct op {
    uint32_t magic;
    enum op_kind kind;
    enum op_state state;
    struct ops *ops;
    struct list node; /* ops->free, ->queued, ->running or ->overdue */
    void *handle;
    struct env_timer deadline;
    struct env_deferred deferred; /* queued: runs it; running: cancels it */
    bool is_done_early;           /* starting, and op_done was called, which it must not be */
    bool is_cancel_wanted;
    bool is_probe;      /* a call that the half-open breaker has let through */
    uint32_t try_count; /* how often it was handed to the plugin */
    uint64_t queued_ms;
    uint64_t started_ms; /* the last time that it was */
    uint64_t ends_ms;    /* its deadline; 0: it has never started */
    uint64_t timeout_ms; /* 0: the usual one */
    /* The end. For issue, renew and revoke: call->fn; for the backend's own: fn. */
    struct lease_call *call;
    void (*fn)(void *user, const struct lease_result *result);
    void *user;           /* OP_CALL: the struct backend_call; OP_SWEEP: the struct sweep */
    uint32_t close_flags; /* OP_CLOSE */
    size_t probed;        /* OP_HEALTH: the address, or ADDRESS_NONE */
    /* OP_ISSUE: what must be durable first (op_intent.c). */
    struct lease_intent intent;
    leased_intent_fn intent_fn; /* NULL: nothing is waited for */
    void *intent_user;
    int32_t intent_status; /* what the deferred one says */
    struct env_deferred intent_deferred;
};

struct ops {
    struct leased_host_context *context;
    const struct leased_backend_ops *plugin; /* the plugin's table */
    leased_instance *instance;
    struct op *pool; /* owned */
    size_t pool_count;
    size_t
        call_max; /* calls of the lease layer at once; the rest of the pool is the backend's own */
    size_t call_count;
    size_t pass_max; /* OP_CALL at once */
    size_t pass_count;
    bool is_closing; /* only OP_CLOSE goes to the plugin any more */
    struct list free;
    struct list queued;
    struct list running;
    struct list overdue;
    struct handles handles;
    uint64_t timeout_ms;
    uint64_t lifetime_max_ms;
    struct sweeps sweeps;
    struct warnings warnings;
    struct backend_times times;
    /* Told after each issue that went well, with its anchor. */
    void (*issued)(void *user, uint64_t anchor);
    void *user;
    uint64_t op_total;
    uint64_t late_total;
    uint64_t timeout_total;
};

/* 0 or ERR_NOMEM. context, plugin, instance, call_max, pass_max, timeout_ms, lifetime_max_ms and
 * issued are set by the caller. */
int ops_init(struct ops *ops) ATTR_MUST_USE;
void ops_fini(struct ops *ops);

/* A call of the lease layer, by the rules of env.h. ERR_LIMIT, ERR_NOMEM. */
int op_start_call(struct ops *ops, struct lease_call *call) ATTR_MUST_USE;

/* `impl` of a lease_call or backend_call; NULL: it has ended. */
void op_cancel(void *impl);

/* The backend's own. `fn` may be NULL. Of one address, or of the issuer as a whole for
 * ADDRESS_NONE. */
int op_start_health(struct ops *ops, size_t address,
                    void (*fn)(void *user, const struct lease_result *result),
                    void *user) ATTR_MUST_USE;
/* `sweep` is also what sweep_ref gets. */
int op_start_sweep(struct ops *ops, void (*fn)(void *user, const struct lease_result *result),
                   void *sweep) ATTR_MUST_USE;
int op_start_close(struct ops *ops, uint32_t close_flags,
                   void (*fn)(void *user, const struct lease_result *result),
                   void *user) ATTR_MUST_USE;

/* The plugin's op_done. */
void op_done(struct ops *ops, const leased_op *handle, int32_t status,
             const struct leased_result *result);

/* --- intents (op_intent.c) --------------------------------------------------------------------
 */

/* The plugin's intent. */
int32_t op_intent(struct ops *ops, const leased_op *handle, struct str ref, leased_intent_fn fn,
                  void *user);

/* The operation ends: nothing runs any more. */
void op_intent_forget(struct op *op);

/* It becomes overdue: the plugin, if it waits, is told so. */
void op_intent_give_up(struct op *op);

/* --- steps of an operation's life, for op_start.c and call.c ---------------------------------- */

/* A free place, not queued yet; counts as used until op_end. ERR_LIMIT, ERR_NOMEM. */
int op_new(struct ops *ops, enum op_kind kind, struct op **ret_op) ATTR_MUST_USE;
void op_queue(struct op *op);

/* Frees the operation's place (unless it stays as overdue) and tells who waits. */
void op_end(struct op *op, const struct lease_result *result, bool stays_overdue);

/* Hands it to the plugin's start function. */
int32_t op_start_in_plugin(struct op *op, struct err *e);
const char *op_kind_name(enum op_kind kind);

/* From now on whatever isn't with the plugin yet, but OP_CLOSE, ends with LEASE_OUTCOME_CANCELED,
 * and no sweep is tried again. */
void ops_begin_close(struct ops *ops);

/* Ends everything, with LEASE_OUTCOME_CANCELED, now: the instance is gone. */
void ops_end_all(struct ops *ops);

/* Calls and own operations that haven't ended. */
size_t ops_count(const struct ops *ops);

#endif
