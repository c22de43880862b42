/* Who has asked for credentials or paths, and for what: the last identities and what each of them
 * asked for last, so that a new policy can be tried on those whom it is about before it counts. In
 * memory alone. */
#ifndef LEASED_SERVE_SEEN_H
#define LEASED_SERVE_SEEN_H

#include "access/policy.h"
#include "base/list.h"
#include "base/map.h"

#define SEEN_MAX 512U /* who hasn't asked for the longest time is forgotten first */
/* What was asked for, of each kind: of all, and of one identity. What was asked for the longest
 * time ago is forgotten first. */
#define SEEN_ASKS_MAX 4096U
#define SEEN_ASKS_OF_ONE_MAX 64U
#define SEEN_PATH_MAX_BYTES 512U /* as patterns; longer ones aren't remembered */

enum seen_kind {
    SEEN_ROLE,
    SEEN_PATH,
    SEEN_KINDS,
};

/* A role or a path that an identity has asked for, as it did the last time. */
struct seen_ask {
    struct list of_kind; /* the latest first, both */
    struct list of_identity;
    struct seen_identity *identity;
    enum seen_kind kind;
    struct access_request role; /* SEEN_ROLE: at no time, with no grant held and nothing approved */
    struct access_path_request path; /* SEEN_PATH: at no time */
    char texts[];                    /* what they point to */
};

struct seen_identity {
    struct map_entry entry;          /* by key */
    struct list node;                /* the latest first */
    struct access_identity identity; /* its texts and claims are its own */
    struct access_claims *claims;
    char *listener;
    struct list asks[SEEN_KINDS];
    size_t ask_counts[SEEN_KINDS];
    char key[ACCESS_KEY_MAX_BYTES];
};

struct seen {
    struct map by_key;
    struct list latest;
    struct list asks[SEEN_KINDS];
    size_t ask_counts[SEEN_KINDS];
};

void seen_init(struct seen *seen, uint64_t seed);
void seen_fini(struct seen *seen);

/* It has asked just now; copied. Without memory it isn't remembered: NULL. What is returned lives
 * until the next one is noted. */
struct seen_identity *seen_note(struct seen *seen, const char *key,
                                const struct access_identity *identity);

/* It has asked for this role, or path, just now; copied. NULL, and what there is no memory for,
 * isn't remembered. */
void seen_note_role(struct seen *seen, struct seen_identity *identity,
                    const struct access_request *request);
void seen_note_path(struct seen *seen, struct seen_identity *identity,
                    const struct access_path_request *request);

/* The latest first; NULL starts, and ends. */
const struct seen_identity *seen_next(const struct seen *seen, const struct seen_identity *after);
size_t seen_count(const struct seen *seen);

/* How it asked for a role the last time; NULL: it didn't, or that is forgotten. */
const struct seen_ask *seen_role(const struct seen_identity *identity, const char *role);

/* The paths that it asked for: the latest first; NULL starts, and ends. */
const struct seen_ask *seen_next_path(const struct seen_identity *identity,
                                      const struct seen_ask *after);

#endif
