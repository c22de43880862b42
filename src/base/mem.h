/* The allocator of the project: freeing a block wipes it, so that whatever passes through (tokens
 * in curl's header buffers, passwords in jansson's trees) doesn't stay in the heap.
 *
 * The same functions serve curl, jansson and OpenSSL (set in main), which is why their signatures
 * match malloc's. */
#ifndef LEASED_BASE_MEM_H
#define LEASED_BASE_MEM_H

#include "base/check.h"

/* NULL when out of memory; `size` 0 gives a block that may be freed. */
ATTR_MALLOC ATTR_MUST_USE void *mem_alloc(size_t size);

/* Zeroed; NULL on overflow of count * size too. */
ATTR_MALLOC ATTR_MUST_USE void *mem_calloc(size_t count, size_t size);

/* As realloc; the old block is wiped when it moves. On failure NULL and `block` is unchanged. */
ATTR_MUST_USE void *mem_realloc(void *block, size_t size);

/* Wipes and frees. NULL is fine. */
void mem_free(void *block);

/* A copy of `size` bytes, or of a string with its NUL. NULL when out of memory. Free with mem_free.
 */
ATTR_MUST_USE void *mem_dup(const void *bytes, size_t size);
ATTR_MUST_USE char *mem_strdup(const char *text);
ATTR_MUST_USE char *mem_strndup(const char *text, size_t len);

/* Wipes memory in a way that the compiler can't drop. */
void mem_wipe(void *bytes, size_t size);

/* Bytes that callers hold now, as malloc rounds them, for the metrics and for tests that demand
 * none left. */
size_t mem_in_use_bytes(void);

/* Test hook: return non-zero to let an allocation fail. NULL takes it away. Set before threads
 * start. */
typedef int (*mem_fail_fn)(size_t size);
void mem_set_fail_hook(mem_fail_fn hook);

#endif
