/* Replacing a lease by a successor.
 *
 * Happy path: rotate_start requests the successor → its issue is durable: rotate_done supersedes
 * the lease → each holder gets the successor at its next read (handout.c moves its grant) → the
 * last one has: the lease is revoked (settle.c).
 *
 * A planned rotation leaves the old credential alone until every holder has read the successor, at
 * most until its own end. One that was asked for is bounded by the role's overlap: then the holders
 * are moved whether they have read it or not.
 *
 * Failure paths. The issuer can't serve: the successor stays requested and goes on trying while the
 * old lease has holders. It refuses, or its answer was lost: the successor has failed, and the old
 * lease, which is never ended because of that, tries again later. The old lease has died meanwhile
 * and the successor fails for good: the grants end, there is nothing left to hold. */
#include "base/log.h"
#include "lease/core_internal.h"

#define MOVE_AGAIN_MS                                                                              \
    10000U /* how often the end of an overlap looks for a successor that lives                     \
            */
#define ROTATE_LOST_WEIGHT                                                                         \
    4U /* a lost answer may have made a credential: the next try comes much later */

static void rotate_link(struct lease *lease, struct lease *successor, const char *why)
{
    if (lease->successor != NULL) {
        lease->successor->predecessor = NULL;
    }
    lease->successor = successor;
    successor->predecessor = lease;
    successor->version = lease->version + 1;
    successor->rule_ttl_ms = lease->rule_ttl_ms;
    successor->early_death_count = fsm_lease_is_live(lease->state) ? 0 : lease->early_death_count;
    successor->issuing->is_background = true;
    successor->issuing->why = why;
}

bool rotate_is_under_way(const struct lease *lease)
{
    const struct lease *successor = lease->successor;

    return successor != NULL && (successor->state == LEASE_STATE_REQUESTED ||
                                 (fsm_lease_is_live(successor->state) && !successor->is_recorded));
}

/* A credential that was too short when it came isn't replaced at once, and neither is one whose
 * replacement has just failed; but a role that has changed asks for another one. */
static bool may_replace_now(const struct lease *lease)
{
    return core_now_ms(lease->role->core) >= lease->rotate_after_ms ||
           (lease_is_outdated(lease) && lease->rotate_failure_count == 0 &&
            lease->early_death_count == 0);
}

/* On record at once, so that a later daemon goes on with it. It stays so when a try has failed. */
static void rotate_force(struct lease *lease, bool is_forced)
{
    if (is_forced && !lease->is_forced) {
        lease->is_forced = true;
        if (lease->is_recorded && fsm_lease_is_live(lease->state)) {
            durable_note(lease);
        }
    }
}

int rotate_start(struct lease *lease, bool is_forced, const char *why)
{
    const struct grant *first = lease_next_grant(lease, NULL);
    struct lease *successor;

    is_forced = is_forced && fsm_lease_is_live(lease->state);
    if (rotate_is_under_way(lease)) {
        rotate_force(lease, is_forced);
        return 0;
    }
    if (!lease->is_recorded) {
        return ERR_BUSY; /* nobody has it yet, and if its record fails nobody will */
    }
    if (!is_forced && sharing_elsewhere(lease, lease->holder) != NULL) {
        return 0; /* its holders go there when they read */
    }
    if (!is_forced && !may_replace_now(lease)) {
        return ERR_BUSY;
    }
    if (!issue_may_replace(lease)) {
        return ERR_LIMIT;
    }
    successor = lease_new(lease->role, first != NULL ? first->holder : lease->holder,
                          first != NULL ? grant_reason(first) : NULL);
    if (successor == NULL) {
        return ERR_NOMEM;
    }
    rotate_force(lease, is_forced);
    rotate_link(lease, successor, why);
    if (!fsm_lease_is_live(lease->state)) {
        sharing_offer(successor);
    }
    issue_start(successor);
    return 0;
}

void rotate_try(struct lease *lease, bool is_forced, const char *why)
{
    /* Its successor may be there already: rotate_recover knows. */
    if (!lease->role->core->is_unlinked && rotate_start(lease, is_forced, why) == 0) {
        return;
    }
    rotate_force(lease, is_forced);
    if (lease->state == LEASE_STATE_ACTIVE && lease->step == LEASE_STEP_NONE) {
        lease_set_step(lease, LEASE_STEP_REPLACE,
                       schedule_add_ms(core_now_ms(lease->role->core), SCHEDULE_FLOOR_MS));
    }
}

/* --- the successor is there --- */

/* What may have leaked dies the moment its successor is there. */
static uint64_t overlap_end_ms(const struct lease *lease)
{
    return schedule_add_ms(core_now_ms(lease->role->core),
                           lease->is_drilled ? 0 : lease->role->config.overlap_ms);
}

/* A restart changes nothing about that, so it is on record. */
static void rotate_move_at(struct lease *lease, uint64_t when_ms)
{
    lease->move_ms = when_ms;
    lease_set_step(lease, LEASE_STEP_MOVE, when_ms);
    durable_note(lease);
}

static void rotate_supersede(struct lease *lease)
{
    if (lease->state != LEASE_STATE_SUPERSEDED) {
        calls_drop(lease);
        record_lease_superseded(lease);
        lease_set_state(lease, LEASE_STATE_SUPERSEDED);
        waits_end(lease, WAIT_RENEW, ERR_GONE, "the lease has been replaced");
    }
    if (lease->is_forced) {
        rotate_move_at(lease, overlap_end_ms(lease));
    }
    observe_superseded(lease);
}

void rotate_bound(struct lease *lease)
{
    uint64_t when_ms = overlap_end_ms(lease);

    CHECK(lease->state == LEASE_STATE_SUPERSEDED);
    if (lease->step != LEASE_STEP_MOVE || when_ms < lease->next_ms) {
        lease->is_forced = true;
        rotate_move_at(lease, when_ms);
        observe_superseded(lease);
    }
}

void rotate_recover(struct lease *lease)
{
    if (!lease->is_forced || !fsm_lease_is_live(lease->state)) {
        return;
    }
    if (lease->state != LEASE_STATE_SUPERSEDED) {
        rotate_try(lease, true, "an earlier leased was asked for it");
    } else if (lease->move_ms == 0) {
        rotate_move_at(lease, overlap_end_ms(lease)); /* it died before it could write that down */
    } else {
        lease_set_step(lease, LEASE_STEP_MOVE, lease->move_ms);
    }
}

void rotate_done(struct lease *successor)
{
    struct lease *lease = successor->predecessor;

    observe_ready(successor);
    if (lease == NULL) {
        sharing_offer(successor);
        return;
    }
    record_lease_rotated(successor, lease, successor->issuing->why);
    lease->role->core->stats.rotate_total++;
    sharing_replace(lease, successor);
    sharing_offer(successor);
    if (fsm_lease_is_live(lease->state)) {
        rotate_supersede(lease);
    }
    waits_end(lease, WAIT_ROTATE, 0, NULL);
    acquire_wake_lease(lease);
    lease_settle(lease, GRANT_END_RELEASED);
    lease_settle(successor, GRANT_END_RELEASED);
}

void rotate_move_all(struct lease *lease)
{
    struct lease *current = lease_current(lease);
    struct list *node;
    struct list *following;

    if (current == lease) {
        /* The successor has died, the old credential serves on until there is another. */
        lease_set_step(lease, LEASE_STEP_MOVE,
                       schedule_add_ms(core_now_ms(lease->role->core), MOVE_AGAIN_MS));
        return;
    }
    LIST_EACH (&lease->grants, node, following) {
        grant_move(LIST_ENTRY(node, struct grant, by_lease), current, true);
    }
    ack_due(lease);
    lease_settle(lease, GRANT_END_RELEASED);
}

/* --- it isn't --- */

void rotate_delayed(struct lease *successor)
{
    struct lease *lease = successor->predecessor;

    if (lease == NULL) {
        return;
    }
    waits_end(lease, WAIT_ROTATE, ERR_UNAVAILABLE, lease_error(successor));
    observe_ending(lease);
    acquire_wake_lease(lease);
}

static void rotate_unlink(struct lease *successor)
{
    successor->predecessor->successor = NULL;
    successor->predecessor = NULL;
}

/* Those of the leases before it too, whose holders would have got the successor next; but a live
 * one goes on serving. */
static void grants_fail(struct lease *lease)
{
    struct list *node;
    struct list *following;

    for (; lease != NULL && !fsm_lease_is_live(lease->state); lease = lease->predecessor) {
        LIST_EACH (&lease->grants, node, following) {
            grant_end(LIST_ENTRY(node, struct grant, by_lease), GRANT_END_FAILED);
        }
    }
}

/* Whose successor has failed and who has no other step, or which was asked for: what its holders
 * know is to end, so a renewal alone isn't enough. A renewal that waits in its queue may wait
 * for longer than the lease lives. */
static bool may_need_another(const struct lease *lease)
{
    return lease->state == LEASE_STATE_ACTIVE || lease->state == LEASE_STATE_RENEWING ||
           fsm_lease_is_over(lease->state);
}

void rotate_failed(struct lease *successor)
{
    struct lease *lease = successor->predecessor;
    struct lease_core *core = successor->role->core;
    uint64_t backoff_ms;

    if (lease == NULL) {
        return;
    }
    rotate_unlink(successor);
    if (!lease_is_wanted(lease)) {
        waits_end(lease, WAIT_ROTATE, ERR_GONE, "nobody holds the lease");
        return;
    }
    lease_set_error(lease, "could not be replaced: %s", lease_error(successor));
    waits_end(lease, WAIT_ROTATE, ERR_UNAVAILABLE, lease_error(lease));
    lease_count_up(&lease->rotate_failure_count, successor->is_lost ? ROTATE_LOST_WEIGHT : 1);
    backoff_ms = schedule_backoff_ms(lease->rotate_failure_count, core_random(core));
    lease->rotate_after_ms = schedule_add_ms(core_now_ms(core), backoff_ms);
    if (!fsm_lease_is_live(lease->state)) {
        grants_fail(lease);
        if (!lease_is_wanted(lease)) {
            return;
        }
    }
    if (lease->state == LEASE_STATE_ACTIVE && lease->failure_count == 0 &&
        lease_is_outdated(lease)) {
        lease_plan(lease);
    } else if ((lease->step == LEASE_STEP_NONE || lease->is_forced) && may_need_another(lease)) {
        lease_set_step(lease, LEASE_STEP_REPLACE, lease->rotate_after_ms);
    }
    observe_ending(lease);
    acquire_wake_lease(lease);
}

void rotate_overtaken(struct lease *successor)
{
    struct lease *lease = successor->predecessor;

    if (lease == NULL || fsm_lease_is_live(lease->state)) {
        rotate_failed(successor);
        return;
    }
    rotate_unlink(successor);
    waits_end(lease, WAIT_ROTATE, ERR_UNAVAILABLE, lease_error(successor));
    rotate_dead(lease);
    acquire_wake_lease(lease);
}

void rotate_cancel(struct lease *lease)
{
    struct lease *successor = lease->successor;

    if (successor != NULL && successor->state == LEASE_STATE_REQUESTED && successor->call == NULL &&
        successor->grant_count == 0 && !lease->is_forced && !lease_is_outdated(lease)) {
        rotate_unlink(successor);
        issue_drop(successor);
    }
}

/* The first death in a row is made up for at once. When successors die before their time too, each
 * waits longer than the one before. */
static uint64_t rebirth_delay_ms(const struct lease *lease)
{
    return lease->early_death_count > 0
               ? schedule_backoff_ms(lease->early_death_count, core_random(lease->role->core))
               : 0;
}

void rotate_dead(struct lease *lease)
{
    uint64_t now_ms = core_now_ms(lease->role->core);
    uint64_t when_ms;

    if (!lease_is_wanted(lease) || lease_current(lease) != lease || lease_is_on_demand(lease) ||
        (lease->successor != NULL && lease->successor->state == LEASE_STATE_REQUESTED)) {
        return;
    }
    when_ms = schedule_add_ms(now_ms, rebirth_delay_ms(lease));
    if (when_ms > lease->rotate_after_ms) {
        lease->rotate_after_ms = when_ms;
    }
    lease_count_up(&lease->early_death_count, 1);
    if (rotate_start(lease, false, "it has died") != 0) {
        lease_set_step(lease, LEASE_STEP_REPLACE,
                       lease->rotate_after_ms > now_ms ? lease->rotate_after_ms
                                                       : now_ms + SCHEDULE_FLOOR_MS);
    }
}

int lease_rotate_start(struct lease_core *core, struct lease *lease, struct lease_wait *wait)
{
    int r = 0;

    waits_add(lease, WAIT_ROTATE, wait);
    if (lease->state != LEASE_STATE_ACTIVE && lease->state != LEASE_STATE_RENEWING) {
        waits_end(lease, WAIT_ROTATE, ERR_GONE, "the lease isn't active");
    } else if (!lease_is_wanted(lease)) {
        waits_end(lease, WAIT_ROTATE, ERR_GONE, "nobody holds the lease");
    } else if (!lease->is_recorded) {
        waits_end(lease, WAIT_ROTATE, ERR_GONE, "its credential isn't ready yet");
    } else {
        r = rotate_start(lease, true, "asked for");
        if (r != 0) {
            waits_end(lease, WAIT_ROTATE, r,
                      r == ERR_LIMIT ? "too many leases that were replaced are still live" : NULL);
        }
    }
    core_touch(core);
    return 0;
}
