/* Intents: what an issue puts on durable record before it asks its issuer to create something.
 *
 * Happy path: op_intent → the lease layer's intend → its callback → the plugin's.
 *
 * Failure paths: nothing is kept durable here (no intend) → the plugin's callback runs with 0; it
 * couldn't be recorded → with what that means to the plugin; the operation ends → forgotten, and
 * nothing runs; its deadline passes → the plugin is told that it is given up, from the loop. */
#include "backend/op.h"

/* Whatever failed, nothing was created for it yet. */
static int32_t plugin_status(int status)
{
    return status == 0 ? 0 : -LEASED_RETRY;
}

static void tell(struct op *op, int32_t status)
{
    struct leased_host_context *context = op->ops->context;
    leased_intent_fn fn = op->intent_fn;
    void *user = op->intent_user;

    op->intent_fn = NULL;
    host_enter(context);
    fn(user, status); /* op may be gone */
    host_leave(context, "intent");
}

static void recorded(struct lease_intent *intent, int status)
{
    tell(OBJ_CAST(intent->user, struct op, OP_MAGIC), plugin_status(status));
}

static void told_later(struct env_deferred *deferred)
{
    struct op *op = OBJ_CAST(deferred->user, struct op, OP_MAGIC);

    tell(op, op->intent_status);
}

static void tell_later(struct op *op, int32_t status)
{
    op->intent_status = status;
    op->intent_deferred.fn = told_later;
    op->intent_deferred.user = op;
    env_defer(op->ops->context->env, &op->intent_deferred);
}

static bool is_ref(struct str ref)
{
    return ref.len > 0 && ref.len <= LEASE_ISSUER_REF_MAX_BYTES && result_is_ref(ref);
}

int32_t op_intent(struct ops *ops, const leased_op *handle, struct str ref, leased_intent_fn fn,
                  void *user)
{
    struct op *op = handles_get(&ops->handles, handle);
    int rc;

    if (op == NULL || op->call == NULL) {
        return -LEASED_CANCELED; /* it has ended, or is overdue */
    }
    if (op->kind != OP_ISSUE || op->intent_fn != NULL || !is_ref(ref)) {
        return -LEASED_INVALID;
    }
    if (op->call->intend == NULL) {
        tell_later(op, 0);
    } else {
        op->intent = (struct lease_intent){.fn = recorded, .user = op};
        rc = op->call->intend(op->call, ref, &op->intent);
        if (rc != 0) {
            return plugin_status(rc);
        }
    }
    op->intent_fn = fn;
    op->intent_user = user;
    return 0;
}

void op_intent_forget(struct op *op)
{
    lease_intent_forget(&op->intent);
    env_undefer(&op->intent_deferred);
    op->intent_fn = NULL;
}

void op_intent_give_up(struct op *op)
{
    if (op->intent_fn != NULL) {
        lease_intent_forget(&op->intent);
        env_undefer(&op->intent_deferred);
        tell_later(op, -LEASED_CANCELED);
    }
}
