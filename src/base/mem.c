/* The wiping allocator, on top of malloc, which knows how large each block is: a million leases
 * have millions of small blocks, and a head of our own on each would cost more than some of them
 * hold. What malloc gave beyond the size that was asked for is never lent, only wiped with the
 * rest. Used from the loop's thread, the audit writer's and OpenSSL's, so the count is atomic. */
#include "base/mem.h"

#include <malloc.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static atomic_size_t in_use_bytes;
static mem_fail_fn fail_hook;

void mem_set_fail_hook(mem_fail_fn hook)
{
    fail_hook = hook;
}

size_t mem_in_use_bytes(void)
{
    return atomic_load_explicit(&in_use_bytes, memory_order_relaxed);
}

void mem_wipe(void *bytes, size_t size)
{
    if (size > 0) {
        explicit_bzero(bytes, size);
    }
}

void *mem_alloc(size_t size)
{
    void *block;

    if (size > PTRDIFF_MAX || (fail_hook != NULL && fail_hook(size) != 0)) {
        return NULL;
    }
    block = malloc(size > 0 ? size : 1);
    if (block != NULL) {
        atomic_fetch_add_explicit(&in_use_bytes, malloc_usable_size(block), memory_order_relaxed);
    }
    return block;
}

void *mem_calloc(size_t count, size_t size)
{
    size_t total;
    void *block;

    if (__builtin_mul_overflow(count, size, &total)) {
        return NULL;
    }
    block = mem_alloc(total);
    if (block != NULL) {
        memset(block, 0, total);
    }
    return block;
}

void *mem_realloc(void *block, size_t size)
{
    size_t held;
    void *moved;

    if (block == NULL) {
        return mem_alloc(size);
    }
    moved = mem_alloc(size);
    if (moved == NULL) {
        return NULL;
    }
    held = malloc_usable_size(block);
    memcpy(moved, block, held < size ? held : size);
    mem_free(block);
    return moved;
}

void mem_free(void *block)
{
    size_t size;

    if (block == NULL) {
        return;
    }
    size = malloc_usable_size(block);
    atomic_fetch_sub_explicit(&in_use_bytes, size, memory_order_relaxed);
    mem_wipe(block, size);
    free(block);
}

void *mem_dup(const void *bytes, size_t size)
{
    void *copy = mem_alloc(size);

    if (copy != NULL && size > 0) {
        memcpy(copy, bytes, size);
    }
    return copy;
}

char *mem_strndup(const char *text, size_t len)
{
    char *copy = mem_alloc(len + 1);

    if (copy != NULL) {
        if (len > 0) {
            memcpy(copy, text, len);
        }
        copy[len] = '\0';
    }
    return copy;
}

char *mem_strdup(const char *text)
{
    return mem_strndup(text, strlen(text));
}
