/* Calls to issuers: from an item in a queue to the issuer's callback, and back to the step that
 * asked.
 *
 * Calls are sent from the end of a turn (core_touch), never from inside what asked for them, so no
 * step sees its answer before it has returned. A place in flight is a struct call of the issuer's,
 * made with it, so sending needs no memory. A call that can't be started is answered like one that
 * found no issuer: tried again with back-off. */
#include "base/mem.h"
#include "lease/core_internal.h"

#define CALL_MAGIC 0x63616c6cU

int calls_push(struct lease *lease, enum queue_class kind)
{
    int r = queue_push(&lease->source->lane, &lease->item, kind, lease->holder->account->caller);

    core_touch(lease->role->core);
    return r;
}

void calls_drop(struct lease *lease)
{
    queue_remove(&lease->source->lane, &lease->item, lease->holder->account->caller);
}

struct lease *call_lease(const struct lease_call *call)
{
    return OBJ_CAST(call->user, struct call, CALL_MAGIC)->lease;
}

static enum queue_class class_of(enum lease_call_kind kind)
{
    switch (kind) {
    case LEASE_CALL_ISSUE:
        return QUEUE_ISSUE;
    case LEASE_CALL_REVOKE:
        return QUEUE_REVOKE;
    case LEASE_CALL_RENEW:
        break;
    }
    return QUEUE_RENEW;
}

static void calls_done(struct lease_call *lease_call, const struct lease_result *result)
{
    struct call *call = OBJ_CAST(lease_call->user, struct call, CALL_MAGIC);
    struct issuer *issuer = call->issuer;
    struct lease *lease = call->lease;
    enum lease_call_kind kind = lease_call->kind;
    uint64_t asked_ms = lease_call->ttl_ms;

    secret_fini(&call->ref);
    call->lease = NULL;
    lease->call = NULL;
    list_push_back(&issuer->free_calls, &call->node);
    queue_done(&lease->source->lane, class_of(kind), lease->holder->account->caller);
    core_touch(issuer->core);
    if (issuer->core->is_closing) {
        return;
    }
    switch (kind) {
    case LEASE_CALL_ISSUE:
        issue_answered(lease, result);
        break;
    case LEASE_CALL_RENEW:
        renew_answered(lease, result, asked_ms);
        break;
    case LEASE_CALL_REVOKE:
        revoke_answered(lease, result);
        break;
    }
}

static int calls_fill(struct lease *lease, struct call *call)
{
    call->lease = lease;
    call->call = (struct lease_call){
        .role = lease->role->name,
        .params_json = lease->source->params_json,
        .fn = calls_done,
        .user = call,
    };
    switch (lease->state) {
    case LEASE_STATE_REQUESTED:
        return issue_fill(lease, &call->call);
    case LEASE_STATE_RENEWING:
        return renew_fill(lease, &call->call, &call->ref);
    default:
        CHECK(lease->state == LEASE_STATE_REVOKING);
        return revoke_fill(lease, &call->call, &call->ref);
    }
}

static void calls_send(struct queue *queue, struct queue_item *item)
{
    struct issuer *issuer = CONTAINER_OF(queue, struct issuer, queue);
    struct lease *lease = CONTAINER_OF(item, struct lease, item);
    struct call *call = LIST_ENTRY(list_pop_front(&issuer->free_calls), struct call, node);
    int r;

    CHECK(lease->magic == LEASE_MAGIC && lease->call == NULL);
    r = calls_fill(lease, call);
    lease->call = call;
    lease_arm(lease);
    if (r == 0) {
        r = issuer->config->ops->call_start(issuer->config, &call->call);
    }
    if (r != 0) {
        const struct lease_result result = {.outcome = LEASE_OUTCOME_RETRY, .detail = err_str(r)};

        calls_done(&call->call, &result);
    }
}

void calls_pump(struct lease_core *core)
{
    struct list *node;
    struct list *following;

    LIST_EACH (&core->issuers, node, following) {
        queue_pump(&LIST_ENTRY(node, struct issuer, node)->queue, core_now_ms(core));
    }
}

static void issuer_cancel(struct issuer *issuer)
{
    struct list *node;
    struct list *following;

    LIST_EACH (&issuer->calls, node, following) {
        struct call *call = LIST_ENTRY(node, struct call, by_issuer);

        if (call->lease != NULL) {
            issuer->config->ops->call_cancel(issuer->config, &call->call);
        }
    }
}

void calls_cancel_all(struct lease_core *core)
{
    struct list *node;
    struct list *following;

    LIST_EACH (&core->issuers, node, following) {
        issuer_cancel(LIST_ENTRY(node, struct issuer, node));
    }
}

bool calls_are_in_flight(const struct lease_core *core)
{
    struct list *node;

    for (node = core->issuers.next; node != &core->issuers; node = node->next) {
        if (LIST_ENTRY(node, struct issuer, node)->queue.in_flight > 0) {
            return true;
        }
    }
    return false;
}

int issuer_grow(struct issuer *issuer)
{
    uint32_t wanted = issuer->config->limits.in_flight > 0 ? issuer->config->limits.in_flight : 1;

    while (issuer->call_count < wanted) {
        struct call *call = mem_calloc(1, sizeof(*call));

        if (call == NULL) {
            return ERR_NOMEM;
        }
        call->magic = CALL_MAGIC;
        call->issuer = issuer;
        list_push_back(&issuer->calls, &call->by_issuer);
        list_push_back(&issuer->free_calls, &call->node);
        issuer->call_count++;
    }
    return 0;
}

int issuer_new(struct lease_core *core, struct lease_issuer *config, struct issuer **ret_issuer)
{
    struct issuer *issuer = mem_calloc(1, sizeof(*issuer));

    if (issuer == NULL) {
        return ERR_NOMEM;
    }
    issuer->core = core;
    issuer->config = config;
    list_init(&issuer->calls);
    list_init(&issuer->free_calls);
    list_init(&issuer->sources);
    queue_init(&issuer->queue, &core->wheel, &config->limits, core_random(core), calls_send);
    issuer->queue.refill.kind = CORE_ENTRY_QUEUE;
    list_push_back(&core->issuers, &issuer->node);
    config->core_state = issuer;
    if (issuer_grow(issuer) != 0) {
        issuer_free(issuer);
        return ERR_NOMEM;
    }
    *ret_issuer = issuer;
    return 0;
}

void issuer_free(struct issuer *issuer)
{
    struct list *node;

    while ((node = list_pop_front(&issuer->sources)) != NULL) {
        LIST_ENTRY(node, struct source, node)->issuer = NULL;
    }
    while ((node = list_pop_front(&issuer->calls)) != NULL) {
        mem_free(LIST_ENTRY(node, struct call, by_issuer));
    }
    queue_fini(&issuer->queue);
    issuer->config->core_state = NULL;
    list_remove(&issuer->node);
    mem_free(issuer);
}
