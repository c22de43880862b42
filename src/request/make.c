/* New requests.
 *
 * Happy path: requests_make → it is written (change.c) → who waits is told → decided, used → a day
 * after, forgotten. Failure paths: too many of one user, or no room at all: refused. It can't be
 * written: it is gone again, and who waits is told why. */
#include "base/mem.h"
#include "request/request_internal.h"

#include <stdio.h>

static void id_make(struct env *env, char out[REQUEST_ID_BYTES + 1])
{
    static const char digits[] = "0123456789abcdef";
    unsigned char random[(REQUEST_ID_BYTES - 2) / 2];
    size_t i;

    env_random(env, random, sizeof(random));
    out[0] = 'q';
    out[1] = '-';
    for (i = 0; i < sizeof(random); i++) {
        out[2 + 2 * i] = digits[random[i] >> 4];
        out[3 + 2 * i] = digits[random[i] & 0x0f];
    }
    out[REQUEST_ID_BYTES] = '\0';
}

static void put(char *out, size_t size, const char *text)
{
    (void)snprintf(out, size, "%s", text != NULL ? text : "");
}

static void bindings_put(struct request *request, const struct request_ask *ask)
{
    char text[ACCESS_BINDING_TEXT_MAX_BYTES];
    size_t used = 0;
    size_t i;

    for (i = 0; i < ask->binding_count; i++) {
        used += (size_t)snprintf(request->bindings + used, sizeof(request->bindings) - used, "%s%s",
                                 i > 0 ? "," : "", access_binding_format(&ask->bindings[i], text));
        CHECK(used < sizeof(request->bindings));
    }
}

static void fill_asked(struct request *request, const struct request_making *making)
{
    const struct access_decision *decision = making->decision;
    const struct request_ask *ask = making->ask;

    put(request->role, sizeof(request->role), ask->role);
    put(request->backend, sizeof(request->backend), making->backend);
    put(request->reason, sizeof(request->reason), ask->reason);
    put(request->ticket, sizeof(request->ticket), ask->ticket);
    bindings_put(request, ask);
    put(request->rule, sizeof(request->rule), decision->rule);
    put(request->rule_digest, sizeof(request->rule_digest), decision->rule_digest);
    put(request->policy, sizeof(request->policy), making->policy_digest);
    request->duration_ms = decision->duration_ms;
    request->needed_count = decision->approval->count;
    request->use_within_ms = decision->approval->use_within_ms;
    request->is_break_glass = decision->is_break_glass;
}

static void fill_next(struct request *request, const struct access_approval *approval)
{
    struct env *env = request->requests->options.env;
    int64_t wall_ms = env_wall_ms(env);
    uint64_t now_ms = env_now_ms(env);
    struct request_standing *next = &request->next;

    request->created_wall_ms = wall_ms;
    *next = (struct request_standing){.state = REQUEST_PENDING,
                                      .until_ms = now_ms + approval->decide_within_ms};
    if (!request->is_break_glass) {
        request->decide_by_wall_ms = wall_ms + (int64_t)approval->decide_within_ms;
        return;
    }
    next->state = REQUEST_APPROVED;
    next->review = REQUEST_REVIEW_PENDING;
    next->use_by_ms = next->until_ms = now_ms + approval->use_within_ms;
    next->use_by_wall_ms = wall_ms + (int64_t)approval->use_within_ms;
}

/* Room for one more: what is over goes first, the oldest of it. */
static int room_make(struct requests *requests, struct err *e)
{
    struct list *node;
    struct list *following;

    if (map_count(&requests->by_id) < REQUESTS_MAX) {
        return 0;
    }
    LIST_EACH (&requests->by_age, node, following) {
        struct request *request = LIST_ENTRY(node, struct request, by_age);

        if (request_is_done(request) && !request->is_writing) {
            request_forget(request, ERR_GONE);
            return 0;
        }
    }
    return err_set(e, ERR_LIMIT, "there are %u requests already, and none of them is over",
                   REQUESTS_MAX);
}

/* Has it taken one of the last places? What is over makes room, and counts as room. */
static bool is_of_reserve(const struct requests *requests)
{
    const struct request *request = NULL;
    uint32_t count = 0;

    if (map_count(&requests->by_id) <= REQUESTS_MAX - REQUESTS_RESERVE) {
        return false;
    }
    while ((request = requests_next(requests, request)) != NULL) {
        count += request_is_done(request) ? 0 : 1;
    }
    return count > REQUESTS_MAX - REQUESTS_RESERVE;
}

static int limits_check(const struct request *request, struct err *e)
{
    if (request->needed_count > REQUEST_APPROVALS_MAX) {
        return err_set(e, ERR_LIMIT, "the rule %s asks for more than %d approvals", request->rule,
                       REQUEST_APPROVALS_MAX);
    }
    if (request->asker->open_count > REQUESTS_OPEN_MAX) {
        return err_set(e, ERR_LIMIT,
                       "you have %u requests already that aren't decided, used or reviewed",
                       REQUESTS_OPEN_MAX);
    }
    if (request->asker->open_count > REQUESTS_OPEN_FEW && is_of_reserve(request->requests)) {
        return err_set(e, ERR_LIMIT,
                       "the last %u requests that there may be are for users who have no more than "
                       "%u that aren't decided, used or reviewed",
                       REQUESTS_RESERVE, REQUESTS_OPEN_FEW);
    }
    return 0;
}

int requests_make(struct requests *requests, const struct request_making *making,
                  struct request **ret_request, struct err *e)
{
    struct request *request;
    struct request_event event = {.event = "request.created",
                                  .listener = making->listener,
                                  .api = making->api};
    int r = room_make(requests, e);

    if (r != 0) {
        return r;
    }
    request = request_alloc(requests);
    if (request == NULL) {
        return err_set(e, ERR_NOMEM, "%s", err_str(ERR_NOMEM));
    }
    id_make(requests->options.env, request->id);
    fill_asked(request, making);
    fill_next(request, making->decision->approval);
    request->now = request->next;
    event.outcome = request->is_break_glass ? "break-glass" : "ok";
    r = request_set_identity(request, making->ask->identity);
    if (r == 0) {
        r = request_join(request);
    }
    if (r == 0) {
        r = limits_check(request, e);
    }
    if (r == 0) {
        r = change_start(request, &event);
    }
    if (r != 0) {
        request_discard(request);
        return r == ERR_LIMIT ? r : err_set(e, r, "%s", err_str(r));
    }
    *ret_request = request;
    return 0;
}
