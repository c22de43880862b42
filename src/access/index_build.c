/* Builds the index.
 *
 * First all things that subjects ask for are counted, to know which are rare. Then each rule makes
 * its entries: (hash of role and key, rank). Sorted by hash and rank they are what is looked up. */
#include "access/index_internal.h"
#include "access/rules.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

/* A rule about more roles or paths hangs under its subjects alone. */
#define SCOPES_OF_RULE_MAX 64U
/* Of one rule: more, and it hangs under its roles or paths, or under its subjects, alone. */
#define ENTRIES_OF_RULE_MAX 256U
#define SUBJECT_KEYS_MAX 16U

struct entry {
    uint64_t hash;
    uint32_t rank;
};

/* A thing that a subject asks for. */
struct key {
    enum access_key kind;
    uint64_t value;
};

struct building {
    struct access_policy *policy;
    struct access_index *index; /* of the policy: the one that is built */
    struct entry *entries;
    size_t entry_count;
    size_t entry_room;
    uint32_t *counts; /* how many subjects ask for a key, by its value; some share a place */
    size_t count_mask;
    uint64_t *scopes; /* of the rule that is being looked at; SCOPES_OF_RULE_MAX + 1 */
};

/* --- what subjects ask for ------------------------------------------------------------------ */

struct keys {
    size_t count;
    struct key items[SUBJECT_KEYS_MAX];
};

static void key_add(struct keys *keys, enum access_key kind, uint64_t value)
{
    if (keys->count < SUBJECT_KEYS_MAX) {
        keys->items[keys->count++] = (struct key){.kind = kind, .value = value};
    }
}

static void pattern_key(struct keys *keys, enum access_key kind,
                        const struct access_pattern *pattern)
{
    if (pattern->text != NULL && !pattern->has_glob) {
        key_add(keys, kind,
                access_key_text(kind, (struct str){.ptr = pattern->text, .len = pattern->len}));
    }
}

static void range_key(struct keys *keys, enum access_key kind, const struct schema_range *range)
{
    if (range->first == range->last) {
        key_add(keys, kind, access_key_number(kind, range->first));
    }
}

static bool is_claim_known(const struct access_index *index, const char *name)
{
    size_t i;

    for (i = 0; i < index->claim_count; i++) {
        if (strcmp(index->claims[i], name) == 0) {
            return true;
        }
    }
    return false;
}

/* A claim that must have one value and no other. */
static bool is_exact(const struct access_claim_rule *claim)
{
    return claim->pattern_count == 1 && !claim->patterns[0].has_glob;
}

static void token_keys(const struct access_index *index, struct keys *keys,
                       const struct access_token_rule *token)
{
    size_t i;

    pattern_key(keys, ACCESS_KEY_ISSUER, &token->issuer);
    for (i = 0; i < token->claim_count; i++) {
        const struct access_claim_rule *claim = &token->claims[i];

        if (is_exact(claim) && is_claim_known(index, claim->name)) {
            key_add(keys, ACCESS_KEY_CLAIM,
                    access_key_claim(claim->name, str_of(claim->patterns[0].text)));
        }
    }
}

static void subject_keys(const struct access_index *index, const struct access_subject *subject,
                         struct keys *keys)
{
    keys->count = 0;
    pattern_key(keys, ACCESS_KEY_SAN, &subject->san);
    pattern_key(keys, ACCESS_KEY_USER, &subject->user);
    if (subject->has_uid) {
        range_key(keys, ACCESS_KEY_UID, &subject->uid);
    }
    pattern_key(keys, ACCESS_KEY_UNIT, &subject->unit);
    pattern_key(keys, ACCESS_KEY_CONTAINER, &subject->container);
    pattern_key(keys, ACCESS_KEY_IMAGE, &subject->image);
    pattern_key(keys, ACCESS_KEY_LISTENER, &subject->listener);
    pattern_key(keys, ACCESS_KEY_GROUP, &subject->group);
    if (subject->has_gid) {
        range_key(keys, ACCESS_KEY_GID, &subject->gid);
    }
    token_keys(index, keys, &subject->token);
}

/* --- how rare they are ---------------------------------------------------------------------- */

static void claims_note(struct access_index *index, const struct access_token_rule *token)
{
    size_t i;

    for (i = 0; i < token->claim_count && index->claim_count < ACCESS_INDEX_CLAIMS_MAX; i++) {
        if (is_exact(&token->claims[i]) && !is_claim_known(index, token->claims[i].name)) {
            index->claims[index->claim_count++] = token->claims[i].name;
        }
    }
}

static void subject_count(struct building *it, const struct access_subject *subject)
{
    struct access_index *index = it->index;
    struct keys keys;
    size_t i;

    claims_note(index, &subject->token);
    subject_keys(index, subject, &keys);
    for (i = 0; i < keys.count; i++) {
        it->counts[keys.items[i].value & it->count_mask]++;
    }
}

static int subjects_count(struct building *it)
{
    const struct access_index *index = it->index;
    size_t total = 0;
    size_t size = 1024;
    size_t i;
    size_t k;

    for (i = 0; i < index->rule_count; i++) {
        total += index->order[i]->subjects.count;
    }
    while (size < 8 * total) {
        size *= 2;
    }
    it->counts = mem_calloc(size, sizeof(*it->counts));
    if (it->counts == NULL) {
        return ERR_NOMEM;
    }
    it->count_mask = size - 1;
    for (i = 0; i < index->rule_count; i++) {
        for (k = 0; k < index->order[i]->subjects.count; k++) {
            subject_count(it, &index->order[i]->subjects.items[k]);
        }
    }
    return 0;
}

/* The rarest; one that everybody has where there is none. */
static struct key subject_key(const struct building *it, const struct access_subject *subject)
{
    struct key best = {.kind = ACCESS_KEY_ALL, .value = access_key_number(ACCESS_KEY_ALL, 0)};
    uint32_t best_count = UINT32_MAX;
    struct keys keys;
    size_t i;

    subject_keys(it->index, subject, &keys);
    for (i = 0; i < keys.count; i++) {
        uint32_t count = it->counts[keys.items[i].value & it->count_mask];

        if (count < best_count) {
            best_count = count;
            best = keys.items[i];
        }
    }
    return best;
}

/* --- entries -------------------------------------------------------------------------------- */

static int entry_add(struct building *it, uint64_t hash, uint32_t rank)
{
    if (it->entry_count == it->entry_room) {
        size_t room = it->entry_room > 0 ? 2 * it->entry_room : 1024;
        struct entry *entries = mem_realloc(it->entries, room * sizeof(*entries));

        if (entries == NULL) {
            return ERR_NOMEM;
        }
        it->entries = entries;
        it->entry_room = room;
    }
    it->entries[it->entry_count++] = (struct entry){.hash = hash, .rank = rank};
    return 0;
}

static bool is_of_paths(const struct building *it)
{
    return it->index == &it->policy->path_index;
}

static int key_put(struct building *it, uint64_t scope, struct key key, uint32_t rank)
{
    uint32_t *keys = scope == ACCESS_SCOPE_ALL ? &it->index->keys
                     : is_of_paths(it)         ? &it->index->path_keys
                                               : &it->policy->roles[scope].keys;

    *keys |= (uint32_t)key.kind;
    return entry_add(it, access_key_of_scope(key.value, scope), rank);
}

/* A rule that denies must not lose its hold on a caller whose groups nobody knows. */
static int subject_put(struct building *it, uint64_t scope, const struct access_subject *subject,
                       uint32_t rank)
{
    const struct key unknown = {.kind = ACCESS_KEY_UNKNOWN_GROUPS,
                                .value = access_key_number(ACCESS_KEY_UNKNOWN_GROUPS, 0)};
    struct key key = subject_key(it, subject);
    int r = key_put(it, scope, key, rank);

    if (r == 0 && it->index->order[rank]->is_deny &&
        (key.kind == ACCESS_KEY_GROUP || key.kind == ACCESS_KEY_GID)) {
        r = key_put(it, scope, unknown, rank);
    }
    return r;
}

static int subjects_put(struct building *it, uint64_t scope, uint32_t rank)
{
    const struct access_subjects *subjects = &it->index->order[rank]->subjects;
    size_t i;
    int r = 0;

    for (i = 0; r == 0 && i < subjects->count; i++) {
        r = subject_put(it, scope, &subjects->items[i], rank);
    }
    return r;
}

/* The roles that the rule names, into it->scopes; SCOPES_OF_RULE_MAX + 1: too many. */
static size_t roles_of_rule(struct building *it, const struct access_rule *rule)
{
    const struct access_policy *policy = it->policy;
    size_t count = 0;
    size_t i;
    size_t k;

    for (i = 0; i < rule->role_pattern_count; i++) {
        const char *pattern = rule->role_patterns[i];
        struct map_entry *entry =
            strchr(pattern, '*') == NULL ? map_find(&policy->role_map, str_of(pattern)) : NULL;

        if (entry != NULL && count <= SCOPES_OF_RULE_MAX) {
            k = (size_t)(MAP_ENTRY(entry, struct access_role, entry) - policy->roles);
            it->scopes[count++] = k;
        }
        for (k = 0; strchr(pattern, '*') != NULL && k < policy->role_count; k++) {
            if (count <= SCOPES_OF_RULE_MAX &&
                str_glob(str_of(pattern), str_of(policy->roles[k].name))) {
                it->scopes[count++] = k;
            }
        }
        if (count > SCOPES_OF_RULE_MAX) {
            break;
        }
    }
    return count;
}

/* How the rule's paths begin, likewise. */
static size_t paths_of_rule(struct building *it, const struct access_rule *rule)
{
    size_t i;

    for (i = 0; i < rule->path_count && i <= SCOPES_OF_RULE_MAX; i++) {
        it->scopes[i] = access_scope_of_path(access_path_beginning(str_of(rule->paths[i].pattern)));
    }
    return i;
}

static int rule_put(struct building *it, uint32_t rank)
{
    const struct key all = {.kind = ACCESS_KEY_ALL, .value = access_key_number(ACCESS_KEY_ALL, 0)};
    const struct access_rule *rule = it->index->order[rank];
    size_t count = is_of_paths(it) ? paths_of_rule(it, rule) : roles_of_rule(it, rule);
    size_t i;
    int r = 0;

    if (count > SCOPES_OF_RULE_MAX) {
        return subjects_put(it, ACCESS_SCOPE_ALL, rank);
    }
    for (i = 0; r == 0 && i < count; i++) {
        r = count * rule->subjects.count <= ENTRIES_OF_RULE_MAX
                ? subjects_put(it, it->scopes[i], rank)
                : key_put(it, it->scopes[i], all, rank);
    }
    return r;
}

static int entry_compare(const void *a, const void *b)
{
    const struct entry *one = a;
    const struct entry *other = b;

    if (one->hash != other->hash) {
        return one->hash < other->hash ? -1 : 1;
    }
    return one->rank < other->rank ? -1 : one->rank > other->rank;
}

/* --- the whole ------------------------------------------------------------------------------ */

/* Those of one kind of rule, behind those that are there. */
static void order_add(struct access_policy *policy, bool is_deny, bool is_break_glass,
                      bool has_approval)
{
    struct access_index *index = &policy->index;
    size_t i;

    for (i = 0; i < policy->rule_count; i++) {
        const struct access_rule *rule = &policy->rules[i];

        if (access_rule_counts(policy, rule) && rule->is_deny == is_deny &&
            rule->is_break_glass == is_break_glass &&
            (is_break_glass || (rule->approval.count > 0) == has_approval)) {
            index->order[index->rule_count++] = rule;
        }
    }
}

static int order_make(struct access_policy *policy)
{
    policy->index.order = mem_calloc(policy->rule_count + 1, sizeof(struct access_rule *));
    if (policy->index.order == NULL) {
        return ERR_NOMEM;
    }
    order_add(policy, true, false, false);
    order_add(policy, false, false, false);
    order_add(policy, false, false, true);
    order_add(policy, false, true, true);
    return 0;
}

static void path_order_add(struct access_policy *policy, bool is_deny)
{
    struct access_index *index = &policy->path_index;
    size_t i;

    for (i = 0; i < policy->rule_count; i++) {
        const struct access_rule *rule = &policy->rules[i];

        if (rule->path_count > 0 && rule->is_deny == is_deny && access_rule_counts(policy, rule)) {
            index->order[index->rule_count++] = rule;
        }
    }
}

static int path_order_make(struct access_policy *policy)
{
    policy->path_index.order = mem_calloc(policy->rule_count + 1, sizeof(struct access_rule *));
    if (policy->path_index.order == NULL) {
        return ERR_NOMEM;
    }
    path_order_add(policy, true);
    path_order_add(policy, false);
    return 0;
}

static void slot_take(struct access_index *index, uint64_t hash, size_t first, size_t count)
{
    size_t mask = index->slot_count - 1;
    size_t at = (size_t)hash & mask;

    while (index->slots[at].count > 0) {
        at = (at + 1) & mask;
    }
    index->slots[at] = (struct access_index_slot){.hash = hash,
                                                  .first = (uint32_t)first,
                                                  .count = (uint32_t)count};
}

/* From sorted entries to what is looked up. */
static int slots_make(struct building *it)
{
    struct access_index *index = it->index;
    size_t begin = 0;
    size_t i;

    index->slot_count = 16;
    while (index->slot_count < 2 * it->entry_count) {
        index->slot_count *= 2;
    }
    index->slots = mem_calloc(index->slot_count, sizeof(*index->slots));
    index->ranks = mem_calloc(it->entry_count + 1, sizeof(*index->ranks));
    if (index->slots == NULL || index->ranks == NULL) {
        return ERR_NOMEM;
    }
    for (i = 0; i < it->entry_count; i++) {
        index->ranks[i] = it->entries[i].rank;
        if (i + 1 == it->entry_count || it->entries[i + 1].hash != it->entries[i].hash) {
            slot_take(index, it->entries[i].hash, begin, i + 1 - begin);
            begin = i + 1;
        }
    }
    return 0;
}

/* Of an index whose order is made. */
static int build(struct access_policy *policy, struct access_index *index)
{
    uint64_t scopes[SCOPES_OF_RULE_MAX + 1];
    struct building it = {.policy = policy, .index = index, .scopes = scopes};
    uint32_t rank;
    int r = subjects_count(&it);

    for (rank = 0; r == 0 && rank < index->rule_count; rank++) {
        r = rule_put(&it, rank);
    }
    if (r == 0) {
        if (it.entry_count > 0) {
            qsort(it.entries, it.entry_count, sizeof(*it.entries), entry_compare);
        }
        r = slots_make(&it);
    }
    mem_free(it.entries);
    mem_free(it.counts);
    return r;
}

int access_index_build(struct access_policy *policy)
{
    int r = order_make(policy);

    if (r == 0) {
        r = build(policy, &policy->index);
    }
    if (r == 0) {
        r = path_order_make(policy);
    }
    return r == 0 ? build(policy, &policy->path_index) : r;
}

void access_index_fini(struct access_index *index)
{
    mem_free((void *)index->order);
    mem_free(index->slots);
    mem_free(index->ranks);
}
