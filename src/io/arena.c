/* A buddy system (Knuth, The Art of Computer Programming 1, 2.5) over memory that only we can read.
 *
 * The arena is 2^n least blocks; a block of order k is 2^k of them and begins at a multiple of its
 * size, so its buddy is found by flipping one bit. What is free and what isn't stands outside, one
 * byte for each least block, so that writing over a block's end can't confuse it; the links of the
 * free lists stand in the free blocks. A live block holds: its size and a word that depends on its
 * place, what the caller asked for, and the same word again. */
#include "io/arena.h"

#include "base/list.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <unistd.h>

#define ORDERS_MAX 24U
#define STATE_INSIDE 0xffU /* not the first of its block */
#define STATE_FREE 0x40U   /* or'ed to the order */
#define STATE_ORDER_MASK 0x3fU

struct block_head {
    uint64_t size;
    uint64_t canary;
};

#define BLOCK_EXTRA_BYTES (sizeof(struct block_head) + sizeof(uint64_t))

struct arena {
    char *map; /* with the guard pages */
    size_t map_size;
    char *bytes;
    size_t size;
    size_t page_size;
    enum arena_kind kind;
    size_t used_bytes;
    size_t peak_bytes;
    uint64_t secret; /* what canaries are made from */
    unsigned order_max;
    struct list free[ORDERS_MAX]; /* by order */
    uint8_t states[];             /* of each least block */
};

const char *arena_kind_str(enum arena_kind kind)
{
    static const char *const names[] = {
        [ARENA_MEMFD_SECRET] = "memfd_secret",
        [ARENA_MLOCK] = "mlock",
        [ARENA_PLAIN] = "plain",
    };

    return names[kind];
}

/* --- memory ----------------------------------------------------------------------------------- */

/* Puts pages of a secret file over the reserved ones. */
static int map_secret_file(struct arena *arena)
{
    int fd = (int)syscall(SYS_memfd_secret, O_CLOEXEC);
    void *at = MAP_FAILED;
    int rc = fd < 0 ? -errno : 0;

    if (rc == 0 && ftruncate(fd, (off_t)arena->size) != 0) {
        rc = -errno;
    }
    if (rc == 0) {
        at = mmap(arena->bytes, arena->size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0);
        rc = at == MAP_FAILED ? -errno : 0;
    }
    if (fd >= 0) {
        (void)close(fd);
    }
    return rc;
}

static int map_anonymous(struct arena *arena, bool is_locked)
{
    void *at = mmap(arena->bytes, arena->size, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);

    if (at == MAP_FAILED || (is_locked && mlock(arena->bytes, arena->size) != 0)) {
        return -errno;
    }
    return 0;
}

/* Its pages are zero, and come when they are first used: each page of a secret file is taken out of
 * the kernel's own map, which costs 20 µs (5 ms for 1 MiB at once). */
static int map_kind(struct arena *arena, enum arena_kind kind)
{
    int rc = kind == ARENA_MEMFD_SECRET ? map_secret_file(arena)
                                        : map_anonymous(arena, kind == ARENA_MLOCK);

    if (rc == 0) {
        arena->kind = kind;
        /* Secret files have the first already and refuse to be told so. */
        (void)madvise(arena->bytes, arena->size, MADV_DONTDUMP);
        (void)madvise(arena->bytes, arena->size, MADV_DONTFORK);
    }
    return rc;
}

static int map_best(struct arena *arena, enum arena_kind best, enum arena_kind worst, struct err *e)
{
    int rc = 0;

    arena->page_size = (size_t)sysconf(_SC_PAGESIZE);
    arena->map_size = arena->size + 2 * arena->page_size;
    arena->map = mmap(NULL, arena->map_size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (arena->map == MAP_FAILED) {
        arena->map = NULL;
        return err_set(e, ERR_NOMEM, "no room for %zu bytes of secret memory", arena->size);
    }
    arena->bytes = arena->map + arena->page_size;
    for (enum arena_kind kind = best; kind <= worst; kind++) {
        rc = map_kind(arena, kind);
        if (rc == 0) {
            return 0;
        }
    }
    return err_set(e, ERR_LIMIT,
                   "could not lock %zu bytes of memory for secrets: %s (RLIMIT_MEMLOCK, "
                   "LimitMEMLOCK= in a unit)",
                   arena->size, err_str(rc));
}

/* --- blocks ----------------------------------------------------------------------------------- */

static size_t index_of(const struct arena *arena, const void *at)
{
    return (size_t)((const char *)at - arena->bytes) / ARENA_BLOCK_LEAST_BYTES;
}

static char *at_index(const struct arena *arena, size_t index)
{
    return arena->bytes + index * ARENA_BLOCK_LEAST_BYTES;
}

static size_t order_size(unsigned order)
{
    return (size_t)ARENA_BLOCK_LEAST_BYTES << order;
}

static uint64_t canary_of(const struct arena *arena, const void *at)
{
    return arena->secret ^ (uint64_t)(uintptr_t)at;
}

static void block_release(struct arena *arena, size_t index, unsigned order)
{
    struct list *node = (struct list *)(void *)at_index(arena, index);

    arena->states[index] = (uint8_t)(order | STATE_FREE);
    list_init(node);
    list_push_front(&arena->free[order], node);
}

static void block_take(struct arena *arena, size_t index, unsigned order)
{
    struct list *node = (struct list *)(void *)at_index(arena, index);

    list_remove(node);
    mem_wipe(node, sizeof(*node));
    arena->states[index] = (uint8_t)order;
}

static unsigned order_for(const struct arena *arena, size_t size)
{
    unsigned order = 0;

    while (order <= arena->order_max && order_size(order) < size) {
        order++;
    }
    return order;
}

void *arena_alloc(struct arena *arena, size_t size)
{
    unsigned wanted;
    unsigned order;
    size_t index;
    struct block_head head;
    char *at;

    if (size > arena->size - BLOCK_EXTRA_BYTES) {
        return NULL;
    }
    wanted = order_for(arena, size + BLOCK_EXTRA_BYTES);
    for (order = wanted; order <= arena->order_max && list_is_empty(&arena->free[order]); order++) {
    }
    if (order > arena->order_max) {
        return NULL;
    }
    index = index_of(arena, arena->free[order].next);
    block_take(arena, index, order);
    for (; order > wanted; order--) {
        /* The upper half goes back. */
        block_release(arena, index + (order_size(order - 1) / ARENA_BLOCK_LEAST_BYTES), order - 1);
    }
    arena->states[index] = (uint8_t)wanted;
    arena->used_bytes += order_size(wanted);
    if (arena->used_bytes > arena->peak_bytes) {
        arena->peak_bytes = arena->used_bytes;
    }
    at = at_index(arena, index);
    head = (struct block_head){.size = size, .canary = canary_of(arena, at)};
    memcpy(at, &head, sizeof(head));
    memcpy(at + sizeof(head) + size, &head.canary, sizeof(head.canary));
    return at + sizeof(head);
}

bool arena_owns(const struct arena *arena, const void *pointer)
{
    return (uintptr_t)pointer >= (uintptr_t)arena->bytes &&
           (uintptr_t)pointer < (uintptr_t)arena->bytes + arena->size;
}

/* CHECKs that a live block begins here and is whole; its order. */
static unsigned block_check(const struct arena *arena, size_t index)
{
    const char *at = at_index(arena, index);
    unsigned order = arena->states[index];
    struct block_head head;
    uint64_t end;

    CHECK(order <= arena->order_max); /* freed twice, or never given out */
    memcpy(&head, at, sizeof(head));
    CHECK(head.canary == canary_of(arena, at));
    CHECK(head.size + BLOCK_EXTRA_BYTES <= order_size(order));
    memcpy(&end, at + sizeof(head) + head.size, sizeof(end));
    CHECK(end == head.canary);
    return order;
}

void arena_free(struct arena *arena, void *block)
{
    char *at = (char *)block - sizeof(struct block_head);
    size_t index;
    unsigned order;

    CHECK(arena_owns(arena, at));
    CHECK((size_t)(at - arena->bytes) % ARENA_BLOCK_LEAST_BYTES == 0);
    index = index_of(arena, at);
    order = block_check(arena, index);
    mem_wipe(at, order_size(order));
    arena->used_bytes -= order_size(order);
    for (; order < arena->order_max; order++) {
        size_t buddy = index ^ (order_size(order) / ARENA_BLOCK_LEAST_BYTES);

        if (arena->states[buddy] != (order | STATE_FREE)) {
            break;
        }
        block_take(arena, buddy, order);
        arena->states[buddy > index ? buddy : index] = STATE_INSIDE;
        index = buddy < index ? buddy : index;
    }
    block_release(arena, index, order);
}

/* --- the whole -------------------------------------------------------------------------------- */

int arena_new(size_t size, enum arena_kind best, enum arena_kind worst, struct arena **ret_arena,
              struct err *e)
{
    size_t count = size / ARENA_BLOCK_LEAST_BYTES;
    struct arena *arena;
    int rc;

    CHECK(size > 0 && (size & (size - 1)) == 0 && size % (size_t)sysconf(_SC_PAGESIZE) == 0);
    arena = mem_calloc(1, sizeof(*arena) + count);
    if (arena == NULL) {
        return err_set(e, ERR_NOMEM, "out of memory");
    }
    arena->size = size;
    rc = map_best(arena, best, worst, e);
    if (rc != 0) {
        arena_free_all(arena);
        return rc;
    }
    CHECK(getrandom(&arena->secret, sizeof(arena->secret), 0) == (ssize_t)sizeof(arena->secret));
    for (unsigned order = 0; order < ORDERS_MAX; order++) {
        list_init(&arena->free[order]);
    }
    while (order_size(arena->order_max) < size) {
        arena->order_max++;
    }
    CHECK(arena->order_max < ORDERS_MAX);
    memset(arena->states, STATE_INSIDE, count);
    block_release(arena, 0, arena->order_max);
    *ret_arena = arena;
    return 0;
}

void arena_free_all(struct arena *arena)
{
    if (arena == NULL) {
        return;
    }
    CHECK(arena->used_bytes == 0);
    if (arena->map != NULL) {
        (void)munmap(arena->map, arena->map_size);
    }
    mem_free(arena);
}

enum arena_kind arena_kind(const struct arena *arena)
{
    return arena->kind;
}

size_t arena_total_bytes(const struct arena *arena)
{
    return arena->size;
}

size_t arena_used_bytes(const struct arena *arena)
{
    return arena->used_bytes;
}

size_t arena_peak_bytes(const struct arena *arena)
{
    return arena->peak_bytes;
}

/* CHECKs that a free block is empty but for its links, and in the list of its order. */
static void free_check(const struct arena *arena, size_t index, unsigned order)
{
    const char *at = at_index(arena, index);
    const struct list *wanted = (const struct list *)(const void *)at;
    const struct list *node = arena->free[order].next;

    while (node != &arena->free[order] && node != wanted) {
        node = node->next;
    }
    CHECK(node == wanted);
    for (size_t i = sizeof(struct list); i < order_size(order); i++) {
        CHECK(at[i] == 0);
    }
}

void arena_check(const struct arena *arena)
{
    size_t count = arena->size / ARENA_BLOCK_LEAST_BYTES;
    size_t used_bytes = 0;
    size_t index = 0;

    while (index < count) {
        unsigned order = arena->states[index] & STATE_ORDER_MASK;
        bool is_free = (arena->states[index] & STATE_FREE) != 0;

        CHECK(arena->states[index] != STATE_INSIDE);
        CHECK(index % (order_size(order) / ARENA_BLOCK_LEAST_BYTES) == 0);
        if (is_free) {
            free_check(arena, index, order);
        } else {
            used_bytes += order_size(block_check(arena, index));
        }
        index += order_size(order) / ARENA_BLOCK_LEAST_BYTES;
    }
    CHECK(index == count);
    CHECK(used_bytes == arena->used_bytes);
}
