#include "spy_internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define OPS_MAX 1024U
#define INSTANCES_MAX 8U
#define VIOLATION_MAX_BYTES 256U
#define LARGER_BYTES 256U
#define LARGER_FILL 0xa5

enum op_state {
    OP_STATE_STARTING,
    OP_STATE_RUNNING,
    OP_STATE_ENDED,
    OP_STATE_REFUSED,
};

struct seen_op {
    const leased_op *op;
    const leased_instance *instance;
    enum spy_op kind;
    enum op_state state;
};

struct seen_instance {
    leased_host_context *context;
    const leased_instance *instance;
    bool is_closed;
};

/* The host's table, and room behind it. */
union table {
    struct leased_host host;
    unsigned char bytes[sizeof(struct leased_host) + LARGER_BYTES];
};

static struct {
    leased_plugin_entry_fn entry;
    const struct leased_host *real;
    union table table;
    enum spy_host host;
    uint64_t failing;
    uint64_t allocation_count;
    struct seen_op ops[OPS_MAX]; /* the first op_count */
    size_t op_count;
    struct seen_instance instances[INSTANCES_MAX];
    size_t instance_count;
    bool has_succeeded;
    char violation[VIOLATION_MAX_BYTES];
} spy;

const char *const spy_op_names[] = {
    [SPY_OP_ISSUE] = "issue",   [SPY_OP_RENEW] = "renew", [SPY_OP_REVOKE] = "revoke",
    [SPY_OP_HEALTH] = "health", [SPY_OP_CALL] = "call",   [SPY_OP_WRITE] = "write",
    [SPY_OP_CLOSE] = "close",
};

void spy_note(const char *format, ...)
{
    va_list arguments;

    if (spy.violation[0] == '\0') {
        va_start(arguments, format);
        (void)vsnprintf(spy.violation, sizeof(spy.violation), format, arguments);
        va_end(arguments);
    }
}

const char *spy_violation(void)
{
    return spy.violation[0] != '\0' ? spy.violation : NULL;
}

uint64_t spy_allocation_count(void)
{
    return spy.allocation_count;
}

bool spy_has_succeeded(void)
{
    return spy.has_succeeded;
}

bool spy_has_failed(void)
{
    return spy.failing != 0 && spy.allocation_count >= spy.failing;
}

const struct leased_host *spy_host(void)
{
    return &spy.table.host;
}

bool spy_host_is_larger(void)
{
    return spy.host == SPY_HOST_LARGER;
}

/* --- operations ------------------------------------------------------------------------------- */

uint64_t spy_running_count(void)
{
    uint64_t count = 0;

    for (size_t i = 0; i < spy.op_count; i++) {
        count += spy.ops[i].state == OP_STATE_RUNNING && spy.ops[i].kind != SPY_OP_HEALTH ? 1 : 0;
    }
    return count;
}

size_t spy_start(enum spy_op kind, const leased_instance *instance, const leased_op *op)
{
    size_t index = spy.op_count < OPS_MAX ? spy.op_count++ : OPS_MAX - 1;

    spy.ops[index] = (struct seen_op){.op = op, .instance = instance, .kind = kind};
    return index;
}

/* Everything of the instance must have ended with it. */
static void instance_gone(const leased_instance *instance)
{
    for (size_t i = 0; i < spy.op_count; i++) {
        if (spy.ops[i].instance == instance && spy.ops[i].state == OP_STATE_RUNNING &&
            spy.ops[i].kind != SPY_OP_CLOSE) {
            spy_note("close ended before %s, which was under way", spy_op_names[spy.ops[i].kind]);
        }
        /* Another instance may get this one's place. */
        spy.ops[i].instance = spy.ops[i].instance == instance ? NULL : spy.ops[i].instance;
    }
    for (size_t i = 0; i < spy.instance_count; i++) {
        if (spy.instances[i].instance == instance && !spy.instances[i].is_closed) {
            spy.instances[i].is_closed = true;
            break;
        }
    }
}

int32_t spy_started(size_t index, int32_t status)
{
    struct seen_op *op = &spy.ops[index];

    if (status > 0) {
        spy_note("%s returned %d, which is neither 0 nor a negated status", spy_op_names[op->kind],
                 (int)status);
    }
    if (op->state == OP_STATE_STARTING) {
        op->state = status < 0 ? OP_STATE_REFUSED : OP_STATE_RUNNING;
    }
    if (status < 0 && op->kind == SPY_OP_CLOSE) {
        instance_gone(op->instance);
    }
    return status;
}

void spy_opened(leased_host_context *context, const leased_instance *instance)
{
    if (spy.instance_count < INSTANCES_MAX) {
        spy.instances[spy.instance_count++] =
            (struct seen_instance){.context = context, .instance = instance};
    }
}

static void check_open(const leased_host_context *context, const char *function)
{
    for (size_t i = 0; i < spy.instance_count; i++) {
        if (spy.instances[i].context == context && spy.instances[i].is_closed) {
            spy_note("%s was called after close had ended", function);
        }
    }
}

static void check_end(struct seen_op *op)
{
    static const char *const wrong[] = {
        [OP_STATE_STARTING] = "from inside its own start function",
        [OP_STATE_ENDED] = "a second time",
        [OP_STATE_REFUSED] = "after its start function had refused it",
    };

    if (op->state != OP_STATE_RUNNING) {
        spy_note("%s was ended %s", spy_op_names[op->kind], wrong[op->state]);
    }
}

/* The newest that has this handle. */
static struct seen_op *op_find(const leased_op *op)
{
    for (size_t i = spy.op_count; i > 0; i--) {
        if (spy.ops[i - 1].op == op) {
            return &spy.ops[i - 1];
        }
    }
    return NULL;
}

static void check_result(const struct seen_op *op, int32_t status,
                         const struct leased_result *result)
{
    if (status < LEASED_OK || status > LEASED_CANCELED) {
        spy_note("%s was ended with %d, which is no status", spy_op_names[op->kind], (int)status);
    }
    /* What 1.0 had is there. */
    if (result != NULL && !LEASED_HAS(result, asked_ms)) {
        spy_note("%s was ended with a result whose size is %u", spy_op_names[op->kind],
                 (unsigned)result->size);
        return;
    }
    if (op->kind == SPY_OP_ISSUE && status == LEASED_OK) {
        if (result == NULL || result->lifetime_ms == 0 || result->field_count == 0) {
            spy_note("issue was ended with LEASED_OK, and without a lifetime or a field");
        } else if ((result->flags & LEASED_RESULT_RENEWABLE) != 0 && !spy_has_renew()) {
            spy_note("a credential is said to be renewable, and the plugin has no renew");
        } else if ((result->flags & LEASED_RESULT_REVOCABLE) != 0 && !spy_has_revoke()) {
            spy_note("a credential is said to be revocable, and the plugin has no revoke");
        }
    }
    if (result != NULL && result->detail.ptr != NULL &&
        memchr(result->detail.ptr, '\n', result->detail.len) != NULL) {
        spy_note("the detail of %s has more than one line", spy_op_names[op->kind]);
    }
}

static void end_seen(struct seen_op *op)
{
    check_end(op);
    if (op->state == OP_STATE_RUNNING && op->kind == SPY_OP_CLOSE) {
        instance_gone(op->instance);
    }
    op->state = OP_STATE_ENDED;
}

static void on_op_done(leased_host_context *context, leased_op *handle, int32_t status,
                       const struct leased_result *result)
{
    struct seen_op *op = op_find(handle);

    check_open(context, "op_done");
    if (op == NULL) {
        spy_note("op_done was called for an operation that the plugin never got");
    } else {
        check_result(op, status, result);
        end_seen(op);
        spy.has_succeeded =
            spy.has_succeeded ||
            (status == LEASED_OK && (op->kind == SPY_OP_ISSUE || op->kind == SPY_OP_WRITE));
    }
    spy.real->op_done(context, handle, status, result);
}

static void on_call_done(leased_host_context *context, leased_op *handle,
                         const struct leased_call_reply *reply)
{
    struct seen_op *op = op_find(handle);

    check_open(context, "call_done");
    if (op == NULL || op->kind != SPY_OP_CALL) {
        spy_note("call_done was called for what is no call");
    } else {
        if (reply == NULL || !LEASED_HAS(reply, body)) {
            spy_note("a call was ended with a reply whose size is %u",
                     reply != NULL ? (unsigned)reply->size : 0U);
        }
        end_seen(op);
    }
    spy.real->call_done(context, handle, reply);
}

/* --- what can fail ---------------------------------------------------------------------------- */

static bool fails(void)
{
    return ++spy.allocation_count == spy.failing;
}

static void *on_alloc(size_t size)
{
    return fails() ? NULL : spy.real->alloc(size);
}

static void *on_secret_alloc(size_t size)
{
    return fails() ? NULL : spy.real->secret_alloc(size);
}

static leased_timer *on_timer_start(leased_host_context *context, uint64_t delay_ms,
                                    leased_timer_fn fn, void *user)
{
    check_open(context, "timer_start");
    return fails() ? NULL : spy.real->timer_start(context, delay_ms, fn, user);
}

static leased_http *on_http_start(leased_host_context *context,
                                  const struct leased_http_request *request, leased_http_fn fn,
                                  void *user)
{
    check_open(context, "http_start");
    if (!LEASED_HAS(request, timeout_ms)) {
        spy_note("http_start was called with a request whose size is %u", (unsigned)request->size);
    }
    return fails() ? NULL : spy.real->http_start(context, request, fn, user);
}

static int32_t on_post(leased_host_context *context, leased_post_fn fn, void *user)
{
    return fails() ? -LEASED_RETRY : spy.real->post(context, fn, user);
}

static int32_t on_intent(leased_host_context *context, leased_op *op, struct leased_str ref,
                         leased_intent_fn fn, void *user)
{
    return fails() ? -LEASED_RETRY : spy.real->intent(context, op, ref, fn, user);
}

/* Stands where an older host's table has ended. */
static void *trap(void)
{
    spy_note("a function was called that the host's size doesn't reach");
    return NULL;
}

/* --- the table -------------------------------------------------------------------------------- */

static void table_make(void)
{
    struct leased_host *host = &spy.table.host;
    void *(*const trap_fn)(void) = trap;
    size_t at;

    memset(&spy.table, LARGER_FILL, sizeof(spy.table));
    *host = *spy.real;
    host->op_done = on_op_done;
    host->call_done = on_call_done;
    host->alloc = on_alloc;
    host->secret_alloc = on_secret_alloc;
    host->timer_start = on_timer_start;
    host->http_start = on_http_start;
    host->post = on_post;
    host->intent = on_intent;
    if (spy.host == SPY_HOST_LARGER) {
        host->size = sizeof(spy.table);
        host->abi_minor++;
    }
    if (spy.host == SPY_HOST_OLDEST) {
        host->size = offsetof(struct leased_host, call_done);
        host->abi_minor = 0;
        for (at = host->size; at < sizeof(*host); at += sizeof(trap_fn)) {
            memcpy(spy.table.bytes + at, &trap_fn, sizeof(trap_fn));
        }
    }
}

void spy_set_entry(leased_plugin_entry_fn entry)
{
    spy.entry = entry;
}

int32_t spy_entry(const struct leased_host *host, const struct leased_plugin **ret_plugin)
{
    const struct leased_plugin *plugin = NULL;
    int32_t status;

    spy.real = host;
    table_make();
    status = spy.entry(&spy.table.host, &plugin);
    if (status >= 0) {
        *ret_plugin = spy_wrap(plugin);
    }
    return status;
}

void spy_begin(enum spy_host host, uint64_t failing)
{
    spy.host = host;
    spy.failing = failing;
    spy.allocation_count = 0;
    spy.has_succeeded = false;
    spy.op_count = 0;
    spy.instance_count = 0;
    spy.violation[0] = '\0';
    if (spy.real != NULL) {
        table_make();
    }
}
