/* Which rules may be about a caller and a role, or a path, found without looking at the others.
 * Internal to access/.
 *
 * Each rule hangs under keys: one for each of its subjects and of its roles; in an index of their
 * own, one for each of its subjects and of its paths, by how these begin. A subject's key is one
 * of the things that a caller must have for it to match (a user, a group, a claim…), the one that
 * the fewest subjects ask for. What has no such thing hangs under a key that every caller has. So a
 * look-up may give rules that don't match, which is for the decision to find out, but never leaves
 * out one that does. */
#ifndef LEASED_ACCESS_POLICY_INDEX_H
#define LEASED_ACCESS_POLICY_INDEX_H

#include "base/map.h"
#include "access/subject.h"

struct access_policy;
struct access_rule;

/* Kinds of keys, as bits: what a role's rules are looked up by. */
enum access_key {
    ACCESS_KEY_ALL = 1, /* every caller has it */
    ACCESS_KEY_USER = 2,
    ACCESS_KEY_UID = 4,
    ACCESS_KEY_UNIT = 8,
    ACCESS_KEY_CONTAINER = 16,
    ACCESS_KEY_IMAGE = 32,
    ACCESS_KEY_LISTENER = 64,
    ACCESS_KEY_SAN = 128,
    ACCESS_KEY_ISSUER = 256,
    ACCESS_KEY_CLAIM = 512,
    ACCESS_KEY_GID = 1024,
    ACCESS_KEY_GROUP = 2048,
    ACCESS_KEY_UNKNOWN_GROUPS = 4096, /* a caller whose groups couldn't be looked up */
};

/* Names of claims that can be keys; more of them aren't. */
#define ACCESS_INDEX_CLAIMS_MAX 16

struct access_role {
    struct map_entry entry; /* of policy->role_map */
    char *name;
    uint32_t keys; /* enum access_key: those of its own rules */
};

struct access_index_slot {
    uint64_t hash; /* over role, kind and value; two keys with one hash share a slot */
    uint32_t first;
    uint32_t count; /* 0: empty */
};

struct access_index {
    const struct access_rule **order; /* rules by rank: those that deny, those that allow, those
                                         that ask for approval, those that break the glass, each in
                                         file order; by paths: those that deny, the others */
    size_t rule_count;
    struct access_index_slot *slots;
    size_t slot_count;  /* a power of two */
    uint32_t *ranks;    /* of each slot's rules, rising */
    uint32_t keys;      /* of rules that are about too many roles or paths to hang under each */
    uint32_t path_keys; /* of all others, in an index of paths */
    const char *claims[ACCESS_INDEX_CLAIMS_MAX]; /* whose values are keys; borrowed from rules */
    size_t claim_count;
};

/* Builds policy->index, policy->path_index and the keys of policy->roles, of a policy that is
 * otherwise whole. 0 or ERR_NOMEM; access_index_fini of both in both cases. */
int access_index_build(struct access_policy *policy) ATTR_MUST_USE;
void access_index_fini(struct access_index *index);

/* Rules found under several keys are walked together, so that each comes once and in its order. */
#define ACCESS_CURSORS_MAX 64
struct access_candidates {
    const struct access_index *index;
    struct str role; /* by name; ptr NULL: rules on paths are looked for */
    size_t cursor_count;
    bool is_whole; /* there were too many keys: all rules are looked at */
    uint32_t next; /* the lowest rank that hasn't been seen */
    struct {
        const uint32_t *at;
        const uint32_t *end;
    } cursors[ACCESS_CURSORS_MAX];
};

/* Allocates nothing; may look up the names of groups. */
void access_candidates_find(const struct access_policy *policy, const struct access_role *role,
                            struct access_facts *facts, struct access_candidates *ret_candidates);

/* The same of rules on paths; whether their patterns fit is for the decision to find out, too. */
void access_path_candidates_find(const struct access_policy *policy, struct str path,
                                 struct access_facts *facts,
                                 struct access_candidates *ret_candidates);

/* The next one by rank, of those for a role only if it is about that; NULL: there is none. */
const struct access_rule *access_candidates_next(struct access_candidates *candidates);

#endif
