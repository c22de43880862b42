/* From a requested lease to an active one.
 *
 * Happy path: issue_check (is there budget?) → lease_new → issue_start queues → calls.c sends →
 * issue_answered: what came becomes a credential that holders may have, see issued.c.
 *
 * Failure paths. The issuer can't serve: an issue that somebody waits for is tried up to three
 * times, a successor's for as long as it is wanted. It refuses, the request is wrong, or the answer
 * was lost: the lease has failed. A lost answer is never asked for a second time, because the first
 * may have made a credential that nobody knows; that is logged and counted. Nobody waits any more:
 * a call in flight runs to its end and what it brings is revoked. */
#include "base/log.h"
#include "base/mem.h"
#include "base/mutant.h"
#include "lease/core_internal.h"

#include <inttypes.h>

#define ISSUE_TRIES_MAX 3U
#define ISSUE_PATIENCE_MS 10000U /* nobody waits for longer than this for a token */
#define ISSUE_PAUSE_MAX_MS                                                                         \
    1000U /* an issuer that wants a longer pause is down: who waits is told so at once */

/* Of secret memory, which is scarce, each call under way has a block of 512 bytes for it. */
#define ISSUE_REF_ROOM_BYTES 488U

/* --- before --- */

static uint64_t live_total(const struct lease_core *core)
{
    return core->lease_ids.count - core->lease_counts[LEASE_STATE_REVOKED] -
           core->lease_counts[LEASE_STATE_EXPIRED] - core->lease_counts[LEASE_STATE_UNCONFIRMED] -
           core->lease_counts[LEASE_STATE_FAILED];
}

static bool is_below_twice(uint64_t count, uint32_t max)
{
    return max == 0 || count < 2ULL * max || MUTATED(16);
}

bool issue_may_replace(const struct lease *lease)
{
    const struct lease_core *core = lease->role->core;

    return is_below_twice(live_total(core), core->options.leases_max) &&
           is_below_twice(lease->role->lease_count, lease->role->config.live_max) &&
           is_below_twice(lease->holder->account->lease_count, core->options.leases_per_uid);
}

/* Numbers that only the end of a lease changes. */
static int check_live(const struct role *role, struct err *e)
{
    const struct lease_core *core = role->core;
    const struct lease_role *config = &role->config;

    if (live_total(core) >= core->options.leases_max && !MUTATED(16)) {
        return err_set(e, ERR_LIMIT, "%" PRIu32 " leases are live, more are not allowed",
                       core->options.leases_max);
    }
    if (config->live_max > 0 && role->lease_count >= config->live_max) {
        return err_set(e, ERR_LIMIT, "role %s has %" PRIu32 " live leases, more are not allowed",
                       config->name, role->lease_count);
    }
    return 0;
}

/* Places and tokens that come back by themselves. */
static int check_queue(struct role *role, const struct holder *holder, uint64_t *ret_retry_after_ms,
                       struct err *e)
{
    struct queue_lane *lane = &role->source->lane;
    uint64_t caller = holder->account->caller;
    uint64_t wait_ms = queue_issue_wait_ms(lane, caller, core_now_ms(role->core));

    if (wait_ms > ISSUE_PATIENCE_MS) {
        *ret_retry_after_ms = wait_ms;
        return err_set(e, ERR_LIMIT, "the budget of issues for role %s is used up for now",
                       role->name);
    }
    if (!queue_has_room(lane->queue, caller)) {
        return err_set(e, ERR_LIMIT, "too many issues wait for backend %s",
                       role->source->issuer_name);
    }
    return 0;
}

/* How long the source's backend keeps issues back; 0: not at all. */
static uint64_t issuer_closed_ms(const struct source *source, struct err *e)
{
    struct lease_issuer *issuer = source->issuer->config;

    return issuer->ops->closed_ms != NULL ? issuer->ops->closed_ms(issuer, e) : 0;
}

int issue_check(struct role *role, struct holder *holder, uint64_t *ret_retry_after_ms,
                struct err *e)
{
    uint64_t closed_ms = issuer_closed_ms(role->source, e);
    uint64_t now_ms = core_now_ms(role->core);
    int r;

    if (closed_ms > 0) {
        *ret_retry_after_ms = closed_ms;
        return ERR_UNAVAILABLE;
    }
    r = check_live(role, e);
    if (r == 0) {
        r = account_check_leases(role->core, holder->account, e);
    }
    if (r == 0) {
        r = check_queue(role, holder, ret_retry_after_ms, e);
    }
    if (r != 0) {
        return r;
    }
    r = refusal_check(role->refusal, now_ms, ret_retry_after_ms, e);
    return r != 0 ? r : refusal_check(holder->refusal, now_ms, ret_retry_after_ms, e);
}

void issue_start(struct lease *lease)
{
    CHECK(lease->state == LEASE_STATE_REQUESTED && lease->call == NULL);
    if (calls_push(lease, QUEUE_ISSUE) != 0) {
        lease_set_step(lease, LEASE_STEP_ISSUE,
                       schedule_add_ms(core_now_ms(lease->role->core), SCHEDULE_FLOOR_MS));
    }
}

int issue_fill(struct lease *lease, struct lease_call *call)
{
    const struct lease_role *config = &lease->role->config;

    call->kind = LEASE_CALL_ISSUE;
    call->intend = intent_start;
    call->ttl_ms = lease_ttl_ms(lease);
    if (config->max_ttl_ms > 0 && call->ttl_ms > config->max_ttl_ms) {
        call->ttl_ms = config->max_ttl_ms;
    }
    call->caller = (struct lease_caller){
        .user = lease->holder->user,
        .unit = lease->holder->unit,
        .reason = lease->issuing->reason,
        .sans = lease->holder->sans,
        .uid = lease->holder->uid,
    };
    durable_note_budget(lease->role);
    return intent_room(lease->issuing, ISSUE_REF_ROOM_BYTES);
}

void issue_forget(struct lease *lease)
{
    struct lease_issuing *issuing = lease->issuing;

    if (issuing != NULL) {
        audit_write_forget(&issuing->write);
        durable_forget(issuing->durable);
        verify_forget(issuing->verify);
        secret_free(issuing->ref);
        mem_free(issuing->reason);
        mem_free(issuing);
        lease->issuing = NULL;
    }
}

/* --- failed --- */

static int status_of(enum lease_outcome outcome)
{
    switch (outcome) {
    case LEASE_OUTCOME_DENIED:
        return ERR_DENIED;
    case LEASE_OUTCOME_INVALID:
        return ERR_INVALID;
    default:
        return ERR_UNAVAILABLE;
    }
}

/* The state comes first: what ends because of it finds a lease that is over. */
static void issue_failed(struct lease *lease, const struct acquire_failure *failure)
{
    record_lease_failed(lease, failure->text);
    lease_set_state(lease, LEASE_STATE_FAILED);
    issue_forget(lease);
    acquire_fail_lease(lease, failure);
    waits_end(lease, WAIT_REVOKE, lease->is_lost ? ERR_UNAVAILABLE : 0,
              lease->is_lost ? failure->text : NULL);
    rotate_failed(lease);
}

static bool is_passing(enum lease_outcome outcome)
{
    return outcome == LEASE_OUTCOME_RETRY || outcome == LEASE_OUTCOME_SEALED ||
           (MUTATED(10) && outcome == LEASE_OUTCOME_LOST);
}

/* Worth waiting for, from where somebody waits? */
static bool is_tried_again(const struct lease *lease, const struct lease_result *result)
{
    if (!is_passing(result->outcome)) {
        return false;
    }
    if (lease->issuing->is_background) {
        return true;
    }
    return result->outcome == LEASE_OUTCOME_RETRY && lease->issuing->try_count < ISSUE_TRIES_MAX &&
           result->retry_after_ms <= ISSUE_PAUSE_MAX_MS;
}

static void issue_retry(struct lease *lease, const struct lease_result *result)
{
    struct lease_core *core = lease->role->core;
    uint64_t backoff_ms = schedule_backoff_ms(lease->failure_count, core_random(core));
    uint64_t when_ms = schedule_retry_ms(core_now_ms(core), backoff_ms, result->retry_after_ms, 0);

    lease_set_step(lease, LEASE_STEP_ISSUE, when_ms);
    if (lease->issuing->is_background) {
        struct acquire_failure failure = {
            .status = ERR_UNAVAILABLE,
            .retry_after_ms = when_ms - core_now_ms(core),
            .text = lease_error(lease),
        };

        acquire_fail_lease(lease, &failure);
        rotate_delayed(lease);
    }
}

static void issue_log(const struct lease *lease, const struct lease_result *result)
{
    bool is_lost = result->outcome == LEASE_OUTCOME_LOST;

    if (lease->failure_count == 1 || !is_passing(result->outcome)) {
        log_event(LOG_LEVEL_WARN, is_lost ? "lease.issue.lost" : "lease.issue.failed", "backend",
                  lease_backend(lease), "role", lease->role->config.name, "lease", lease->id, "err",
                  lease_error(lease), NULL);
    }
}

void issue_remember(struct lease *lease, struct acquire_failure *failure)
{
    struct refusal **place = &lease->role->refusal;
    uint64_t pause_ms;

    if (failure->status == ERR_UNAVAILABLE &&
        (failure->retry_after_ms == 0 || issuer_closed_ms(lease->role->source, NULL) > 0)) {
        return;
    }
    if (failure->status != ERR_UNAVAILABLE && lease->role->config.share != LEASE_SHARE_ROLE) {
        place = &lease->holder->refusal;
    }
    pause_ms = refusal_note(place, core_now_ms(lease->role->core), failure->status,
                            failure->retry_after_ms, failure->text);
    if (pause_ms > failure->retry_after_ms) {
        failure->retry_after_ms = pause_ms;
    }
}

static void issue_refused(struct lease *lease, const struct lease_result *result)
{
    struct acquire_failure failure = {.status = status_of(result->outcome),
                                      .retry_after_ms = result->retry_after_ms};

    lease->role->core->stats.issue_failed_total++;
    lease->issuing->try_count++;
    lease_count_up(&lease->failure_count, 1);
    lease->is_lost = result->outcome == LEASE_OUTCOME_LOST;
    lease_set_error(lease, "%s%s",
                    result->outcome == LEASE_OUTCOME_LOST
                        ? "the answer was lost, and a credential may have been issued: "
                        : "",
                    result->detail != NULL ? result->detail : "the issuer gave no reason");
    issue_log(lease, result);
    intent_left(lease, result);
    if (!lease_is_wanted(lease) || !is_tried_again(lease, result)) {
        failure.text = lease_error(lease);
        issue_remember(lease, &failure);
        issue_failed(lease, &failure);
        return;
    }
    issue_retry(lease, result);
}

/* --- answered --- */

void issue_answered(struct lease *lease, const struct lease_result *result)
{
    CHECK(lease->state == LEASE_STATE_REQUESTED);
    lease->role->core->stats.issue_total++;
    if (result->outcome == LEASE_OUTCOME_OK) {
        issue_accepted(lease, result);
    } else {
        issue_refused(lease, result);
    }
}

/* --- not wanted any more --- */

bool issue_is_under_way(const struct lease *lease)
{
    return lease->state == LEASE_STATE_REQUESTED ||
           (lease->is_unverified && fsm_lease_is_live(lease->state));
}

bool issue_is_backing_off(const struct lease *lease)
{
    return lease->state == LEASE_STATE_REQUESTED && lease->issuing->is_background &&
           lease->step == LEASE_STEP_ISSUE;
}

void issue_set_late(struct lease *lease)
{
    bool is_asked = lease->call != NULL || lease->is_unverified;

    if (is_asked && !lease_is_shared(lease) && !list_is_linked(&lease->by_state)) {
        list_push_back(&lease->holder->idle, &lease->by_state);
    }
    lease->issuing->is_late = is_asked;
}

void issue_forget_late(struct lease *lease)
{
    sharing_withdraw(lease);
    lease->issuing->is_late = false;
}

void issue_drop(struct lease *lease)
{
    if (lease->call != NULL) {
        return;
    }
    record_lease_failed(lease, "nobody waits for it any more");
    lease_set_state(lease, LEASE_STATE_FAILED);
    issue_forget(lease);
    rotate_failed(lease);
}
