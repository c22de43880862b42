/* Happy path: op_start_call takes an operation from the pool and defers; run hands it to the
 * plugin; op_done maps the result and tells the caller.
 *
 * Failure paths: the plugin refuses (its status, negated) → ended from run; it answers from inside
 * its start function → refused as a bug of its own; the deadline passes → cancelled, told the
 * caller, kept as overdue; it answers twice or late → ignored and counted; an issue is refused or
 * late → its credential is revoked by an operation of our own (sweep). */
#include "backend/op.h"

#include "base/mem.h"

#include <string.h>

#define OP_MAGIC 0x6f706572U
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
    secret_fini(&op->ref);
    list_remove(&op->node);
    list_push_back(&ops->free, &op->node);
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
    *op = (struct op){.magic = OP_MAGIC, .kind = kind, .ops = ops};
    secret_init(&op->ref);
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
    op->ops->op_total++;
    list_push_back(&op->ops->queued, &op->node);
    env_defer(op->ops->context->env, &op->deferred);
}

int op_start_own(struct ops *ops, enum op_kind kind, uint32_t close_flags,
                 void (*fn)(void *user, const struct lease_result *result), void *user)
{
    struct op *op;
    int rc = op_new(ops, kind, &op);

    if (rc == 0) {
        op->close_flags = close_flags;
        op->fn = fn;
        op->user = user;
        op_queue(op);
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

/* Revokes what nobody will hold. Best effort: what can't be swept ends with its own lifetime. */
static void sweep(struct ops *ops, struct str ref)
{
    struct op *op = NULL;
    int rc;

    if (ref.len == 0 || !LEASED_HAS(ops->plugin, revoke) || ops->plugin->revoke == NULL ||
        ops->context->is_ended) {
        return;
    }
    rc = op_new(ops, OP_SWEEP, &op);
    if (rc == 0) {
        rc = secret_set(&op->ref, ref);
    }
    if (rc == 0) {
        op_queue(op);
    } else if (op != NULL) {
        op_release(op);
    }
}

/* --- end -------------------------------------------------------------------------------------- */

void op_end(struct op *op, const struct lease_result *result, bool stays_overdue)
{
    struct ops *ops = op->ops;
    struct lease_call *call = op->call;
    void (*fn)(void *user, const struct lease_result *result) = op->fn;
    void *user = op->user;

    op->call = NULL;
    op->fn = NULL;
    op->user = NULL;
    ops->pass_count -= op->kind == OP_CALL ? 1U : 0U;
    if (stays_overdue) {
        op->state = OP_STATE_OVERDUE;
        list_remove(&op->node);
        list_push_back(&ops->overdue, &op->node);
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

static void note_outcome(struct ops *ops, const struct op *op, const struct lease_result *result)
{
    const char *text = result->detail != NULL ? result->detail : "";

    switch (result->outcome) {
    case LEASE_OUTCOME_OK:
        host_note_serving(ops->context);
        break;
    case LEASE_OUTCOME_SEALED:
        host_note_outage(ops->context, text);
        break;
    case LEASE_OUTCOME_RETRY:
    case LEASE_OUTCOME_LOST:
        if (op->kind == OP_HEALTH) {
            host_note_outage(ops->context, text);
        } else {
            host_note_error(ops->context, text);
        }
        break;
    case LEASE_OUTCOME_DENIED:
    case LEASE_OUTCOME_INVALID:
    case LEASE_OUTCOME_GONE:
    case LEASE_OUTCOME_CANCELED:
    default:
        /* About one role or lease, not about the backend. */
        break;
    }
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
    if (op->state != OP_STATE_RUNNING && mapped.result.outcome == LEASE_OUTCOME_OK) {
        /* Its caller won't learn of it any more. */
        mapped.orphan_ref = mapped.result.issuer_ref;
    }
    sweep(ops, mapped.orphan_ref);
    if (op->state == OP_STATE_STARTING) {
        op->is_done_early = true;
        return;
    }
    if (op->state == OP_STATE_OVERDUE) {
        ops->late_total++;
        op_release(op);
        return;
    }
    note_outcome(ops, op, &mapped.result);
    is_issued = op->kind == OP_ISSUE && mapped.result.outcome == LEASE_OUTCOME_OK;
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
    cancel_at_plugin(op);
    if (handles_get(&ops->handles, handle) == NULL) {
        return; /* it ended by the cancel */
    }
    result = result_of(without_answer(op), "the operation took too long");
    /* Operations that nobody waits for have nothing to be late for. */
    op_end(op, &result, op->call != NULL || op->fn != NULL); /* self may be gone */
}

/* --- start ------------------------------------------------------------------------------------ */

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
    op->started_ms = env_now_ms(context->env);
    op->state = OP_STATE_STARTING;
    host_enter(context);
    rc = op_start_in_plugin(op, &e);
    host_leave(context, op_kind_name(op->kind));
    if (op->is_done_early) {
        result =
            result_of(without_answer(op), "the plugin answered from inside its start function");
        op_end(op, &result, false); /* self may be gone */
        return;
    }
    if (rc < 0) {
        struct result_mapped mapped;
        const struct leased_result why = {.size = sizeof(why),
                                          .detail = host_leased_str(str_of(e.text))};

        result_map(op->kind, -rc, &why, &(struct result_limits){0}, &mapped);
        op_end(op, &mapped.result, false); /* self may be gone */
        return;
    }
    op->state = OP_STATE_RUNNING;
    list_remove(&op->node);
    list_push_back(&ops->running, &op->node);
    env_timer_arm(context->env, &op->deadline,
                  op->started_ms +
                      (op->timeout_ms != 0 ? op->timeout_ms : OP_TIMEOUT_FACTOR * ops->timeout_ms));
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
