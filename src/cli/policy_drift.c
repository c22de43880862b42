/* Compares a policy with what its trail has seen. */
#include "cli/policy_drift.h"

#include "access/lint.h"

#include <stdio.h>
#include <string.h>

#define TEXT_MAX_BYTES 256

static void tell(struct policy_findings *findings, const struct yaml_node *node, const char *what,
                 const char *name)
{
    char text[TEXT_MAX_BYTES];

    (void)snprintf(text, sizeof(text), "%s %s was not used in this audit trail", what, name);
    policy_findings_add(findings, node, false, text);
}

static bool subject_was_used(const struct policy_set *set, const struct policy_trail *trail,
                             size_t index, size_t subject)
{
    struct access_rule_info info;
    struct map_entry *entry;

    access_rule_look(set->policy, index, &info);
    for (entry = map_first(&trail->uses); entry != NULL; entry = map_next(&trail->uses, entry)) {
        const struct policy_use *use = MAP_ENTRY(entry, struct policy_use, entry);

        if (strcmp(use->rule, info.name) == 0 &&
            access_rule_subject_may_fit(set->policy, index, subject, &use->identity)) {
            return true;
        }
    }
    return false;
}

static bool rule_was_used(const struct policy_trail *trail, const char *name)
{
    struct map_entry *entry;

    for (entry = map_first(&trail->uses); entry != NULL; entry = map_next(&trail->uses, entry)) {
        if (strcmp(MAP_ENTRY(entry, struct policy_use, entry)->rule, name) == 0) {
            return true;
        }
    }
    return false;
}

static void rule_tell(struct policy_findings *findings, const struct policy_set *set,
                      const struct policy_trail *trail, size_t index)
{
    const struct access_nodes *nodes = access_tree_nodes(set->tree);
    size_t count = access_rule_subject_count(set->policy, index);
    struct access_rule_info info;
    char name[TEXT_MAX_BYTES / 2];
    size_t i;

    access_rule_look(set->policy, index, &info);
    if (info.is_observed) {
        return;
    }
    if (!rule_was_used(trail, info.name)) {
        tell(findings, access_rule_node(nodes, index), "rule", info.name);
        return;
    }
    for (i = 0; i < count; i++) {
        if (!subject_was_used(set, trail, index, i)) {
            (void)snprintf(name, sizeof(name), "%zu of rule %.80s", i + 1, info.name);
            tell(findings, access_rule_subject_node(nodes, index, i), "subject", name);
        }
    }
}

static bool role_was_used(const struct policy_trail *trail, const char *role)
{
    struct map_entry *entry;

    for (entry = map_first(&trail->roles); entry != NULL; entry = map_next(&trail->roles, entry)) {
        if (strcmp(MAP_ENTRY(entry, struct policy_note, entry)->role, role) == 0) {
            return true;
        }
    }
    return false;
}

void policy_drift_tell(struct policy_findings *findings, const struct policy_set *set,
                       const struct policy_trail *trail)
{
    const struct access_roles *roles = &set->known.roles;
    size_t count = access_policy_rule_count(set->policy);
    size_t i;

    for (i = 0; i < count; i++) {
        rule_tell(findings, set, trail, i);
    }
    for (i = 0; roles->are_known && i < roles->count; i++) {
        if (!role_was_used(trail, roles->items[i].name)) {
            tell(findings, roles->items[i].node, "role", roles->items[i].name);
        }
    }
}
