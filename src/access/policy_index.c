/* Looks rules up by what a caller has.
 *
 * A decision computes the keys of its caller, for the role and for all roles, and walks the rules
 * that hang under them. Hashes aren't compared with what they were made from: a wrong rule that
 * hangs under the same hash doesn't match its caller either. */
#include "access/policy_index.h"

#include "access/index_internal.h"
#include "access/rules.h"

#include <string.h>

/* --- hashes --------------------------------------------------------------------------------- */

static uint64_t mix(uint64_t hash)
{
    hash ^= hash >> 32;
    hash *= 0xd6e8feb86659fd93ULL;
    hash ^= hash >> 32;
    return hash;
}

uint64_t access_key_text(enum access_key kind, struct str text)
{
    uint64_t hash = 0xcbf29ce484222325ULL ^ (uint64_t)kind;
    size_t i;

    for (i = 0; i < text.len; i++) {
        hash = (hash ^ (unsigned char)text.ptr[i]) * 0x100000001b3ULL;
    }
    return mix(hash);
}

uint64_t access_key_number(enum access_key kind, uint64_t number)
{
    return mix((uint64_t)kind << 40 ^ number);
}

uint64_t access_key_claim(const char *name, struct str value)
{
    return access_key_text(ACCESS_KEY_CLAIM, value) ^
           mix(access_key_text(ACCESS_KEY_CLAIM, str_of(name)));
}

uint64_t access_key_of_role(uint64_t key, size_t role)
{
    return mix(key + (uint64_t)role * 0x9e3779b97f4a7c15ULL);
}

/* --- looking up ----------------------------------------------------------------------------- */

static void cursor_add(struct access_candidates *it, uint64_t hash)
{
    const struct access_index *index = it->index;
    size_t mask = index->slot_count - 1;
    size_t at = (size_t)hash & mask;

    while (index->slots[at].count > 0 && index->slots[at].hash != hash) {
        at = (at + 1) & mask;
    }
    if (index->slots[at].count == 0) {
        return;
    }
    if (it->cursor_count == ACCESS_CURSORS_MAX) {
        it->is_whole = true;
        return;
    }
    it->cursors[it->cursor_count].at = index->ranks + index->slots[at].first;
    it->cursors[it->cursor_count].end = it->cursors[it->cursor_count].at + index->slots[at].count;
    it->cursor_count++;
}

struct finding {
    const struct access_policy *policy;
    struct access_facts *facts;
    struct access_candidates *candidates;
    size_t role; /* its number */
};

/* Rules under this key, of the role and of all roles. */
static void key_find(const struct finding *it, enum access_key kind, uint64_t key)
{
    if ((it->candidates->role->keys & kind) != 0) {
        cursor_add(it->candidates, access_key_of_role(key, it->role));
    }
    if ((it->candidates->index->keys & kind) != 0) {
        cursor_add(it->candidates, access_key_of_role(key, ACCESS_KEY_ALL_ROLES));
    }
}

static bool has_kind(const struct finding *it, enum access_key kind)
{
    return ((it->candidates->role->keys | it->candidates->index->keys) & kind) != 0;
}

static void text_find(const struct finding *it, enum access_key kind, struct str text)
{
    if (text.len > 0 && has_kind(it, kind)) {
        key_find(it, kind, access_key_text(kind, text));
    }
}

static void sans_find(const struct finding *it)
{
    struct str rest = it->facts->sans;

    while (has_kind(it, ACCESS_KEY_SAN) && rest.ptr != NULL) {
        text_find(it, ACCESS_KEY_SAN, str_cut(&rest, ' '));
    }
}

static void claim_find(void *user, const char *name, struct str value)
{
    key_find(user, ACCESS_KEY_CLAIM, access_key_claim(name, value));
}

static void token_find(struct finding *it)
{
    const struct access_claims *claims = it->facts->identity->claims;
    size_t i;

    if (claims == NULL) {
        return;
    }
    text_find(it, ACCESS_KEY_ISSUER, str_of(claims->issuer));
    for (i = 0; has_kind(it, ACCESS_KEY_CLAIM) && i < it->candidates->index->claim_count; i++) {
        access_claim_each(claims, it->candidates->index->claims[i], claim_find, it);
    }
}

static void groups_find(const struct finding *it)
{
    const struct access_identity *identity = it->facts->identity;
    size_t i;

    if (has_kind(it, ACCESS_KEY_GID)) {
        key_find(it, ACCESS_KEY_GID, access_key_number(ACCESS_KEY_GID, identity->gid));
        for (i = 0; i < identity->group_count; i++) {
            key_find(it, ACCESS_KEY_GID, access_key_number(ACCESS_KEY_GID, identity->groups[i]));
        }
    }
    if (has_kind(it, ACCESS_KEY_GROUP)) {
        access_facts_load_groups(it->facts);
        for (i = 0; i < it->facts->group_names->count; i++) {
            text_find(it, ACCESS_KEY_GROUP, str_of(it->facts->group_names->names[i]));
        }
    }
    if (identity->gid == ENV_NO_ID || it->facts->has_unknown_groups) {
        key_find(it, ACCESS_KEY_UNKNOWN_GROUPS, access_key_number(ACCESS_KEY_UNKNOWN_GROUPS, 0));
    }
}

void access_candidates_find(const struct access_policy *policy, const struct access_role *role,
                            struct access_facts *facts, struct access_candidates *ret_candidates)
{
    struct finding it = {.policy = policy,
                         .facts = facts,
                         .candidates = ret_candidates,
                         .role = (size_t)(role - policy->roles)};

    ret_candidates->index = &policy->index;
    ret_candidates->role = role;
    ret_candidates->cursor_count = 0;
    ret_candidates->is_whole = false;
    ret_candidates->next = 0;
    key_find(&it, ACCESS_KEY_ALL, access_key_number(ACCESS_KEY_ALL, 0));
    key_find(&it, ACCESS_KEY_UID, access_key_number(ACCESS_KEY_UID, facts->identity->uid));
    text_find(&it, ACCESS_KEY_USER, facts->user);
    text_find(&it, ACCESS_KEY_UNIT, facts->unit);
    text_find(&it, ACCESS_KEY_CONTAINER, facts->container);
    text_find(&it, ACCESS_KEY_IMAGE, facts->image);
    text_find(&it, ACCESS_KEY_LISTENER, facts->listener);
    sans_find(&it);
    token_find(&it);
    groups_find(&it);
}

/* The lowest rank under any of the keys that hasn't been seen; rule_count: there is none. */
static uint32_t rank_next(struct access_candidates *it)
{
    uint32_t rank = (uint32_t)it->index->rule_count;
    size_t i;

    if (it->is_whole) {
        return it->next;
    }
    for (i = 0; i < it->cursor_count; i++) {
        while (it->cursors[i].at < it->cursors[i].end && *it->cursors[i].at < it->next) {
            it->cursors[i].at++;
        }
        if (it->cursors[i].at < it->cursors[i].end && *it->cursors[i].at < rank) {
            rank = *it->cursors[i].at;
        }
    }
    return rank;
}

const struct access_rule *access_candidates_next(struct access_candidates *candidates)
{
    for (;;) {
        uint32_t rank = rank_next(candidates);
        const struct access_rule *rule;

        if (rank >= candidates->index->rule_count) {
            return NULL;
        }
        candidates->next = rank + 1;
        rule = candidates->index->order[rank];
        if (access_rule_names(rule, str_of(candidates->role->name))) {
            return rule;
        }
    }
}
