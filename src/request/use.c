/* From an approval to a grant: which one stands for what is asked now, used once. */
#include "request/request_internal.h"

#include "access/rules.h"
#include "base/mutant.h"

#include <stdio.h>

/* --- finding --- */

static bool says_the_same(const char *asked_now, const char *asked)
{
    return MUTATED(37) || asked_now == NULL || asked_now[0] == '\0' ||
           strcmp(asked_now, asked) == 0;
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

/* In what it isn't what is asked for: enum request_part as bits. A grant that lives hangs on what
 * was approved, whatever is said to read it again. */
static uint32_t parts_that_differ(const struct request *request, const struct request_ask *ask)
{
    bool has_duration = ask->duration_ms == 0 || ask->duration_ms == request->duration_ms;
    bool has_bindings = request->now.state == REQUEST_USED || bindings_fit(request, ask);

    return (has_duration ? 0U : REQUEST_PART_DURATION) |
           (says_the_same(ask->reason, request->reason) ? 0U : REQUEST_PART_REASON) |
           (says_the_same(ask->ticket, request->ticket) ? 0U : REQUEST_PART_TICKET) |
           (has_bindings ? 0U : REQUEST_PART_BINDINGS);
}

/* It is the caller's, for this role, and breaks the glass if that is asked for. */
static bool is_about(const struct request *request, const struct request_ask *ask)
{
    return strcmp(request->role, ask->role) == 0 && request_is_own(request, ask->identity) &&
           (request->is_break_glass || !ask->is_break_glass);
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

static bool suits(const struct request *request, const struct request_ask *ask, bool is_other)
{
    bool is_same = is_about(request, ask) && parts_that_differ(request, ask) == 0;

    if (!is_other) {
        return is_same;
    }
    return is_about(request, ask) && !is_same && !request->is_writing &&
           request->now.state != REQUEST_USED;
}

/* The first of the highest rank that is what is asked for, or, not used yet, for something else. */
static struct request *best_of(const struct requests *requests, const struct request_ask *ask,
                               bool is_other)
{
    char key[ACCESS_KEY_MAX_BYTES];
    struct map_entry *entry;
    struct request_asker *asker;
    struct request *best = NULL;
    struct list *node;
    struct list *following;

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

        if (rank(request) > (best != NULL ? rank(best) : 0) && suits(request, ask, is_other)) {
            best = request;
        }
    }
    return best;
}

struct request *requests_find(const struct requests *requests, const struct request_ask *ask)
{
    return best_of(requests, ask, false);
}

struct request *requests_find_other(const struct requests *requests, const struct request_ask *ask,
                                    uint32_t *ret_parts)
{
    struct request *request = best_of(requests, ask, true);

    if (request != NULL) {
        *ret_parts = parts_that_differ(request, ask);
    }
    return request;
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
    request->next.state = MUTATED(36) ? REQUEST_APPROVED : REQUEST_USED;
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
