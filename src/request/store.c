/* Requests: where they are kept, by whom they are, who waits for them. */
#include "base/mem.h"
#include "request/request_internal.h"

#include <stdio.h>

/* --- life --- */

int requests_new(const struct requests_options *options, struct requests **ret_requests,
                 struct err *e)
{
    struct requests *requests = mem_calloc(1, sizeof(*requests));
    uint64_t seed;

    if (requests == NULL) {
        return err_set(e, ERR_NOMEM, "%s", err_str(ERR_NOMEM));
    }
    requests->options = *options;
    env_random(options->env, &seed, sizeof(seed));
    map_init(&requests->by_id, seed);
    map_init(&requests->askers, seed);
    list_init(&requests->by_age);
    *ret_requests = requests;
    return 0;
}

static struct request *request_of(struct list *by_age)
{
    return LIST_ENTRY(by_age, struct request, by_age);
}

void requests_free(struct requests *requests)
{
    if (requests == NULL) {
        return;
    }
    while (!list_is_empty(&requests->by_age)) {
        request_discard(request_of(requests->by_age.next));
    }
    map_fini(&requests->by_id);
    map_fini(&requests->askers);
    mem_free(requests);
}

struct request *request_alloc(struct requests *requests)
{
    struct request *request = mem_calloc(1, sizeof(*request));

    if (request != NULL) {
        request->magic = REQUEST_MAGIC;
        request->requests = requests;
        list_init(&request->waits);
    }
    return request;
}

bool request_is_open(const struct request_standing *standing)
{
    return fsm_request_is_open(standing->state) || standing->review == REQUEST_REVIEW_PENDING;
}

bool request_is_done(const struct request *request)
{
    const struct requests_options *options = &request->requests->options;

    return !request_is_open(&request->now) &&
           (request->now.state != REQUEST_USED ||
            !options->grant_lives(options->user, request->now.grant));
}

static void asker_leave(struct request *request)
{
    struct request_asker *asker = request->asker;

    if (asker == NULL) {
        return;
    }
    asker->open_count -= request_is_open(&request->now) ? 1 : 0;
    list_remove(&request->by_asker);
    if (list_is_empty(&asker->requests)) {
        map_remove(&request->requests->askers, &asker->entry);
        mem_free(asker);
    }
}

void request_discard(struct request *request)
{
    struct requests *requests = request->requests;
    size_t i;

    if (request->is_writing) {
        audit_write_forget(&request->write);
    }
    env_timer_disarm(requests->options.env, &request->timer);
    while (!list_is_empty(&request->waits)) {
        list_remove(request->waits.next);
    }
    asker_leave(request);
    if (list_is_linked(&request->by_age)) {
        map_remove(&requests->by_id, &request->by_id);
        list_remove(&request->by_age);
    }
    for (i = 0; i < REQUEST_APPROVALS_MAX; i++) {
        mem_free(request->votes[i]);
    }
    access_claims_free(request->claims);
    mem_free(request);
}

void request_forget(struct request *request, int status)
{
    durable_remove_request(request);
    request->now.state = REQUEST_STALE; /* nobody goes on waiting for a decision */
    request_wake(request, status);
    request_discard(request);
}

/* --- by whom --- */

const char *asker_key(const struct access_identity *identity, char out[ACCESS_KEY_MAX_BYTES])
{
    if (identity->uid == ENV_NO_ID) {
        return access_identity_key(identity, out);
    }
    (void)snprintf(out, ACCESS_KEY_MAX_BYTES, "uid:%u", identity->uid);
    return out;
}

static struct request_asker *asker_get(struct requests *requests, const char *key)
{
    struct map_entry *entry = map_find(&requests->askers, str_of(key));
    struct request_asker *asker;
    size_t size = strlen(key) + 1;

    if (entry != NULL) {
        return MAP_ENTRY(entry, struct request_asker, entry);
    }
    asker = mem_calloc(1, sizeof(*asker) + size);
    if (asker == NULL) {
        return NULL;
    }
    memcpy(asker->key, key, size);
    list_init(&asker->requests);
    if (map_add(&requests->askers, &asker->entry, str_of(asker->key)) != 0) {
        mem_free(asker);
        return NULL;
    }
    return asker;
}

/* By age; those of the ledger come in the order of their ids. */
static void join_by_age(struct request *request)
{
    struct list *before = request->requests->by_age.prev;

    while (before != &request->requests->by_age &&
           request_of(before)->created_wall_ms > request->created_wall_ms) {
        before = before->prev;
    }
    list_push_front(before, &request->by_age);
}

int request_join(struct request *request)
{
    struct requests *requests = request->requests;
    char key[ACCESS_KEY_MAX_BYTES];
    struct request_asker *asker;
    int r = map_add(&requests->by_id, &request->by_id, str_of(request->id));

    if (r != 0) {
        return r;
    }
    asker = asker_get(requests, asker_key(&request->identity, key));
    if (asker == NULL) {
        map_remove(&requests->by_id, &request->by_id);
        return ERR_NOMEM;
    }
    request->asker = asker;
    list_push_back(&asker->requests, &request->by_asker);
    asker->open_count += request_is_open(&request->now) ? 1 : 0;
    join_by_age(request);
    return 0;
}

int request_set_identity(struct request *request, const struct access_identity *identity)
{
    request->identity = *identity;
    (void)access_identity_key(identity, request->key);
    (void)snprintf(request->listener, sizeof(request->listener), "%s",
                   identity->listener != NULL ? identity->listener : "");
    request->identity.listener = request->listener;
    request->identity.claims = NULL;
    if (identity->claims != NULL) {
        request->claims = access_claims_dup(identity->claims);
        request->identity.claims = request->claims;
        return request->claims != NULL ? 0 : ERR_NOMEM;
    }
    return 0;
}

/* --- waiting --- */

static bool has_come(const struct request *request, const struct request_wait *wait)
{
    return !request->is_writing && request->is_written &&
           (!wait->is_for_decision || request->now.state != REQUEST_PENDING);
}

bool request_wait_start(struct request *request, struct request_wait *wait)
{
    if (has_come(request, wait)) {
        return false;
    }
    list_push_back(&request->waits, &wait->node);
    return true;
}

void request_wait_stop(struct request_wait *wait)
{
    list_remove(&wait->node);
}

void request_wake(struct request *request, int status)
{
    struct list told;
    struct list *node;
    struct list *following;

    list_init(&told);
    LIST_EACH (&request->waits, node, following) {
        struct request_wait *wait = LIST_ENTRY(node, struct request_wait, node);

        /* A word that could not be written leaves those waiting who wait for one that can. */
        if (status != 0 && request->is_written && wait->is_for_decision &&
            request->now.state == REQUEST_PENDING) {
            continue;
        }
        if (status != 0 || has_come(request, wait)) {
            list_move_back(&told, node);
        }
    }
    while ((node = list_pop_front(&told)) != NULL) {
        struct request_wait *wait = LIST_ENTRY(node, struct request_wait, node);

        wait->fn(wait, status); /* the request may be gone */
    }
}

/* --- looking --- */

uint32_t requests_pending_count(const struct requests *requests)
{
    const struct request *request = NULL;
    uint32_t count = 0;

    while ((request = requests_next(requests, request)) != NULL) {
        count += request->now.state == REQUEST_PENDING ? 1 : 0;
    }
    return count;
}

uint32_t requests_review_count(const struct requests *requests)
{
    const struct request *request = NULL;
    uint32_t count = 0;

    while ((request = requests_next(requests, request)) != NULL) {
        count += request->now.review == REQUEST_REVIEW_PENDING ? 1 : 0;
    }
    return count;
}

struct request *requests_get(const struct requests *requests, struct str id)
{
    struct map_entry *entry = map_find(&requests->by_id, id);

    return entry != NULL ? MAP_ENTRY(entry, struct request, by_id) : NULL;
}

struct request *requests_next(const struct requests *requests, const struct request *after)
{
    struct list *next = after != NULL ? after->by_age.next : requests->by_age.next;

    return next != &requests->by_age ? request_of(next) : NULL;
}

size_t request_approvers(const struct request *request,
                         const char *ret_names[REQUEST_APPROVALS_MAX])
{
    size_t i;

    for (i = 0; i < request->now.approval_count; i++) {
        ret_names[i] = request->votes[i]->who;
    }
    return request->now.approval_count;
}

void request_view(const struct request *request, struct request_view *ret_view)
{
    const struct request_standing *now = &request->now;
    size_t i;

    *ret_view = (struct request_view){
        REQUEST_TOLD(request, now),
        .id = request->id,
        .state = now->state,
        .review = now->review,
        .is_writing = !request->is_written,
        .identity = &request->identity,
        .key = request->key,
        .person = access_policy_person(request->requests->options.policy, &request->identity),
    };
    for (i = 0; i < now->approval_count; i++) {
        ret_view->approvals[i] = (struct request_approval){REQUEST_VOTE_TOLD(request->votes[i])};
    }
}
