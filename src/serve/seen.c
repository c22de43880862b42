/* Who has asked for something. */
#include "serve/seen_internal.h"

#include "base/mem.h"

#include <stdio.h>
#include <string.h>

void seen_init(struct seen *seen, uint64_t seed)
{
    map_init(&seen->by_key, seed);
    list_init(&seen->latest);
    list_init(&seen->asks[SEEN_ROLE]);
    list_init(&seen->asks[SEEN_PATH]);
    memset(seen->ask_counts, 0, sizeof(seen->ask_counts));
}

static void identity_fini(struct seen_identity *it)
{
    access_claims_free(it->claims);
    mem_free(it->listener);
}

static void forget(struct seen *seen, struct seen_identity *it)
{
    seen_asks_forget(seen, it);
    map_remove(&seen->by_key, &it->entry);
    list_remove(&it->node);
    identity_fini(it);
    mem_free(it);
}

void seen_fini(struct seen *seen)
{
    while (!list_is_empty(&seen->latest)) {
        forget(seen, LIST_ENTRY(seen->latest.next, struct seen_identity, node));
    }
    map_fini(&seen->by_key);
}

/* Groups may be others than last time. */
static bool is_same(const struct seen_identity *it, const struct access_identity *identity)
{
    return it->identity.gid == identity->gid && it->identity.group_count == identity->group_count &&
           memcmp(it->identity.groups, identity->groups,
                  identity->group_count * sizeof(identity->groups[0])) == 0 &&
           (it->claims == NULL) == (identity->claims == NULL) &&
           (it->claims == NULL || it->claims->all == identity->claims->all);
}

/* False: out of memory; then nothing has changed. */
static bool identity_take(struct seen_identity *it, const struct access_identity *identity)
{
    struct access_claims *claims =
        identity->claims != NULL ? access_claims_dup(identity->claims) : NULL;
    char *listener = mem_strdup(identity->listener != NULL ? identity->listener : "");

    if (listener == NULL || (claims == NULL && identity->claims != NULL)) {
        access_claims_free(claims);
        mem_free(listener);
        return false;
    }
    identity_fini(it);
    it->identity = *identity;
    it->identity.claims = claims;
    it->identity.listener = listener;
    it->claims = claims;
    it->listener = listener;
    return true;
}

static struct seen_identity *identity_new(struct seen *seen, const char *key)
{
    struct seen_identity *it = mem_calloc(1, sizeof(*it));

    if (it == NULL) {
        return NULL;
    }
    list_init(&it->asks[SEEN_ROLE]);
    list_init(&it->asks[SEEN_PATH]);
    (void)snprintf(it->key, sizeof(it->key), "%s", key);
    if (map_add(&seen->by_key, &it->entry, str_of(it->key)) != 0) {
        mem_free(it);
        return NULL;
    }
    list_push_front(&seen->latest, &it->node);
    return it;
}

struct seen_identity *seen_note(struct seen *seen, const char *key,
                                const struct access_identity *identity)
{
    struct map_entry *entry = map_find(&seen->by_key, str_of(key));
    struct seen_identity *it = entry != NULL ? MAP_ENTRY(entry, struct seen_identity, entry) : NULL;

    if (it != NULL && seen->latest.next != &it->node) {
        list_remove(&it->node);
        list_push_front(&seen->latest, &it->node);
    }
    if (it != NULL && is_same(it, identity)) {
        return it;
    }
    if (it == NULL) {
        if (map_count(&seen->by_key) >= SEEN_MAX) {
            forget(seen, LIST_ENTRY(seen->latest.prev, struct seen_identity, node));
        }
        it = identity_new(seen, key);
    }
    if (it != NULL && !identity_take(it, identity) && it->listener == NULL) {
        forget(seen, it);
        return NULL;
    }
    return it;
}

const struct seen_identity *seen_next(const struct seen *seen, const struct seen_identity *after)
{
    struct list *node = after != NULL ? after->node.next : seen->latest.next;

    return node != &seen->latest ? LIST_ENTRY(node, struct seen_identity, node) : NULL;
}

size_t seen_count(const struct seen *seen)
{
    return map_count(&seen->by_key);
}
