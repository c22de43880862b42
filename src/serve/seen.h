/* Who has asked for credentials: the last identities, so that a new policy can be tried on those
 * whom it is about before it counts. In memory alone. */
#ifndef LEASED_SERVE_SEEN_H
#define LEASED_SERVE_SEEN_H

#include "access/identity.h"
#include "base/list.h"
#include "base/map.h"

#define SEEN_MAX 512U /* who hasn't asked for the longest time is forgotten first */

struct seen_identity {
    struct map_entry entry;          /* by key */
    struct list node;                /* the latest first */
    struct access_identity identity; /* its texts and claims are its own */
    struct access_claims *claims;
    char *listener;
    char key[ACCESS_KEY_MAX_BYTES];
};

struct seen {
    struct map by_key;
    struct list latest;
};

void seen_init(struct seen *seen, uint64_t seed);
void seen_fini(struct seen *seen);

/* It has asked just now; copied. Without memory it isn't remembered. */
void seen_note(struct seen *seen, const char *key, const struct access_identity *identity);

/* The latest first; NULL starts, and ends. */
const struct seen_identity *seen_next(const struct seen *seen, const struct seen_identity *after);
size_t seen_count(const struct seen *seen);

#endif
