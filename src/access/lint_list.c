/* Rules by their places, for others who tell about them. */
#include "access/lint_internal.h"

#include "access/policy_config.h"

const struct yaml_node *access_rule_node(const struct access_nodes *nodes, size_t index)
{
    size_t i;

    for (i = 0; i < nodes->count; i++) {
        const struct yaml_node *list = yaml_get(nodes->items[i], "rules");
        const struct yaml_node *rule = list != NULL ? list->first : NULL;

        for (; rule != NULL; rule = rule->next) {
            if (index-- == 0) {
                return rule;
            }
        }
    }
    return NULL;
}

void access_rule_look(const struct access_policy *policy, size_t index,
                      struct access_rule_info *ret_info)
{
    const struct access_rule *rule = &policy->rules[index];

    *ret_info = (struct access_rule_info){
        .name = rule->name,
        .is_deny = rule->is_deny,
        .is_observed = !access_rule_counts(policy, rule),
    };
}

size_t access_rule_subject_count(const struct access_policy *policy, size_t index)
{
    return policy->rules[index].subjects.count;
}

const struct yaml_node *access_rule_subject_node(const struct access_nodes *nodes, size_t index,
                                                 size_t subject)
{
    return access_item_node(access_rule_node(nodes, index), "subjects", subject);
}
