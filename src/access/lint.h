/* What is wrong with a policy although it compiles: rules that nothing can reach, subjects that
 * mean everybody, regular expressions that can explode, windows that overlap or never open.
 *
 * Files: lint.c (walks over all), lint_rules.c (rules against each other), lint_list.c (rules by
 * their places), cover.c (subjects). */
#ifndef LEASED_ACCESS_LINT_H
#define LEASED_ACCESS_LINT_H

#include "access/cases.h"
#include "access/policy.h"

struct access_finding {
    bool is_error;                /* it can't have been meant so; else it may */
    const struct yaml_node *node; /* its place */
    const char *text;             /* borrowed until the callback returns */
};

typedef void (*access_finding_fn)(void *user, const struct access_finding *finding);

/* All borrowed until the call returns. */
struct access_lint {
    const struct access_policy *policy;
    const struct access_nodes *nodes; /* that it was compiled from, without mistakes */
    const struct access_roles *roles;
    int64_t wall_ms; /* now, for windows */
    access_finding_fn fn;
    void *user;
};

/* Tells all findings, rule by rule, then those about admins and roles. 0 or ERR_NOMEM. */
int access_policy_lint(const struct access_lint *lint) ATTR_MUST_USE;

/* Rules by their place among all, for others who tell about them. */
struct access_rule_info {
    const char *name; /* the policy's own: decisions that name the rule have the same pointer */
    bool is_deny;
    bool is_observed; /* and so decides nothing */
};
void access_rule_look(const struct access_policy *policy, size_t index,
                      struct access_rule_info *ret_info);

/* Where it stands. NULL: it isn't there. */
const struct yaml_node *access_rule_node(const struct access_nodes *nodes, size_t index);

/* Of rule `index`: how many subjects it has, and where one of them stands. */
size_t access_rule_subject_count(const struct access_policy *policy, size_t index);
const struct yaml_node *access_rule_subject_node(const struct access_nodes *nodes, size_t index,
                                                 size_t subject);

#endif
