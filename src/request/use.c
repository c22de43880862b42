/* From an approval to a grant: which one stands for what is asked now, used once. */
#include "request/request_internal.h"

#include "access/rules.h"

#include <stdio.h>

/* --- finding --- */

static bool says_the_same(const char *asked_now, const char *asked)
{
    return asked_now == NULL || asked_now[0] == '\0' || strcmp(asked_now, asked) == 0;
}

/* Kinds as bits. */
static uint32_t kinds_approved(const struct request *request)
{
    struct str rest = str_of(request->bindings);
    uint32_t kinds = 0;

    while (rest.len > 0) {
        struct access_binding_spec spec;

        if (access_binding_parse(str_cut(&rest, ','), &spec) == 0) {
            kinds |= 1U << spec.kind;
        }
    }
    return kinds;
}

/* Of the same kinds; who says none asks for the role's own. Where none was approved, that was: then
 * one that lets the grant live no longer will do, and one such is enough. */
static bool bindings_fit(const struct request *request, const struct request_ask *ask)
{
    bool is_within = ask->binding_count == 0;
    uint32_t kinds = ask->binding_count == 0 ? 1U << ask->role_binding : 0;
    size_t i;

    for (i = 0; i < ask->binding_count; i++) {
        enum access_binding kind = ask->bindings[i].kind;

        kinds |= 1U << kind;
        is_within = is_within || access_binding_is_within(kind, ask->role_binding);
    }
    return request->bindings[0] != '\0' ? kinds == kinds_approved(request) : is_within;
}

/* A grant that lives hangs on what was approved, whatever is said to read it again. */
static bool fits(const struct request *request, const struct request_ask *ask)
{
    return strcmp(request->role, ask->role) == 0 && request_is_own(request, ask->identity) &&
           (request->is_break_glass || !ask->is_break_glass) &&
           (ask->duration_ms == 0 || ask->duration_ms == request->duration_ms) &&
           says_the_same(ask->reason, request->reason) &&
           says_the_same(ask->ticket, request->ticket) &&
           (request->now.state == REQUEST_USED || bindings_fit(request, ask));
}

/* The more, the rather. 0: it stands for nothing. */
static int rank(const struct request *request)
{
    const struct requests_options *options = &request->requests->options;

    switch (request->now.state) {
    case REQUEST_USED:
        return request->now.review != REQUEST_REVIEW_DENIED &&
                       options->grant_lives(options->user, request->now.grant)
                   ? 3
                   : 0;
    case REQUEST_APPROVED:
        return 2;
    case REQUEST_PENDING:
        return 1;
    default:
        return 0;
    }
}

struct request *requests_find(const struct requests *requests, const struct request_ask *ask)
{
    char key[ACCESS_KEY_MAX_BYTES];
    struct map_entry *entry;
    struct request_asker *asker;
    struct request *best = NULL;
    struct list *node;
    struct list *following;
    int best_rank = 0;

    if (map_count(&requests->askers) == 0) {
        return NULL;
    }
    entry = map_find(&requests->askers, str_of(asker_key(ask->identity, key)));
    asker = entry != NULL ? MAP_ENTRY(entry, struct request_asker, entry) : NULL;
    if (asker == NULL) {
        return NULL;
    }
    LIST_EACH (&asker->requests, node, following) {
        struct request *request = LIST_ENTRY(node, struct request, by_asker);

        if (rank(request) > best_rank && fits(request, ask)) {
            best = request;
            best_rank = rank(request);
        }
    }
    return best;
}

/* --- using --- */

int request_use(struct request *request, const char *grant)
{
    int r;

    if (request->is_writing) {
        return ERR_BUSY;
    }
    if (request->now.state != REQUEST_APPROVED) {
        return ERR_GONE;
    }
    change_begin(request);
    request->next.state = REQUEST_USED;
    request->next.until_ms = env_now_ms(request->requests->options.env) + REQUESTS_KEPT_MS;
    (void)snprintf(request->next.grant, sizeof(request->next.grant), "%s", grant);
    r = durable_put_request(request, &request->next);
    if (r == 0) {
        change_apply(request);
    }
    return r;
}

void request_give_back(struct request *request, const char *grant)
{
    if (request->is_writing || request->now.state != REQUEST_USED ||
        request->now.review == REQUEST_REVIEW_DENIED || strcmp(request->now.grant, grant) != 0) {
        return;
    }
    change_begin(request);
    request->next.state = REQUEST_APPROVED;
    request->next.until_ms = request->next.use_by_ms;
    request->next.grant[0] = '\0';
    change_apply(request);
    durable_note_request(request);
}
