/* Happy path: sweeps_add → due at once → an OP_SWEEP → confirmed (or not known there): freed.
 *
 * Failure paths: it fails, or the guard keeps it back → due again after a back-off; the credential
 * must have ended by now → given up with a warning; too many → the one that ends first is given up;
 * the backend closes → those that are left are forgotten, which is logged. */
#include "backend/sweep.h"

#include "backend/op.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/secret.h"
#include "lease/schedule.h"

#include <stdio.h>

#define SWEEP_MAGIC 0x73776570U
#define SWEEP_MARGIN_MS 3600000U /* after the credential's own end, as for leases */
#define SWEEP_BUSY_MS 1000U

struct sweep {
    uint32_t magic;
    struct sweeps *sweeps;
    struct list node;
    struct secret ref;
    struct env_timer timer;
    uint64_t begun_ms;
    uint64_t gives_up_ms;
    uint32_t failure_count;
    bool is_running;
};

static struct env *env_of(const struct sweeps *sweeps)
{
    return sweeps->ops->context->env;
}

static void sweep_free(struct sweep *sweep)
{
    env_timer_disarm(env_of(sweep->sweeps), &sweep->timer);
    list_remove(&sweep->node);
    sweep->sweeps->count--;
    secret_fini(&sweep->ref);
    sweep->magic = 0;
    mem_free(sweep);
}

struct str sweep_ref(void *sweep)
{
    return secret_view(&OBJ_CAST(sweep, struct sweep, SWEEP_MAGIC)->ref);
}

static void forgotten(struct sweeps *sweeps, const char *why)
{
    sweeps->forgotten_total++;
    log_event(LOG_LEVEL_WARN, "backend.sweep.forgotten", "backend", sweeps->ops->context->name,
              "err", why, NULL);
}

/* --- tries ------------------------------------------------------------------------------------ */

static void sweep_failed(struct sweep *sweep, const struct lease_result *result)
{
    struct env *env = env_of(sweep->sweeps);
    uint64_t now_ms = env_now_ms(env);
    uint64_t random;

    if (sweep->failure_count == 0) {
        log_event(LOG_LEVEL_WARN, "backend.sweep.failed", "backend",
                  sweep->sweeps->ops->context->name, "err",
                  result->detail != NULL ? result->detail : "no reason is known", NULL);
    }
    /* Being kept back says nothing about this one. */
    if (result->retry_after_ms == 0 || sweep->failure_count == 0) {
        sweep->failure_count++;
    }
    env_random(env, &random, sizeof(random));
    env_timer_arm(env, &sweep->timer,
                  schedule_retry_ms(now_ms, schedule_backoff_ms(sweep->failure_count, random),
                                    result->retry_after_ms, 0));
}

static void sweep_done(void *user, const struct lease_result *result)
{
    struct sweep *sweep = OBJ_CAST(user, struct sweep, SWEEP_MAGIC);
    struct sweeps *sweeps = sweep->sweeps;

    sweep->is_running = false;
    sweeps->running_count--;
    if (result->outcome == LEASE_OUTCOME_OK || result->outcome == LEASE_OUTCOME_GONE) {
        sweep_free(sweep);
    } else if (sweeps->is_ended) {
        forgotten(sweeps, "the backend closes");
        sweep_free(sweep);
    } else {
        sweep_failed(sweep, result);
    }
}

static void sweep_try(struct sweep *sweep)
{
    struct sweeps *sweeps = sweep->sweeps;
    uint64_t now_ms = env_now_ms(env_of(sweeps));

    if (sweep->gives_up_ms <= now_ms) {
        forgotten(sweeps, "the issuer never confirmed the revocation of what an issue left behind");
        sweep_free(sweep);
    } else if (sweeps->running_count >= SWEEPS_RUNNING_MAX ||
               op_start_sweep(sweeps->ops, sweep_done, sweep) != 0) {
        env_timer_arm(env_of(sweeps), &sweep->timer, now_ms + SWEEP_BUSY_MS);
    } else {
        sweep->is_running = true;
        sweeps->running_count++;
    }
}

static void sweep_due(struct env_timer *timer)
{
    sweep_try(OBJ_CAST(timer->user, struct sweep, SWEEP_MAGIC)); /* self may be gone */
}

/* --- life ------------------------------------------------------------------------------------- */

void sweeps_init(struct sweeps *sweeps, struct ops *ops)
{
    *sweeps = (struct sweeps){.ops = ops};
    list_init(&sweeps->items);
}

static void make_room(struct sweeps *sweeps)
{
    struct sweep *first = NULL;
    struct list *node;

    if (sweeps->count < SWEEPS_MAX) {
        return;
    }
    for (node = sweeps->items.next; node != &sweeps->items; node = node->next) {
        struct sweep *sweep = LIST_ENTRY(node, struct sweep, node);

        if (!sweep->is_running && (first == NULL || sweep->gives_up_ms < first->gives_up_ms)) {
            first = sweep;
        }
    }
    CHECK(first != NULL); /* fewer run than there is room for */
    forgotten(sweeps, "too much waits for its revocation");
    sweep_free(first);
}

void sweeps_add(struct sweeps *sweeps, struct str ref, uint64_t lifetime_ms)
{
    const struct leased_backend_ops *plugin = sweeps->ops->plugin;
    uint64_t now_ms = env_now_ms(env_of(sweeps));
    struct sweep *sweep;

    if (!LEASED_HAS(plugin, revoke) || plugin->revoke == NULL) {
        return; /* it can only end by itself */
    }
    sweeps->begun_total++;
    if (sweeps->is_ended) {
        forgotten(sweeps, "the backend closes");
        return;
    }
    make_room(sweeps);
    sweep = mem_calloc(1, sizeof(*sweep));
    if (sweep == NULL || secret_set(&sweep->ref, ref) != 0) {
        mem_free(sweep);
        forgotten(sweeps, "out of memory");
        return;
    }
    sweep->magic = SWEEP_MAGIC;
    sweep->sweeps = sweeps;
    sweep->begun_ms = now_ms;
    sweep->gives_up_ms = schedule_add_ms(now_ms, schedule_add_ms(lifetime_ms, SWEEP_MARGIN_MS));
    sweep->timer.fn = sweep_due;
    sweep->timer.user = sweep;
    list_push_back(&sweeps->items, &sweep->node);
    sweeps->count++;
    log_event(LOG_LEVEL_WARN, "backend.sweep.begun", "backend", sweeps->ops->context->name,
              "detail", "an issue that was late left something behind", NULL);
    sweep_try(sweep);
}

void sweeps_end(struct sweeps *sweeps)
{
    struct list *node;
    struct list *following;

    sweeps->is_ended = true;
    LIST_EACH (&sweeps->items, node, following) {
        struct sweep *sweep = LIST_ENTRY(node, struct sweep, node);

        if (!sweep->is_running) {
            forgotten(sweeps, "the backend closes");
            sweep_free(sweep);
        }
    }
}

void sweeps_fini(struct sweeps *sweeps)
{
    CHECK(sweeps->running_count == 0);
    sweeps_end(sweeps);
}

uint64_t sweeps_oldest_ms(const struct sweeps *sweeps)
{
    if (list_is_empty(&sweeps->items)) {
        return 0;
    }
    return env_now_ms(env_of(sweeps)) -
           LIST_ENTRY(sweeps->items.next, struct sweep, node)->begun_ms;
}
