/* Taking turns: a ring of callers, each with a ring of slots, each with its items in order. What is
 * empty is gone from the rings, so they hold only who waits; a caller is known for as long as it
 * waits or is being served. */
#include "lease/turns.h"

#include "base/err.h"
#include "base/mem.h"

struct turns_caller {
    struct index_entry entry;
    struct list node; /* in the turns' callers while it waits */
    struct list slots;
    uint64_t caller;
    uint32_t count;        /* items in all of its slots */
    uint32_t served_count; /* items that have left to be served */
};

struct turns_slot {
    struct index_entry entry;
    struct list node; /* in its caller's slots */
    struct turns_caller *owner;
    const void *lane;
    struct list items;
};

static uint64_t caller_hash(const struct index *index, struct index_entry *entry)
{
    return index_hash(index->seed, CONTAINER_OF(entry, struct turns_caller, entry)->caller);
}

static uint64_t lane_hash(const struct index *index, const struct turns_caller *owner,
                          const void *lane)
{
    return index_hash(index_hash(index->seed, owner->caller), (uintptr_t)lane);
}

static uint64_t slot_hash(const struct index *index, struct index_entry *entry)
{
    const struct turns_slot *slot = CONTAINER_OF(entry, struct turns_slot, entry);

    return lane_hash(index, slot->owner, slot->lane);
}

void turns_init(struct turns *turns, uint64_t seed)
{
    list_init(&turns->callers);
    index_init(&turns->by_caller, seed, caller_hash);
    index_init(&turns->by_lane, seed, slot_hash);
}

void turns_fini(struct turns *turns)
{
    CHECK(turns->by_caller.count == 0 && turns->by_lane.count == 0);
    index_fini(&turns->by_caller);
    index_fini(&turns->by_lane);
}

/* --- finding and making --- */

static bool caller_match(struct index_entry *entry, const void *caller)
{
    return CONTAINER_OF(entry, struct turns_caller, entry)->caller == *(const uint64_t *)caller;
}

static struct turns_caller *caller_find(const struct turns *turns, uint64_t caller)
{
    struct index_entry *entry =
        index_find(&turns->by_caller, index_hash(turns->by_caller.seed, caller), caller_match,
                   &caller);

    return entry != NULL ? CONTAINER_OF(entry, struct turns_caller, entry) : NULL;
}

static struct turns_caller *caller_new(struct turns *turns, uint64_t caller)
{
    struct turns_caller *owner = mem_calloc(1, sizeof(*owner));

    if (owner == NULL) {
        return NULL;
    }
    owner->caller = caller;
    if (index_add(&turns->by_caller, &owner->entry) != 0) {
        mem_free(owner);
        return NULL;
    }
    list_init(&owner->slots);
    return owner;
}

static void caller_wait(struct turns *turns, struct turns_caller *owner)
{
    if (!list_is_linked(&owner->node)) {
        list_push_back(&turns->callers, &owner->node);
        turns->waiting_count++;
    }
}

/* It is still known if it still waits or is being served. */
static void caller_put(struct turns *turns, struct turns_caller *owner)
{
    if (!list_is_empty(&owner->slots)) {
        return;
    }
    CHECK(owner->count == 0);
    if (list_is_linked(&owner->node)) {
        list_remove(&owner->node);
        turns->waiting_count--;
    }
    if (owner->served_count == 0) {
        index_remove(&turns->by_caller, &owner->entry);
        mem_free(owner);
    }
}

struct slot_key {
    const struct turns_caller *owner;
    const void *lane;
};

static bool slot_match(struct index_entry *entry, const void *wanted)
{
    const struct turns_slot *slot = CONTAINER_OF(entry, struct turns_slot, entry);
    const struct slot_key *key = wanted;

    return slot->owner == key->owner && slot->lane == key->lane;
}

static struct turns_slot *slot_find(const struct turns *turns, const struct turns_caller *owner,
                                    const void *lane)
{
    const struct slot_key key = {.owner = owner, .lane = lane};
    struct index_entry *entry =
        index_find(&turns->by_lane, lane_hash(&turns->by_lane, owner, lane), slot_match, &key);

    return entry != NULL ? CONTAINER_OF(entry, struct turns_slot, entry) : NULL;
}

static struct turns_slot *slot_get(struct turns *turns, struct turns_caller *owner,
                                   const void *lane)
{
    struct turns_slot *slot = slot_find(turns, owner, lane);

    if (slot != NULL) {
        return slot;
    }
    slot = mem_calloc(1, sizeof(*slot));
    if (slot == NULL) {
        return NULL;
    }
    slot->owner = owner;
    slot->lane = lane;
    if (index_add(&turns->by_lane, &slot->entry) != 0) {
        mem_free(slot);
        return NULL;
    }
    list_init(&slot->items);
    list_push_back(&owner->slots, &slot->node);
    return slot;
}

/* --- in and out --- */

int turns_join(struct turns *turns, uint64_t caller, const void *lane, struct list *node)
{
    struct turns_caller *owner = caller_find(turns, caller);
    struct turns_slot *slot;

    if (owner == NULL) {
        owner = caller_new(turns, caller);
    }
    if (owner == NULL) {
        return ERR_NOMEM;
    }
    slot = slot_get(turns, owner, lane);
    if (slot == NULL) {
        caller_put(turns, owner);
        return ERR_NOMEM;
    }
    owner->count++;
    caller_wait(turns, owner);
    list_push_back(&slot->items, node);
    return 0;
}

static void slot_leave(struct turns *turns, struct turns_slot *slot, struct list *node)
{
    struct turns_caller *owner = slot->owner;

    list_remove(node);
    owner->count--;
    if (list_is_empty(&slot->items)) {
        index_remove(&turns->by_lane, &slot->entry);
        list_remove(&slot->node);
        mem_free(slot);
        caller_put(turns, owner);
    }
}

void turns_leave(struct turns *turns, uint64_t caller, const void *lane, struct list *node)
{
    struct turns_caller *owner = caller_find(turns, caller);
    struct turns_slot *slot = owner != NULL ? slot_find(turns, owner, lane) : NULL;

    CHECK(slot != NULL);
    slot_leave(turns, slot, node);
}

void turns_served(struct turns *turns, uint64_t caller)
{
    struct turns_caller *owner = caller_find(turns, caller);

    CHECK(owner != NULL && owner->served_count > 0);
    owner->served_count--;
    caller_put(turns, owner);
}

static struct turns_slot *slot_next(const struct turns_caller *owner,
                                    const struct turns_filter *filter)
{
    struct list *node;

    for (node = owner->slots.next; node != &owner->slots; node = node->next) {
        struct turns_slot *slot = LIST_ENTRY(node, struct turns_slot, node);

        if (filter->may(slot->lane, filter->user)) {
            return slot;
        }
    }
    return NULL;
}

static struct turns_slot *turn_next(const struct turns *turns, const struct turns_filter *filter)
{
    struct list *node;
    struct turns_slot *slot = NULL;

    for (node = turns->callers.next; slot == NULL && node != &turns->callers; node = node->next) {
        struct turns_caller *owner = LIST_ENTRY(node, struct turns_caller, node);

        slot = owner->served_count < filter->served_max ? slot_next(owner, filter) : NULL;
    }
    return slot;
}

struct list *turns_serve(struct turns *turns, const struct turns_filter *filter,
                         const void **ret_lane)
{
    struct turns_slot *slot = turn_next(turns, filter);
    struct list *node;

    if (slot == NULL) {
        return NULL;
    }
    node = slot->items.next;
    *ret_lane = slot->lane;
    list_move_back(&slot->owner->slots, &slot->node);
    list_move_back(&turns->callers, &slot->owner->node);
    slot->owner->served_count++;
    slot_leave(turns, slot, node);
    return node;
}

size_t turns_caller_count(const struct turns *turns)
{
    return turns->waiting_count;
}

uint32_t turns_count(const struct turns *turns, uint64_t caller)
{
    const struct turns_caller *owner = caller_find(turns, caller);

    return owner != NULL ? owner->count : 0;
}
