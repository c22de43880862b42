/* Short texts that many grants have in common (policy digests, rules' names, sets of groups): kept
 * once, however many point to them. */
#ifndef LEASED_LEASE_TEXT_H
#define LEASED_LEASE_TEXT_H

#include "base/map.h"

struct text {
    struct map_entry entry;
    uint32_t user_count;
    char chars[];
};

/* The one copy of `chars` (NULL counts as ""), with one more user. NULL when out of memory. */
struct text *text_get(struct map *texts, const char *chars);

/* The same for bytes that are no text: chars has entry.key.len of them. */
struct text *text_get_bytes(struct map *texts, struct str bytes);

/* One user less; the last one frees it. NULL is fine. */
void text_put(struct map *texts, struct text *text);

#endif
