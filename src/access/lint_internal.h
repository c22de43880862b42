/* Looking for what is wrong with a policy. Internal to access/. */
#ifndef LEASED_ACCESS_LINT_INTERNAL_H
#define LEASED_ACCESS_LINT_INTERNAL_H

#include "access/lint.h"
#include "access/rules.h"

struct access_linting {
    const struct access_lint *lint;
    const struct yaml_node **nodes; /* of the rules */
};

void access_lint_tell(const struct access_linting *it, bool is_error, const struct yaml_node *node,
                      const char *format, ...) ATTR_PRINTF(4, 5);

/* The node under `key`, else the parent. */
const struct yaml_node *access_lint_place(const struct yaml_node *parent, const char *key);

/* Rule `index` against the others: is there anything that only it decides? */
void access_lint_reach(const struct access_linting *it, size_t index);

/* Rule `index`, which has a window, against others with one. */
void access_lint_windows(const struct access_linting *it, size_t index);

/* A role that is configured: may anybody have it? */
void access_lint_role(const struct access_linting *it, const struct access_role_facts *role);

#endif
