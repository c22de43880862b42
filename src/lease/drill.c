/* The leak drill.
 *
 * Happy path: lease_drill_new makes an item of each lease that is meant (drill_find.c) → begin, a
 * hundred at a time, each lot when the ledger has the one before: the grants that are meant end,
 * and the lease with them → its issuer confirms (drill_lease_over) → the last one has: the drill is
 * over.
 *
 * A lease that others hold: its successor is asked for → it is there: rotate.c moves everybody at
 * once, the lease is revoked → drill_lease_over.
 *
 * Failure paths: no successor within the overlap: revoked without (patience_over), its holders wait
 * for the successor. The issuer doesn't confirm: pending, and revoke.c goes on. It can't revoke:
 * the lease is let go. The daemon dies: what had begun is in the ledger as being revoked, or as to
 * be replaced; the drill's owner begins it again. */
#include "base/mem.h"
#include "base/mutant.h"
#include "lease/drill_internal.h"

#define DRILL_LOT 100U
#define DRILL_TICK_MS 1000U /* how often those that wait for a successor are looked at */

static const char why[] = "it may have leaked";

static void item_move(struct list *list, struct drill_item *item)
{
    list_move_back(list, &item->node);
}

/* --- doing ------------------------------------------------------------------------------------ */

static void end_grants(struct lease_drill *drill, struct lease *lease)
{
    struct list *node;
    struct list *following;

    LIST_EACH (&lease->grants, node, following) {
        struct grant *grant = LIST_ENTRY(node, struct grant, by_lease);

        if (drill_grant_is_meant(drill, grant)) {
            drill->counts.grant_count++;
            grant_end(grant, GRANT_END_REVOKED);
        }
    }
}

/* Others hold it: they get a successor, or are on one already. What can't be revoked isn't waited
 * for. */
static void replace(struct lease_drill *drill, struct drill_item *item)
{
    struct lease *lease = item->lease;
    bool has_successor = lease->state == LEASE_STATE_SUPERSEDED && lease_current(lease) != lease;

    item->patience_ms = schedule_add_ms(core_now_ms(drill->core), lease->role->config.overlap_ms);
    if (!lease->is_revocable || MUTATED(31)) {
        drill_item_end(drill, item);
    } else {
        item_move(&drill->waiting, item);
        drill_item_tell(drill, item);
    }
    if (has_successor) {
        rotate_move_all(lease);
    } else if (!MUTATED(31)) {
        rotate_try(lease, true, why);
    }
}

/* By its id: those whose lease doesn't end don't hear when it is gone. */
static void grants_only(struct lease_drill *drill, struct drill_item *item)
{
    struct lease *lease = lease_core_find_lease(drill->core, str_of(item->id));

    item->lease = NULL;
    item->is_over = true;
    if (lease != NULL) {
        end_grants(drill, lease);
    }
}

static void item_begin(struct lease_drill *drill, struct drill_item *item)
{
    struct lease *lease = item->lease;

    item_move(&drill->begun, item);
    if (!item->is_read) {
        grants_only(drill, item);
        return;
    }
    if (item->is_over) {
        return;
    }
    end_grants(drill, lease);
    if (fsm_lease_is_live(lease->state) && lease_is_wanted(lease)) {
        replace(drill, item);
    } else if (fsm_lease_is_live(lease->state)) {
        revoke_start(lease, why);
    } else if (lease->failure_count > 0 && !item->is_over) {
        drill_item_tell(drill, item);
    }
}

/* Those whose successor hasn't come in time. */
static void patience_over(struct lease_drill *drill)
{
    struct list looked_at;
    struct list *node;

    list_init(&looked_at);
    list_splice(&looked_at, &drill->waiting);
    while ((node = list_pop_front(&looked_at)) != NULL) {
        struct drill_item *item = LIST_ENTRY(node, struct drill_item, node);
        bool is_live = fsm_lease_is_live(item->lease->state);
        bool is_due = item->patience_ms <= core_now_ms(drill->core);

        list_push_back(is_live && !is_due ? &drill->waiting : &drill->begun, node);
        if (is_live && is_due) {
            revoke_start(item->lease, why); /* others may be over by that */
        }
    }
}

static void go_on(struct lease_drill *drill);

static void lot_written(void *owner, int status)
{
    struct lease_drill *drill = OBJ_CAST(owner, struct lease_drill, DRILL_MAGIC);

    (void)status; /* a ledger that fails keeps no revocation back */
    drill->durable = NULL;
    go_on(drill);
}

static void lot_await(struct lease_drill *drill)
{
    struct lease_core *core = drill->core;
    int r = core->ledger != NULL
                ? durable_wait(core->ledger, &core->durables, lot_written, drill, &drill->durable)
                : durable_wait_none(core->env, lot_written, drill, &drill->durable);

    if (r != 0) {
        drill->durable = NULL; /* the wheel comes by */
    }
}

static void go_on(struct lease_drill *drill)
{
    unsigned lot = 0;

    while (drill->durable == NULL && !list_is_empty(&drill->queued) && lot++ < DRILL_LOT) {
        item_begin(drill, LIST_ENTRY(drill->queued.next, struct drill_item, node));
    }
    if (drill->durable == NULL && !list_is_empty(&drill->queued)) {
        lot_await(drill);
    }
    patience_over(drill);
    if (!list_is_empty(&drill->queued) || !list_is_empty(&drill->waiting)) {
        wheel_arm(&drill->core->wheel, &drill->due,
                  schedule_add_ms(core_now_ms(drill->core), DRILL_TICK_MS));
    }
    drill->has_news = true; /* it may be over */
    core_touch(drill->core);
}

void drill_due(struct wheel_entry *entry)
{
    go_on(OBJ_CAST(CONTAINER_OF(entry, struct lease_drill, due), struct lease_drill, DRILL_MAGIC));
}

/* --- what the core tells ---------------------------------------------------------------------- */

void drill_lease_over(struct lease *lease)
{
    struct list *node;

    for (node = lease->role->core->drills.next; node != &lease->role->core->drills;
         node = node->next) {
        struct lease_drill *drill = LIST_ENTRY(node, struct lease_drill, node);
        struct drill_item *item = drill_item_find(drill, lease->id);

        if (item != NULL && !item->is_over) {
            drill_item_end(drill, item);
        }
    }
}

void drill_lease_failed(struct lease *lease)
{
    struct list *node;

    for (node = lease->role->core->drills.next; node != &lease->role->core->drills;
         node = node->next) {
        struct lease_drill *drill = LIST_ENTRY(node, struct lease_drill, node);
        struct drill_item *item = drill_item_find(drill, lease->id);

        if (item != NULL && !item->is_over && item->is_read) {
            drill_item_tell(drill, item);
        }
    }
}

void drill_tell(struct lease_core *core)
{
    struct list *node;
    struct list *following;

    LIST_EACH (&core->drills, node, following) {
        struct lease_drill *drill = LIST_ENTRY(node, struct lease_drill, node);

        if (drill->has_news) {
            drill->has_news = false;
            drill->options.news(drill->options.user); /* the drill may be gone */
        }
    }
}

/* --- out and in ------------------------------------------------------------------------------- */

bool lease_drill_next(struct lease_drill *drill, struct lease_drill_event *ret_event)
{
    struct list *node = list_pop_front(&drill->fresh);
    const struct drill_item *item;
    const struct lease *lease;

    if (node == NULL) {
        return false;
    }
    item = LIST_ENTRY(node, struct drill_item, fresh);
    lease = item->lease;
    *ret_event = (struct lease_drill_event){.kind = item->kind,
                                            .lease = item->id,
                                            .role = item->role,
                                            .backend = item->backend,
                                            .expires_wall_ms = item->expires_wall_ms};
    if (lease != NULL) {
        ret_event->expires_wall_ms = core_wall_of(drill->core, lease->ends_ms);
        ret_event->error = fsm_lease_is_live(lease->state) ? "its holders wait for a successor"
                                                           : str_or_null(lease_error(lease));
    }
    return true;
}

void lease_drill_counts(const struct lease_drill *drill, struct lease_drill_counts *ret_counts)
{
    *ret_counts = drill->counts;
    ret_counts->is_over =
        list_is_empty(&drill->queued) && drill->counts.revoked_count + drill->counts.expires_count +
                                                 drill->counts.unconfirmed_count ==
                                             drill->counts.lease_count;
}

int lease_drill_new(struct lease_core *core, const struct lease_drill_options *options,
                    struct lease_drill **ret_drill)
{
    struct lease_drill *drill = mem_calloc(1, sizeof(*drill));
    int r;

    if (drill == NULL) {
        return ERR_NOMEM;
    }
    drill->magic = DRILL_MAGIC;
    drill->core = core;
    drill->options = *options;
    drill->begun_wall_ms = core_wall_of(core, options->begun_ms);
    drill->due.kind = CORE_ENTRY_DRILL;
    index_init(&drill->items, core_random(core), drill_item_hash);
    list_init(&drill->queued);
    list_init(&drill->waiting);
    list_init(&drill->begun);
    list_init(&drill->fresh);
    list_push_back(&core->drills, &drill->node);
    r = drill_find(drill);
    if (r == 0) {
        lot_await(drill);
        r = drill->durable != NULL ? 0 : ERR_NOMEM;
    }
    if (r != 0) {
        lease_drill_free(drill);
        return r;
    }
    *ret_drill = drill;
    return 0;
}

static void items_free(struct lease_drill *drill, struct list *list)
{
    struct list *node;

    while ((node = list_pop_front(list)) != NULL) {
        struct drill_item *item = LIST_ENTRY(node, struct drill_item, node);

        list_remove(&item->fresh);
        index_remove(&drill->items, &item->entry);
        mem_free(item);
    }
}

void lease_drill_free(struct lease_drill *drill)
{
    if (drill == NULL) {
        return;
    }
    durable_forget(drill->durable);
    wheel_cancel(&drill->core->wheel, &drill->due);
    items_free(drill, &drill->queued);
    items_free(drill, &drill->waiting);
    items_free(drill, &drill->begun);
    index_fini(&drill->items);
    list_remove(&drill->node);
    mem_free(drill);
}
