/* The one way from one state to the next.
 *
 * Happy path: change_begin → `next` is changed → change_start: into the ledger, and a record of it
 * into the trail, in one commit → it is there: `next` is `now`, and who waits is told. Failure
 * paths: it can't be queued: nothing has happened. It isn't there in time: it doesn't count; what
 * was before is put behind it, and the trail says so. The daemon dies meanwhile: the next one finds
 * the one or the other, and nobody was told.
 *
 * What time does needs no disk: it counts at once, and would happen again after a restart. */
#include "request/request_internal.h"

#include "access/identity_record.h"
#include "base/mutant.h"

#include <stdio.h>

#define STALE_TEXT "the rule that asked for the approval was changed or taken out"

/* --- the trail --- */

static int64_t until_of(const struct request *request)
{
    switch (request->next.state) {
    case REQUEST_PENDING:
        return request->decide_by_wall_ms;
    case REQUEST_APPROVED:
        return request->next.use_by_wall_ms;
    default:
        return 0;
    }
}

/* Of `next`. The texts of it and of `names` are borrowed. */
static void record_fill(const struct request *request, const struct request_event *event,
                        const char *names[REQUEST_APPROVALS_MAX], struct audit_record *ret_record)
{
    const struct access_policy *policy = request->requests->options.policy;
    size_t i;

    for (i = 0; i < request->next.approval_count; i++) {
        names[i] = request->votes[i]->who;
    }
    *ret_record = (struct audit_record){
        .event = event->event,
        .outcome = event->outcome,
        .listener = event->listener,
        .api = event->api,
        .request = request->id,
        .role = request->role,
        .backend = request->backend,
        .grant = str_or_null(request->next.grant),
        .binding = str_or_null(request->bindings),
        .until_wall_ms = until_of(request),
        .reason = str_or_null(request->reason),
        .ticket = str_or_null(request->ticket),
        .approvers = names,
        .approver_count = request->next.approval_count,
        .comment = event->comment,
        .policy_digest = access_policy_digest(policy),
        .policy_rule = request->rule,
        .has_ttl = request->duration_ms > 0,
        .ttl_ms = request->duration_ms,
        .error = str_or_null(request->next.why),
    };
    access_identity_tell(event->identity != NULL ? event->identity : &request->identity,
                         ret_record);
}

static void note_event(struct request *request, const struct request_event *event)
{
    const char *names[REQUEST_APPROVALS_MAX];
    struct audit_record record;

    record_fill(request, event, names, &record);
    audit_record_note(request->requests->options.audit, &record);
}

/* --- time --- */

static void timer_due(struct env_timer *timer);

void change_schedule(struct request *request)
{
    request->timer.fn = timer_due;
    request->timer.user = request;
    env_timer_arm(request->requests->options.env, &request->timer, request->now.until_ms);
}

static void keep_on(struct request *request)
{
    request->now.until_ms = env_now_ms(request->requests->options.env) + REQUESTS_KEPT_MS;
    change_schedule(request);
}

static void expire(struct request *request)
{
    const struct request_event event = {.event = "request.expired", .outcome = "ok"};

    change_begin(request);
    change_end(request, REQUEST_EXPIRED,
               request->now.state == REQUEST_PENDING ? "nobody decided in time"
                                                     : "the approval was not used in time");
    /* Nobody has had anything by it. */
    request->next.review = REQUEST_REVIEW_NONE;
    change_note(request, &event); /* request may be gone */
}

/* It has been kept for long enough. */
static void let_go(struct request *request)
{
    if (request_is_done(request)) {
        request_forget(request, ERR_GONE);
    } else {
        keep_on(request);
    }
}

static void timer_due(struct env_timer *timer)
{
    struct request *request = OBJ_CAST(timer->user, struct request, REQUEST_MAGIC);

    if (request->is_writing) {
        return; /* written arms it again */
    }
    if (MUTATED(39) && request->now.state == REQUEST_APPROVED) {
        return;
    }
    if (fsm_request_is_open(request->now.state)) {
        expire(request);
    } else {
        let_go(request);
    }
}

/* --- changing --- */

void change_begin(struct request *request)
{
    request->next = request->now;
}

void change_end(struct request *request, enum request_state state, const char *why)
{
    struct env *env = request->requests->options.env;
    struct request_standing *next = &request->next;

    next->state = state;
    next->until_ms = env_now_ms(env) + REQUESTS_KEPT_MS;
    next->ended_wall_ms = env_wall_ms(env);
    (void)snprintf(next->why, sizeof(next->why), "%s", why);
}

/* Everything that happens to a state happens here. */
static void apply(struct request *request)
{
    struct request_asker *asker = request->asker;

    CHECK(request->now.state == request->next.state ||
          fsm_request_may(request->now.state, request->next.state));
    asker->open_count -= request_is_open(&request->now) ? 1 : 0;
    request->now = request->next;
    asker->open_count += request_is_open(&request->now) ? 1 : 0;
    change_schedule(request);
}

/* What isn't used yet is for a rule that the policy has. False: it isn't, and has ended. */
static bool rule_check(struct request *request)
{
    const struct request_event event = {.event = "request.expired", .outcome = "stale"};

    if (!fsm_request_is_open(request->now.state) ||
        access_policy_has_rule(request->requests->options.policy, request->rule_digest)) {
        return true;
    }
    change_begin(request);
    change_end(request, REQUEST_STALE, STALE_TEXT);
    request->next.review = REQUEST_REVIEW_NONE;
    change_note(request, &event); /* request may be gone */
    return false;
}

/* What was on its way to disk may be there or not; what is put behind it counts. */
static void unwritten(struct request *request, int status)
{
    struct request_event event = {.event = "request.expired", .outcome = "failed"};

    if (!request->is_written) {
        change_end(request, REQUEST_EXPIRED, "it could not be put on record");
        note_event(request, &event);
        request_forget(request, status);
        return;
    }
    durable_note_request(request);
    change_begin(request);
    event.event = "request.unchanged";
    note_event(request, &event);
    change_schedule(request);
    request_wake(request, status);
}

static void written(struct audit_write *write, int status)
{
    struct request *request = OBJ_CAST(write->user, struct request, REQUEST_MAGIC);

    request->is_writing = false;
    if (status != 0) {
        unwritten(request, status);
        return;
    }
    request->is_written = true;
    apply(request);
    if (rule_check(request)) {
        request_wake(request, 0);
    }
}

int change_start(struct request *request, const struct request_event *event)
{
    const char *names[REQUEST_APPROVALS_MAX];
    struct audit_record record;
    int r;

    CHECK(!request->is_writing);
    r = durable_put_request(request, MUTATED(40) ? &request->now : &request->next);
    if (r != 0) {
        return r == ERR_NOMEM ? r : ERR_IO;
    }
    record_fill(request, event, names, &record);
    request->write = (struct audit_write){.fn = written, .user = request};
    r = audit_record_write(request->requests->options.audit, &record, &request->write);
    if (r != 0) {
        if (request->is_written) {
            durable_note_request(request);
        } else {
            durable_remove_request(request);
        }
        return r == ERR_NOMEM ? r : ERR_IO;
    }
    request->is_writing = true;
    return 0;
}

void change_apply(struct request *request)
{
    CHECK(!request->is_writing);
    apply(request);
    request_wake(request, 0);
}

void change_note(struct request *request, const struct request_event *event)
{
    note_event(request, event);
    CHECK(!request->is_writing);
    apply(request);
    durable_note_request(request);
    request_wake(request, 0);
}

void requests_set_policy(struct requests *requests, const struct access_policy *policy)
{
    struct request *request = requests_next(requests, NULL);

    requests->options.policy = policy;
    while (request != NULL) {
        struct request *next = requests_next(requests, request);

        if (!request->is_writing && !MUTATED(45)) {
            (void)rule_check(request);
        }
        request = next;
    }
}
