/* What a plugin sees of the world: the leased_host table over env, and per backend the state behind
 * it. Files: host.c (log, clocks, timers, secrets, counters), host_keep.c (state and standing
 * warnings), host_file.c (published files), host_http.c and host_reply.c (HTTP), host_run.c
 * (programs), host_borrow.c (what another role gives), op.c (operations), op_intent.c (intents).
 *
 * Every call into a plugin is bracketed by host_enter and host_leave, which measure it. */
#ifndef LEASED_BACKEND_HOST_H
#define LEASED_BACKEND_HOST_H

#include "backend/backend.h"
#include "backend/guard.h"
#include "backend/handles.h"
#include "backend/skew.h"
#include "env/http.h"
#include "leased/plugin.h"

#define HOST_TIMERS_MAX 1024U
#define HOST_HTTPS_MAX 1024U
#define HOST_PUTS_MAX 4U
#define HOST_PUT_MAX_BYTES (1024U * 1024U) /* of one of them */
#define HOST_RUNS_MAX 1024U
#define HOST_BORROWS_MAX 1024U
#define HOST_CALL_BUDGET_US 5000U
#define HOST_SLOW_LOG_INTERVAL_MS 60000U

struct ops;

struct leased_host_context {
    uint32_t magic;
    struct env *env;
    const char *name;             /* borrowed from the backend */
    const char *const *addresses; /* borrowed from the backend */
    size_t address_count;
    struct guard guard;
    struct skew skew;
    bool is_health; /* the plugin's health function runs: what it sends is a probe … */
    size_t probed;  /* … of this address; ADDRESS_NONE: of whichever serves */
    struct env_http_tls tls;
    const char *proxy;
    uint64_t timeout_ms;
    uint64_t connect_timeout_ms;
    size_t answer_max_bytes;
    uint32_t answer_depth_max;
    uint32_t answer_values_max;
    struct ops *ops; /* NULL: a sink's, which has … */
    /* … this instead: the plugin's op_done. */
    void (*sink_done)(void *user, const leased_op *handle, int32_t status,
                      const struct leased_result *result);
    void (*anchor_ends)(void *user, uint64_t anchor, uint64_t when_ms, const char *reason);
    int (*keep_state)(void *user, struct str state);
    int (*borrow_start)(void *user, struct lease_loan *loan); /* NULL: nothing is borrowed */
    void (*borrow_cancel)(void *user, struct lease_loan *loan);
    struct str state; /* while open runs: what an earlier run kept, borrowed */
    void *user;
    struct handles timers;  /* struct host_timer */
    struct handles https;   /* struct host_http */
    size_t put_count;       /* files that are being replaced (host_file.c) */
    struct handles runs;    /* struct host_run */
    struct handles borrows; /* struct host_borrow */
    bool is_ended;          /* the instance is gone: nothing is delivered to the plugin any more */
    void (*ended)(void *user);
    struct env_deferred ended_deferred;
    uint64_t login_expires_ms;
    struct err secret_error;
    uint64_t call_started_us;
    uint64_t slow_call_total;
    uint64_t slow_logged_ms; /* 0: never */
    struct backend_metric metrics[BACKEND_METRICS_MAX];
    size_t metric_count;
    struct backend_warning warnings[BACKEND_WARNINGS_MAX]; /* the first warning_count are in use */
    size_t warning_count;
};

extern const struct leased_host host_table;

/* The rest of `context` is set by the caller. */
void host_init(struct leased_host_context *context);

/* Ends what the plugin left behind: stops timers, cancels exchanges and runs; delivers nothing.
 * `ended` runs once, from the loop, when none of those and no file is left. */
void host_end(struct leased_host_context *context, void (*ended)(void *user));

/* Has the plugin left something behind that only host_end ends? */
bool host_is_used(const struct leased_host_context *context);

/* After `ended`, or when nothing was started. */
void host_fini(struct leased_host_context *context);

void host_enter(struct leased_host_context *context);
void host_leave(struct leased_host_context *context, const char *call);

/* Text of a plugin as one line: cut, control bytes replaced. Returns `out`. */
const char *host_line(struct leased_str text, char *out, size_t out_size);

static inline struct str host_str(struct leased_str s)
{
    return (struct str){s.ptr != NULL ? s.ptr : "", s.ptr != NULL ? s.len : 0};
}

static inline struct leased_str host_leased_str(struct str s)
{
    return (struct leased_str){s.ptr, s.len};
}

/* What the plugin keeps and warns of (host_keep.c). */
int32_t host_state_put(leased_host_context *context, struct leased_str bytes);
int64_t host_state_get(leased_host_context *context, char **ret_bytes);
void host_warning(leased_host_context *context, struct leased_str key, struct leased_str text);

/* What it publishes (host_file.c). */
int32_t host_file_put(leased_host_context *context, struct leased_str path, struct leased_str bytes,
                      leased_file_fn fn, void *user);

/* The HTTP part of the table. */
leased_http *host_http_start(leased_host_context *context,
                             const struct leased_http_request *request, leased_http_fn fn,
                             void *user);
void host_http_cancel(leased_host_context *context, leased_http *handle);

/* Asks all exchanges to end. */
void host_http_cancel_all(struct leased_host_context *context);

/* The programs of the table. */
leased_run *host_run_start(leased_host_context *context, const struct leased_run_request *request,
                           leased_run_fn fn, void *user);
void host_run_cancel(leased_host_context *context, leased_run *handle);
void host_run_cancel_all(struct leased_host_context *context);

/* What another role gives (host_borrow.c). */
leased_borrow *host_borrow_start(leased_host_context *context, uint32_t flags, leased_borrow_fn fn,
                                 void *user);
void host_borrow_cancel(leased_host_context *context, leased_borrow *handle);
void host_borrow_cancel_all(struct leased_host_context *context);

/* Called when an exchange, a run or the replacement of a file has ended after host_end. */
void host_settle(struct leased_host_context *context);

/* Is this a header that may be sent or passed on: a name of letters, digits and "-" that HTTP
 * itself doesn't need, a value of printable ASCII? */
bool host_is_header(const struct leased_http_header *header);

/* Is this an address that requests can be sent to? ERR_INVALID with a text. */
int host_check_address(const char *address, struct err *e) ATTR_MUST_USE;

#endif
