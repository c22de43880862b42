/* Compares a policy with what its trail has seen. */
#include "cli/policy_drift.h"

#include "access/lint.h"
#include "access/partial.h"

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

/* The best fit among those whom its rule has decided for. */
static enum access_fit subject_use(const struct policy_set *set, const struct policy_trail *trail,
                                   size_t index, size_t subject)
{
    enum access_fit best = ACCESS_FIT_NO;
    struct access_rule_info info;
    struct map_entry *entry;

    access_rule_look(set->policy, index, &info);
    for (entry = map_first(&trail->uses); entry != NULL && best != ACCESS_FIT_YES;
         entry = map_next(&trail->uses, entry)) {
        const struct policy_use *use = MAP_ENTRY(entry, struct policy_use, entry);
        enum access_fit fit = ACCESS_FIT_NO;

        if (strcmp(use->rule, info.name) == 0) {
            fit =
                access_rule_subject_fit(set->policy, index, subject, &use->identity, use->unknown);
        }
        best = fit > best ? fit : best;
    }
    return best;
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

/* Returns how many of its subjects may have been used or not. */
static size_t rule_tell(struct policy_findings *findings, const struct policy_set *set,
                        const struct policy_trail *trail, size_t index)
{
    const struct access_nodes *nodes = access_tree_nodes(set->tree);
    size_t count = access_rule_subject_count(set->policy, index);
    struct access_rule_info info;
    char name[TEXT_MAX_BYTES / 2];
    size_t unsure_count = 0;
    size_t i;

    access_rule_look(set->policy, index, &info);
    if (info.is_observed) {
        return 0;
    }
    if (!rule_was_used(trail, info.name)) {
        tell(findings, access_rule_node(nodes, index), "rule", info.name);
        return 0;
    }
    for (i = 0; i < count; i++) {
        enum access_fit fit = subject_use(set, trail, index, i);

        unsure_count += fit == ACCESS_FIT_MAYBE ? 1 : 0;
        if (fit == ACCESS_FIT_NO) {
            (void)snprintf(name, sizeof(name), "%zu of rule %.80s", i + 1, info.name);
            tell(findings, access_rule_subject_node(nodes, index, i), "subject", name);
        }
    }
    return unsure_count;
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
    size_t unsure_count = 0;
    size_t i;

    for (i = 0; i < count; i++) {
        unsure_count += rule_tell(findings, set, trail, i);
    }
    if (unsure_count > 0) {
        cli_message(
            findings->cli,
            "%zu subject%s can't be told to be used or not: groups, claims of job tokens and "
            "images of containers aren't in the trail",
            unsure_count, unsure_count == 1 ? "" : "s");
    }
    for (i = 0; roles->are_known && i < roles->count; i++) {
        if (!role_was_used(trail, roles->items[i].name)) {
            tell(findings, roles->items[i].node, "role", roles->items[i].name);
        }
    }
}
