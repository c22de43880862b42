/* A bucket for each identity and rule that has something used up. One that is full again is
 * forgotten: the next time it begins full. */
#include "lease/rates.h"

#include "base/mem.h"
#include "base/units.h"
#include "lease/queue.h"

#include <inttypes.h>
#include <string.h>

struct rate {
    struct index_entry entry;
    struct list by_time;
    struct queue_bucket bucket;
    uint64_t hash;
};

/* By the hash alone: of 64 bits that nobody can choose, two are never the same. */
static bool rate_match(struct index_entry *entry, const void *hash)
{
    return CONTAINER_OF(entry, struct rate, entry)->hash == *(const uint64_t *)hash;
}

static uint64_t hash_of(const struct rates *rates, const struct lease_ask *ask)
{
    char key[ACCESS_KEY_MAX_BYTES];
    uint64_t hash = index_hash_text(rates->index.seed, access_identity_key(ask->identity, key));

    return index_hash_text(hash, ask->decision->rule);
}

static struct rate *rate_find(const struct rates *rates, uint64_t hash)
{
    struct index_entry *entry = index_find(&rates->index, hash, rate_match, &hash);

    return entry != NULL ? CONTAINER_OF(entry, struct rate, entry) : NULL;
}

static void rate_free(struct rates *rates, struct rate *rate)
{
    index_remove(&rates->index, &rate->entry);
    list_remove(&rate->by_time);
    mem_free(rate);
}

static bool is_full(struct queue_bucket *bucket, uint64_t now_ms)
{
    return queue_bucket_wait_ms(bucket, bucket->rate.count, now_ms) == 0;
}

/* What was used longest ago is the first to be full, or nearly so. */
static void sweep(struct rates *rates, uint64_t now_ms)
{
    struct rate *rate;

    while (!list_is_empty(&rates->by_time)) {
        rate = LIST_ENTRY(rates->by_time.next, struct rate, by_time);
        if (!is_full(&rate->bucket, now_ms)) {
            return;
        }
        rate_free(rates, rate);
    }
}

static int rate_new(struct rates *rates, const struct lease_ask *ask, uint64_t now_ms)
{
    uint64_t hash = hash_of(rates, ask);
    struct rate *rate = mem_calloc(1, sizeof(*rate));
    int r;

    if (rate == NULL) {
        return ERR_NOMEM;
    }
    rate->hash = hash;
    queue_bucket_init(&rate->bucket, ask->decision->issue, now_ms);
    r = index_add(&rates->index, &rate->entry, hash);
    if (r != 0) {
        mem_free(rate);
        return r;
    }
    list_push_back(&rates->by_time, &rate->by_time);
    return 0;
}

void rates_init(struct rates *rates, uint64_t seed)
{
    index_init(&rates->index, seed);
    list_init(&rates->by_time);
}

void rates_fini(struct rates *rates)
{
    while (!list_is_empty(&rates->by_time)) {
        rate_free(rates, LIST_ENTRY(rates->by_time.next, struct rate, by_time));
    }
    index_fini(&rates->index);
}

int rates_check(struct rates *rates, const struct lease_ask *ask, uint64_t now_ms,
                uint64_t *ret_retry_after_ms, struct err *e)
{
    const struct access_decision *decision = ask->decision;
    char per[UNITS_DURATION_MAX_BYTES];
    struct rate *rate;
    uint64_t wait_ms;

    if (decision->issue.count == 0) {
        return 0;
    }
    sweep(rates, now_ms);
    rate = rate_find(rates, hash_of(rates, ask));
    if (rate == NULL && rates->index.count >= RATES_MAX) {
        return err_set(e, ERR_BUSY, "too many callers have used up what rules give them");
    }
    if (rate == NULL) {
        return rate_new(rates, ask, now_ms);
    }
    queue_bucket_set(&rate->bucket, decision->issue, now_ms);
    wait_ms = queue_bucket_wait_ms(&rate->bucket, 1, now_ms);
    if (wait_ms == 0) {
        return 0;
    }
    *ret_retry_after_ms = wait_ms;
    return err_set(e, ERR_LIMIT,
                   "rule %s gives a caller %" PRIu64 " new grants in %s (limits.issue)",
                   decision->rule, decision->issue.count,
                   units_format_duration(decision->issue.per_ms, per));
}

void rates_take(struct rates *rates, const struct lease_ask *ask, uint64_t now_ms)
{
    struct rate *rate =
        ask->decision->issue.count > 0 ? rate_find(rates, hash_of(rates, ask)) : NULL;

    if (rate != NULL) {
        queue_bucket_take(&rate->bucket, 1, now_ms);
        list_remove(&rate->by_time);
        list_push_back(&rates->by_time, &rate->by_time);
    }
}
