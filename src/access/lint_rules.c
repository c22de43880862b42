/* Rules against each other.
 *
 * A rule can't be reached when for each of its subjects and roles another one decides before it:
 * one that denies them, or one that comes first and asks for nothing that this one doesn't ask
 * for. Each pair of subject and role may have another rule in its way; what is told is the first.
 */
#include "access/lint_internal.h"

#include "access/cover.h"

#include "base/buf.h"

#define WINDOW_TEXT_MAX_BYTES 65536U

/* In which order rules are asked: those that deny, those that allow, those with approval, each in
 * file order. Those that break the glass are asked only for that, and then among themselves. */
static bool comes_before(const struct access_rule *first, const struct access_rule *rule)
{
    bool first_waits = first->approval.count > 0 && !first->is_break_glass;
    bool waits = rule->approval.count > 0 && !rule->is_break_glass;

    if (first == rule || (first->is_observed && !rule->is_observed)) {
        return false;
    }
    if (first->is_deny) {
        return !rule->is_deny || first < rule;
    }
    if (rule->is_deny || first->is_break_glass != rule->is_break_glass) {
        return false;
    }
    return first_waits == waits ? first < rule : waits;
}

static bool binding_is_offered(const struct access_rule *wide,
                               const struct access_binding_spec *binding)
{
    size_t i;

    for (i = 0; i < wide->binding_count; i++) {
        if (access_binding_is_listed(&wide->bindings[i], binding)) {
            return true;
        }
    }
    return false;
}

static bool bindings_are_offered(const struct access_rule *wide, const struct access_rule *narrow)
{
    size_t i;

    for (i = 0; i < narrow->binding_count; i++) {
        if (!binding_is_offered(wide, &narrow->bindings[i])) {
            return false;
        }
    }
    return true;
}

static uint64_t duration_of(const struct access_rule *rule, const struct access_role_facts *role)
{
    uint64_t duration_ms = rule->duration_ms != 0 ? rule->duration_ms : role->max_ttl_ms;

    return duration_ms != 0 ? duration_ms : UINT64_MAX;
}

/* Windows that are the same are written the same. */
static bool window_is_within(const struct access_window *wide, const struct access_window *narrow)
{
    BUF_AUTO wide_text;
    BUF_AUTO narrow_text;

    buf_init(&wide_text, WINDOW_TEXT_MAX_BYTES);
    buf_init(&narrow_text, WINDOW_TEXT_MAX_BYTES);
    if (wide == NULL || narrow == NULL) {
        return wide == NULL;
    }
    access_window_write(wide, &wide_text);
    access_window_write(narrow, &narrow_text);
    return buf_status(&wide_text) == 0 && buf_status(&narrow_text) == 0 &&
           str_eq(buf_str(&wide_text), buf_str(&narrow_text));
}

/* Whoever gets through `narrow` gets through `wide` as well. Expressions are kept once each, so
 * that the same one is the same object. */
static bool is_no_stricter(const struct access_rule *wide, const struct access_rule *narrow,
                           const struct access_role_facts *role)
{
    if (wide->is_deny) {
        return true;
    }
    return duration_of(wide, role) >= duration_of(narrow, role) &&
           (wide->live == 0 || (narrow->live != 0 && wide->live >= narrow->live)) &&
           (wide->reason == NULL || wide->reason == narrow->reason) &&
           (wide->ticket == NULL || wide->ticket == narrow->ticket) &&
           window_is_within(wide->window, narrow->window) && bindings_are_offered(wide, narrow);
}

/* The rule that decides before this one, for this subject and role; NULL: none. */
static const struct access_rule *in_the_way(const struct access_linting *it,
                                            const struct access_rule *rule,
                                            const struct access_subject *subject,
                                            const struct access_role_facts *role)
{
    const struct access_policy *policy = it->lint->policy;
    size_t i;

    for (i = 0; i < policy->rule_count; i++) {
        const struct access_rule *first = &policy->rules[i];

        /* What is cheap to ask is asked first: there may be 10 000 rules. */
        if (comes_before(first, rule) && access_rule_names(first, str_of(role->name)) &&
            access_subjects_cover(&first->subjects, subject, first->is_deny) &&
            is_no_stricter(first, rule, role)) {
            return first;
        }
    }
    return NULL;
}

/* The rule that decides before this one for all of its subjects; NULL: for one of them none does.
 */
static const struct access_rule *all_in_the_way(const struct access_linting *it,
                                                const struct access_rule *rule,
                                                const struct access_role_facts *role)
{
    const struct access_rule *found = NULL;
    size_t i;

    for (i = 0; i < rule->subjects.count; i++) {
        found = in_the_way(it, rule, &rule->subjects.items[i], role);
        if (found == NULL) {
            return NULL;
        }
    }
    return found;
}

void access_lint_reach(const struct access_linting *it, size_t index)
{
    const struct access_rule *rule = &it->lint->policy->rules[index];
    const struct access_roles *roles = it->lint->roles;
    const struct access_rule *found = NULL;
    const struct yaml_node *node;
    size_t i;

    if (rule->path_count > 0) {
        return;
    }
    for (i = 0; i < roles->count; i++) {
        if (!access_rule_names(rule, str_of(roles->items[i].name))) {
            continue;
        }
        found = all_in_the_way(it, rule, &roles->items[i]);
        if (found == NULL) {
            return;
        }
    }
    if (found == NULL) {
        return;
    }
    node = it->nodes[found - it->lint->policy->rules];
    if (found->is_deny && !rule->is_deny) {
        access_lint_tell(it, true, it->nodes[index],
                         "rule %s never allows anything: rule %s (%s:%u) denies all of it",
                         rule->name, found->name, node->file, node->line);
    } else {
        access_lint_tell(it, true, it->nodes[index],
                         "rule %s is never reached: rule %s (%s:%u) is asked before it, is about "
                         "the same callers and roles, and asks for no more",
                         rule->name, found->name, node->file, node->line);
    }
}

static bool share_role(const struct access_linting *it, const struct access_rule *a,
                       const struct access_rule *b)
{
    const struct access_roles *roles = it->lint->roles;
    size_t i;

    for (i = 0; i < roles->count; i++) {
        if (access_rule_names(a, str_of(roles->items[i].name)) &&
            access_rule_names(b, str_of(roles->items[i].name))) {
            return true;
        }
    }
    return false;
}

/* Does the one mean somebody altogether whom the other means? */
static bool share_callers(const struct access_rule *a, const struct access_rule *b)
{
    size_t i;

    for (i = 0; i < b->subjects.count; i++) {
        if (access_subjects_cover(&a->subjects, &b->subjects.items[i], false)) {
            return true;
        }
    }
    for (i = 0; i < a->subjects.count; i++) {
        if (access_subjects_cover(&b->subjects, &a->subjects.items[i], false)) {
            return true;
        }
    }
    return false;
}

void access_lint_windows(const struct access_linting *it, size_t index)
{
    const struct access_rule *rules = it->lint->policy->rules;
    const struct access_rule *rule = &rules[index];
    size_t i;

    for (i = 0; i < it->lint->policy->rule_count; i++) {
        const struct access_rule *first = &rules[i];

        if (first->window != NULL && comes_before(first, rule) && !first->is_deny &&
            share_callers(first, rule) && share_role(it, first, rule) &&
            !window_is_within(first->window, rule->window) &&
            access_windows_overlap(first->window, rule->window, it->lint->wall_ms)) {
            access_lint_tell(it, false, it->nodes[index],
                             "the window of rule %s overlaps that of rule %s (%s:%u), which is "
                             "asked before it and is about the same callers and roles",
                             rule->name, first->name, it->nodes[i]->file, it->nodes[i]->line);
            return;
        }
    }
}

/* Does a rule that allows give this role to anybody whom no rule denies it? */
static bool gives(const struct access_linting *it, const struct access_rule *rule,
                  const struct access_role_facts *role)
{
    const struct access_policy *policy = it->lint->policy;
    const struct access_rule *denial;
    size_t i;
    size_t k;

    for (i = 0; i < rule->subjects.count; i++) {
        for (k = 0, denial = NULL; denial == NULL && k < policy->rule_count; k++) {
            const struct access_rule *other = &policy->rules[k];

            if (other->is_deny && access_rule_counts(policy, other) &&
                access_rule_names(other, str_of(role->name)) &&
                access_subjects_cover(&other->subjects, &rule->subjects.items[i], true)) {
                denial = other;
            }
        }
        if (denial == NULL) {
            return true;
        }
    }
    return false;
}

void access_lint_role(const struct access_linting *it, const struct access_role_facts *role)
{
    const struct access_policy *policy = it->lint->policy;
    size_t i;

    for (i = 0; i < policy->rule_count; i++) {
        const struct access_rule *rule = &policy->rules[i];

        if (!rule->is_deny && access_rule_counts(policy, rule) &&
            access_rule_names(rule, str_of(role->name)) && gives(it, rule, role)) {
            return;
        }
    }
    access_lint_tell(it, false, role->node, "nobody may have role %s: no rule allows it",
                     role->name);
}
