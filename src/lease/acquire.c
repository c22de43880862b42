/* The way from a grant that somebody waits for to an answer.
 *
 * Happy path: admit.c has found or made the grant → acquire_step: its lease is good for a hand-out,
 * the records are written (handout.c) → acquire_finish → from the loop, everything is checked once
 * more → the callback has the grant.
 *
 * acquire_step decides from what is true now and remembers almost nothing; it runs again whenever
 * the lease or the grant has changed. What is too near its end is renewed, else replaced, each at
 * most once an acquire.
 *
 * Failure paths: no durable record: ERR_IO. The issuer can't serve: ERR_UNAVAILABLE with the time
 * of the next try, and the old credential is served until min_remaining. The client or its process
 * has gone: a pending grant ends, and what was issued for it alone is revoked. No answer in
 * acquire_timeout_ms: ERR_UNAVAILABLE; what the issuer still brings is kept for a moment, for who
 * comes again. */
#include "base/mutant.h"
#include "lease/core_internal.h"

#define LATE_RETRY_MS 5000U /* what comes late is kept for longer than that */

/* --- the end of an acquire --- */

/* The grant doesn't count on this acquire any more. One that nobody has and nobody waits for ends.
 */
static void acquire_let_go(struct lease_acquire *acquire, enum grant_end end)
{
    struct grant *grant = acquire->grant;

    acquire->grant = NULL;
    if (grant == NULL) {
        return;
    }
    grant->acquire_count--;
    grant->holder->account->waiting_count--;
    if (grant->state == GRANT_STATE_ENDED) {
        core_touch(grant->lease->role->core); /* it may be the last one it was kept for */
        return;
    }
    grant->lease->waiting_count--;
    if (end != GRANT_END_NONE && grant->acquire_count == 0 && !grant->is_delivered &&
        grant->delivery_count == 0) {
        grant_end(grant, end);
    }
}

void acquire_finish(struct lease_acquire *acquire, int status)
{
    list_remove(&acquire->node);
    if (status != 0) {
        list_remove(&acquire->by_age);
    }
    acquire->status = status;
    acquire->is_finishing = true;
    env_defer(acquire->core->env, &acquire->deferred);
    if (status == 0) {
        list_push_back(&acquire->core->finishing, &acquire->node);
    } else {
        acquire_let_go(acquire, status == ERR_CANCELED ? GRANT_END_UNDELIVERED : GRANT_END_FAILED);
    }
}

void acquire_fail(struct lease_acquire *acquire, const struct acquire_failure *failure)
{
    acquire->retry_after_ms = failure->retry_after_ms;
    (void)err_set(&acquire->error, failure->status, "%s",
                  failure->text != NULL ? failure->text : err_str(failure->status));
    acquire_finish(acquire, failure->status);
}

uint64_t acquire_wished_ms(const struct lease_ask *ask, const struct grant *grant)
{
    uint64_t rule_ms =
        grant == ask->named ? grant_min_remaining_ms(grant) : ask->decision->min_remaining_ms;

    return rule_ms > ask->min_remaining_ms ? rule_ms : ask->min_remaining_ms;
}

/* --- each step --- */

/* Has its window closed while it waited? */
static bool is_too_late(const struct grant *grant)
{
    return !grant->is_created && grant->window_wall_ms != 0 &&
           env_wall_ms(grant->lease->role->core->env) >= grant->window_wall_ms;
}

static void acquire_hand_out(struct lease_acquire *acquire, struct lease *lease)
{
    const struct grant *grant = acquire->grant;
    bool is_read = grant->lease == lease && grant->is_read;
    int r;

    if (is_too_late(grant)) {
        acquire_fail(acquire, &(struct acquire_failure){.status = ERR_POLICY,
                                                        .text = "the rule's window has closed"});
    } else if (is_read && lease->is_recorded) {
        acquire_finish(acquire, 0);
    } else if (!is_read) {
        r = handout_start(acquire->grant, lease, acquire);
        if (r == ERR_GONE) {
            acquire_fail(acquire,
                         &(struct acquire_failure){
                             .status = ERR_POLICY,
                             .text = "its approval was used or has ended meanwhile: ask anew"});
        } else if (r != 0) {
            acquire_fail(acquire, &(struct acquire_failure){.status = r});
        }
    }
}

/* How long until the lease does something about itself. */
static uint64_t retry_after_ms(const struct lease *lease)
{
    const struct lease *next = lease->successor;
    uint64_t now_ms = core_now_ms(lease->role->core);
    uint64_t when_ms = lease->rotate_after_ms;

    if (next != NULL && issue_is_backing_off(next)) {
        when_ms = next->next_ms;
    } else if (lease->step == LEASE_STEP_RENEW && lease->next_ms > when_ms) {
        when_ms = lease->next_ms;
    }
    return schedule_left_ms(when_ms, now_ms);
}

static bool may_renew(const struct lease_acquire *acquire, const struct lease *lease)
{
    bool is_backing_off =
        lease->failure_count > 0 && lease->next_ms > core_now_ms(lease->role->core);

    return lease->state == LEASE_STATE_ACTIVE && lease_can_renew(lease) && !acquire->has_renewed &&
           !is_backing_off;
}

static void acquire_fail_for_now(struct lease_acquire *acquire, const struct lease *lease)
{
    const struct lease *next = lease->successor;
    struct acquire_failure failure = {
        .status = ERR_UNAVAILABLE,
        .retry_after_ms = retry_after_ms(lease),
        .text = lease_error(next != NULL && next->last_error != NULL ? next : lease),
    };

    acquire_fail(acquire, &failure);
}

/* Goes where new grants go, if that isn't this lease. */
static bool acquire_goes_elsewhere(struct lease_acquire *acquire, const struct lease *lease)
{
    struct lease *elsewhere = sharing_elsewhere(lease, acquire->grant->holder);

    if (elsewhere == NULL) {
        return false;
    }
    handout_forget(acquire->grant);
    grant_move(acquire->grant, elsewhere, true);
    acquire_step(acquire);
    return true;
}

/* Waits for a successor, which is asked for at most once an acquire. False: there won't be one now.
 */
static bool acquire_awaits_successor(struct lease_acquire *acquire, struct lease *lease,
                                     const char *why)
{
    const struct lease *next = lease->successor;

    if (next != NULL && next->state == LEASE_STATE_REQUESTED && !issue_is_backing_off(next)) {
        acquire->has_rotated = true;
        return true;
    }
    if (next != NULL && fsm_lease_is_live(next->state) && !next->is_recorded) {
        return true;
    }
    if (!acquire->has_rotated && (next == NULL || next->state != LEASE_STATE_REQUESTED)) {
        acquire->has_rotated = true;
        return rotate_start(lease, false, why) == 0;
    }
    return false;
}

/* Too little is left, or the lease is dead: first a renewal, then a replacement. */
static void acquire_refresh(struct lease_acquire *acquire, struct lease *lease)
{
    if (lease->state == LEASE_STATE_RENEWING || may_renew(acquire, lease)) {
        acquire->has_renewed = true;
        renew_start(lease, true);
        return;
    }
    if (acquire_goes_elsewhere(acquire, lease) ||
        acquire_awaits_successor(acquire, lease, "too little of its life is left")) {
        return;
    }
    acquire_fail_for_now(acquire, lease);
}

/* Its holder has the credential already. */
static bool is_known(const struct grant *grant, const struct lease *lease)
{
    return grant->lease == lease && grant->is_read && grant->is_read_counted;
}

/* The role asks for something else by now. Who has the credential keeps it while the successor
 * can't be issued; nobody new gets it. */
static void acquire_update(struct lease_acquire *acquire, struct lease *lease)
{
    if (!lease->is_recorded) {
        return; /* its record wakes it */
    }
    if (acquire_goes_elsewhere(acquire, lease) ||
        acquire_awaits_successor(acquire, lease, "its role has changed")) {
        return;
    }
    if (is_known(acquire->grant, lease)) {
        acquire_hand_out(acquire, lease);
    } else {
        acquire_fail_for_now(acquire, lease);
    }
}

static void acquire_fail_unrecorded(struct lease_acquire *acquire)
{
    struct err e = {.code = 0};
    int r = lease_core_may_hand_out(acquire->core, &e);

    acquire_fail(acquire, &(struct acquire_failure){.status = r, .text = e.text});
}

void acquire_step(struct lease_acquire *acquire)
{
    struct grant *grant = acquire->grant;
    struct lease *lease = lease_current(grant->lease);
    uint64_t left_ms = lease_left_ms(lease);
    struct acquire_failure failure;

    if (grant->state == GRANT_STATE_ENDED) {
        failure = grant_failure(grant);
        acquire_fail(acquire, &failure);
    } else if (lease_core_may_hand_out(acquire->core, NULL) != 0) {
        acquire_fail_unrecorded(acquire);
    } else if (issue_is_backing_off(lease)) {
        acquire_fail(acquire, &(struct acquire_failure){.status = ERR_UNAVAILABLE,
                                                        .retry_after_ms = retry_after_ms(lease),
                                                        .text = lease_error(lease)});
    } else if (issue_is_under_way(lease)) {
        return; /* the answer wakes it, or the verification */
    } else if (fsm_lease_is_live(lease->state) && left_ms > 0 &&
               left_ms >= lease_needed_ms(lease, acquire_wished_ms(&acquire->ask, grant))) {
        if (lease_is_outdated(lease)) {
            acquire_update(acquire, lease);
        } else {
            acquire_hand_out(acquire, lease);
        }
    } else {
        acquire_refresh(acquire, lease);
    }
}

/* --- waking and failing those who wait --- */

void acquire_wake_grant(struct grant *grant)
{
    struct list woken;
    struct list *node;

    list_init(&woken);
    list_splice(&woken, &grant->waiting);
    while ((node = list_pop_front(&woken)) != NULL) {
        list_push_back(&grant->waiting, node);
        acquire_step(LIST_ENTRY(node, struct lease_acquire, node));
    }
}

/* Who holds a lease before it waits for this one. */
void acquire_wake_lease(struct lease *lease)
{
    struct list *node;
    struct list *following;

    for (; lease != NULL; lease = lease->predecessor) {
        if (lease->waiting_count == 0) {
            continue;
        }
        LIST_EACH (&lease->grants, node, following) {
            acquire_wake_grant(LIST_ENTRY(node, struct grant, by_lease));
        }
    }
}

void acquire_fail_grant(struct grant *grant, const struct acquire_failure *failure)
{
    struct list failed;
    struct list *node;

    list_init(&failed);
    list_splice(&failed, &grant->waiting);
    while ((node = list_pop_front(&failed)) != NULL) {
        acquire_fail(LIST_ENTRY(node, struct lease_acquire, node), failure);
    }
}

void acquire_cancel_all(struct lease_core *core, bool with_own)
{
    const struct acquire_failure failure = {.status = ERR_CANCELED,
                                            .text = "the daemon is stopping"};
    struct grant *grant = NULL;
    struct list *node;
    struct list *following;

    LIST_EACH (&core->finishing, node, following) {
        struct lease_acquire *acquire = LIST_ENTRY(node, struct lease_acquire, node);

        if (with_own || !lend_is_own(acquire->grant->holder)) {
            acquire_fail(acquire, &failure);
        }
    }
    while ((grant = lease_core_next_grant(core, grant)) != NULL) {
        if (with_own || !lend_is_own(grant->holder)) {
            acquire_fail_grant(grant, &failure);
        }
    }
}

void acquire_fail_lease(struct lease *lease, const struct acquire_failure *failure)
{
    struct list *node;
    struct list *following;

    if (lease->waiting_count == 0) {
        return;
    }
    LIST_EACH (&lease->grants, node, following) {
        acquire_fail_grant(LIST_ENTRY(node, struct grant, by_lease), failure);
    }
}

/* --- they have waited for too long --- */

static const char *late_text(const struct lease *lease)
{
    const struct lease *asked = rotate_is_under_way(lease) ? lease->successor : lease;

    if (asked->is_unverified) {
        return asked->last_error != NULL ? asked->last_error
                                         : "the new credential is still being verified";
    }
    return asked->call != NULL ? "the issuer has not answered yet"
                               : "others are served by the issuer first";
}

static void acquire_fail_late(struct lease_acquire *acquire)
{
    struct grant *grant = acquire->grant;
    struct acquire_failure failure = {.status = ERR_UNAVAILABLE, .retry_after_ms = LATE_RETRY_MS};

    CHECK(grant != NULL);
    failure.text = late_text(lease_current(grant->lease));
    acquire_fail(acquire, &failure);
}

/* Who has the credential already keeps it, as long as it is good. */
static void acquire_give_up(struct lease_acquire *acquire)
{
    struct grant *grant = acquire->grant;
    struct lease *lease = lease_current(grant->lease);

    if (is_known(grant, lease) && fsm_lease_is_live(lease->state) &&
        lease_left_ms(lease) >= lease_needed_ms(lease, acquire_wished_ms(&acquire->ask, grant))) {
        acquire_finish(acquire, 0);
        return;
    }
    if (issue_is_under_way(lease)) {
        issue_set_late(lease);
    }
    acquire_fail_late(acquire);
}

void acquire_due(struct lease_core *core)
{
    uint64_t now_ms = core_now_ms(core);

    while (!list_is_empty(&core->acquires)) {
        struct lease_acquire *acquire =
            LIST_ENTRY(core->acquires.next, struct lease_acquire, by_age);

        if (acquire->deadline_ms > now_ms) {
            wheel_arm(&core->wheel, &core->acquires_due, acquire->deadline_ms);
            break;
        }
        list_remove(&acquire->by_age);
        if (!acquire->is_finishing && !MUTATED(21)) {
            acquire_give_up(acquire);
        }
    }
    core_touch(core);
}

/* --- the last check, right before the credential leaves --- */

static bool acquire_check(struct lease_acquire *acquire)
{
    struct grant *grant = acquire->grant;
    const struct lease *lease;
    uint64_t left_ms;

    if (grant->state != GRANT_STATE_ENDED && !binding_is_alive(grant)) {
        grant_end(grant, GRANT_END_BINDING);
    }
    lease = grant->lease;
    left_ms = lease_left_ms(lease);
    if (grant->state != GRANT_STATE_ENDED && lease_core_may_hand_out(acquire->core, NULL) == 0 &&
        grant->is_read && lease_current(grant->lease) == lease && fsm_lease_is_live(lease->state) &&
        left_ms > 0 && left_ms >= lease_needed_ms(lease, acquire_wished_ms(&acquire->ask, grant))) {
        return true;
    }
    acquire->is_finishing = false;
    list_move_back(&grant->waiting, &acquire->node);
    if (list_is_linked(&acquire->by_age)) {
        acquire_step(acquire);
    } else {
        acquire_fail_late(acquire); /* its time is up */
    }
    return false;
}

void acquire_finished(struct env_deferred *deferred)
{
    struct lease_acquire *acquire = deferred->user;
    struct grant *grant = acquire->grant;

    if (acquire->status != 0) {
        acquire->fn(acquire, acquire->status, NULL); /* the acquire may be gone */
        return;
    }
    if (!acquire_check(acquire)) {
        return;
    }
    if (grant->state == GRANT_STATE_PENDING) {
        grant_set_state(grant, GRANT_STATE_HELD);
    }
    if (grant->is_read_counted) {
        reads_count(grant);
    } else {
        grant->is_read_counted = true;
        grant->read_count++;
    }
    grant->delivery_count++;
    list_remove(&acquire->node);
    list_remove(&acquire->by_age);
    acquire_let_go(acquire, GRANT_END_NONE);
    acquire->fn(acquire, 0, grant); /* the acquire may be gone */
}
