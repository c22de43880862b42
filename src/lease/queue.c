/* The queue of calls to one issuer. The happy path is push, pump, run, done. When tokens are
 * missing pump arms the refill's wheel entry, and its owner pumps again then; when places are
 * missing the next done is followed by a pump. */
#include "lease/queue.h"

#include "base/err.h"

#define RESERVED_PART 4U           /* of the places, which revocations leave to the rest */
#define RATE_COUNT_MAX 1000000000U /* keeps count * per_ms below 2^64 */

static uint64_t bucket_capacity(const struct queue_bucket *bucket)
{
    return bucket->rate.count * bucket->rate.per_ms;
}

void queue_bucket_init(struct queue_bucket *bucket, struct units_rate rate, uint64_t now_ms)
{
    *bucket = (struct queue_bucket){.rate = rate, .at_ms = now_ms};
    if (bucket->rate.count > RATE_COUNT_MAX) {
        bucket->rate.count = RATE_COUNT_MAX;
    }
    bucket->level = bucket_capacity(bucket);
}

static void bucket_refill(struct queue_bucket *bucket, uint64_t now_ms)
{
    uint64_t elapsed_ms = now_ms > bucket->at_ms ? now_ms - bucket->at_ms : 0;
    uint64_t missing = bucket_capacity(bucket) - bucket->level;

    bucket->at_ms = now_ms;
    if (elapsed_ms >= bucket->rate.per_ms || elapsed_ms * bucket->rate.count >= missing) {
        bucket->level = bucket_capacity(bucket);
    } else {
        bucket->level += elapsed_ms * bucket->rate.count;
    }
}

void queue_bucket_set(struct queue_bucket *bucket, struct units_rate rate, uint64_t now_ms)
{
    struct queue_bucket before = *bucket;
    uint64_t tokens;

    queue_bucket_init(bucket, rate, now_ms);
    if (before.rate.count == 0) {
        return;
    }
    bucket_refill(&before, now_ms);
    tokens = before.level / before.rate.per_ms;
    if (tokens < bucket->rate.count) {
        bucket->level = tokens * bucket->rate.per_ms;
    }
}

void queue_rates_init(struct queue_rates *rates, uint64_t now_ms)
{
    const struct units_rate none = {.count = 0};

    queue_bucket_init(&rates->issues, none, now_ms);
    queue_bucket_init(&rates->renews, none, now_ms);
    queue_bucket_init(&rates->revokes, none, now_ms);
}

uint64_t queue_bucket_wait_ms(struct queue_bucket *bucket, uint64_t tokens, uint64_t now_ms)
{
    uint64_t needed;

    if (bucket->rate.count == 0) {
        return 0;
    }
    bucket_refill(bucket, now_ms);
    needed = tokens * bucket->rate.per_ms;
    if (needed <= bucket->level) {
        return 0;
    }
    return (needed - bucket->level + bucket->rate.count - 1) / bucket->rate.count;
}

void queue_bucket_take(struct queue_bucket *bucket, uint64_t now_ms)
{
    if (bucket->rate.count > 0) {
        bucket_refill(bucket, now_ms);
        CHECK(bucket->level >= bucket->rate.per_ms);
        bucket->level -= bucket->rate.per_ms;
    }
}

/* Revocations come first, and those of a database that hangs take as long as a call may: in all
 * places they would keep every other role of the issuer waiting. */
static uint32_t reserved_of(uint32_t in_flight_max)
{
    if (in_flight_max < RESERVED_PART) {
        return in_flight_max > 1 ? 1 : 0;
    }
    return in_flight_max / RESERVED_PART;
}

void queue_init(struct queue *queue, struct wheel *wheel, const struct lease_issuer_limits *limits,
                void (*run)(struct queue *queue, struct queue_item *item))
{
    size_t i;

    *queue = (struct queue){.wheel = wheel, .run = run};
    for (i = 0; i < QUEUE_CLASSES; i++) {
        list_init(&queue->lanes[i]);
    }
    queue_rates_init(&queue->rates, wheel->now_ms);
    queue_set_limits(queue, limits);
}

void queue_set_limits(struct queue *queue, const struct lease_issuer_limits *limits)
{
    uint64_t now_ms = queue->wheel->now_ms;

    queue->in_flight_max = limits->in_flight > 0 ? limits->in_flight : 1;
    queue->revokes_max = queue->in_flight_max - reserved_of(queue->in_flight_max);
    queue_bucket_set(&queue->rates.issues, limits->issue_rate, now_ms);
    queue_bucket_set(&queue->rates.renews, limits->renew_rate, now_ms);
    queue_bucket_set(&queue->rates.revokes, limits->revoke_rate, now_ms);
}

void queue_fini(struct queue *queue)
{
    wheel_cancel(queue->wheel, &queue->refill);
}

void queue_lane_init(struct queue_lane *lane, struct queue *queue, struct queue_rates *rates)
{
    size_t i;

    *lane = (struct queue_lane){.queue = queue, .rates = rates};
    for (i = 0; i < QUEUE_CLASSES; i++) {
        list_init(&lane->items[i]);
        list_init(&lane->nodes[i]);
    }
}

static struct queue_bucket *bucket_of(struct queue_rates *rates, enum queue_class kind)
{
    switch (kind) {
    case QUEUE_REVOKE:
        return &rates->revokes;
    case QUEUE_ISSUE:
        return &rates->issues;
    case QUEUE_URGENT:
    case QUEUE_RENEW:
        break;
    }
    return &rates->renews;
}

int queue_push(struct queue_lane *lane, struct queue_item *item, enum queue_class kind)
{
    struct queue *queue = lane->queue;

    if (kind == QUEUE_ISSUE && queue->counts[kind] >= QUEUE_ISSUES_MAX) {
        return ERR_LIMIT;
    }
    item->kind = kind;
    list_push_back(&lane->items[kind], &item->node);
    lane->counts[kind]++;
    queue->counts[kind]++;
    if (!list_is_linked(&lane->nodes[kind])) {
        list_push_back(&queue->lanes[kind], &lane->nodes[kind]);
    }
    return 0;
}

void queue_remove(struct queue_lane *lane, struct queue_item *item)
{
    if (!list_is_linked(&item->node)) {
        return;
    }
    list_remove(&item->node);
    lane->counts[item->kind]--;
    lane->queue->counts[item->kind]--;
    if (lane->counts[item->kind] == 0) {
        list_remove(&lane->nodes[item->kind]);
    }
}

uint64_t queue_issue_wait_ms(struct queue_lane *lane, uint64_t now_ms)
{
    struct queue *queue = lane->queue;
    uint64_t own_ms =
        queue_bucket_wait_ms(&lane->rates->issues, lane->counts[QUEUE_ISSUE] + 1ULL, now_ms);
    uint64_t all_ms =
        queue_bucket_wait_ms(&queue->rates.issues, queue->counts[QUEUE_ISSUE] + 1ULL, now_ms);

    return own_ms > all_ms ? own_ms : all_ms;
}

/* The next lane of a class that has a token; the lanes take turns. `ret_wait_ms` shrinks to when
 * one will have. */
static struct queue_lane *queue_turn(struct queue *queue, enum queue_class kind, uint64_t now_ms,
                                     uint64_t *ret_wait_ms)
{
    uint64_t all_ms = queue_bucket_wait_ms(bucket_of(&queue->rates, kind), 1, now_ms);
    struct list *node;
    struct list *following;

    LIST_EACH (&queue->lanes[kind], node, following) {
        struct queue_lane *lane = CONTAINER_OF(node - kind, struct queue_lane, nodes);
        uint64_t wait_ms = queue_bucket_wait_ms(bucket_of(lane->rates, kind), 1, now_ms);

        if (wait_ms < all_ms) {
            wait_ms = all_ms;
        }
        if (wait_ms == 0) {
            list_remove(node);
            list_push_back(&queue->lanes[kind], node);
            return lane;
        }
        if (wait_ms < *ret_wait_ms) {
            *ret_wait_ms = wait_ms;
        }
    }
    return NULL;
}

/* Takes the next call out, with its tokens. NULL: none may run now. */
static struct queue_item *queue_next(struct queue *queue, uint64_t now_ms, uint64_t *ret_wait_ms)
{
    int kind;

    for (kind = 0; kind < QUEUE_CLASSES; kind++) {
        enum queue_class class = (enum queue_class)kind;
        struct queue_lane *lane;

        if (class == QUEUE_REVOKE && queue->revokes_in_flight >= queue->revokes_max) {
            continue; /* the end of one brings the next */
        }
        lane = queue_turn(queue, class, now_ms, ret_wait_ms);
        if (lane != NULL) {
            struct queue_item *item = LIST_ENTRY(lane->items[class].next, struct queue_item, node);

            queue_remove(lane, item);
            queue_bucket_take(bucket_of(lane->rates, class), now_ms);
            queue_bucket_take(bucket_of(&queue->rates, class), now_ms);
            return item;
        }
    }
    return NULL;
}

void queue_pump(struct queue *queue, uint64_t now_ms)
{
    uint64_t wait_ms = UINT64_MAX;
    struct queue_item *item;

    if (queue->is_pumping) {
        return;
    }
    queue->is_pumping = true;
    while (queue->in_flight < queue->in_flight_max &&
           (item = queue_next(queue, now_ms, &wait_ms)) != NULL) {
        queue->in_flight++;
        queue->revokes_in_flight += item->kind == QUEUE_REVOKE;
        queue->run(queue, item);
        wait_ms = UINT64_MAX;
    }
    queue->is_pumping = false;
    if (wait_ms != UINT64_MAX) {
        wheel_arm(queue->wheel, &queue->refill,
                  now_ms > UINT64_MAX - wait_ms ? UINT64_MAX : now_ms + wait_ms);
    } else {
        wheel_cancel(queue->wheel, &queue->refill);
    }
}

void queue_done(struct queue *queue, bool is_revoke)
{
    CHECK(queue->in_flight > 0);
    CHECK(!is_revoke || queue->revokes_in_flight > 0);
    queue->in_flight--;
    queue->revokes_in_flight -= is_revoke;
}

uint32_t queue_load(const struct queue *queue)
{
    uint32_t load = queue->in_flight;
    size_t i;

    for (i = 0; i < QUEUE_CLASSES; i++) {
        load += queue->counts[i];
    }
    return load;
}
