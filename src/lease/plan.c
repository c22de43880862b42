/* What a lease does next by itself, and what it does when that time has come.
 *
 * An active lease that somebody holds is renewed at renew_at while the issuer lets us. One that
 * can't be renewed, or not past a maximum, is replaced late in its life, or when its issuer may
 * have another value. One that nobody holds waits for the next caller until its time is up. Nothing
 * here asks an issuer: the steps are renew.c, rotate.c, revoke.c and issue.c. */
#include "lease/core_internal.h"

#define REPLAN_WINDOW_MS 60000U /* what a change makes overdue is spread over */

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

void lease_set_step(struct lease *lease, enum lease_step step, uint64_t when_ms)
{
    lease->step = step;
    lease->next_ms = when_ms;
    lease_arm(lease);
}

/* While a call is in flight its answer decides: a renewal may come in at the last moment, a
 * revocation too. */
void lease_arm(struct lease *lease)
{
    uint64_t when_ms = lease->step != LEASE_STEP_NONE ? lease->next_ms : WHEEL_NEVER;

    if (lease->call != NULL) {
        when_ms = WHEEL_NEVER;
    } else if (fsm_lease_is_live(lease->state)) {
        when_ms = least(when_ms, lease->expires_ms);
    } else if (lease->state == LEASE_STATE_REVOKING) {
        when_ms = least(when_ms, revoke_gives_up_ms(lease));
    }
    if (when_ms == WHEEL_NEVER) {
        wheel_cancel(&lease->role->core->wheel, &lease->due);
    } else {
        wheel_arm(&lease->role->core->wheel, &lease->due, when_ms);
    }
    core_touch(lease->role->core);
}

/* To ask before the issuer has another value would bring the same one with less life, again and
 * again. So its word counts, unless a limit of ours ends the life before. */
static void plan_refresh(struct lease *lease, uint64_t replace_ms)
{
    uint64_t refresh_ms = lease_refresh_at_ms(lease);
    uint64_t soonest_ms = schedule_add_ms(lease->answered_ms, SCHEDULE_FLOOR_MS);

    if (lease_is_on_demand(lease)) {
        lease_arm(lease);
        return;
    }
    if (refresh_ms >= lease->expires_ms) {
        refresh_ms = replace_ms;
    }
    lease_set_step(lease, LEASE_STEP_REPLACE, refresh_ms > soonest_ms ? refresh_ms : soonest_ms);
}

static void plan_renewal(struct lease *lease)
{
    struct schedule_life life = lease_life(lease);

    life.expires_ms = lease->own_end_ms;
    lease_set_step(lease, LEASE_STEP_RENEW, schedule_renew_ms(&life));
}

/* When a lease is replaced because its role has changed; WHEEL_NEVER: it hasn't, or a successor is
 * on its way. */
static uint64_t change_ms(const struct lease *lease, const struct schedule_life *life)
{
    uint64_t when_ms;

    if (!lease_is_outdated(lease) || rotate_is_under_way(lease) || lease_is_on_demand(lease)) {
        return WHEEL_NEVER;
    }
    when_ms = schedule_change_ms(life, lease->role->source->since_ms);
    return when_ms > lease->rotate_after_ms ? when_ms : lease->rotate_after_ms;
}

/* An anchor's end is no maximum of the lease's own, because a renewal of the issuer's login usually
 * moves it out in time. So renewals keep to the lease's own life, and it is replaced only if the
 * anchor's end comes near. */
void lease_plan(struct lease *lease)
{
    struct schedule_life life = lease_life(lease);
    uint64_t replace_ms = schedule_replace_ms(&life);
    uint64_t changed_ms = change_ms(lease, &life);

    if (lease->state != LEASE_STATE_ACTIVE || lease->step == LEASE_STEP_DROP) {
        lease_arm(lease);
        return;
    }
    if (lease->refresh_ms > 0) {
        plan_refresh(lease, replace_ms);
    } else if (lease_can_renew(lease)) {
        plan_renewal(lease);
        if (lease->expires_ms < lease->own_end_ms && replace_ms < lease->next_ms) {
            lease_set_step(lease, LEASE_STEP_REPLACE, replace_ms);
        }
    } else {
        lease_set_step(lease, LEASE_STEP_REPLACE, replace_ms);
    }
    if (changed_ms != WHEEL_NEVER && changed_ms < lease->next_ms) {
        lease_set_step(lease, LEASE_STEP_REPLACE, changed_ms);
    }
}

void lease_replan(struct lease *lease)
{
    struct schedule_life life = lease_life(lease);
    uint64_t now_ms = core_now_ms(lease->role->core);
    uint64_t left_ms = schedule_left_ms(schedule_latest_ms(&life), now_ms);

    lease_plan(lease);
    if (lease->step != LEASE_STEP_NONE && lease->step != LEASE_STEP_DROP &&
        lease->next_ms <= now_ms) {
        lease_set_step(lease, lease->step,
                       schedule_add_ms(now_ms, schedule_spread_ms(least(REPLAN_WINDOW_MS, left_ms),
                                                                  life.splay_seed)));
    }
}

/* --- its time has come --- */

/* It is renewed on while its successor is on its way. A replacement that may not be made yet is
 * tried when it may. */
static const char *replace_reason(const struct lease *lease)
{
    if (lease->is_forced) {
        return "asked for";
    }
    return lease_is_outdated(lease) ? "its role has changed" : "it can't be renewed any longer";
}

static void replace_due(struct lease *lease)
{
    uint64_t soon_ms = schedule_add_ms(core_now_ms(lease->role->core), SCHEDULE_FLOOR_MS);
    int r;

    if (!lease_is_wanted(lease)) {
        return;
    }
    r = rotate_start(lease, lease->is_forced, replace_reason(lease));
    if (r != 0) {
        lease_set_step(lease, LEASE_STEP_REPLACE,
                       lease->rotate_after_ms > soon_ms ? lease->rotate_after_ms : soon_ms);
    } else if (lease->state == LEASE_STATE_ACTIVE && lease_can_renew(lease)) {
        plan_renewal(lease);
    }
}

/* An overdue renewal has waited in its queue for a token: it is urgent from now on. If even that
 * doesn't help the lease is replaced before too little of its life is left. */
static void hurry(struct lease *lease)
{
    uint64_t now_ms = core_now_ms(lease->role->core);
    uint64_t useful_ms = schedule_left_ms(lease_left_ms(lease), lease_needed_ms(lease, 0));

    if (queue_item_is_queued(&lease->item) && lease->item.kind == QUEUE_RENEW) {
        calls_drop(lease);
        CHECK(calls_push(lease, QUEUE_URGENT) == 0);
    }
    lease_set_step(lease, LEASE_STEP_REPLACE, schedule_add_ms(now_ms, useful_ms / 2));
}

static void step_due(struct lease *lease)
{
    enum lease_step step = lease->step;

    lease->step = LEASE_STEP_NONE;
    switch (step) {
    case LEASE_STEP_ISSUE:
        issue_start(lease);
        break;
    case LEASE_STEP_RENEW:
        if (lease->state == LEASE_STATE_RENEWING) {
            hurry(lease);
        } else {
            renew_start(lease, false);
        }
        break;
    case LEASE_STEP_REPLACE:
        replace_due(lease);
        break;
    case LEASE_STEP_DROP:
        revoke_start(lease, "nobody came for it");
        break;
    case LEASE_STEP_MOVE:
        rotate_move_all(lease);
        break;
    case LEASE_STEP_LEAVE:
        ack_due(lease);
        break;
    case LEASE_STEP_REVOKE:
        revoke_go_on(lease);
        break;
    case LEASE_STEP_NONE:
        break;
    }
}

/* A clock proves nothing: at our own limit the issuer's credential lives on, after a doubtful
 * renewal it may, and an issuer can fail at ending what has expired. So it is asked. */
static void expiry_due(struct lease *lease)
{
    if (lease->is_revocable) {
        revoke_start(lease, "its time is up");
    } else {
        lease_expire(lease, "its time is up");
    }
}

void lease_due(struct lease *lease)
{
    uint64_t now_ms = core_now_ms(lease->role->core);

    if (fsm_lease_is_live(lease->state) && lease->expires_ms <= now_ms) {
        expiry_due(lease);
    } else if (lease->state == LEASE_STATE_REVOKING && revoke_gives_up_ms(lease) <= now_ms) {
        revoke_push(lease);
    } else if (lease->step != LEASE_STEP_NONE && lease->next_ms <= now_ms) {
        step_due(lease);
        lease_arm(lease);
    } else {
        lease_arm(lease);
    }
}
