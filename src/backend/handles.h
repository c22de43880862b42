/* Handles that plugins hold: a slot and its generation in one opaque pointer. A handle whose object
 * has gone is recognised and never dereferenced, so a plugin that uses one twice does no harm. */
#ifndef LEASED_BACKEND_HANDLES_H
#define LEASED_BACKEND_HANDLES_H

#include "base/check.h"

#include <stdbool.h>

struct handles_slot {
    void *object; /* NULL: free */
    uintptr_t generation;
    size_t next_free; /* index + 1; 0: none */
};

struct handles {
    struct handles_slot *slots; /* owned */
    size_t slot_count;
    size_t slot_max;
    size_t free_head; /* index + 1; 0: none */
    size_t used_count;
};

/* At most `max` (<= 65535) objects at once. Allocates nothing yet. */
void handles_init(struct handles *handles, size_t max);
void handles_fini(struct handles *handles);

/* 0 and a handle that is never NULL; ERR_LIMIT or ERR_NOMEM. */
int handles_add(struct handles *handles, void *object, void **ret_handle) ATTR_MUST_USE;

/* The object, or NULL when the handle is used up (or never was one). */
void *handles_get(const struct handles *handles, const void *handle);

/* Uses a handle up. Fine on one that is already. */
void handles_remove(struct handles *handles, const void *handle);

size_t handles_count(const struct handles *handles);

/* The next object at or after slot `*index`, which moves on; NULL at the end. */
void *handles_next(const struct handles *handles, size_t *index);

#endif
