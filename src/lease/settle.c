/* What becomes of a lease that nobody holds any more.
 *
 * It is ended at once, unless its holder left by itself: then `linger` runs for the next caller,
 * and a credential that its issuer can't revoke is kept as long as it is good for a hand-out,
 * because ending it here would not end it there. */
#include "base/mutant.h"
#include "lease/core_internal.h"

#define LATE_KEEP_MS 15000U /* longer than those who were told to come again take */

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* An end against the holder's will: nobody gets this credential again. */
static bool is_hostile(enum grant_end end)
{
    return end == GRANT_END_POLICY || end == GRANT_END_REVOKED || end == GRANT_END_STOPPING ||
           end == GRANT_END_FAILED;
}

/* Until when the lease may be kept for the next caller; at or before now: not at all. */
static uint64_t kept_until_ms(const struct lease *lease, enum grant_end end)
{
    uint64_t now_ms = core_now_ms(lease->role->core);
    uint64_t useful_ms = schedule_left_ms(lease->expires_ms, lease_needed_ms(lease, 0));
    uint64_t linger_ms = lease->role->config.linger_ms;

    if (is_hostile(end) || lease->role->core->is_draining || !lease->is_recorded) {
        return now_ms;
    }
    if (!lease->is_revocable) {
        /* The next caller shall have what its issuer has then. */
        return least(useful_ms, lease_refresh_at_ms(lease));
    }
    if (end == GRANT_END_UNDELIVERED || linger_ms == 0) {
        return now_ms;
    }
    return least(useful_ms, schedule_add_ms(now_ms, linger_ms));
}

static const char *unheld_text(enum grant_end end)
{
    switch (end) {
    case GRANT_END_UNDELIVERED:
        return "its answer could not be delivered";
    case GRANT_END_STOPPING:
        return "the daemon stops";
    case GRANT_END_POLICY:
    case GRANT_END_REVOKED:
        return "access was taken away";
    default:
        return "nobody holds it any more";
    }
}

/* Who was told to come again gets what has been tried out by then. */
static bool is_tried_for_later(const struct lease *lease)
{
    return lease->is_unverified && lease->issuing != NULL && lease->issuing->is_late;
}

static void settle_live(struct lease *lease, enum grant_end end)
{
    uint64_t until_ms = kept_until_ms(lease, end);

    if (MUTATED(2)) {
        return;
    }
    if (end == GRANT_END_FAILED && is_tried_for_later(lease)) {
        lease_set_step(lease, LEASE_STEP_DROP,
                       schedule_add_ms(core_now_ms(lease->role->core), LATE_KEEP_MS));
        return;
    }
    if (until_ms <= core_now_ms(lease->role->core)) {
        revoke_start(lease, unheld_text(end));
        return;
    }
    if (queue_item_is_queued(&lease->item)) {
        calls_drop(lease);
        lease_set_state(lease, LEASE_STATE_ACTIVE);
        waits_end(lease, WAIT_RENEW, ERR_GONE, "nobody holds the lease any more");
    }
    sharing_keep(lease);
    lease_set_step(lease, LEASE_STEP_DROP, until_ms);
}

void settle_again(struct lease *lease)
{
    uint64_t until_ms = kept_until_ms(lease, GRANT_END_RELEASED);

    if (lease->step != LEASE_STEP_DROP) {
        return;
    }
    if (until_ms <= core_now_ms(lease->role->core)) {
        revoke_start(lease, unheld_text(GRANT_END_RELEASED));
    } else {
        lease_set_step(lease, LEASE_STEP_DROP, least(until_ms, lease->next_ms));
    }
}

void settle_late(struct lease *lease)
{
    uint64_t until_ms = schedule_add_ms(core_now_ms(lease->role->core), LATE_KEEP_MS);
    uint64_t useful_ms = schedule_left_ms(lease->expires_ms, lease_needed_ms(lease, 0));

    if (lease->role->core->is_draining || lease->role->is_removed || lease_is_outdated(lease) ||
        useful_ms <= core_now_ms(lease->role->core)) {
        lease_settle(lease, GRANT_END_FAILED);
        return;
    }
    sharing_keep(lease);
    lease_set_step(lease, LEASE_STEP_DROP, least(until_ms, useful_ms));
}

void lease_unsettle(struct lease *lease)
{
    if (!lease_is_ending(lease)) {
        list_remove(&lease->by_state); /* its holder's idle leases */
    }
    if (lease->issuing != NULL) {
        lease->issuing->is_late = false; /* somebody has come again */
    }
    if (lease->step == LEASE_STEP_DROP) {
        lease->step = LEASE_STEP_NONE;
        lease_plan(lease);
    }
}

void lease_settle(struct lease *lease, enum grant_end end)
{
    struct lease *successor = lease->successor;

    if (lease_is_wanted(lease) || lease->role->core->is_recovering) {
        return;
    }
    waits_end(lease, WAIT_ROTATE, ERR_GONE, "nobody holds the lease any more");
    switch (lease->state) {
    case LEASE_STATE_REQUESTED:
        issue_drop(lease);
        break;
    case LEASE_STATE_ACTIVE:
    case LEASE_STATE_RENEWING:
        settle_live(lease, end);
        break;
    case LEASE_STATE_SUPERSEDED:
        revoke_start(lease, "its holders have moved on");
        break;
    case LEASE_STATE_REVOKING:
    case LEASE_STATE_REVOKED:
    case LEASE_STATE_EXPIRED:
    case LEASE_STATE_UNCONFIRMED:
    case LEASE_STATE_FAILED:
        break;
    }
    if (successor != NULL) {
        lease_settle(successor, end); /* past those that are over: the last one may be live */
    }
}
