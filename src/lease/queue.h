/* The order of calls to one issuer, how many run at once, and how many a second.
 *
 * Each issuer has a queue, each role (each version of one) a lane in its issuer's queue. What
 * revokes goes first, then renewals that somebody waits for or that can't wait, then issues, then
 * the other renewals; within a class roles take turns, within a role the first come is the first
 * served. With issues the callers take turns first, and within a caller the roles (turns.h). A call
 * leaves when a place is free and both the issuer's and the role's bucket have a token. Where there
 * are at least four places, the last quarter isn't for revocations, nor for a single role, nor for
 * a single caller's issues: whatever hangs, somebody else is still served. */
#ifndef LEASED_LEASE_QUEUE_H
#define LEASED_LEASE_QUEUE_H

#include "base/list.h"
#include "lease/issuer.h"
#include "lease/turns.h"
#include "lease/wheel.h"

#define QUEUE_ISSUES_MAX 4096        /* issues that wait at one issuer; more is refused */
#define QUEUE_CALLER_ISSUES_MAX 2048 /* of these, those of one caller */

/* In the order in which they are served. */
enum queue_class {
    QUEUE_REVOKE,
    QUEUE_URGENT, /* a renewal */
    QUEUE_ISSUE,
    QUEUE_RENEW,
};
#define QUEUE_CLASSES (QUEUE_RENEW + 1)

/* A token bucket. A rate of count 0 never runs dry; a full bucket lets `count` calls through at
 * once. */
struct queue_bucket {
    struct units_rate rate;
    uint64_t level; /* tokens times per_ms */
    uint64_t at_ms; /* when the level was counted */
};

void queue_bucket_init(struct queue_bucket *bucket, struct units_rate rate, uint64_t now_ms);

/* Another rate from now on; what was used up stays used up. The same one changes nothing. */
void queue_bucket_set(struct queue_bucket *bucket, struct units_rate rate, uint64_t now_ms);

/* It had so many tokens at `then_ms`, and what has come back since. */
void queue_bucket_restore(struct queue_bucket *bucket, uint64_t tokens, uint64_t then_ms,
                          uint64_t now_ms);

/* How long until `tokens` are there; 0: now. */
uint64_t queue_bucket_wait_ms(struct queue_bucket *bucket, uint64_t tokens, uint64_t now_ms);

/* Has all come back? */
bool queue_bucket_is_full(struct queue_bucket *bucket, uint64_t now_ms);

/* Only when queue_bucket_wait_ms(bucket, tokens) is 0. */
void queue_bucket_take(struct queue_bucket *bucket, uint64_t tokens, uint64_t now_ms);

/* What may be sent of each kind. */
struct queue_rates {
    struct queue_bucket issues;
    struct queue_bucket renews;
    struct queue_bucket revokes;
};

/* Without limits. */
void queue_rates_init(struct queue_rates *rates, uint64_t now_ms);

/* One call that waits; embedded in what it is for. Zero-initialised: not queued. */
struct queue_item {
    struct list node;
    enum queue_class kind;
};

struct queue {
    struct wheel *wheel;
    struct wheel_entry refill; /* when the next token comes; its owner calls queue_pump then */
    struct list lanes[QUEUE_CLASSES]; /* those that hold something; of issues none */
    uint32_t counts[QUEUE_CLASSES];
    uint32_t in_flight;
    uint32_t in_flight_max;
    uint32_t revokes_in_flight; /* of those; the last places aren't for revocations */
    uint32_t revokes_max;
    uint32_t share_max; /* of those that one lane may have, or one caller's issues */
    bool is_pumping;
    struct turns turns; /* the issues */
    struct queue_rates rates;
    /* Sends the call of `item`, which isn't queued any more. Each run is followed by one
     * queue_done for its lane, class and caller, from inside it too. */
    void (*run)(struct queue *queue, struct queue_item *item);
};

struct queue_lane {
    struct queue *queue;
    struct list items[QUEUE_CLASSES];
    struct list nodes[QUEUE_CLASSES]; /* in the queue's lanes */
    uint32_t counts[QUEUE_CLASSES];
    uint32_t in_flight;
    struct queue_rates *rates;
};

/* `limits` are copied; in_flight 0 counts as 1. `seed` is for the index of callers. */
void queue_init(struct queue *queue, struct wheel *wheel, const struct lease_issuer_limits *limits,
                uint64_t seed, void (*run)(struct queue *queue, struct queue_item *item));
/* The same later; calls that are in flight already are nobody's loss. */
void queue_set_limits(struct queue *queue, const struct lease_issuer_limits *limits);
/* Nothing is queued any more. */
void queue_fini(struct queue *queue);

/* `rates` are the role's own, borrowed while the lane is used: several lanes of a role may share
 * them. Where a count is 0 only the issuer's counts. */
void queue_lane_init(struct queue_lane *lane, struct queue *queue, struct queue_rates *rates);

/* ERR_LIMIT when QUEUE_ISSUES_MAX issues wait already, or QUEUE_CALLER_ISSUES_MAX of this caller,
 * ERR_NOMEM; the other classes are one a lease and always fit. Runs nothing by itself: call
 * queue_pump afterwards.
 */
int queue_push(struct queue_lane *lane, struct queue_item *item, enum queue_class kind,
               uint64_t caller) ATTR_MUST_USE;

/* Fine on an item that isn't queued. `caller` is the one that it was pushed for. */
void queue_remove(struct queue_lane *lane, struct queue_item *item, uint64_t caller);

static inline bool queue_item_is_queued(const struct queue_item *item)
{
    return list_is_linked(&item->node);
}

/* How long an issue that is pushed now for this caller would wait for tokens alone. */
uint64_t queue_issue_wait_ms(struct queue_lane *lane, uint64_t caller, uint64_t now_ms);
/* Would an issue of this caller find room? */
bool queue_has_room(const struct queue *queue, uint64_t caller);

/* Runs what may run now. Does nothing from inside `run`. */
void queue_pump(struct queue *queue, uint64_t now_ms);

/* A call of this lane, class and caller has ended. Runs nothing by itself. */
void queue_done(struct queue_lane *lane, enum queue_class kind, uint64_t caller);

/* Waiting and in flight. */
uint32_t queue_load(const struct queue *queue);

#endif
