/* Denials on record, and how many. */
#include "serve/denied.h"

#include "base/mem.h"

#include <string.h>

#define BURST_MS 10000U /* ten denials, one for each second */
#define DENIAL_MS 1000U /* what one costs */
#define FLUSH_MS 10000U

/* --- callers --- */

static struct denied_caller *caller_new(struct denied *denied, struct str key,
                                        const struct audit_record *record)
{
    size_t texts_size = str_packed_bytes(record->listener) + str_packed_bytes(record->user) +
                        str_packed_bytes(record->unit) + str_packed_bytes(record->container) +
                        str_packed_bytes(record->san) + str_packed_bytes(record->jwt.iss) +
                        str_packed_bytes(record->jwt.sub) + str_packed_bytes(record->jwt.session) +
                        str_packed_bytes(record->jwt.person) + str_packed_bytes(record->image);
    struct denied_caller *caller = mem_calloc(1, sizeof(*caller) + key.len + 1 + texts_size);
    char *at;

    if (caller == NULL) {
        return NULL;
    }
    memcpy(caller->key, key.ptr, key.len);
    at = caller->key + key.len + 1;
    caller->who = (struct audit_record){
        .event = "grant.denied",
        .outcome = "denied",
        .api = record->api,
        .has_identity = record->has_identity,
        .uid = record->uid,
        .listener = str_pack(&at, record->listener),
        .user = str_pack(&at, record->user),
        .unit = str_pack(&at, record->unit),
        .container = str_pack(&at, record->container),
        .san = str_pack(&at, record->san),
        .jwt = {.iss = str_pack(&at, record->jwt.iss),
                .sub = str_pack(&at, record->jwt.sub),
                .session = str_pack(&at, record->jwt.session),
                .person = str_pack(&at, record->jwt.person)},
        .image = str_pack(&at, record->image),
    };
    caller->level_ms = BURST_MS;
    caller->at_ms = env_now_ms(denied->env);
    if (map_add(&denied->callers, &caller->entry,
                (struct str){.ptr = caller->key, .len = key.len}) != 0) {
        mem_free(caller);
        return NULL;
    }
    return caller;
}

static struct denied_caller *caller_get(struct denied *denied, const char *key,
                                        const struct audit_record *record)
{
    struct str wanted = str_of(key);
    struct map_entry *entry = map_find(&denied->callers, wanted);

    if (entry != NULL) {
        return MAP_ENTRY(entry, struct denied_caller, entry);
    }
    return map_count(&denied->callers) < DENIED_CALLERS_MAX ? caller_new(denied, wanted, record)
                                                            : NULL;
}

static void caller_refill(struct denied_caller *caller, uint64_t now_ms)
{
    uint64_t gained_ms = now_ms > caller->at_ms ? now_ms - caller->at_ms : 0;

    caller->at_ms = now_ms;
    caller->level_ms =
        gained_ms < BURST_MS - caller->level_ms ? caller->level_ms + gained_ms : BURST_MS;
}

/* --- counts --- */

static void count_note(struct denied *denied, const struct audit_record *who, uint64_t *count)
{
    struct audit_record record = *who;

    if (*count > 0) {
        record.count = *count;
        record.error = "so many more were denied and aren't on record one by one";
        audit_record_note(denied->audit, &record);
        *count = 0;
    }
}

/* Forgets who has been quiet, or with `is_all` everybody. */
static void denied_flush(struct denied *denied, bool is_all)
{
    const struct audit_record others = {.event = "grant.denied", .outcome = "denied"};
    struct map_entry *entry = map_first(&denied->callers);

    while (entry != NULL) {
        struct denied_caller *caller = MAP_ENTRY(entry, struct denied_caller, entry);

        entry = map_next(&denied->callers, entry);
        count_note(denied, &caller->who, &caller->skipped_count);
        caller_refill(caller, env_now_ms(denied->env));
        if (is_all || caller->level_ms == BURST_MS) {
            map_remove(&denied->callers, &caller->entry);
            mem_free(caller);
        }
    }
    count_note(denied, &others, &denied->others_count);
}

static void denied_arm(struct denied *denied)
{
    denied->is_armed = true;
    env_timer_arm(denied->env, &denied->timer, env_now_ms(denied->env) + FLUSH_MS);
}

static void denied_due(struct env_timer *timer)
{
    struct denied *denied = timer->user;

    denied->is_armed = false;
    denied_flush(denied, false);
    if (map_count(&denied->callers) > 0) {
        denied_arm(denied);
    }
}

/* --- in and out --- */

void denied_init(struct denied *denied, struct env *env, struct audit *audit, uint64_t seed)
{
    *denied = (struct denied){.env = env, .audit = audit};
    denied->timer.fn = denied_due;
    denied->timer.user = denied;
    map_init(&denied->callers, seed);
}

void denied_fini(struct denied *denied)
{
    env_timer_disarm(denied->env, &denied->timer);
    denied_flush(denied, true);
    map_fini(&denied->callers);
}

void denied_note(struct denied *denied, const char *key, struct audit_record *record)
{
    struct denied_caller *caller = caller_get(denied, key, record);

    if (!denied->is_armed) {
        denied_arm(denied);
    }
    if (caller == NULL) {
        denied->others_count++;
        return;
    }
    caller_refill(caller, env_now_ms(denied->env));
    if (caller->level_ms < DENIAL_MS) {
        caller->skipped_count++;
        return;
    }
    caller->level_ms -= DENIAL_MS;
    audit_record_note(denied->audit, record);
}
