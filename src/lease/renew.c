/* Renewals.
 *
 * Happy path: the plan's time comes, or somebody asks → renewing, queued (urgent when somebody
 * waits or it can't wait any longer) → sent → a new life from the answer, which may be longer,
 * shorter or the last one (capped) → active, planned anew.
 *
 * Failure paths. Refused: this lease isn't asked for again and is replaced late in its life, so
 * that an issuer which refuses every renewal mints about one credential a life. Gone: the
 * credential is dead, its holders get another, with a growing delay if that happens again and
 * again. The issuer can't serve, or its answer was lost: tried again with back-off while the
 * credential is served until min_remaining; late in its life a replacement is tried too. Such a
 * renewal may have been executed, so at the end of the life that we know of the lease is revoked
 * instead of being taken for dead. */
#include "base/log.h"
#include "lease/core_internal.h"

void renew_start(struct lease *lease, bool is_urgent)
{
    struct schedule_life life = lease_life(lease);
    uint64_t latest_ms = schedule_latest_ms(&life);

    if (lease->state == LEASE_STATE_RENEWING) {
        if (is_urgent && queue_item_is_queued(&lease->item) && lease->item.kind == QUEUE_RENEW) {
            calls_drop(lease);
            CHECK(calls_push(lease, QUEUE_URGENT) == 0);
        }
        return;
    }
    lease_set_state(lease, LEASE_STATE_RENEWING);
    if (latest_ms <= core_now_ms(lease->role->core)) {
        is_urgent = true;
    }
    CHECK(calls_push(lease, is_urgent ? QUEUE_URGENT : QUEUE_RENEW) == 0);
    if (!is_urgent) {
        lease_set_step(lease, LEASE_STEP_RENEW, latest_ms); /* it hurries then */
    }
}

/* Never more than max_ttl allows. */
static uint64_t wanted_ms(const struct lease *lease)
{
    uint64_t left_ms = schedule_left_ms(lease_max_until_ms(lease), core_now_ms(lease->role->core));
    uint64_t ttl_ms = lease_ttl_ms(lease);

    return ttl_ms < left_ms ? ttl_ms : left_ms;
}

int renew_fill(struct lease *lease, struct lease_call *call, struct secret *ret_ref)
{
    int r = lease_ref(lease, ret_ref);

    call->kind = LEASE_CALL_RENEW;
    call->issuer_ref = secret_view(ret_ref);
    call->ttl_ms = wanted_ms(lease);
    return r;
}

static void renew_tell(struct lease *lease, int status)
{
    waits_end(lease, WAIT_RENEW, status, status != 0 ? lease_error(lease) : NULL);
    acquire_wake_lease(lease);
    lease_settle(lease, GRANT_END_RELEASED);
}

static void renew_accepted(struct lease *lease, const struct lease_result *result,
                           uint64_t asked_ms)
{
    uint64_t previous_ms = lease->lifetime_ms;

    lease_set_life(lease, result);
    if (schedule_is_capped(lease->lifetime_ms, asked_ms, previous_ms)) {
        lease->is_capped = true;
    }
    lease->renewal_count++;
    lease->failure_count = 0;
    lease->rotate_failure_count = 0;
    lease->early_death_count = 0;
    record_lease_renewed(lease);
    lease_set_state(lease, LEASE_STATE_ACTIVE);
    durable_note(lease);
    rotate_cancel(lease);
    lease_plan(lease);
    renew_tell(lease, 0);
}

static void renew_refused(struct lease *lease, const struct lease_result *result)
{
    log_event(LOG_LEVEL_WARN, "lease.renew.refused", "role", lease->role->config.name, "lease",
              lease->id, "err", lease_error(lease), NULL);
    lease->is_refused = true;
    lease_set_state(lease, LEASE_STATE_ACTIVE);
    lease_plan(lease);
    renew_tell(lease, result->outcome == LEASE_OUTCOME_DENIED ? ERR_DENIED : ERR_INVALID);
}

static void renew_gone(struct lease *lease)
{
    log_event(LOG_LEVEL_WARN, "lease.renew.gone", "role", lease->role->config.name, "lease",
              lease->id, "err", lease_error(lease), NULL);
    waits_end(lease, WAIT_RENEW, ERR_GONE, lease_error(lease));
    lease_expire(lease, "the issuer doesn't know it any more");
}

/* It may have been executed: then the credential lives for longer than we know. */
static void renew_doubt(struct lease *lease, uint64_t asked_ms)
{
    uint64_t longest_ms = asked_ms > lease->lifetime_ms ? asked_ms : lease->lifetime_ms;
    uint64_t ends_ms = schedule_add_ms(core_now_ms(lease->role->core), longest_ms);

    if (ends_ms > lease->ends_ms) {
        lease->ends_ms = ends_ms;
    }
}

static void renew_delayed(struct lease *lease, const struct lease_result *result, uint64_t asked_ms)
{
    struct lease_core *core = lease->role->core;
    struct schedule_life life = lease_life(lease);
    uint64_t now_ms = core_now_ms(core);
    uint64_t backoff_ms;

    lease_count_up(&lease->failure_count, 1);
    if (lease->failure_count == 1) {
        log_event(LOG_LEVEL_WARN, "lease.renew.failed", "role", lease->role->config.name, "lease",
                  lease->id, "err", lease_error(lease), NULL);
    }
    renew_doubt(lease, asked_ms);
    lease_set_state(lease, LEASE_STATE_ACTIVE);
    backoff_ms = schedule_backoff_ms(lease->failure_count, core_random(core));
    lease_set_step(lease, LEASE_STEP_RENEW,
                   schedule_retry_ms(now_ms, backoff_ms, result->retry_after_ms,
                                     schedule_latest_ms(&life)));
    if (lease_is_wanted(lease) &&
        (lease_is_outdated(lease) || schedule_replace_ms(&life) <= now_ms)) {
        rotate_try(lease, false, "its renewal fails");
    }
    renew_tell(lease, ERR_UNAVAILABLE);
}

/* The lease went on to another state while its renewal was under way. */
static void renew_late(struct lease *lease, uint64_t asked_ms)
{
    renew_doubt(lease, asked_ms);
    waits_end(lease, WAIT_RENEW, ERR_GONE, "the lease has been replaced or ended");
    if (lease->state == LEASE_STATE_REVOKING) {
        revoke_push(lease);
    } else {
        lease_arm(lease);
    }
}

void renew_answered(struct lease *lease, const struct lease_result *result, uint64_t asked_ms)
{
    lease->role->core->stats.renew_total++;
    if (lease->state != LEASE_STATE_RENEWING) {
        renew_late(lease, asked_ms);
        return;
    }
    if (result->outcome == LEASE_OUTCOME_OK) {
        renew_accepted(lease, result, asked_ms);
        return;
    }
    lease->role->core->stats.renew_failed_total++;
    lease_set_error(lease, "%s",
                    result->detail != NULL ? result->detail : "the issuer gave no reason");
    switch (result->outcome) {
    case LEASE_OUTCOME_DENIED:
    case LEASE_OUTCOME_INVALID:
        renew_refused(lease, result);
        break;
    case LEASE_OUTCOME_GONE:
        renew_gone(lease);
        break;
    default:
        renew_delayed(lease, result, asked_ms);
        break;
    }
}

int lease_renew_start(struct lease_core *core, struct lease *lease, struct lease_wait *wait)
{
    if (lease->state == LEASE_STATE_RENEWING) {
        return ERR_BUSY;
    }
    waits_add(lease, WAIT_RENEW, wait);
    if (lease->state != LEASE_STATE_ACTIVE) {
        waits_end(lease, WAIT_RENEW, ERR_GONE, "the lease isn't active");
    } else if (!lease->is_recorded) {
        waits_end(lease, WAIT_RENEW, ERR_GONE, "its credential isn't ready yet");
    } else if (!lease->is_renewable || lease->is_refused ||
               lease_max_until_ms(lease) <= core_now_ms(core)) {
        waits_end(lease, WAIT_RENEW, ERR_UNSUPPORTED, "its issuer doesn't renew this lease");
    } else {
        renew_start(lease, false);
    }
    core_touch(core);
    return 0;
}
