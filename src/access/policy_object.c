/* A policy beside its decisions on roles: who is an admin, an approver, or a person; what it holds
 * and how it goes. */
#include "access/policy.h"

#include "access/rules.h"
#include "base/mem.h"

#include <string.h>

/* --- people --- */

bool access_policy_has_admin(const struct access_policy *policy, enum access_admin right)
{
    size_t i;

    for (i = 0; i < policy->admin_count; i++) {
        if ((policy->admins[i].may & (uint32_t)right) != 0 &&
            policy->admins[i].subjects.count > 0) {
            return true;
        }
    }
    return false;
}

uint32_t access_policy_admin(const struct access_policy *policy,
                             const struct access_identity *identity)
{
    struct access_facts facts;
    uint32_t may = 0;
    size_t i;

    /* What any program of a user can reach by a URL is no place for an operator's rights. */
    if (identity->kind == ENV_PEER_LOOPBACK) {
        return 0;
    }
    access_facts_init(&facts, identity, policy->group_names);
    for (i = 0; i < policy->admin_count; i++) {
        if (access_subjects_match(&policy->admins[i].subjects, &facts, false)) {
            may |= policy->admins[i].may;
        }
    }
    return may;
}

static const struct access_rule *rule_find(const struct access_policy *policy, const char *digest)
{
    size_t i;

    for (i = 0; digest != NULL && i < policy->rule_count; i++) {
        if (strcmp(policy->rules[i].digest, digest) == 0) {
            return &policy->rules[i];
        }
    }
    return NULL;
}

bool access_policy_has_rule(const struct access_policy *policy, const char *rule_digest)
{
    return rule_find(policy, rule_digest) != NULL;
}

bool access_policy_may_approve(const struct access_policy *policy, const char *rule_digest,
                               const struct access_identity *identity)
{
    const struct access_rule *rule = rule_find(policy, rule_digest);
    struct access_facts facts;

    access_facts_init(&facts, identity, policy->group_names);
    return rule != NULL && access_subjects_match(&rule->approvers, &facts, false);
}

const char *access_policy_mapped_person(const struct access_policy *policy,
                                        const struct access_identity *identity)
{
    struct access_facts facts;
    size_t i;

    access_facts_init(&facts, identity, policy->group_names);
    for (i = 0; i < policy->person_count; i++) {
        if (access_subjects_match(&policy->persons[i].subjects, &facts, false)) {
            return policy->persons[i].name;
        }
    }
    return NULL;
}

const char *access_policy_person(const struct access_policy *policy,
                                 const struct access_identity *identity)
{
    const struct access_claims *claims = identity->claims;

    return claims != NULL && claims->person[0] != '\0'
               ? claims->person
               : access_policy_mapped_person(policy, identity);
}

/* --- the object --- */

const char *access_policy_digest(const struct access_policy *policy)
{
    return policy->digest;
}

size_t access_policy_rule_count(const struct access_policy *policy)
{
    return policy->rule_count;
}

bool access_policy_has_observed(const struct access_policy *policy)
{
    size_t i;

    for (i = 0; i < policy->rule_count; i++) {
        if (policy->rules[i].is_observed) {
            return true;
        }
    }
    return false;
}

bool access_rule_names(const struct access_rule *rule, struct str role)
{
    size_t i;

    for (i = 0; i < rule->role_pattern_count; i++) {
        if (str_glob(str_of(rule->role_patterns[i]), role)) {
            return true;
        }
    }
    return false;
}

static void rule_fini(struct access_rule *rule)
{
    size_t i;

    mem_free(rule->name);
    access_subjects_fini(&rule->subjects);
    for (i = 0; i < rule->role_pattern_count; i++) {
        mem_free(rule->role_patterns[i]);
    }
    mem_free(rule->role_patterns);
    mem_free(rule->bindings);
    access_subjects_fini(&rule->approvers);
    access_window_free(rule->window);
    access_paths_fini(rule->paths, rule->path_count);
}

static void expressions_free(struct access_policy *policy)
{
    struct map_entry *entry = map_first(&policy->expressions);

    while (entry != NULL) {
        struct access_expression *expression = MAP_ENTRY(entry, struct access_expression, entry);

        entry = map_next(&policy->expressions, entry);
        access_reason_free(expression->compiled);
        mem_free(expression);
    }
    map_fini(&policy->expressions);
}

void access_policy_free(struct access_policy *policy)
{
    size_t i;

    if (policy == NULL) {
        return;
    }
    for (i = 0; i < policy->rule_count; i++) {
        rule_fini(&policy->rules[i]);
    }
    for (i = 0; i < policy->admin_count; i++) {
        access_subjects_fini(&policy->admins[i].subjects);
    }
    for (i = 0; i < policy->person_count; i++) {
        mem_free(policy->persons[i].name);
        access_subjects_fini(&policy->persons[i].subjects);
    }
    expressions_free(policy);
    access_index_fini(&policy->index);
    access_index_fini(&policy->path_index);
    access_zones_fini(&policy->zones);
    map_fini(&policy->role_map);
    for (i = 0; i < policy->role_count; i++) {
        mem_free(policy->roles[i].name);
    }
    mem_free(policy->roles);
    mem_free(policy->admins);
    mem_free(policy->persons);
    mem_free(policy->rules);
    mem_free(policy->group_names);
    mem_free(policy);
}
