/* The leased_host table over env: log, clocks, chance, secret memory, timers, counters.
 *
 * What a plugin may do wrong without harm: use a handle twice, stop a timer that has run, log
 * control bytes, take too long (measured and named), leave timers and exchanges behind when it
 * closes. */
#include "backend/host.h"

#include "backend/call.h"
#include "backend/op.h"
#include "base/log.h"
#include "base/mem.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define CONTEXT_MAGIC 0x686f7374U
#define TIMER_MAGIC 0x68746d72U
#define LOG_FIELDS 6U
#define LOG_TEXT_MAX_BYTES 256U

struct host_timer {
    uint32_t magic;
    struct leased_host_context *context;
    void *handle;
    struct env_timer timer;
    leased_timer_fn fn;
    void *user;
};

static struct leased_host_context *context_cast(leased_host_context *context)
{
    return OBJ_CAST(context, struct leased_host_context, CONTEXT_MAGIC);
}

const char *host_line(struct leased_str text, char *out, size_t out_size)
{
    struct str whole = {.ptr = text.ptr, .len = text.ptr != NULL ? text.len : 0};
    struct str shown = str_shorten(whole, out_size - 1);

    for (size_t i = 0; i < shown.len; i++) {
        unsigned char c = (unsigned char)shown.ptr[i];

        out[i] = c < 0x20 || c == 0x7f ? ' ' : (char)c;
    }
    out[shown.len] = '\0';
    return out;
}

/* --- log, clocks, chance -------------------------------------------------------------------- */

static const char *log_key(const struct leased_host_context *context)
{
    return context->ops != NULL ? "backend" : "sink";
}

static void table_log(leased_host_context *host, uint32_t level, struct leased_str event,
                      const struct leased_kv *fields, size_t field_count)
{
    static const enum log_level levels[] = {
        [LEASED_LOG_DEBUG] = LOG_LEVEL_DEBUG,
        [LEASED_LOG_INFO] = LOG_LEVEL_INFO,
        [LEASED_LOG_WARN] = LOG_LEVEL_WARN,
        [LEASED_LOG_ERROR] = LOG_LEVEL_ERROR,
    };
    struct leased_host_context *context = context_cast(host);
    enum log_level mapped = level < ARRAY_LEN(levels) ? levels[level] : LOG_LEVEL_ERROR;
    char event_text[64];
    char keys[LOG_FIELDS][24];
    char values[LOG_FIELDS][LOG_TEXT_MAX_BYTES];
    const char *k[LOG_FIELDS] = {0};
    size_t used = 0;

    if (!log_is_on(mapped)) {
        return;
    }
    for (size_t i = 0; i < field_count && used < LOG_FIELDS; i++) {
        if ((fields[i].flags & LEASED_KV_SECRET) == 0 && fields[i].key.len > 0) {
            k[used] = host_line(fields[i].key, keys[used], sizeof(keys[used]));
            (void)host_line(fields[i].value, values[used], sizeof(values[used]));
            used++;
        }
    }
    /* The first NULL key ends the list. */
    log_event(mapped, host_line(event, event_text, sizeof(event_text)), log_key(context),
              context->name, k[0], values[0], k[1], values[1], k[2], values[2], k[3], values[3],
              k[4], values[4], k[5], values[5], NULL);
}

static uint64_t table_now_ms(leased_host_context *host)
{
    return env_now_ms(context_cast(host)->env);
}

static int64_t table_wall_ms(leased_host_context *host)
{
    return env_wall_ms(context_cast(host)->env);
}

static void table_random(leased_host_context *host, void *bytes, size_t size)
{
    env_random(context_cast(host)->env, bytes, size);
}

/* --- secrets ---------------------------------------------------------------------------------- */

static void *table_secret_alloc(size_t size)
{
    return secret_alloc(size);
}

static void table_secret_free(void *block)
{
    secret_free(block);
}

static void *table_alloc(size_t size)
{
    return mem_alloc(size);
}

static int64_t table_secret_read(leased_host_context *host, struct leased_str source,
                                 char **ret_bytes, struct leased_str *ret_detail)
{
    struct leased_host_context *context = context_cast(host);
    struct secret secret;
    struct str view;
    char *bytes;
    int rc;

    secret_init(&secret);
    context->secret_error.text[0] = '\0';
    rc = env_secret_read(context->env, host_str(source), &secret, &context->secret_error);
    view = secret_view(&secret);
    bytes = rc == 0 ? secret_alloc(view.len + 1) : NULL;
    if (bytes != NULL) {
        memcpy(bytes, view.ptr, view.len + 1);
        *ret_bytes = bytes;
        secret_fini(&secret);
        return (int64_t)view.len;
    }
    secret_fini(&secret);
    if (rc == 0) {
        rc = err_set(&context->secret_error, ERR_NOMEM, "out of memory");
    }
    if (context->secret_error.text[0] == '\0') {
        (void)err_set(&context->secret_error, rc, "%s", err_str(rc));
    }
    *ret_detail = host_leased_str(str_of(context->secret_error.text));
    return rc;
}

/* --- timers ----------------------------------------------------------------------------------- */

static void timer_free(struct host_timer *timer)
{
    env_timer_disarm(timer->context->env, &timer->timer);
    handles_remove(&timer->context->timers, timer->handle);
    mem_free(timer);
}

static void timer_ran(struct env_timer *env_timer)
{
    struct host_timer *timer = OBJ_CAST(env_timer->user, struct host_timer, TIMER_MAGIC);
    struct leased_host_context *context = timer->context;
    leased_timer_fn fn = timer->fn;
    void *user = timer->user;

    timer_free(timer);
    host_enter(context);
    fn(user);
    host_leave(context, "timer");
}

static leased_timer *table_timer_start(leased_host_context *host, uint64_t delay_ms,
                                       leased_timer_fn fn, void *user)
{
    struct leased_host_context *context = context_cast(host);
    uint64_t now_ms = env_now_ms(context->env);
    struct host_timer *timer;

    if (context->is_ended) {
        return NULL;
    }
    timer = mem_calloc(1, sizeof(*timer));
    if (timer == NULL) {
        return NULL;
    }
    *timer = (struct host_timer){.magic = TIMER_MAGIC, .context = context, .fn = fn, .user = user};
    if (handles_add(&context->timers, timer, &timer->handle) != 0) {
        mem_free(timer);
        return NULL;
    }
    timer->timer.fn = timer_ran;
    timer->timer.user = timer;
    env_timer_arm(context->env, &timer->timer,
                  delay_ms > UINT64_MAX - now_ms ? UINT64_MAX : now_ms + delay_ms);
    return (leased_timer *)timer->handle;
}

static void table_timer_stop(leased_host_context *host, leased_timer *handle)
{
    struct host_timer *timer = handles_get(&context_cast(host)->timers, handle);

    if (timer != NULL) {
        timer_free(timer);
    }
}

/* --- what a plugin reports -------------------------------------------------------------------- */

static void table_op_done(leased_host_context *host, leased_op *op, int32_t status,
                          const struct leased_result *result)
{
    struct leased_host_context *context = context_cast(host);

    if (context->ops != NULL) {
        op_done(context->ops, op, status, result);
    } else {
        context->sink_done(context->user, op, status, result);
    }
}

static void table_call_done(leased_host_context *host, leased_op *op,
                            const struct leased_call_reply *reply)
{
    struct leased_host_context *context = context_cast(host);

    if (context->ops != NULL) {
        call_op_done(context->ops, op, reply);
    }
}

static void table_anchor_ends(leased_host_context *host, uint64_t anchor, uint64_t when_ms,
                              struct leased_str reason)
{
    struct leased_host_context *context = context_cast(host);
    char text[BACKEND_ERROR_MAX_BYTES];

    if (!context->is_ended && anchor != 0 && context->anchor_ends != NULL) {
        context->anchor_ends(context->user, anchor, when_ms, host_line(reason, text, sizeof(text)));
    }
}

static void table_login_expires(leased_host_context *host, uint64_t when_ms)
{
    context_cast(host)->login_expires_ms = when_ms;
}

static bool is_metric_name(struct str name)
{
    if (name.len == 0 || name.len >= BACKEND_METRIC_NAME_MAX_BYTES) {
        return false;
    }
    for (size_t i = 0; i < name.len; i++) {
        if (name.ptr[i] != '_' && (name.ptr[i] < 'a' || name.ptr[i] > 'z')) {
            return false;
        }
    }
    return true;
}

static void table_metric_add(leased_host_context *host, struct leased_str name, uint64_t delta)
{
    struct leased_host_context *context = context_cast(host);
    struct str wanted = host_str(name);

    if (!is_metric_name(wanted)) {
        return;
    }
    for (size_t i = 0; i < context->metric_count; i++) {
        if (str_eq_c(wanted, context->metrics[i].name)) {
            context->metrics[i].value += delta;
            return;
        }
    }
    if (context->metric_count < BACKEND_METRICS_MAX) {
        struct backend_metric *metric = &context->metrics[context->metric_count++];

        (void)host_line(name, metric->name, sizeof(metric->name));
        metric->value = delta;
    }
}

static int32_t table_intent(leased_host_context *host, leased_op *op, struct leased_str ref,
                            leased_intent_fn fn, void *user)
{
    struct leased_host_context *context = context_cast(host);

    return context->ops != NULL ? op_intent(context->ops, op, host_str(ref), fn, user)
                                : -LEASED_INVALID;
}

static int32_t table_post(leased_host_context *host, leased_post_fn fn, void *user)
{
    /* Any thread: touches nothing of the context but what never changes. */
    return env_post(host->env, fn, user) == 0 ? 0 : -1;
}

const struct leased_host host_table = {
    .size = sizeof(struct leased_host),
    .abi_major = LEASED_ABI_MAJOR,
    .abi_minor = LEASED_ABI_MINOR,
    .log = table_log,
    .now_ms = table_now_ms,
    .wall_ms = table_wall_ms,
    .random = table_random,
    .secret_alloc = table_secret_alloc,
    .secret_free = table_secret_free,
    .secret_read = table_secret_read,
    .timer_start = table_timer_start,
    .timer_stop = table_timer_stop,
    .http_start = host_http_start,
    .http_cancel = host_http_cancel,
    .op_done = table_op_done,
    .anchor_ends = table_anchor_ends,
    .login_expires = table_login_expires,
    .metric_add = table_metric_add,
    .post = table_post,
    .call_done = table_call_done,
    .alloc = table_alloc,
    .intent = table_intent,
    .state_put = host_state_put,
    .state_get = host_state_get,
    .warning = host_warning,
    .file_put = host_file_put,
    .run_start = host_run_start,
    .run_cancel = host_run_cancel,
    .borrow_start = host_borrow_start,
    .borrow_cancel = host_borrow_cancel,
};

/* --- life ------------------------------------------------------------------------------------- */

void host_init(struct leased_host_context *context)
{
    context->magic = CONTEXT_MAGIC;
    handles_init(&context->timers, HOST_TIMERS_MAX);
    handles_init(&context->https, HOST_HTTPS_MAX);
    handles_init(&context->runs, HOST_RUNS_MAX);
    handles_init(&context->borrows, HOST_BORROWS_MAX);
    context->probed = ADDRESS_NONE;
    guard_init(&context->guard, context->env, context->name, context->addresses,
               context->address_count);
}

bool host_is_used(const struct leased_host_context *context)
{
    return handles_count(&context->timers) != 0 || handles_count(&context->https) != 0 ||
           handles_count(&context->runs) != 0 || handles_count(&context->borrows) != 0 ||
           context->put_count != 0;
}

void host_fini(struct leased_host_context *context)
{
    CHECK(!host_is_used(context));
    env_undefer(&context->ended_deferred);
    guard_end(&context->guard);
    handles_fini(&context->timers);
    handles_fini(&context->https);
    handles_fini(&context->runs);
    handles_fini(&context->borrows);
    context->magic = 0;
}

static void ended_ran(struct env_deferred *deferred)
{
    struct leased_host_context *context =
        OBJ_CAST(deferred->user, struct leased_host_context, CONTEXT_MAGIC);

    context->ended(context->user); /* self may be gone */
}

void host_settle(struct leased_host_context *context)
{
    if (context->is_ended && handles_count(&context->https) == 0 &&
        handles_count(&context->runs) == 0 && handles_count(&context->borrows) == 0 &&
        context->put_count == 0) {
        env_defer(context->env, &context->ended_deferred);
    }
}

void host_end(struct leased_host_context *context, void (*ended)(void *user))
{
    struct host_timer *timer;
    size_t index = 0;

    context->is_ended = true;
    guard_end(&context->guard);
    context->ended = ended;
    context->ended_deferred.fn = ended_ran;
    context->ended_deferred.user = context;
    while ((timer = handles_next(&context->timers, &index)) != NULL) {
        timer_free(timer);
    }
    host_http_cancel_all(context);
    host_run_cancel_all(context);
    host_borrow_cancel_all(context);
    host_settle(context);
}

void host_enter(struct leased_host_context *context)
{
    context->call_started_us = env_stopwatch_us(context->env);
}

void host_leave(struct leased_host_context *context, const char *call)
{
    uint64_t took_us = env_stopwatch_us(context->env) - context->call_started_us;
    uint64_t now_ms = env_now_ms(context->env);
    char took[32];

    if (took_us <= HOST_CALL_BUDGET_US) {
        return;
    }
    context->slow_call_total++;
    if (context->slow_logged_ms != 0 &&
        now_ms - context->slow_logged_ms < HOST_SLOW_LOG_INTERVAL_MS) {
        return;
    }
    context->slow_logged_ms = now_ms;
    (void)snprintf(took, sizeof(took), "%" PRIu64 " us", took_us);
    /* Above debug, because nobody above ever learns which plugin blocked the loop. */
    log_event(LOG_LEVEL_WARN, "plugin.slow", log_key(context), context->name, "path", call,
              "detail", took, NULL);
}
