/* From an issuer's credential to one that holders may have.
 *
 * Happy path: issue_accepted: the credential is packed, the lease is active, lease.issued is queued
 * → issue_arrived: the record and the lease's place in the ledger are durable; where its role wants
 * it tried out, verify.c does that and the ledger is told once more → issue_done: holders may have
 * it; a successor replaces its predecessor now.
 *
 * Failure paths. It can't be handed out, the record can't be written, or the credential doesn't
 * work: it is revoked, who waits is told, and its predecessor serves on. The lease has ended
 * meanwhile: nobody gets it. */
#include "base/log.h"
#include "base/mutant.h"
#include "lease/core_internal.h"

#include <string.h>

#define UNVERIFIED_PAUSE_LEAST_MS 5000U

/* An active lease whose credential nobody gets. */
static void issue_withdraw(struct lease *lease, const struct acquire_failure *failure)
{
    lease->issuing->failure = failure;
    if (fsm_lease_is_live(lease->state)) {
        revoke_start(lease, failure->text); /* which comes back to issue_overtaken */
    } else {
        issue_overtaken(lease, failure->text);
    }
}

void issue_overtaken(struct lease *lease, const char *why)
{
    struct acquire_failure failure = {.status = ERR_UNAVAILABLE,
                                      .retry_after_ms = SCHEDULE_FLOOR_MS,
                                      .text = why};

    bool is_withdrawn = lease->issuing != NULL && lease->issuing->failure != NULL;

    if (is_withdrawn) {
        failure = *lease->issuing->failure;
    }
    if (lease->last_error == NULL) {
        lease_set_error(lease, "%s", why);
    }
    if (lease->issuing == NULL || lease->issuing->ref_len == 0) {
        issue_forget(lease); /* else what to revoke stands there */
    }
    acquire_fail_lease(lease, &failure);
    /* From here on it is nobody's successor, and isn't replaced itself. */
    if (is_withdrawn) {
        rotate_failed(lease);
    } else {
        rotate_overtaken(lease);
    }
}

static void issue_unrecorded(struct lease *lease, int status)
{
    struct acquire_failure failure = {
        .status = ERR_IO,
        .text = "its record could not be written, so no credential leaves",
    };

    log_event(LOG_LEVEL_WARN, "lease.issue.unrecorded", "lease", lease->id, "err", err_str(status),
              NULL);
    lease_set_error(lease, "%s", failure.text);
    issue_withdraw(lease, &failure);
}

static void issue_done(struct lease *lease)
{
    bool is_late = lease->issuing->is_late;

    lease->is_recorded = true;
    if (fsm_lease_is_live(lease->state)) {
        rotate_done(lease);
        acquire_wake_lease(lease);
    }
    issue_forget(lease); /* unless the lease has ended just now, and with it this */
    (void)drain_leave(lease);
    if (is_late && lease->state == LEASE_STATE_ACTIVE && !lease_is_wanted(lease)) {
        settle_late(lease);
    }
    core_touch(lease->role->core);
}

void issue_arrived(struct lease_issuing *issuing, int status)
{
    struct lease *lease = issuing->lease;

    if (status != 0) {
        issue_unrecorded(lease, status);
        return;
    }
    if (--issuing->unwritten_count > 0 && !MUTATED(7)) {
        return;
    }
    if (lease->is_unverified) {
        status = verify_start(lease);
        if (status != 0) {
            lease_set_error(lease, "could not be verified: %s", err_str(status));
            issue_unverified(lease);
        }
        return;
    }
    issue_done(lease);
}

static void issue_durable(void *owner, int status)
{
    struct lease_issuing *issuing = OBJ_CAST(owner, struct lease_issuing, ISSUING_MAGIC);

    issuing->durable = NULL;
    issue_arrived(issuing, status);
}

static int issue_keep(struct lease *lease)
{
    struct env_ledger *ledger = lease->role->core->ledger;
    int r = ledger != NULL ? durable_put(lease) : 0;

    if (r == 0 && ledger != NULL) {
        r = durable_wait(ledger, &lease->role->core->durables, issue_durable, lease->issuing,
                         &lease->issuing->durable);
    }
    return r;
}

void issue_verified(struct lease *lease)
{
    struct lease_issuing *issuing = lease->issuing;
    int r;

    lease->role->core->stats.verify_total++;
    lease_clear_error(lease);
    lease->is_unverified = false;
    verify_forget(issuing->verify);
    issuing->verify = NULL;
    r = issue_keep(lease);
    if (r != 0) {
        issue_unrecorded(lease, r);
        return;
    }
    issuing->unwritten_count = 1;
    if (issuing->durable == NULL) {
        issue_arrived(issuing, 0);
    }
}

void issue_unverified(struct lease *lease)
{
    uint64_t timeout_ms = lease->role->config.verify_timeout_ms;
    /* Each costs a credential, so the next one comes after a pause as long as this one took. */
    struct acquire_failure failure = {
        .status = ERR_UNAVAILABLE,
        .retry_after_ms =
            timeout_ms > UNVERIFIED_PAUSE_LEAST_MS ? timeout_ms : UNVERIFIED_PAUSE_LEAST_MS,
        .text = lease_error(lease),
    };

    lease->role->core->stats.verify_total++;
    lease->role->core->stats.verify_failed_total++;
    log_event(LOG_LEVEL_WARN, "lease.verify.failed", "backend", lease_backend(lease), "role",
              lease->role->config.name, "lease", lease->id, "err", failure.text, NULL);
    issue_remember(lease, &failure);
    issue_withdraw(lease, &failure);
}

static void issue_written(struct audit_write *write, int status)
{
    issue_arrived(OBJ_CAST(write->user, struct lease_issuing, ISSUING_MAGIC), status);
}

static void issue_record(struct lease *lease)
{
    struct lease_issuing *issuing = lease->issuing;
    int r;

    issuing->write.fn = issue_written;
    issuing->write.user = issuing;
    issuing->unwritten_count = 1;
    r = record_lease_issued(lease, &issuing->write);
    if (r != 0) {
        record_lease_issued_late(lease);
    } else {
        r = issue_keep(lease); /* not before: the next start goes on with what it finds there */
        issuing->unwritten_count += issuing->durable != NULL ? 1 : 0;
    }
    if (r != 0) {
        issue_unrecorded(lease, r);
        return;
    }
    if (!lease_is_wanted(lease) && !issuing->is_late) {
        lease_settle(lease, GRANT_END_FAILED);
        return;
    }
    lease_plan(lease);
    acquire_wake_lease(lease);
}

static int issue_pack(struct lease *lease, const struct lease_result *result)
{
    size_t room = LEASE_FIELDS_MAX - lease->role->config.attribute_count;

    return result->field_count <= room ? lease_seal(lease, result) : ERR_TOO_LARGE;
}

/* The reference, or what is on record since before: it ends the same. */
static void issue_keep_ref(struct lease *lease, struct str ref)
{
    struct lease_issuing *issuing = lease->issuing;

    if (ref.len > LEASE_ISSUER_REF_MAX_BYTES) {
        ref.len = LEASE_ISSUER_REF_MAX_BYTES; /* its issuer won't know this */
    }
    if (intent_room(issuing, ref.len) == 0) {
        memcpy(issuing->ref, ref.ptr != NULL ? ref.ptr : "", ref.len);
        issuing->ref_len = ref.len;
    } else {
        issuing->ref_len = issuing->intent_len;
    }
    lease->is_revocable = lease->is_revocable && issuing->ref_len > 0;
}

/* What came can't be handed out: too much of it, no memory for it, no life left. Its reference has
 * room, so it can be revoked. */
static void issue_unusable(struct lease *lease, const struct lease_result *result, int status)
{
    struct acquire_failure failure = {.status = ERR_UNAVAILABLE,
                                      .text = "the issuer's answer can't be used"};

    log_event(LOG_LEVEL_ERROR, "lease.issue.unusable", "backend", lease_backend(lease), "role",
              lease->role->config.name, "err", err_str(status), NULL);
    lease_set_error(lease, "%s: %s", failure.text, err_str(status));
    issue_keep_ref(lease, result->issuer_ref);
    lease_set_life(lease, result);
    lease_set_state(lease, LEASE_STATE_ACTIVE);
    durable_note(lease);
    record_lease_issued_late(lease);
    acquire_fail_lease(lease, &failure);
    rotate_failed(lease); /* before it is revoked, as above */
    if (fsm_lease_is_live(lease->state)) {
        revoke_start(lease, failure.text);
    }
}

void issue_accepted(struct lease *lease, const struct lease_result *result)
{
    int r = issue_pack(lease, result);

    lease->is_revocable = result->is_revocable && result->issuer_ref.len > 0;
    lease->anchor = result->anchor;
    lease->refresh_ms = result->refresh_ms;
    lease->failure_count = 0;
    refusal_forget(&lease->role->refusal);
    refusal_forget(&lease->holder->refusal);
    if (r == 0 && result->lifetime_ms == 0) {
        r = ERR_INVALID;
    }
    if (r != 0) {
        issue_unusable(lease, result, r);
        return;
    }
    lease_set_life(lease, result);
    lease->is_unverified = lease->role->config.verify_json != NULL && !MUTATED(23);
    lease_set_state(lease, LEASE_STATE_ACTIVE);
    issue_record(lease);
}
