/* Looks rules up by what a caller has.
 *
 * A decision computes the keys of its caller, for the role and for all roles (or for each way in
 * which the path begins, and for all paths), and walks the rules that hang under them. Hashes
 * aren't compared with what they were made from: a wrong rule that hangs under the same hash
 * doesn't match its caller either. */
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

uint64_t access_key_of_scope(uint64_t key, uint64_t scope)
{
    return mix(key + scope * 0x9e3779b97f4a7c15ULL);
}

uint64_t access_scope_of_path(struct str beginning)
{
    return access_key_text(ACCESS_KEY_ALL, beginning);
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

/* The role, or each way in which the path begins, and all of them. A path that begins in more ways
 * is looked up nowhere: all rules are looked at. */
#define SCOPES_MAX 32U

struct scope {
    uint64_t number;
    uint32_t keys; /* that rules hang under there */
};

struct finding {
    struct access_facts *facts;
    struct access_candidates *candidates;
    uint32_t keys; /* of all scopes */
    struct scope scopes[SCOPES_MAX];
    size_t scope_count;
};

static void scope_add(struct finding *it, uint64_t number, uint32_t keys)
{
    if (it->scope_count == SCOPES_MAX) {
        it->candidates->is_whole = true;
        return;
    }
    it->scopes[it->scope_count++] = (struct scope){.number = number, .keys = keys};
    it->keys |= keys;
}

/* Rules under this key, in any of the scopes. */
static void key_find(const struct finding *it, enum access_key kind, uint64_t key)
{
    size_t i;

    for (i = 0; i < it->scope_count; i++) {
        if ((it->scopes[i].keys & (uint32_t)kind) != 0) {
            cursor_add(it->candidates, access_key_of_scope(key, it->scopes[i].number));
        }
    }
}

static bool has_kind(const struct finding *it, enum access_key kind)
{
    return (it->keys & (uint32_t)kind) != 0;
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

static void caller_find(struct finding *it)
{
    const struct access_facts *facts = it->facts;

    key_find(it, ACCESS_KEY_ALL, access_key_number(ACCESS_KEY_ALL, 0));
    key_find(it, ACCESS_KEY_UID, access_key_number(ACCESS_KEY_UID, facts->identity->uid));
    text_find(it, ACCESS_KEY_USER, facts->user);
    text_find(it, ACCESS_KEY_UNIT, facts->unit);
    text_find(it, ACCESS_KEY_CONTAINER, facts->container);
    text_find(it, ACCESS_KEY_IMAGE, facts->image);
    text_find(it, ACCESS_KEY_LISTENER, facts->listener);
    sans_find(it);
    token_find(it);
    groups_find(it);
}

/* `role`: ptr NULL where paths are looked for. */
static void finding_begin(struct finding *it, const struct access_index *index, struct str role)
{
    struct access_candidates *candidates = it->candidates;

    candidates->index = index;
    candidates->role = role;
    candidates->cursor_count = 0;
    candidates->is_whole = false;
    candidates->next = 0;
    it->keys = 0;
    it->scope_count = 0;
}

void access_candidates_find(const struct access_policy *policy, const struct access_role *role,
                            struct access_facts *facts, struct access_candidates *ret_candidates)
{
    struct finding it;

    it.facts = facts;
    it.candidates = ret_candidates;
    finding_begin(&it, &policy->index, str_of(role->name));
    scope_add(&it, (uint64_t)(role - policy->roles), role->keys);
    scope_add(&it, ACCESS_SCOPE_ALL, policy->index.keys);
    caller_find(&it);
}

/* Wherever a pattern's beginning may end: at each slash, and at the path's own end, which counts
 * without its last slash, too. */
static void path_scopes_add(struct finding *it, struct str path, uint32_t keys)
{
    size_t i;

    scope_add(it, access_scope_of_path((struct str){.ptr = path.ptr, .len = 0}), keys);
    for (i = 0; i < path.len; i++) {
        if (path.ptr[i] == '/') {
            scope_add(it, access_scope_of_path((struct str){.ptr = path.ptr, .len = i + 1}), keys);
        }
    }
    if (path.len > 0) {
        path.len -= path.ptr[path.len - 1] == '/' ? 1 : 0;
        scope_add(it, access_scope_of_path(path), keys);
    }
}

void access_path_candidates_find(const struct access_policy *policy, struct str path,
                                 struct access_facts *facts,
                                 struct access_candidates *ret_candidates)
{
    const struct access_index *index = &policy->path_index;
    struct finding it;

    it.facts = facts;
    it.candidates = ret_candidates;
    finding_begin(&it, index, (struct str){.ptr = NULL, .len = 0});
    if (index->path_keys != 0) {
        path_scopes_add(&it, path, index->path_keys);
    }
    scope_add(&it, ACCESS_SCOPE_ALL, index->keys);
    caller_find(&it);
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
        if (candidates->role.ptr == NULL || access_rule_names(rule, candidates->role)) {
            return rule;
        }
    }
}
