/* Happy path: op_start_call takes an operation from the pool and defers; run hands it to the
 * plugin; op_done maps the result and tells the caller.
 *
 * Failure paths: the plugin refuses (its status, negated) → ended from run; it answers from inside
 * its start function → refused as a bug of its own; the deadline passes → cancelled, told the
 * caller, kept as overdue; it answers twice or late → ignored and counted; an issue is late → its
 * credential is revoked by operations of our own (sweep.c); it is refused but has left something
 * behind → named to the caller, whose that is; the issuer is known not to serve → ended without the
 * plugin (guard.c). */
#include "backend/op.h"

#include "base/mem.h"

#include <string.h>

#define OP_OWN_COUNT 16U /* sweeps, health and close, beside the calls */
/* An operation may need a login, its request and a look-up of the token. */
#define OP_TIMEOUT_FACTOR 3U

/* --- pool ------------------------------------------------------------------------------------- */

int ops_init(struct ops *ops)
{
    /* Twice, so that overdue ones don't take the place of new ones. */
    size_t count = 2U * (ops->call_max + ops->pass_max) + OP_OWN_COUNT;

    list_init(&ops->free);
    list_init(&ops->queued);
    list_init(&ops->running);
    list_init(&ops->overdue);
    sweeps_init(&ops->sweeps, ops);
    handles_init(&ops->handles, count);
    ops->pool = mem_calloc(count, sizeof(*ops->pool));
    if (ops->pool == NULL) {
        return ERR_NOMEM;
    }
    ops->pool_count = count;
    for (size_t i = 0; i < count; i++) {
        list_push_back(&ops->free, &ops->pool[i].node);
    }
    return 0;
}

void ops_fini(struct ops *ops)
{
    if (ops->pool != NULL) {
        CHECK(ops_count(ops) == 0);
        sweeps_fini(&ops->sweeps);
    }
    mem_free(ops->pool);
    handles_fini(&ops->handles);
    ops->pool = NULL;
}

size_t ops_count(const struct ops *ops)
{
    const struct list *lists[] = {&ops->queued, &ops->running};
    size_t count = 0;

    for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
        for (const struct list *node = lists[i]->next; node != lists[i]; node = node->next) {
            count++;
        }
    }
    return count;
}

static void op_release(struct op *op)
{
    struct ops *ops = op->ops;

    handles_remove(&ops->handles, op->handle);
    env_timer_disarm(ops->context->env, &op->deadline);
    env_undefer(&op->deferred);
    op_intent_forget(op);
    list_move_back(&ops->free, &op->node);
}

/* When every operation is taken, the oldest overdue one gives way: its plugin has had its time. */
static struct op *op_take(struct ops *ops)
{
    if (list_is_empty(&ops->free) && !list_is_empty(&ops->overdue)) {
        op_release(LIST_ENTRY(ops->overdue.next, struct op, node));
    }
    if (list_is_empty(&ops->free)) {
        return NULL;
    }
    return LIST_ENTRY(list_pop_front(&ops->free), struct op, node);
}

static void run(struct env_deferred *deferred);
static void deadline_passed(struct env_timer *timer);

int op_new(struct ops *ops, enum op_kind kind, struct op **ret_op)
{
    struct op *op = op_take(ops);
    int rc;

    if (op == NULL) {
        return ERR_LIMIT;
    }
    *op = (struct op){.magic = OP_MAGIC, .kind = kind, .ops = ops, .probed = ADDRESS_NONE};
    rc = handles_add(&ops->handles, op, &op->handle);
    if (rc != 0) {
        list_push_back(&ops->free, &op->node);
        return rc;
    }
    op->deadline.fn = deadline_passed;
    op->deadline.user = op;
    op->deferred.fn = run;
    op->deferred.user = op;
    *ret_op = op;
    return 0;
}

void op_queue(struct op *op)
{
    op->queued_ms = env_now_ms(op->ops->context->env);
    op->ops->op_total++;
    list_push_back(&op->ops->queued, &op->node);
    env_defer(op->ops->context->env, &op->deferred);
}

static int start_own(struct ops *ops, enum op_kind kind,
                     void (*fn)(void *user, const struct lease_result *result), void *user,
                     struct op **ret_op)
{
    int rc = op_new(ops, kind, ret_op);

    if (rc == 0) {
        (*ret_op)->fn = fn;
        (*ret_op)->user = user;
        op_queue(*ret_op);
    }
    return rc;
}

int op_start_health(struct ops *ops, size_t address,
                    void (*fn)(void *user, const struct lease_result *result), void *user)
{
    struct op *op;
    int rc = start_own(ops, OP_HEALTH, fn, user, &op);

    if (rc == 0) {
        op->probed = address;
    }
    return rc;
}

int op_start_sweep(struct ops *ops, void (*fn)(void *user, const struct lease_result *result),
                   void *sweep)
{
    struct op *op;

    return start_own(ops, OP_SWEEP, fn, sweep, &op);
}

int op_start_close(struct ops *ops, uint32_t close_flags,
                   void (*fn)(void *user, const struct lease_result *result), void *user)
{
    struct op *op;
    int rc = start_own(ops, OP_CLOSE, fn, user, &op);

    if (rc == 0) {
        op->close_flags = close_flags;
    }
    return rc;
}

int op_start_call(struct ops *ops, struct lease_call *call)
{
    static const enum op_kind kinds[] = {
        [LEASE_CALL_ISSUE] = OP_ISSUE,
        [LEASE_CALL_RENEW] = OP_RENEW,
        [LEASE_CALL_REVOKE] = OP_REVOKE,
    };
    struct op *op;
    int rc;

    CHECK((size_t)call->kind < ARRAY_LEN(kinds));
    if (ops->call_count >= ops->call_max) {
        return ERR_LIMIT;
    }
    rc = op_new(ops, kinds[call->kind], &op);
    if (rc == 0) {
        ops->call_count++;
        op->call = call;
        call->impl = op;
        op_queue(op);
    }
    return rc;
}

/* --- end -------------------------------------------------------------------------------------- */

void op_end(struct op *op, const struct lease_result *result, bool stays_overdue)
{
    struct ops *ops = op->ops;
    struct lease_call *call = op->call;
    void (*fn)(void *user, const struct lease_result *result) = op->fn;
    void *user = op->user;

    if (op->kind == OP_ISSUE && call != NULL && op->try_count > 0) {
        histogram_add(&ops->times.issue_ms[result->outcome], &backend_issue_bounds,
                      env_now_ms(ops->context->env) - op->queued_ms);
    }
    if (op->is_probe) {
        op->is_probe = false;
        guard_probe_ended(&ops->context->guard, result);
    }
    op->call = NULL;
    op->fn = NULL;
    op->user = NULL;
    ops->pass_count -= op->kind == OP_CALL ? 1U : 0U;
    if (stays_overdue) {
        op_intent_give_up(op);
        op->state = OP_STATE_OVERDUE;
        list_move_back(&ops->overdue, &op->node);
    } else {
        op_release(op);
    }
    if (call != NULL) {
        ops->call_count--;
        call->impl = NULL;
        call->fn(call, result); /* self may be gone */
    } else if (fn != NULL) {
        fn(user, result); /* self may be gone */
    }
}

/* Something of it may live on at the issuer, and nobody will hear of it: its answer came too late,
 * or too early. */
static void sweep(struct ops *ops, const struct result_mapped *mapped)
{
    /* Only a credential whose life is known ends by itself before the longest that there is. */
    uint64_t lifetime_ms =
        mapped->result.lifetime_ms != 0 ? mapped->result.lifetime_ms : ops->lifetime_max_ms;
    bool is_unheld = mapped->result.outcome == LEASE_OUTCOME_OK;
    struct str ref = is_unheld ? mapped->result.issuer_ref : mapped->result.orphan_ref;

    if (ref.len > 0) {
        sweeps_add(&ops->sweeps, ref, lifetime_ms);
    }
}

static void warn(struct ops *ops, const struct op *op, const struct leased_result *result)
{
    if (result == NULL || !LEASED_HAS(result, warning_count) || result->warnings == NULL) {
        return;
    }
    for (size_t i = 0; i < result->warning_count && i < WARNINGS_PER_RESULT_MAX; i++) {
        warning_log(&ops->warnings, ops->context->name, op->call != NULL ? op->call->role : NULL,
                    result->warnings[i], env_now_ms(ops->context->env));
    }
}

/* Nothing was done, and another address may serve: the plugin gets it once more, under a new
 * handle, since this one is used up. */
static bool op_again(struct op *op, const struct lease_result *result)
{
    struct ops *ops = op->ops;
    const struct addresses *addresses = &ops->context->guard.addresses;
    void *handle;

    if (result->outcome != LEASE_OUTCOME_SEALED || result->orphan_ref.len > 0 || op->call == NULL ||
        op->is_cancel_wanted || op->is_probe || ops->is_closing ||
        op->try_count >= addresses->count || !addresses_has_up(addresses) ||
        op->ends_ms <= env_now_ms(ops->context->env) ||
        handles_add(&ops->handles, op, &handle) != 0) {
        return false;
    }
    handles_remove(&ops->handles, op->handle);
    op_intent_forget(op);
    op->handle = handle;
    op->state = OP_STATE_QUEUED;
    env_timer_disarm(ops->context->env, &op->deadline);
    list_move_back(&ops->queued, &op->node);
    op->deferred.fn = run;
    env_defer(ops->context->env, &op->deferred);
    return true;
}

void op_done(struct ops *ops, const leased_op *handle, int32_t status,
             const struct leased_result *result)
{
    struct op *op = handles_get(&ops->handles, handle);
    struct result_mapped mapped;
    struct result_limits limits;
    bool is_issued;

    if (op == NULL) {
        ops->late_total++;
        return;
    }
    limits = (struct result_limits){
        .now_ms = env_now_ms(ops->context->env),
        .started_ms = op->started_ms,
        .lifetime_max_ms = ops->lifetime_max_ms,
    };
    result_map(op->kind, status, result, &limits, &mapped);
    warn(ops, op, result);
    if (op->state == OP_STATE_STARTING) {
        op->is_done_early = true;
        sweep(ops, &mapped);
        return;
    }
    if (op->state == OP_STATE_OVERDUE) {
        ops->late_total++;
        op_release(op); /* before a sweep, which may take its place */
        sweep(ops, &mapped);
        return;
    }
    if (op->call != NULL) {
        guard_call_ended(&ops->context->guard, &mapped.result);
    }
    if (op_again(op, &mapped.result)) {
        return;
    }
    is_issued = op->kind == OP_ISSUE && mapped.result.outcome == LEASE_OUTCOME_OK;
    if (is_issued) {
        histogram_add(&ops->times.ttl_ms, &backend_ttl_bounds, mapped.result.lifetime_ms);
    }
    op_end(op, &mapped.result, false);
    if (is_issued) {
        ops->issued(ops->user, mapped.result.anchor);
    }
}

static void cancel_at_plugin(struct op *op)
{
    struct ops *ops = op->ops;

    if (LEASED_HAS(ops->plugin, cancel) && ops->plugin->cancel != NULL && !ops->context->is_ended) {
        host_enter(ops->context);
        ops->plugin->cancel(ops->instance, (leased_op *)op->handle);
        host_leave(ops->context, "cancel");
    }
}

/* Renewals and revocations can be repeated; the others may have been executed. */
static enum lease_outcome without_answer(const struct op *op)
{
    return op->kind == OP_ISSUE || op->kind == OP_CALL ? LEASE_OUTCOME_LOST : LEASE_OUTCOME_RETRY;
}

static void deadline_passed(struct env_timer *timer)
{
    struct op *op = OBJ_CAST(timer->user, struct op, OP_MAGIC);
    struct ops *ops = op->ops;
    void *handle = op->handle;
    struct lease_result result;

    ops->timeout_total++;
    guard_timed_out(&ops->context->guard);
    cancel_at_plugin(op);
    if (handles_get(&ops->handles, handle) == NULL) {
        return; /* it ended by the cancel */
    }
    result = result_of(without_answer(op), "the operation took too long");
    /* Operations that nobody waits for have nothing to be late for. */
    op_end(op, &result, op->call != NULL || op->fn != NULL); /* self may be gone */
}

/* --- start ------------------------------------------------------------------------------------ */

/* Ends it without the plugin when that would be in vain. */
static bool is_kept_back(struct op *op)
{
    struct guard *guard = &op->ops->context->guard;
    struct lease_result result;
    char text[BACKEND_ERROR_MAX_BYTES];

    if (op->kind == OP_HEALTH || op->kind == OP_CLOSE ||
        !guard_refuses(guard, &result, text, &op->is_probe)) {
        return false;
    }
    op_end(op, &result, false); /* self may be gone */
    return true;
}

/* What the plugin's start function returned, when it isn't 0, as a result. */
static void end_refused(struct op *op, int32_t rc, const struct err *e)
{
    const struct leased_result why = {.size = sizeof(why),
                                      .detail = host_leased_str(str_of(e->text))};
    struct result_mapped mapped;

    result_map(op->kind, -rc, &why, &(struct result_limits){0}, &mapped);
    op_end(op, &mapped.result, false); /* self may be gone */
}

static void set_running(struct op *op)
{
    struct ops *ops = op->ops;

    op->state = OP_STATE_RUNNING;
    list_move_back(&ops->running, &op->node);
    if (op->ends_ms == 0) {
        op->ends_ms = op->started_ms +
                      (op->timeout_ms != 0 ? op->timeout_ms : OP_TIMEOUT_FACTOR * ops->timeout_ms);
    }
    env_timer_arm(ops->context->env, &op->deadline, op->ends_ms);
}

static void run(struct env_deferred *deferred)
{
    struct op *op = OBJ_CAST(deferred->user, struct op, OP_MAGIC);
    struct ops *ops = op->ops;
    struct leased_host_context *context = ops->context;
    struct lease_result result;
    struct err e = {0};
    int32_t rc;

    if (op->is_cancel_wanted || (ops->is_closing && op->kind != OP_CLOSE)) {
        result = result_of(LEASE_OUTCOME_CANCELED, NULL);
        op_end(op, &result, false); /* self may be gone */
        return;
    }
    if (is_kept_back(op)) {
        return;
    }
    op->started_ms = env_now_ms(context->env);
    op->state = OP_STATE_STARTING;
    op->try_count++;
    host_enter(context);
    rc = op_start_in_plugin(op, &e);
    host_leave(context, op_kind_name(op->kind));
    if (op->is_done_early) {
        result =
            result_of(without_answer(op), "the plugin answered from inside its start function");
        op_end(op, &result, false); /* self may be gone */
    } else if (rc < 0) {
        end_refused(op, rc, &e); /* self may be gone */
    } else {
        set_running(op);
    }
}

/* --- cancel ----------------------------------------------------------------------------------- */

static void cancel_run(struct env_deferred *deferred)
{
    cancel_at_plugin(OBJ_CAST(deferred->user, struct op, OP_MAGIC)); /* self may be gone */
}

void op_cancel(void *impl)
{
    struct op *op;

    if (impl == NULL) {
        return;
    }
    op = OBJ_CAST(impl, struct op, OP_MAGIC);
    if (op->is_cancel_wanted) {
        return;
    }
    op->is_cancel_wanted = true;
    if (op->state == OP_STATE_RUNNING) {
        op->deferred.fn = cancel_run;
        env_defer(op->ops->context->env, &op->deferred);
    }
}

void ops_begin_close(struct ops *ops)
{
    ops->is_closing = true;
    sweeps_end(&ops->sweeps);
}

void ops_end_all(struct ops *ops)
{
    const struct lease_result canceled = result_of(LEASE_OUTCOME_CANCELED, NULL);
    struct list *lists[] = {&ops->queued, &ops->running};

    while (!list_is_empty(&ops->overdue)) {
        op_release(LIST_ENTRY(ops->overdue.next, struct op, node));
    }
    for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
        while (!list_is_empty(lists[i])) {
            op_end(LIST_ENTRY(lists[i]->next, struct op, node), &canceled, false);
        }
    }
}
