/* The queue of calls to one issuer. The happy path is push, pump, run, done. When tokens are
 * missing pump arms the refill's wheel entry, and its owner pumps again then; when places are
 * missing the next done is followed by a pump. */
#include "lease/queue.h"

#include "base/err.h"
#include "base/mutant.h"

#define RESERVED_PART 4U           /* of the places, which the greedy leave to the rest */
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
    if (before.rate.count == bucket->rate.count && before.rate.per_ms == bucket->rate.per_ms) {
        bucket->level = before.level; /* also the part of a token that has come back */
        return;
    }
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

void queue_bucket_restore(struct queue_bucket *bucket, uint64_t tokens, uint64_t then_ms,
                          uint64_t now_ms)
{
    if (tokens < bucket->rate.count) {
        bucket->level = tokens * bucket->rate.per_ms;
        bucket->at_ms = then_ms < now_ms ? then_ms : now_ms;
        bucket_refill(bucket, now_ms);
    }
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

bool queue_bucket_is_full(struct queue_bucket *bucket, uint64_t now_ms)
{
    return queue_bucket_wait_ms(bucket, bucket->rate.count, now_ms) == 0;
}

void queue_bucket_take(struct queue_bucket *bucket, uint64_t tokens, uint64_t now_ms)
{
    if (bucket->rate.count > 0) {
        bucket_refill(bucket, now_ms);
        CHECK(bucket->level >= tokens * bucket->rate.per_ms);
        bucket->level -= tokens * bucket->rate.per_ms;
    }
}

/* Revocations come first, and those of a database that hangs take as long as a call may: in all
 * places that a role may have they would keep its renewals waiting. */
static uint32_t reserved_of(uint32_t in_flight_max)
{
    if (in_flight_max < RESERVED_PART) {
        return in_flight_max > 1 ? 1 : 0;
    }
    return in_flight_max / RESERVED_PART;
}

void queue_init(struct queue *queue, struct wheel *wheel, const struct lease_issuer_limits *limits,
                uint64_t seed, void (*run)(struct queue *queue, struct queue_item *item))
{
    size_t i;

    *queue = (struct queue){.wheel = wheel, .run = run};
    for (i = 0; i < QUEUE_CLASSES; i++) {
        list_init(&queue->lanes[i]);
    }
    turns_init(&queue->turns, seed);
    queue_rates_init(&queue->rates, wheel->now_ms);
    queue_set_limits(queue, limits);
}

void queue_set_limits(struct queue *queue, const struct lease_issuer_limits *limits)
{
    uint64_t now_ms = queue->wheel->now_ms;

    queue->in_flight_max = limits->in_flight > 0 ? limits->in_flight : 1;
    queue->share_max = queue->in_flight_max - queue->in_flight_max / RESERVED_PART;
    queue->revokes_max = queue->share_max - reserved_of(queue->share_max);
    queue_bucket_set(&queue->rates.issues, limits->issue_rate, now_ms);
    queue_bucket_set(&queue->rates.renews, limits->renew_rate, now_ms);
    queue_bucket_set(&queue->rates.revokes, limits->revoke_rate, now_ms);
}

void queue_fini(struct queue *queue)
{
    wheel_cancel(queue->wheel, &queue->refill);
    turns_fini(&queue->turns);
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

/* --- in and out --- */

bool queue_has_room(const struct queue *queue, uint64_t caller)
{
    return queue->counts[QUEUE_ISSUE] < QUEUE_ISSUES_MAX &&
           turns_count(&queue->turns, caller) < QUEUE_CALLER_ISSUES_MAX;
}

static int push_issue(struct queue_lane *lane, struct queue_item *item, uint64_t caller)
{
    if (!queue_has_room(lane->queue, caller)) {
        return ERR_LIMIT;
    }
    return turns_join(&lane->queue->turns, caller, lane, &item->node);
}

int queue_push(struct queue_lane *lane, struct queue_item *item, enum queue_class kind,
               uint64_t caller)
{
    struct queue *queue = lane->queue;

    if (kind == QUEUE_ISSUE) {
        int r = push_issue(lane, item, caller);

        if (r != 0) {
            return r;
        }
    } else {
        list_push_back(&lane->items[kind], &item->node);
        if (!list_is_linked(&lane->nodes[kind])) {
            list_push_back(&queue->lanes[kind], &lane->nodes[kind]);
        }
    }
    item->kind = kind;
    lane->counts[kind]++;
    queue->counts[kind]++;
    return 0;
}

/* One that isn't in a list any more. */
static void count_out(struct queue_lane *lane, const struct queue_item *item)
{
    lane->counts[item->kind]--;
    lane->queue->counts[item->kind]--;
    if (lane->counts[item->kind] == 0) {
        list_remove(&lane->nodes[item->kind]); /* in which lanes with issues never are */
    }
}

void queue_remove(struct queue_lane *lane, struct queue_item *item, uint64_t caller)
{
    if (!list_is_linked(&item->node)) {
        return;
    }
    if (item->kind == QUEUE_ISSUE) {
        turns_leave(&lane->queue->turns, caller, lane, &item->node);
    } else {
        list_remove(&item->node);
    }
    count_out(lane, item);
}

/* Each caller is served once before this one's next. */
static uint64_t ahead_of(const struct queue *queue, uint64_t caller, uint32_t count)
{
    uint64_t ahead =
        (turns_count(&queue->turns, caller) + 1ULL) * turns_caller_count(&queue->turns);

    return ahead < count ? ahead : count;
}

uint64_t queue_issue_wait_ms(struct queue_lane *lane, uint64_t caller, uint64_t now_ms)
{
    struct queue *queue = lane->queue;
    uint64_t own = ahead_of(queue, caller, lane->counts[QUEUE_ISSUE]);
    uint64_t all = ahead_of(queue, caller, queue->counts[QUEUE_ISSUE]);
    uint64_t own_ms = queue_bucket_wait_ms(&lane->rates->issues, own + 1, now_ms);
    uint64_t all_ms = queue_bucket_wait_ms(&queue->rates.issues, all + 1, now_ms);

    return own_ms > all_ms ? own_ms : all_ms;
}

/* --- whose turn it is --- */

/* One look at who may be served now. */
struct pump {
    struct queue *queue;
    enum queue_class kind;
    uint64_t now_ms;
    uint64_t wait_ms; /* when the first of those may that may not yet; UINT64_MAX: none */
};

static bool lane_may(const void *of, void *user)
{
    const struct queue_lane *lane = of;
    struct pump *pump = user;
    uint64_t wait_ms;

    if (lane->in_flight >= pump->queue->share_max) {
        return false; /* the end of one brings the next */
    }
    wait_ms = queue_bucket_wait_ms(bucket_of(lane->rates, pump->kind), 1, pump->now_ms);
    if (wait_ms > 0 && wait_ms < pump->wait_ms) {
        pump->wait_ms = wait_ms;
    }
    return wait_ms == 0;
}

/* The first lane of its class that may, which goes behind the others then. */
static struct queue_lane *lane_next(struct pump *pump)
{
    struct list *lanes = &pump->queue->lanes[pump->kind];
    struct list *node;
    struct list *following;

    LIST_EACH (lanes, node, following) {
        struct queue_lane *lane = CONTAINER_OF(node - pump->kind, struct queue_lane, nodes);

        if (lane_may(lane, pump)) {
            list_move_back(lanes, node);
            return lane;
        }
    }
    return NULL;
}

/* Takes out the next call of a class, with its lane; NULL: none may run now. */
static struct queue_item *class_next(struct pump *pump, struct queue_lane **ret_lane)
{
    struct queue *queue = pump->queue;
    const struct turns_filter filter = {.may = lane_may,
                                        .user = pump,
                                        .served_max = queue->share_max};
    uint64_t wait_ms = queue_bucket_wait_ms(bucket_of(&queue->rates, pump->kind), 1, pump->now_ms);
    struct queue_lane *lane;
    const void *served;
    struct list *node = NULL;

    if (queue->counts[pump->kind] == 0) {
        return NULL;
    }
    if (wait_ms > 0) {
        pump->wait_ms = wait_ms < pump->wait_ms ? wait_ms : pump->wait_ms;
        return NULL;
    }
    if (pump->kind == QUEUE_ISSUE) {
        node = turns_serve(&queue->turns, &filter, &served);
        *ret_lane = (struct queue_lane *)(uintptr_t)served;
    } else if ((lane = lane_next(pump)) != NULL) {
        node = list_pop_front(&lane->items[pump->kind]);
        *ret_lane = lane;
    }
    return node != NULL ? LIST_ENTRY(node, struct queue_item, node) : NULL;
}

/* Takes the next call out, with its tokens. NULL: none may run now. */
static struct queue_item *queue_next(struct queue *queue, uint64_t now_ms, uint64_t *ret_wait_ms)
{
    struct pump pump = {.queue = queue, .now_ms = now_ms, .wait_ms = *ret_wait_ms};
    struct queue_item *item = NULL;
    struct queue_lane *lane;
    int kind;

    for (kind = 0; item == NULL && kind < QUEUE_CLASSES; kind++) {
        pump.kind = (enum queue_class)kind;
        if (pump.kind == QUEUE_REVOKE && queue->revokes_in_flight >= queue->revokes_max) {
            continue; /* the end of one brings the next */
        }
        item = class_next(&pump, &lane);
    }
    *ret_wait_ms = pump.wait_ms;
    if (item != NULL) {
        count_out(lane, item);
        queue_bucket_take(bucket_of(lane->rates, item->kind), 1, now_ms);
        queue_bucket_take(bucket_of(&queue->rates, item->kind), 1, now_ms);
        lane->in_flight++;
        queue->in_flight++;
        queue->revokes_in_flight += item->kind == QUEUE_REVOKE;
    }
    return item;
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

void queue_done(struct queue_lane *lane, enum queue_class kind, uint64_t caller)
{
    struct queue *queue = lane->queue;

    CHECK(lane->in_flight > 0 && queue->in_flight >= lane->in_flight);
    lane->in_flight--;
    queue->in_flight--;
    if (kind == QUEUE_REVOKE) {
        CHECK(queue->revokes_in_flight > 0);
        queue->revokes_in_flight -= MUTATED(13) ? 0 : 1;
    } else if (kind == QUEUE_ISSUE) {
        turns_served(&queue->turns, caller);
    }
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
