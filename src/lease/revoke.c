/* The end of a lease at its issuer.
 *
 * Happy path: revoke_start → revoking, which the ledger is told first, so that no later daemon
 * hands out a dead credential → queued before everything else → the issuer confirms (or has no such
 * lease): revoked.
 *
 * Failure paths. Anything but a confirmation is tried again with back-off, refusals too: whoever
 * mends the issuer's policy must find that nothing was forgotten. It ends an hour after the
 * credential's own end at the latest, or if that had passed before, an hour after it began, as
 * unconfirmed and with a warning. While a renewal is in
 * flight it is asked to end first. What its issuer can't revoke is only let go: it ends as expired,
 * with its true end on record. */
#include "base/log.h"
#include "base/mutant.h"
#include "lease/core_internal.h"

#define REVOKE_MARGIN_MS 3600000U     /* after the credential's end, and after the first try */
#define REVOKE_LEDGER_MAX_MS 2000U    /* a ledger that hangs or fails keeps no revocation back */
#define REVOKE_DRAIN_BACKOFF_MS 2000U /* the time to stop is short */

uint64_t revoke_gives_up_ms(const struct lease *lease)
{
    uint64_t from_ms = lease->ends_ms > lease->since_ms ? lease->ends_ms : lease->since_ms;

    return schedule_add_ms(from_ms, REVOKE_MARGIN_MS);
}

/* Its holders get a successor. What isn't on record yet has none: nobody has got it. */
static void holders_go_on(struct lease *lease, const char *why)
{
    if (lease->is_recorded) {
        rotate_dead(lease);
        acquire_wake_lease(lease);
    } else {
        issue_overtaken(lease, why);
    }
}

/* --- expired --- */

void lease_expire(struct lease *lease, const char *why)
{
    if (MUTATED(24) && !lease->is_revocable) {
        record_lease_revoked(lease);
    } else {
        record_lease_expired(lease, why);
    }
    if (rotate_is_under_way(lease)) {
        sharing_replace(lease, lease->successor);
    }
    lease_set_state(lease, LEASE_STATE_EXPIRED);
    waits_end(lease, WAIT_RENEW, ERR_GONE, why);
    waits_end(lease, WAIT_REVOKE, lease->is_revocable ? 0 : ERR_UNSUPPORTED,
              lease->is_revocable ? NULL : "its issuer can't revoke it: it lives to its own end");
    holders_go_on(lease, why);
}

static void revoke_give_up(struct lease *lease)
{
    log_event(LOG_LEVEL_WARN, "lease.revoke.unconfirmed", "backend", lease_backend(lease), "role",
              lease->role->config.name, "lease", lease->id, "err", lease_error(lease), NULL);
    record_lease_unconfirmed(lease, "the issuer never confirmed its revocation");
    lease->role->core->stats.unconfirmed_total++;
    lease_set_state(lease, LEASE_STATE_UNCONFIRMED);
    waits_end(lease, WAIT_REVOKE, ERR_TIMEOUT, "the issuer never confirmed the revocation");
    rotate_dead(lease);
}

/* --- revoking --- */

void revoke_push(struct lease *lease)
{
    CHECK(lease->state == LEASE_STATE_REVOKING);
    if (lease->call != NULL || lease->is_held_back) {
        lease_arm(lease);
        return; /* its answer comes back here, or the ledger's */
    }
    if (revoke_gives_up_ms(lease) <= core_now_ms(lease->role->core)) {
        revoke_give_up(lease);
    } else if (!queue_item_is_queued(&lease->item)) {
        CHECK(calls_push(lease, QUEUE_REVOKE) == 0);
    }
}

void revoke_go_on(struct lease *lease)
{
    lease->is_held_back = false;
    revoke_push(lease);
}

static void revoke_noted(void *owner, int status)
{
    struct lease *lease = OBJ_CAST(owner, struct lease, LEASE_MAGIC);

    (void)status; /* the ledger has said that it fails; the revocation goes on */
    lease->is_pinned = false;
    if (lease->is_held_back) {
        lease_set_step(lease, LEASE_STEP_NONE, 0);
        revoke_go_on(lease);
    }
    core_touch(lease->role->core);
}

/* A later daemon must know that nobody is to be given it, before it dies. */
static void revoke_note(struct lease *lease)
{
    struct lease_core *core = lease->role->core;
    struct durable_wait *wait = NULL;

    if (core->ledger == NULL || lease->is_pinned) {
        return;
    }
    durable_note(lease);
    if (durable_wait(core->ledger, &core->durables, revoke_noted, lease, &wait) == 0) {
        lease->is_pinned = lease->is_held_back = true;
        lease_set_step(lease, LEASE_STEP_REVOKE,
                       schedule_add_ms(core_now_ms(core), REVOKE_LEDGER_MAX_MS));
    }
}

void revoke_start(struct lease *lease, const char *why)
{
    struct issuer *issuer = lease->source->issuer;

    CHECK(fsm_lease_is_live(lease->state));
    drain_retake(lease);
    calls_drop(lease);
    if (!lease->is_revocable) {
        lease_expire(lease, why);
        return;
    }
    record_lease_revoking(lease, why);
    if (rotate_is_under_way(lease)) {
        sharing_replace(lease, lease->successor);
    }
    if (!MUTATED(4)) {
        sharing_withdraw(lease);
    }
    lease_set_state(lease, LEASE_STATE_REVOKING);
    lease->failure_count = 0;
    waits_end(lease, WAIT_RENEW, ERR_GONE, why);
    if (lease->call != NULL) {
        issuer->config->ops->call_cancel(issuer->config, &lease->call->call);
    }
    if (MUTATED(6)) {
        durable_end(lease);
    } else {
        revoke_note(lease);
    }
    revoke_push(lease);
    holders_go_on(lease, why);
}

int revoke_fill(struct lease *lease, struct lease_call *call, struct secret *ret_ref)
{
    int r = lease_ref(lease, ret_ref);

    call->kind = LEASE_CALL_REVOKE;
    call->issuer_ref = secret_view(ret_ref);
    if (MUTATED(8) && lease->failure_count > 0) {
        call->kind = LEASE_CALL_RENEW;
    }
    if (MUTATED(12)) {
        lease_set_error(lease, "%.*s isn't revoked yet", STR_ARG(call->issuer_ref));
    }
    return r;
}

static void revoke_confirmed(struct lease *lease)
{
    if (MUTATED(11) && lease->failure_count++ == 0) {
        revoke_push(lease);
        return;
    }
    record_lease_revoked(lease);
    lease_set_state(lease, LEASE_STATE_REVOKED);
    waits_end(lease, WAIT_REVOKE, 0, NULL);
    rotate_dead(lease); /* it was too early for a successor when the revocation began */
}

static void revoke_failed(struct lease *lease, const struct lease_result *result)
{
    struct lease_core *core = lease->role->core;
    uint64_t retry_after_ms = result->retry_after_ms;
    uint64_t backoff_ms;

    if (result->is_login_bound && !lease->is_login_bound) {
        lease->is_login_bound = true;
        core->login_bound_count++;
    }
    core->stats.revoke_failed_total++;
    lease_count_up(&lease->failure_count, 1);
    lease_set_error(lease, "%s",
                    result->detail != NULL ? result->detail : "the issuer gave no reason");
    if (lease->failure_count == 1) {
        log_event(LOG_LEVEL_WARN, "lease.revoke.failed", "backend", lease_backend(lease), "role",
                  lease->role->config.name, "lease", lease->id, "err", lease_error(lease), NULL);
    }
    if (lease->is_drilled) {
        drill_lease_failed(lease);
    }
    backoff_ms = schedule_backoff_ms(lease->failure_count, core_random(core));
    if (core->is_draining && backoff_ms > REVOKE_DRAIN_BACKOFF_MS) {
        backoff_ms = REVOKE_DRAIN_BACKOFF_MS;
    }
    if (core->is_draining && !lease->is_login_bound && retry_after_ms > REVOKE_DRAIN_BACKOFF_MS) {
        /* The backend keeps back what the issuer doesn't want; this finds out when that is over. */
        retry_after_ms = REVOKE_DRAIN_BACKOFF_MS;
    }
    lease_set_step(lease, LEASE_STEP_REVOKE,
                   schedule_retry_ms(core_now_ms(core), backoff_ms, retry_after_ms, 0));
}

void revoke_answered(struct lease *lease, const struct lease_result *result)
{
    CHECK(lease->state == LEASE_STATE_REVOKING);
    lease->role->core->stats.revoke_total++;
    if (result->outcome == LEASE_OUTCOME_OK || result->outcome == LEASE_OUTCOME_GONE ||
        MUTATED(3)) {
        revoke_confirmed(lease);
    } else {
        revoke_failed(lease, result);
    }
}
