/* Stopping: no new acquires, every grant ends, every lease is revoked; or the daemon is only about
 * to be started again, and what the next one can go on with is left as it is, in the ledger. What
 * its own backends have borrowed goes last: they may need it to revoke.
 *
 * Happy path: lease_core_drain ends the grants → settle.c and revoke.c do the rest → drain_check,
 * at the end of each turn, sees nothing live that isn't left: the wait is told 0.
 *
 * Failure path: the deadline passes first. What may live on at its issuer is logged and stands in
 * the trail, with its true end. */
#include "base/log.h"
#include "lease/core_internal.h"

#include <inttypes.h>
#include <stdio.h>

#define DRAIN_LOG_MAX 20U /* leases that are logged one by one */

static uint64_t live_count(const struct lease_core *core)
{
    return core->lease_counts[LEASE_STATE_REQUESTED] + core->lease_counts[LEASE_STATE_ACTIVE] +
           core->lease_counts[LEASE_STATE_RENEWING] + core->lease_counts[LEASE_STATE_SUPERSEDED] +
           core->lease_counts[LEASE_STATE_REVOKING] - core->left_count - core->login_bound_count;
}

/* --- what is left for the next daemon --- */

static bool is_role_kept(const struct role *role)
{
    return role->core->is_keeping && role->config.is_kept_on_stop && !role->is_removed;
}

bool drain_keeps(const struct grant *grant)
{
    return grant->state == GRANT_STATE_HELD && grant->is_durable && !grant->has_connection &&
           is_role_kept(grant->lease->role);
}

bool drain_leave(struct lease *lease)
{
    struct lease_core *core = lease->role->core;

    if (!is_role_kept(lease->role) || !fsm_lease_is_live(lease->state) || !lease->is_durable ||
        !lease->is_recorded || !lease_is_wanted(lease)) {
        return false;
    }
    if (!lease->is_left) {
        lease->is_left = true;
        core->left_count++;
        lease->source->issuer->left_count++;
    }
    return true;
}

void drain_retake(struct lease *lease)
{
    if (lease->is_left) {
        lease->is_left = false;
        lease->role->core->left_count--;
        lease->source->issuer->left_count--;
    }
}

uint32_t lease_core_left_count(const struct lease_core *core, const struct lease_issuer *issuer)
{
    const struct issuer *state = issuer->core_state;

    (void)core;
    return state != NULL ? state->left_count : 0;
}

/* --- draining --- */

static void drain_lease(struct lease *lease)
{
    if (drain_leave(lease) || lend_holds(lease)) {
        return;
    }
    if (fsm_lease_is_live(lease->state)) {
        revoke_start(lease, "the daemon stops");
    } else if (lease->state == LEASE_STATE_REQUESTED) {
        issue_drop(lease);
    } else if (lease->state == LEASE_STATE_REVOKING && lease->step == LEASE_STEP_REVOKE &&
               !lease->is_held_back) {
        /* Its next try may be minutes away, which is longer than there is. */
        lease_set_step(lease, LEASE_STEP_NONE, 0);
        revoke_push(lease);
    }
}

void lease_core_drain(struct lease_core *core, uint64_t deadline_ms, bool is_kept,
                      struct lease_wait *wait)
{
    struct grant *grant = NULL;
    struct lease *lease = NULL;

    core->is_draining = true;
    core->is_keeping = is_kept && core->ledger != NULL;
    wait->lease = NULL;
    wait->kind = WAIT_DRAIN;
    wait->error = (struct err){.code = 0};
    list_push_back(&core->waits, &wait->node);
    wheel_arm(&core->wheel, &core->drain_due, deadline_ms);
    acquire_cancel_all(core, false);
    while ((grant = lease_core_next_grant(core, grant)) != NULL) {
        if (!drain_keeps(grant) && !lend_is_own(grant->holder)) {
            grant_end(grant, GRANT_END_STOPPING);
        }
    }
    while ((lease = lease_core_next_lease(core, lease)) != NULL) {
        drain_lease(lease);
    }
    core_touch(core);
}

void drain_check(struct lease_core *core)
{
    if (core->is_draining) {
        lend_drain(core);
    }
    if (core->is_draining && live_count(core) == 0 && !calls_are_in_flight(core)) {
        wheel_cancel(&core->wheel, &core->drain_due);
        waits_end_drain(core, 0, NULL);
    }
}

static const char *drain_error(const struct lease *lease)
{
    const char *error = lease_error(lease);

    return error[0] != '\0' ? error : "the issuer has not answered";
}

uint32_t lease_core_drain_now(struct lease_core *core)
{
    char count[24];
    struct lease *lease = NULL;
    uint32_t left = 0;

    while ((lease = lease_core_next_lease(core, lease)) != NULL) {
        if (fsm_lease_is_over(lease->state) || lease->is_left || lease->is_login_bound) {
            continue;
        }
        if (left++ < DRAIN_LOG_MAX) {
            log_event(LOG_LEVEL_ERROR, "lease.drain.left", "backend", lease_backend(lease), "role",
                      lease->role->config.name, "lease", lease->id, "err", drain_error(lease),
                      NULL);
        }
        record_lease_unrevoked(lease, "the daemon stopped before the issuer confirmed");
    }
    if (left > 0) {
        (void)snprintf(count, sizeof(count), "%" PRIu32, left);
        log_event(LOG_LEVEL_ERROR, "lease.drain.late", "count", count, NULL);
    }
    return left;
}

void drain_due(struct lease_core *core)
{
    (void)lease_core_drain_now(core);
    waits_end_drain(core, ERR_TIMEOUT, "not every lease is revoked");
}
