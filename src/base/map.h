/* A hash map from a slice to a pointer. Iterates in insertion order, so runs can be replayed. The
 * key's bytes are the value's own (borrowed while the entry is in the map). */
#ifndef LEASED_BASE_MAP_H
#define LEASED_BASE_MAP_H

#include "base/list.h"
#include "base/str.h"

struct map_entry { /* embedded in the value */
    struct list order;
    struct map_entry *chain;
    struct str key;
    uint64_t hash;
};

struct map {
    struct map_entry **buckets;
    size_t bucket_count; /* a power of two, or 0 */
    size_t count;
    uint64_t seed;
    struct list order;
};

/* `seed` keeps an attacker from choosing colliding keys; the simulator gives a fixed one. */
void map_init(struct map *map, uint64_t seed);

/* The map must be empty or its entries no longer needed: they aren't touched. */
void map_fini(struct map *map);

/* 0, ERR_NOMEM, or ERR_EXISTS. `entry` is linked until map_remove; `key` is borrowed meanwhile. */
int map_add(struct map *map, struct map_entry *entry, struct str key) ATTR_MUST_USE;

/* The entry, or NULL. */
struct map_entry *map_find(const struct map *map, struct str key);

void map_remove(struct map *map, struct map_entry *entry);

size_t map_count(const struct map *map);

/* First entry in insertion order, and the one after; NULL at the end. */
struct map_entry *map_first(const struct map *map);
struct map_entry *map_next(const struct map *map, const struct map_entry *entry);

#define MAP_ENTRY(entry, type, member) CONTAINER_OF(entry, type, member)

#endif
