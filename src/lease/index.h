/* A hash index for what there is a million of: 8 bytes an entry. The key stays where it is, in the
 * owner, and so does its hash, or what that is made from: the index asks for it where it needs it.
 * Whoever looks for a key brings its hash and a function that compares. Unlike base/map.h it has no
 * order to walk in and can't refuse a key. */
#ifndef LEASED_LEASE_INDEX_H
#define LEASED_LEASE_INDEX_H

#include "base/check.h"

#include <stdbool.h>

struct index_entry {
    struct index_entry *chain;
};

struct index;

/* The hash of an entry's key: of one that is in the index always the same. */
typedef uint64_t (*index_hash_fn)(const struct index *index, struct index_entry *entry);

struct index {
    struct index_entry **buckets; /* NULL until the first entry */
    size_t bucket_count;
    size_t count;
    uint64_t seed;
    index_hash_fn hash;
};

/* Does this entry have the key? */
typedef bool (*index_match_fn)(struct index_entry *entry, const void *key);

/* `seed` keeps clients from choosing keys that collide. */
void index_init(struct index *index, uint64_t seed, index_hash_fn hash);
/* Entries aren't touched. */
void index_fini(struct index *index);

/* The hash of a part of a key; `hash` is the hash of the part before, at first index->seed. */
uint64_t index_hash(uint64_t hash, uint64_t part);

/* The same for a text. */
uint64_t index_hash_text(uint64_t hash, const char *text);

/* ERR_NOMEM only for the first entry; later ones find room, if need be in longer chains. */
int index_add(struct index *index, struct index_entry *entry) ATTR_MUST_USE;

/* An entry that matches, or NULL. */
struct index_entry *index_find(const struct index *index, uint64_t hash, index_match_fn match,
                               const void *key);

void index_remove(struct index *index, struct index_entry *entry);

#endif
