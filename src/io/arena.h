/* A small piece of memory for secrets: never swapped, never dumped, not passed on to children, with
 * a page on either side that can't be touched. Blocks come from a buddy system: sizes are powers of
 * two, a freed block is wiped and joined with its neighbour. Each block ends with a canary. Not for
 * several threads. */
#ifndef LEASED_IO_ARENA_H
#define LEASED_IO_ARENA_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>

#define ARENA_BLOCK_LEAST_BYTES 64U /* header and canary included */

struct arena;

/* How well it is protected, best first. */
enum arena_kind {
    ARENA_MEMFD_SECRET, /* not even the kernel maps it (Linux 5.14, when it is switched on) */
    ARENA_MLOCK,
    ARENA_PLAIN, /* may be swapped */
};

const char *arena_kind_str(enum arena_kind kind);

/* The best kind that can be had, from `best` on; all of it is there at once, so that using it can't
 * fail later. `size` is a power of two of at least a page. ERR_LIMIT when it would be worse than
 * `worst`: the text says why. ERR_NOMEM. */
int arena_new(size_t size, enum arena_kind best, enum arena_kind worst, struct arena **ret_arena,
              struct err *e) ATTR_MUST_USE;

/* Nothing may be allocated any more. NULL is fine. */
void arena_free_all(struct arena *arena);

/* Aligned for anything, bytes undefined. NULL: no room. */
void *arena_alloc(struct arena *arena, size_t size) ATTR_MUST_USE;

/* Wipes it. A pointer that isn't a live block, or one that was written over, is a bug. */
void arena_free(struct arena *arena, void *block);

bool arena_owns(const struct arena *arena, const void *pointer);

enum arena_kind arena_kind(const struct arena *arena);
size_t arena_total_bytes(const struct arena *arena);
size_t arena_used_bytes(const struct arena *arena); /* whole blocks */
size_t arena_peak_bytes(const struct arena *arena);

/* CHECKs every block, canary and free list. O(arena). */
void arena_check(const struct arena *arena);

#endif
