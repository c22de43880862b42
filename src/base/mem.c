/* The wiping allocator: a 16-byte head holds the block's size and a guard word. Used from the
 * loop's thread, the audit writer's and OpenSSL's, so the count is atomic. */
#include "base/mem.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define MEM_GUARD 0x6d656d5f67756172U

struct mem_head {
    size_t size;
    uint64_t guard;
};

static_assert(sizeof(struct mem_head) == 16, "blocks keep malloc's 16-byte alignment");

static atomic_size_t in_use_bytes;
static mem_fail_fn fail_hook;

static struct mem_head *mem_head_of(void *block)
{
    struct mem_head *head = (struct mem_head *)block - 1;

    CHECK(head->guard == MEM_GUARD);
    return head;
}

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
    struct mem_head *head;

    if (size > SIZE_MAX - sizeof(*head) || (fail_hook != NULL && fail_hook(size) != 0)) {
        return NULL;
    }
    head = malloc(sizeof(*head) + size);
    if (head == NULL) {
        return NULL;
    }
    head->size = size;
    head->guard = MEM_GUARD;
    atomic_fetch_add_explicit(&in_use_bytes, size, memory_order_relaxed);
    return head + 1;
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
    struct mem_head *head;
    void *moved;

    if (block == NULL) {
        return mem_alloc(size);
    }
    head = mem_head_of(block);
    moved = mem_alloc(size);
    if (moved == NULL) {
        return NULL;
    }
    memcpy(moved, block, head->size < size ? head->size : size);
    mem_free(block);
    return moved;
}

void mem_free(void *block)
{
    struct mem_head *head;

    if (block == NULL) {
        return;
    }
    head = mem_head_of(block);
    atomic_fetch_sub_explicit(&in_use_bytes, head->size, memory_order_relaxed);
    mem_wipe(head, sizeof(*head) + head->size);
    free(head);
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
