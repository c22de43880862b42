/* The one arena of the process, as base/secret.h wants it. */
#include "io/secret_memory.h"

#include "base/secret.h"
#include "io/arena.h"

/* Set once, as every allocator hook. */
static struct arena *secret_arena;
static uint64_t refused_total;

static void *memory_alloc(size_t size)
{
    void *block = arena_alloc(secret_arena, size);

    if (block == NULL) {
        refused_total++;
    }
    return block;
}

static void memory_free(void *block)
{
    arena_free(secret_arena, block);
}

static bool memory_owns(const void *block)
{
    return arena_owns(secret_arena, block);
}

static void memory_stats(struct secret_stats *ret_stats)
{
    *ret_stats = (struct secret_stats){
        .kind = arena_kind_str(arena_kind(secret_arena)),
        .used_bytes = arena_used_bytes(secret_arena),
        .peak_bytes = arena_peak_bytes(secret_arena),
        .total_bytes = arena_total_bytes(secret_arena),
        .refused_total = refused_total,
    };
}

static const struct secret_memory memory = {
    .alloc = memory_alloc,
    .free = memory_free,
    .owns = memory_owns,
    .stats = memory_stats,
};

int io_use_secret_memory(size_t size, enum io_lock_memory lock, struct err *e)
{
    enum arena_kind best = lock == IO_LOCK_MEMORY_OFF ? ARENA_PLAIN : ARENA_MEMFD_SECRET;
    enum arena_kind worst = lock == IO_LOCK_MEMORY_REQUIRED ? ARENA_MLOCK : ARENA_PLAIN;
    int rc;

    CHECK(secret_arena == NULL);
    rc = arena_new(size, best, worst, &secret_arena, e);
    if (rc == 0) {
        secret_set_memory(&memory);
    }
    return rc;
}

void io_drop_secret_memory(void)
{
    if (secret_arena != NULL && arena_used_bytes(secret_arena) == 0) {
        secret_set_memory(NULL);
        arena_free_all(secret_arena);
        secret_arena = NULL;
    }
}
