/* A table of slots with a free list. The low 16 bits of a handle are the slot's index + 1, the rest
 * is the slot's generation, which moves on when the handle is used up. */
#include "backend/handles.h"

#include "base/err.h"
#include "base/mem.h"

#define SLOT_BITS 16U
#define SLOT_MASK (((uintptr_t)1 << SLOT_BITS) - 1U)
#define GENERATION_MASK (UINTPTR_MAX >> SLOT_BITS)
#define FIRST_SLOTS 16U

void handles_init(struct handles *handles, size_t max)
{
    CHECK(max < SLOT_MASK);
    *handles = (struct handles){.slot_max = max};
}

void handles_fini(struct handles *handles)
{
    mem_free(handles->slots);
    *handles = (struct handles){0};
}

static int grow(struct handles *handles)
{
    size_t wanted = handles->slot_count == 0 ? FIRST_SLOTS : handles->slot_count * 2U;
    struct handles_slot *slots;

    if (handles->slot_count >= handles->slot_max) {
        return ERR_LIMIT;
    }
    if (wanted > handles->slot_max) {
        wanted = handles->slot_max;
    }
    slots = mem_realloc(handles->slots, wanted * sizeof(*slots));
    if (slots == NULL) {
        return ERR_NOMEM;
    }
    for (size_t i = wanted; i > handles->slot_count; i--) {
        slots[i - 1] = (struct handles_slot){.generation = 1, .next_free = handles->free_head};
        handles->free_head = i;
    }
    handles->slots = slots;
    handles->slot_count = wanted;
    return 0;
}

int handles_add(struct handles *handles, void *object, void **ret_handle)
{
    struct handles_slot *slot;
    size_t index;
    int rc;

    CHECK(object != NULL);
    if (handles->free_head == 0) {
        rc = grow(handles);
        if (rc != 0) {
            return rc;
        }
    }
    index = handles->free_head - 1U;
    slot = &handles->slots[index];
    handles->free_head = slot->next_free;
    slot->object = object;
    handles->used_count++;
    *ret_handle = (void *)((slot->generation << SLOT_BITS) | (uintptr_t)(index + 1U));
    return 0;
}

static struct handles_slot *slot_of(const struct handles *handles, const void *handle)
{
    uintptr_t bits = (uintptr_t)handle;
    size_t index = (size_t)(bits & SLOT_MASK);
    struct handles_slot *slot;

    if (index == 0 || index > handles->slot_count) {
        return NULL;
    }
    slot = &handles->slots[index - 1U];
    if (slot->object == NULL || slot->generation != bits >> SLOT_BITS) {
        return NULL;
    }
    return slot;
}

void *handles_get(const struct handles *handles, const void *handle)
{
    const struct handles_slot *slot = slot_of(handles, handle);

    return slot != NULL ? slot->object : NULL;
}

void handles_remove(struct handles *handles, const void *handle)
{
    struct handles_slot *slot = slot_of(handles, handle);

    if (slot == NULL) {
        return;
    }
    slot->object = NULL;
    slot->generation = (slot->generation + 1U) & GENERATION_MASK;
    slot->next_free = handles->free_head;
    handles->free_head = (size_t)(slot - handles->slots) + 1U;
    handles->used_count--;
}

size_t handles_count(const struct handles *handles)
{
    return handles->used_count;
}

void *handles_next(const struct handles *handles, size_t *index)
{
    while (*index < handles->slot_count) {
        void *object = handles->slots[(*index)++].object;

        if (object != NULL) {
            return object;
        }
    }
    return NULL;
}
