/* A chained hash index that doubles when it is full. */
#include "lease/index.h"

#include "base/err.h"
#include "base/mem.h"

#include <string.h>

#define INDEX_FIRST_BUCKETS 64U

void index_init(struct index *index, uint64_t seed, index_hash_fn hash)
{
    *index = (struct index){.seed = seed, .hash = hash};
}

void index_fini(struct index *index)
{
    mem_free(index->buckets);
    index_init(index, index->seed, index->hash);
}

uint64_t index_hash(uint64_t hash, uint64_t part)
{
    hash = (hash ^ part) * 0x9e3779b97f4a7c15U;
    hash ^= hash >> 32;
    hash *= 0xff51afd7ed558ccdU;
    return hash ^ hash >> 29;
}

uint64_t index_hash_text(uint64_t hash, const char *text)
{
    size_t len = strlen(text);
    uint64_t part = len;

    hash = index_hash(hash, part);
    for (; len >= sizeof(part); len -= sizeof(part), text += sizeof(part)) {
        memcpy(&part, text, sizeof(part));
        hash = index_hash(hash, part);
    }
    part = 0;
    memcpy(&part, text, len);
    return len > 0 ? index_hash(hash, part) : hash;
}

static struct index_entry **bucket_of(const struct index *index, uint64_t hash)
{
    return &index->buckets[hash & (index->bucket_count - 1)];
}

static void index_link(struct index *index, struct index_entry *entry)
{
    struct index_entry **bucket = bucket_of(index, index->hash(index, entry));

    entry->chain = *bucket;
    *bucket = entry;
}

static void index_move(struct index *index, struct index_entry **from, size_t from_count)
{
    size_t i;

    for (i = 0; i < from_count; i++) {
        while (from[i] != NULL) {
            struct index_entry *entry = from[i];

            from[i] = entry->chain;
            index_link(index, entry);
        }
    }
}

static int index_grow(struct index *index)
{
    struct index_entry **from = index->buckets;
    size_t from_count = index->bucket_count;
    size_t count = from_count > 0 ? from_count * 2 : INDEX_FIRST_BUCKETS;
    struct index_entry **buckets = mem_calloc(count, sizeof(struct index_entry *));

    if (buckets == NULL) {
        return ERR_NOMEM;
    }
    index->buckets = buckets;
    index->bucket_count = count;
    index_move(index, from, from_count);
    mem_free(from);
    return 0;
}

int index_add(struct index *index, struct index_entry *entry)
{
    if (index->count >= index->bucket_count && index_grow(index) != 0 && index->bucket_count == 0) {
        return ERR_NOMEM;
    }
    index_link(index, entry);
    index->count++;
    return 0;
}

struct index_entry *index_find(const struct index *index, uint64_t hash, index_match_fn match,
                               const void *key)
{
    struct index_entry *entry = index->bucket_count > 0 ? *bucket_of(index, hash) : NULL;

    while (entry != NULL && !match(entry, key)) {
        entry = entry->chain;
    }
    return entry;
}

void index_remove(struct index *index, struct index_entry *entry)
{
    struct index_entry **link = bucket_of(index, index->hash(index, entry));

    while (*link != entry) {
        CHECK(*link != NULL);
        link = &(*link)->chain;
    }
    *link = entry->chain;
    index->count--;
}
