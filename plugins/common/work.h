/* The operations of an instance: each sends one request after the other, or waits, and ends once.
 *
 * A plugin embeds struct plugin_work as the first member of its own operation, begins it inside a
 * start function, and goes on in the callbacks. Cancelling, closing and the answers that never came
 * are seen to here. */
#ifndef PLUGIN_COMMON_WORK_H
#define PLUGIN_COMMON_WORK_H

#include "text.h"

struct plugin_work;

/* Of one instance; embedded, with `host` and `context` set, else zero. */
struct plugin_works {
    const struct leased_host *host;
    leased_host_context *context;
    struct plugin_work *first;
    leased_op *close_op; /* NULL: it isn't closing */
    leased_timer *close_timer;
    void (*freed)(struct plugin_works *works); /* frees the instance; set by close */
};

typedef void (*plugin_replied_fn)(struct plugin_work *work, const struct leased_http_reply *reply);
typedef void (*plugin_went_on_fn)(struct plugin_work *work);
typedef void (*plugin_ran_fn)(struct plugin_work *work, const struct leased_run_end *end);
typedef void (*plugin_lent_fn)(struct plugin_work *work, const struct leased_borrowed *borrowed);

struct plugin_work {
    struct plugin_work *next;
    struct plugin_work *previous;
    struct plugin_works *works;
    leased_op *op;
    leased_http *http;
    leased_run *run;
    leased_borrow *borrow;
    leased_timer *timer;
    bool is_creating;  /* what is out may create something: a cancel lets it run on, so that its
                          answer says what to revoke. Set by the plugin before it sends */
    bool is_given_up;  /* the host has cancelled it: nothing further is asked for */
    bool is_intending; /* waits for its intent to be on record */
    uint64_t sent_ms;  /* host clock, of the last request */
    plugin_replied_fn replied;
    plugin_went_on_fn went_on;
    plugin_ran_fn ran;
    plugin_lent_fn lent;
    void (*fini)(struct plugin_work *work); /* frees what hangs on it; NULL: nothing does */
    int32_t end_status;                     /* of plugin_work_end_soon */
    struct plugin_text end_detail;
};

/* A work of `size` bytes (sizeof the plugin's own), zeroed, for this operation; NULL when out of
 * memory. */
void *plugin_work_new(struct plugin_works *works, size_t size, leased_op *op);

/* Sends a request; `replied` runs once, from the loop, and the work is the plugin's to go on with
 * or to end there. 0, or -1 when it couldn't be started: then the caller ends the work. */
int plugin_work_send(struct plugin_work *work, const struct leased_http_request *request,
                     plugin_replied_fn replied);

/* The same for a program (host->run_start). A cancel kills it. */
int plugin_work_run(struct plugin_work *work, const struct leased_run_request *request,
                    plugin_ran_fn ran);

/* The same for what the backend borrows (host->borrow_start). */
int plugin_work_borrow(struct plugin_work *work, uint32_t flags, plugin_lent_fn lent);

/* Goes on after `delay_ms` (0: from the loop). 0, or -1. */
int plugin_work_wait(struct plugin_work *work, uint64_t delay_ms, plugin_went_on_fn went_on);

/* Puts on durable record what revoke is to be given if nothing more is heard of this issue
 * (host->intent), then goes on; at once where the host keeps nothing. When it can't be recorded the
 * work ends with LEASED_RETRY. 0, or -1 when it couldn't be started. */
int plugin_work_intend(struct plugin_work *work, struct leased_str ref, plugin_went_on_fn went_on);

/* Ends it: op_done, and the work is gone. `result` may be NULL. Never inside a start function. */
void plugin_work_end(struct plugin_work *work, int32_t status, const struct leased_result *result);

/* The same with a line for people and no result; retry_after_ms counts with LEASED_RETRY_AFTER. */
void plugin_work_fail(struct plugin_work *work, int32_t status, const char *detail);
void plugin_work_retry_after(struct plugin_work *work, uint64_t retry_after_ms, const char *detail);
/* The same with any class; the time counts with LEASED_RETRY_AFTER alone. */
void plugin_work_fail_by(struct plugin_work *work, int32_t status, uint64_t retry_after_ms,
                         const char *detail);

/* The same from the loop, for start functions. Returns what the start function returns: 0, or < 0
 * when out of memory, and then the work is gone. */
int32_t plugin_work_fail_soon(struct plugin_work *work, int32_t status, const char *detail);

/* Inside a start function whose first step couldn't be started: the work is gone; returns what the
 * start function returns. */
int32_t plugin_work_refuse(struct plugin_work *work);

/* Ends the work if no answer came: not sent is LEASED_RETRY, lost is LEASED_LOST where it may have
 * created something and LEASED_RETRY elsewhere, cancelled is LEASED_CANCELED. Returns whether. */
bool plugin_work_is_unanswered(struct plugin_work *work, const struct leased_http_reply *reply);

/* backend_ops.cancel. */
void plugin_works_cancel(struct plugin_works *works, const leased_op *op);

/* backend_ops.close: ends every work, then calls `freed` and op_done. Returns what close returns;
 * when that is < 0 `freed` was called. */
int32_t plugin_works_close(struct plugin_works *works, leased_op *op,
                           void (*freed)(struct plugin_works *works));

#endif
