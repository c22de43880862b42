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

static bool text_may_fit(const struct access_pattern *pattern, const char *text)
{
    return pattern->text == NULL || access_pattern_fits(pattern, str_of(text));
}

static bool sans_may_fit(const struct access_pattern *pattern, const char *sans)
{
    struct str rest = str_of(sans);

    while (pattern->text != NULL && rest.len > 0) {
        if (access_pattern_fits(pattern, str_cut(&rest, ' '))) {
            return true;
        }
    }
    return pattern->text == NULL;
}

bool access_rule_subject_may_fit(const struct access_policy *policy, size_t index, size_t subject,
                                 const struct access_identity *identity)
{
    const struct access_subject *it = &policy->rules[index].subjects.items[subject];

    return (!it->has_uid || (it->uid.first <= identity->uid && identity->uid <= it->uid.last)) &&
           text_may_fit(&it->user, identity->user) && text_may_fit(&it->unit, identity->unit) &&
           text_may_fit(&it->container, identity->container) &&
           text_may_fit(&it->listener, identity->listener) &&
           sans_may_fit(&it->san, identity->sans) &&
           (!it->token.is_set || identity->claims != NULL);
}
