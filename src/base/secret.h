/* Bytes that must not be seen: they have a type of their own that can't be printed, aren't compared
 * with == and are wiped when freed. Borrow them with secret_view for the shortest scope.
 *
 * They live in secret memory: a small arena that is never swapped or dumped, once main has set it,
 * else (tests, the simulator, the command line) the wiping heap. What it holds is few and small:
 * keys, tokens, what is being opened or sent. It is used on the loop's thread alone. */
#ifndef LEASED_BASE_SECRET_H
#define LEASED_BASE_SECRET_H

#include "base/str.h"

struct secret {
    char *secret_bytes; /* owned, NUL-terminated; touched by secret.c alone */
    size_t secret_len;
};

void secret_init(struct secret *secret);

/* Wipes and frees; the secret is empty afterwards. */
void secret_fini(struct secret *secret);

/* Replaces what it holds by a copy. 0 or ERR_NOMEM (then it is unchanged). */
int secret_set(struct secret *secret, struct str bytes) ATTR_MUST_USE;

/* The same on the wiping heap: for what is large or many, and where secret memory isn't set yet. */
int secret_set_on_heap(struct secret *secret, struct str bytes) ATTR_MUST_USE;

/* Replaces what it holds by `len` bytes for the caller to fill at once, through ret_bytes. 0 or
 * ERR_NOMEM (then it is unchanged). */
int secret_make(struct secret *secret, size_t len, char **ret_bytes) ATTR_MUST_USE;

/* Cuts it to its first `len` bytes; the rest is wiped. */
void secret_cut(struct secret *secret, size_t len);

/* The bytes, NUL-terminated behind the end; borrowed until the secret changes. */
struct str secret_view(const struct secret *secret);

bool secret_is_empty(const struct secret *secret);

/* In time that depends on the lengths only. */
bool secret_eq(const struct secret *secret, struct str bytes);

/* --- secret memory --- */

struct secret_stats {
    const char *kind; /* how it is protected: "memfd_secret", "mlock", "plain"; "heap": not set */
    size_t used_bytes;
    size_t peak_bytes; /* the most that was used at once */
    size_t total_bytes;
    uint64_t refused_total; /* allocations that found no room */
};

/* What stands behind secret_alloc. */
struct secret_memory {
    void *(*alloc)(size_t size); /* NULL: no room */
    void (*free)(void *block);   /* wipes; only what it owns */
    bool (*owns)(const void *block);
    void (*stats)(struct secret_stats *ret_stats);
};

/* Set once in main, before the first thread; tests may take it away with NULL. What was allocated
 * before is still freed rightly. */
void secret_set_memory(const struct secret_memory *memory);

/* A block that is aligned for anything, its bytes undefined; NULL when there is no room: secrets
 * never move to the heap for want of it. */
ATTR_MALLOC ATTR_MUST_USE void *secret_alloc(size_t size);

/* Wipes and frees a block of secret_alloc's, or of mem_alloc's. NULL is fine. */
void secret_free(void *block);

void secret_memory_stats(struct secret_stats *ret_stats);

#endif
