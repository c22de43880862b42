/* Where a policy that is only observed would have decided otherwise. */
#include "serve/observed.h"

#include "base/mem.h"

#include <stdio.h>
#include <string.h>

#define KEY_MAX_BYTES 1024U

void observed_init(struct observed *observed, struct env *env, struct audit *audit, uint64_t seed)
{
    *observed = (struct observed){.env = env, .audit = audit};
    map_init(&observed->differences, seed);
}

static void forget(struct observed *observed, struct map_entry *entry)
{
    map_remove(&observed->differences, entry);
    mem_free(MAP_ENTRY(entry, struct observed_difference, entry));
}

void observed_fini(struct observed *observed)
{
    struct map_entry *entry;

    while ((entry = map_first(&observed->differences)) != NULL) {
        forget(observed, entry);
    }
    map_fini(&observed->differences);
}

static bool is_due(const struct observed *observed, const struct observed_difference *difference)
{
    return env_now_ms(observed->env) - difference->told_ms >= OBSERVED_INTERVAL_MS;
}

static void make_room(struct observed *observed)
{
    struct map_entry *entry = map_first(&observed->differences);

    while (entry != NULL && map_count(&observed->differences) >= OBSERVED_MAX) {
        struct map_entry *next = map_next(&observed->differences, entry);

        if (is_due(observed, MAP_ENTRY(entry, struct observed_difference, entry))) {
            forget(observed, entry);
        }
        entry = next;
    }
}

static void difference_add(struct observed *observed, const char *key)
{
    size_t size = strlen(key) + 1;
    struct observed_difference *it = mem_calloc(1, sizeof(*it) + size);

    if (it == NULL) {
        return; /* it is told once more */
    }
    memcpy(it->key, key, size);
    it->told_ms = env_now_ms(observed->env);
    if (map_add(&observed->differences, &it->entry, str_of(it->key)) != 0) {
        mem_free(it);
    }
}

void observed_note(struct observed *observed, const char *key, struct audit_record *record)
{
    char text[KEY_MAX_BYTES];
    struct observed_difference *it;
    struct map_entry *entry;

    (void)snprintf(text, sizeof(text), "%s %s %s>%s %s %s %s",
                   record->role != NULL ? record->role : "", key, record->outcome,
                   record->observed.outcome, record->observed.digest,
                   record->issuer_ref != NULL ? record->issuer_ref : "",
                   record->observed.limits != NULL ? record->observed.limits : "");
    entry = map_find(&observed->differences, str_of(text));
    if (entry != NULL) {
        it = MAP_ENTRY(entry, struct observed_difference, entry);
        if (!is_due(observed, it)) {
            it->skipped_count++;
            return;
        }
        record->count = it->skipped_count;
        it->skipped_count = 0;
        it->told_ms = env_now_ms(observed->env);
    } else {
        make_room(observed);
        if (map_count(&observed->differences) >= OBSERVED_MAX) {
            return;
        }
        difference_add(observed, text);
    }
    audit_record_note(observed->audit, record);
}
