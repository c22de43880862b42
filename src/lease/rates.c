/* A bucket for each identity and rule that has something used up.
 *
 * Happy path: rates_check finds or makes it → rates_take takes from it and puts its record → the
 * next daemon has it back, and what has come back since. One that is full again is forgotten, here
 * and in the ledger: the next time it begins full.
 *
 * Failure paths: a record can't be put: nothing is given. One can't be removed: the next start
 * finds it full, and removes it then. */
#include "lease/rates.h"

#include "access/identity.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/units.h"
#include "lease/core_internal.h"
#include "wire/ledger_rate.h"

#include <inttypes.h>
#include <string.h>

#define SWEPT_AT_ONCE 2

struct rate {
    struct index_entry entry;
    struct list in_hand;
    struct queue_bucket bucket;
    uint64_t hash;
    bool is_durable;             /* it has a record, or that is on its way */
    char id[LEASE_ID_BYTES + 1]; /* its record's */
};

/* By the hash alone: of 64 bits that nobody can choose, two are never the same. */
static bool rate_match(struct index_entry *entry, const void *hash)
{
    return CONTAINER_OF(entry, struct rate, entry)->hash == *(const uint64_t *)hash;
}

static uint64_t rate_hash(const struct index *index, struct index_entry *entry)
{
    (void)index;
    return CONTAINER_OF(entry, struct rate, entry)->hash;
}

static uint64_t hash_of(const struct rates *rates, const char *identity, const char *rule)
{
    return index_hash_text(index_hash_text(rates->index.seed, identity), rule);
}

static uint64_t ask_hash(const struct rates *rates, const struct lease_ask *ask)
{
    char key[ACCESS_KEY_MAX_BYTES];

    return hash_of(rates, access_identity_key(ask->identity, key), ask->decision->rule);
}

static struct rate *rate_find(const struct rates *rates, uint64_t hash)
{
    struct index_entry *entry = index_find(&rates->index, hash, rate_match, &hash);

    return entry != NULL ? CONTAINER_OF(entry, struct rate, entry) : NULL;
}

static void rate_free(struct rates *rates, struct rate *rate)
{
    index_remove(&rates->index, &rate->entry);
    list_remove(&rate->in_hand);
    mem_free(rate);
}

/* --- the ledger ------------------------------------------------------------------------------- */

static int record_put(struct lease_core *core, struct rate *rate, const struct lease_ask *ask)
{
    char key[ACCESS_KEY_MAX_BYTES];
    struct ledger_rate record = {.identity = access_identity_key(ask->identity, key),
                                 .rule = ask->decision->rule,
                                 .count = rate->bucket.rate.count,
                                 .per_ms = rate->bucket.rate.per_ms,
                                 .level = rate->bucket.level};
    BUF_AUTO body;
    int r;

    buf_init(&body, ENV_LEDGER_BODY_MAX_BYTES);
    durable_fill_clock(core, &record.clock);
    r = ledger_rate_write(&record, &body);
    if (r == 0) {
        r = env_ledger_put(core->ledger, ENV_LEDGER_RATE, str_of(rate->id), buf_str(&body));
    }
    rate->is_durable = rate->is_durable || r == 0;
    return r;
}

static void record_remove(struct lease_core *core, const struct rate *rate)
{
    int r =
        rate->is_durable ? env_ledger_remove(core->ledger, ENV_LEDGER_RATE, str_of(rate->id)) : 0;

    if (r != 0) {
        log_event(LOG_LEVEL_WARN, "ledger.unremoved", "record", rate->id, "err", err_str(r), NULL);
    }
}

/* --- in memory -------------------------------------------------------------------------------- */

/* The hand of a clock: each ask looks at the next two, so that those that are full again go sooner
 * than new ones come, however long the others take. */
static void sweep(struct lease_core *core)
{
    struct rates *rates = &core->rates;
    int i;

    for (i = 0; i < SWEPT_AT_ONCE && !list_is_empty(&rates->hand); i++) {
        struct rate *rate = LIST_ENTRY(rates->hand.next, struct rate, in_hand);

        if (queue_bucket_is_full(&rate->bucket, core_now_ms(core))) {
            record_remove(core, rate);
            rate_free(rates, rate);
        } else {
            list_move_back(&rates->hand, &rate->in_hand);
        }
    }
}

/* NULL: out of memory. */
static struct rate *rate_new(struct rates *rates, uint64_t hash, const char *id)
{
    struct rate *rate = mem_calloc(1, sizeof(*rate));

    if (rate == NULL) {
        return NULL;
    }
    rate->hash = hash;
    memcpy(rate->id, id, LEASE_ID_BYTES);
    if (index_add(&rates->index, &rate->entry) != 0) {
        mem_free(rate);
        return NULL;
    }
    list_push_back(&rates->hand, &rate->in_hand);
    return rate;
}

static int rate_begin(struct lease_core *core, const struct lease_ask *ask)
{
    char id[LEASE_ID_BYTES + 1];
    struct rate *rate;

    core_make_id(core, 'n', id);
    rate = rate_new(&core->rates, ask_hash(&core->rates, ask), id);
    if (rate == NULL) {
        return ERR_NOMEM;
    }
    queue_bucket_init(&rate->bucket, ask->decision->issue, core_now_ms(core));
    return 0;
}

void rates_init(struct rates *rates, uint64_t seed)
{
    index_init(&rates->index, seed, rate_hash);
    list_init(&rates->hand);
}

void rates_fini(struct rates *rates)
{
    while (!list_is_empty(&rates->hand)) {
        rate_free(rates, LIST_ENTRY(rates->hand.next, struct rate, in_hand));
    }
    index_fini(&rates->index);
}

int rates_check(struct lease_core *core, const struct lease_ask *ask, uint64_t *ret_retry_after_ms,
                struct err *e)
{
    const struct access_decision *decision = ask->decision;
    uint64_t now_ms = core_now_ms(core);
    char per[UNITS_DURATION_MAX_BYTES];
    struct rate *rate;
    uint64_t wait_ms;

    if (decision->issue.count == 0) {
        return 0;
    }
    sweep(core);
    rate = rate_find(&core->rates, ask_hash(&core->rates, ask));
    if (rate == NULL && core->rates.index.count >= RATES_MAX) {
        return err_set(e, ERR_BUSY, "too many callers have used up what rules give them");
    }
    if (rate == NULL) {
        return rate_begin(core, ask);
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

int rates_take(struct lease_core *core, const struct lease_ask *ask, struct err *e)
{
    struct rates *rates = &core->rates;
    struct rate *rate =
        ask->decision->issue.count > 0 ? rate_find(rates, ask_hash(rates, ask)) : NULL;
    int r;

    if (rate == NULL) {
        return 0;
    }
    queue_bucket_take(&rate->bucket, 1, core_now_ms(core));
    r = core->ledger != NULL ? record_put(core, rate, ask) : 0;
    return r != 0 ? err_set(e, ERR_IO,
                            "what rule %s gives can't be put on record (%s), so no credential "
                            "leaves",
                            ask->decision->rule, err_str(r))
                  : 0;
}

int lease_core_recover_rate(struct lease_core *core, struct str id, struct str body)
{
    struct rates *rates = &core->rates;
    struct ledger_rate record;
    struct rate *rate;
    uint64_t hash;
    int r = recover_is_id(id, 'n') ? ledger_rate_read(body, &record, NULL) : ERR_INVALID;

    if (r != 0) {
        return r;
    }
    hash = hash_of(rates, record.identity, record.rule);
    if (rate_find(rates, hash) != NULL) {
        return ERR_INVALID;
    }
    rate = rate_new(rates, hash, id.ptr);
    if (rate == NULL) {
        return ERR_NOMEM;
    }
    rate->is_durable = true;
    rate->bucket.rate = (struct units_rate){.count = record.count, .per_ms = record.per_ms};
    rate->bucket.level = record.level;
    if (queue_bucket_is_full(&rate->bucket,
                             recover_age_ms(core, &record.clock))) { /* counted from 0 */
        record_remove(core, rate);
        rate_free(rates, rate);
    } else {
        rate->bucket.at_ms = core_now_ms(core);
    }
    return 0;
}
