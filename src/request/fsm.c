/* The state table of requests.
 *
 * pending → approved → used. Both open states end by the word of who may approve (denied), of who
 * has asked (withdrawn), by time (expired), or because the rule that asks for the approval isn't
 * the policy's any more (stale). A use that comes to nothing is given back. */
#include "request/fsm.h"

#include <string.h>

#define BIT(state) (1U << (state))
#define ENDS                                                                                       \
    (BIT(REQUEST_DENIED) | BIT(REQUEST_WITHDRAWN) | BIT(REQUEST_EXPIRED) | BIT(REQUEST_STALE))

static const uint32_t moves[] = {
    [REQUEST_PENDING] = BIT(REQUEST_APPROVED) | ENDS,
    [REQUEST_APPROVED] = BIT(REQUEST_USED) | ENDS,
    [REQUEST_USED] = BIT(REQUEST_APPROVED) | BIT(REQUEST_EXPIRED),
    [REQUEST_DENIED] = 0,
    [REQUEST_WITHDRAWN] = 0,
    [REQUEST_EXPIRED] = 0,
    [REQUEST_STALE] = 0,
};

static const char *const state_names[] = {
    [REQUEST_PENDING] = "pending", [REQUEST_APPROVED] = "approved",   [REQUEST_USED] = "used",
    [REQUEST_DENIED] = "denied",   [REQUEST_WITHDRAWN] = "withdrawn", [REQUEST_EXPIRED] = "expired",
    [REQUEST_STALE] = "stale",
};

static const char *const review_names[] = {
    [REQUEST_REVIEW_NONE] = "",
    [REQUEST_REVIEW_PENDING] = "pending",
    [REQUEST_REVIEW_APPROVED] = "approved",
    [REQUEST_REVIEW_DENIED] = "denied",
};

static_assert(ARRAY_LEN(moves) == REQUEST_STATE_COUNT, "one row a state");
static_assert(ARRAY_LEN(state_names) == REQUEST_STATE_COUNT, "one name a state");
static_assert(ARRAY_LEN(review_names) == REQUEST_REVIEW_DENIED + 1, "one name a review");

bool fsm_request_may(enum request_state from, enum request_state to)
{
    CHECK((size_t)from < ARRAY_LEN(moves));
    return (moves[from] & BIT(to)) != 0;
}

bool fsm_request_is_open(enum request_state state)
{
    return state == REQUEST_PENDING || state == REQUEST_APPROVED;
}

const char *request_state_str(enum request_state state)
{
    CHECK((size_t)state < ARRAY_LEN(state_names));
    return state_names[state];
}

const char *request_review_str(enum request_review review)
{
    CHECK((size_t)review < ARRAY_LEN(review_names));
    return review_names[review];
}

static int find(const char *const *names, size_t count, const char *name, size_t *ret_index)
{
    size_t i;

    for (i = 0; i < count; i++) {
        if (strcmp(names[i], name) == 0) {
            *ret_index = i;
            return 0;
        }
    }
    return ERR_INVALID;
}

int fsm_request_find(const char *name, enum request_state *ret_state)
{
    size_t index = 0;
    int r = find(state_names, ARRAY_LEN(state_names), name, &index);

    if (r == 0) {
        *ret_state = (enum request_state)index;
    }
    return r;
}

int fsm_review_find(const char *name, enum request_review *ret_review)
{
    size_t index = 0;
    int r = find(review_names, ARRAY_LEN(review_names), name, &index);

    if (r == 0) {
        *ret_review = (enum request_review)index;
    }
    return r;
}
