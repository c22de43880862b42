/* Requests into the ledger, and back.
 *
 * Happy path: what is in memory is in the ledger; the next daemon finds it, and its times are those
 * that it had. Failure paths: a record that can't be read stays where it is, and nothing is given
 * by it. The machine has booted since: the wall clock counts, but never for longer than was left.
 */
#include "access/identity_record.h"
#include "base/log.h"
#include "base/mem.h"
#include "request/request_internal.h"
#include "wire/ledger_clock.h"
#include "wire/ledger_request.h"

#include <stdio.h>

static_assert(REQUEST_APPROVALS_MAX == LEDGER_APPROVALS_MAX, "each has its place");

/* --- there --- */

/* By the clock on the wall as it is now: it may have been set since the time was told to anybody.
 */
static int64_t wall_of(const struct request *request, uint64_t when_ms)
{
    struct env *env = request->requests->options.env;

    return env_wall_ms(env) + ((int64_t)when_ms - (int64_t)env_now_ms(env));
}

static void fill(const struct request *request, const struct request_standing *standing,
                 struct ledger_request *ret_record)
{
    struct env *env = request->requests->options.env;
    size_t i;

    *ret_record = (struct ledger_request){
        REQUEST_TOLD(request, standing),
        .gid = request->identity.gid,
        .pid = request->identity.pid > 0 ? (uint32_t)request->identity.pid : 0,
        .policy = request->policy,
        .use_within_ms = request->use_within_ms,
        .state = request_state_str(standing->state),
        .review = request_review_str(standing->review),
        .clock = {.written_wall_ms = env_wall_ms(env),
                  .written_ms = (int64_t)env_now_ms(env),
                  .boot = env_boot_id(env)},
    };
    if (standing->state == REQUEST_PENDING) {
        ret_record->decide_by_wall_ms = wall_of(request, standing->until_ms);
    }
    if (standing->use_by_ms != 0) {
        ret_record->use_by_wall_ms = wall_of(request, standing->use_by_ms);
    }
    for (i = 0; i < standing->approval_count; i++) {
        ret_record->approvals[i] = (struct ledger_approval){REQUEST_VOTE_TOLD(request->votes[i]),
                                                            .voter = request->votes[i]->marks};
    }
    access_identity_record(&request->identity, &ret_record->holder);
}

int durable_put_request(struct request *request, const struct request_standing *standing)
{
    struct env_ledger *ledger = request->requests->options.ledger;
    char groups[ACCESS_GROUPS_TEXT_MAX_BYTES];
    struct ledger_request record;
    BUF_AUTO claims;
    BUF_AUTO body;
    int r = 0;

    buf_init(&claims, ACCESS_CLAIMS_TEXT_MAX_BYTES);
    buf_init(&body, ENV_LEDGER_BODY_MAX_BYTES);
    if (ledger == NULL) {
        return 0;
    }
    fill(request, standing, &record);
    record.groups = access_identity_groups(&request->identity, groups);
    if (request->claims != NULL) {
        r = access_claims_write(request->claims, &claims);
        record.holder.claims = r == 0 ? buf_str(&claims).ptr : "";
    }
    if (r == 0) {
        r = ledger_request_write(&record, &body);
    }
    return r == 0 ? env_ledger_put(ledger, ENV_LEDGER_REQUEST, str_of(request->id), buf_str(&body))
                  : r;
}

void durable_note_request(struct request *request)
{
    int r = durable_put_request(request, &request->now);

    if (r != 0) {
        log_event(LOG_LEVEL_WARN, "ledger.unrecorded", "request", request->id, "err", err_str(r),
                  NULL);
    }
}

void durable_remove_request(struct request *request)
{
    struct env_ledger *ledger = request->requests->options.ledger;
    int r = ledger != NULL ? env_ledger_remove(ledger, ENV_LEDGER_REQUEST, str_of(request->id)) : 0;

    if (r != 0) {
        log_event(LOG_LEVEL_WARN, "ledger.unremoved", "request", request->id, "err", err_str(r),
                  NULL);
    }
}

/* --- and back --- */

static bool take(char *place, size_t size, const char *text)
{
    size_t len = strlen(text);

    if (len >= size) {
        return false;
    }
    memcpy(place, text, len + 1);
    return true;
}

static bool take_texts(struct request *request, const struct ledger_request *record)
{
    struct request_standing *now = &request->now;

    return take(request->role, sizeof(request->role), record->role) &&
           take(request->backend, sizeof(request->backend), record->backend) &&
           take(request->reason, sizeof(request->reason), record->reason) &&
           take(request->ticket, sizeof(request->ticket), record->ticket) &&
           take(request->bindings, sizeof(request->bindings), record->bindings) &&
           take(request->rule, sizeof(request->rule), record->rule) &&
           take(request->rule_digest, sizeof(request->rule_digest), record->rule_digest) &&
           take(request->policy, sizeof(request->policy), record->policy) &&
           take(now->why, sizeof(now->why), record->why) &&
           take(now->grant, sizeof(now->grant), record->grant) &&
           fsm_request_find(record->state, &now->state) == 0 &&
           fsm_review_find(record->review, &now->review) == 0;
}

static int take_votes(struct request *request, const struct ledger_request *record)
{
    size_t i;

    for (i = 0; i < record->approval_count; i++) {
        const struct ledger_approval *approval = &record->approvals[i];
        struct request_vote *vote = mem_calloc(1, sizeof(*vote));

        request->votes[i] = vote;
        if (vote == NULL) {
            return ERR_NOMEM;
        }
        if (!take(vote->who, sizeof(vote->who), approval->who) ||
            !take(vote->marks, sizeof(vote->marks), approval->voter) ||
            !take(vote->comment, sizeof(vote->comment), approval->comment)) {
            return ERR_INVALID;
        }
        vote->at_wall_ms = approval->at_wall_ms;
        request->now.approval_count++;
    }
    return 0;
}

/* A time of the record in our clock, but never later than it was away when the record was written:
 * the wall clock of another boot may be behind. */
static uint64_t when_ms(const struct request *request, const struct ledger_clock *clock,
                        int64_t wall_ms)
{
    struct env *env = request->requests->options.env;
    const struct ledger_now now = {.now_ms = env_now_ms(env),
                                   .wall_ms = env_wall_ms(env),
                                   .boot = env_boot_id(env)};
    uint64_t when = ledger_clock_past_ms(clock, &now, wall_ms);
    int64_t left_ms = wall_ms - clock->written_wall_ms;
    uint64_t latest_ms = now.now_ms + (left_ms > 0 ? (uint64_t)left_ms : 0);

    return when < latest_ms ? when : latest_ms;
}

static void take_times(struct request *request, const struct ledger_request *record)
{
    struct request_standing *now = &request->now;

    request->created_wall_ms = record->created_wall_ms;
    request->decide_by_wall_ms = record->decide_by_wall_ms;
    now->use_by_wall_ms = record->use_by_wall_ms;
    now->ended_wall_ms = record->ended_wall_ms;
    now->use_by_ms = when_ms(request, &record->clock, record->use_by_wall_ms);
    if (now->state == REQUEST_PENDING) {
        now->until_ms = when_ms(request, &record->clock, record->decide_by_wall_ms);
    } else if (now->state == REQUEST_APPROVED) {
        now->until_ms = now->use_by_ms;
    } else {
        now->until_ms = env_now_ms(request->requests->options.env) + REQUESTS_KEPT_MS;
    }
}

static int take_identity(struct request *request, const struct ledger_request *record)
{
    struct access_identity identity;
    struct access_claims *claims = NULL;
    int r = access_identity_recover(&record->holder, &identity, &claims);

    if (r == 0) {
        r = access_identity_recover_groups(str_of(record->groups), &identity);
    }
    if (r == 0) {
        identity.gid = record->gid;
        identity.pid = (int32_t)record->pid;
        identity.env = request->requests->options.env;
        r = request_set_identity(request, &identity);
    }
    access_claims_free(claims);
    return r;
}

static int take_record(struct request *request, const struct ledger_request *record)
{
    int r = take_texts(request, record) ? take_identity(request, record) : ERR_INVALID;

    if (r == 0) {
        r = take_votes(request, record);
    }
    take_times(request, record);
    request->duration_ms = record->duration_ms;
    request->needed_count = record->needed_count;
    request->use_within_ms = record->use_within_ms;
    request->is_break_glass = record->is_break_glass;
    request->is_written = true;
    return r;
}

int requests_recover(struct requests *requests, struct str id, struct str body, struct err *e)
{
    struct ledger_request record;
    struct request *request;
    int r = ledger_request_read(body, &record, e);

    if (r != 0) {
        return r;
    }
    request = request_alloc(requests);
    if (request == NULL) {
        return err_set(e, ERR_NOMEM, "%s", err_str(ERR_NOMEM));
    }
    r = id.len == REQUEST_ID_BYTES ? take_record(request, &record) : ERR_INVALID;
    if (r == 0) {
        memcpy(request->id, id.ptr, id.len);
        r = request_join(request);
    }
    if (r != 0) {
        request_discard(request);
        return err_set(e, r, "%s", r == ERR_INVALID ? "it is no request of ours" : err_str(r));
    }
    return 0;
}

void requests_recovered(struct requests *requests, const struct access_policy *policy)
{
    const struct requests_options *options = &requests->options;
    struct request *request = NULL;

    while ((request = requests_next(requests, request)) != NULL) {
        change_schedule(request);
        /* The last daemon may have died between the word and what follows of it. */
        if (request->now.review == REQUEST_REVIEW_DENIED && request->now.grant[0] != '\0') {
            options->grant_end(options->user, request->now.grant);
        }
    }
    requests_set_policy(requests, policy);
}
