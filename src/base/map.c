/* A chained hash map that doubles when full. The hash is FNV-1a over a seed, finished with a mixer:
 * good enough against accidents, and the seed against choice of keys by clients. */
#include "base/map.h"

#include "base/err.h"
#include "base/mem.h"

#define MAP_FIRST_BUCKETS 16

static uint64_t map_hash(uint64_t seed, struct str key)
{
    uint64_t hash = 0xcbf29ce484222325U ^ seed;
    size_t i;

    for (i = 0; i < key.len; i++) {
        hash = (hash ^ (unsigned char)key.ptr[i]) * 0x100000001b3U;
    }
    hash ^= hash >> 33;
    hash *= 0xff51afd7ed558ccdU;
    hash ^= hash >> 33;
    return hash;
}

void map_init(struct map *map, uint64_t seed)
{
    *map = (struct map){.seed = seed};
    list_init(&map->order);
}

void map_fini(struct map *map)
{
    mem_free(map->buckets);
    map_init(map, map->seed);
}

static struct map_entry **map_bucket(const struct map *map, uint64_t hash)
{
    return &map->buckets[hash & (map->bucket_count - 1)];
}

static int map_grow(struct map *map)
{
    size_t count = map->bucket_count > 0 ? map->bucket_count * 2 : MAP_FIRST_BUCKETS;
    struct map_entry **buckets = mem_calloc(count, sizeof(*buckets));
    struct list *node;
    struct list *following;

    if (buckets == NULL) {
        return ERR_NOMEM;
    }
    mem_free(map->buckets);
    map->buckets = buckets;
    map->bucket_count = count;
    LIST_EACH (&map->order, node, following) {
        struct map_entry *entry = LIST_ENTRY(node, struct map_entry, order);
        struct map_entry **bucket = map_bucket(map, entry->hash);

        entry->chain = *bucket;
        *bucket = entry;
    }
    return 0;
}

static struct map_entry *map_find_hash(const struct map *map, struct str key, uint64_t hash)
{
    struct map_entry *entry;

    if (map->bucket_count == 0) {
        return NULL;
    }
    for (entry = *map_bucket(map, hash); entry != NULL; entry = entry->chain) {
        if (entry->hash == hash && str_eq(entry->key, key)) {
            return entry;
        }
    }
    return NULL;
}

int map_add(struct map *map, struct map_entry *entry, struct str key)
{
    uint64_t hash = map_hash(map->seed, key);
    struct map_entry **bucket;

    if (map_find_hash(map, key, hash) != NULL) {
        return ERR_EXISTS;
    }
    if (map->count >= map->bucket_count && map_grow(map) != 0) {
        return ERR_NOMEM;
    }
    bucket = map_bucket(map, hash);
    *entry = (struct map_entry){.chain = *bucket, .key = key, .hash = hash};
    *bucket = entry;
    list_push_back(&map->order, &entry->order);
    map->count++;
    return 0;
}

struct map_entry *map_find(const struct map *map, struct str key)
{
    return map_find_hash(map, key, map_hash(map->seed, key));
}

void map_remove(struct map *map, struct map_entry *entry)
{
    struct map_entry **link = map_bucket(map, entry->hash);

    while (*link != entry) {
        CHECK(*link != NULL);
        link = &(*link)->chain;
    }
    *link = entry->chain;
    list_remove(&entry->order);
    map->count--;
}

size_t map_count(const struct map *map)
{
    return map->count;
}

struct map_entry *map_first(const struct map *map)
{
    return list_is_empty(&map->order) ? NULL : LIST_ENTRY(map->order.next, struct map_entry, order);
}

struct map_entry *map_next(const struct map *map, const struct map_entry *entry)
{
    return entry->order.next == &map->order
               ? NULL
               : LIST_ENTRY(entry->order.next, struct map_entry, order);
}
