/* Compiled policies: what the parser makes and the decision reads. Internal to access/.
 *
 * Files: policy_parse.c (YAML to this), policy_digest.c, policy.c (decides), explain.c (says why),
 * subject.c, reason.c, binding.c, paths.c. */
#ifndef LEASED_ACCESS_RULES_H
#define LEASED_ACCESS_RULES_H

#include "access/paths.h"
#include "access/policy.h"
#include "access/reason.h"
#include "access/subject.h"
#include "base/map.h"

#define ACCESS_RULES_MAX 4096
#define ACCESS_RULE_BINDINGS_MAX 16

struct access_rule {
    char *name;
    bool is_deny;
    struct access_subjects subjects;
    char **role_patterns;
    size_t role_pattern_count;
    uint64_t duration_ms; /* 0: the role's max_ttl */
    uint64_t ttl_ms;      /* 0: the role's */
    uint64_t live;        /* 0: no limit */
    struct access_binding_spec bindings[ACCESS_RULE_BINDINGS_MAX];
    size_t binding_count;
    struct access_reason *reason; /* NULL: none is required */
    struct access_path *paths;
    size_t path_count;
};

struct access_admins {
    struct access_subjects subjects;
    uint32_t may; /* ACCESS_ADMIN_* */
};

/* The rules for one role, found by its name: first those that deny, then those that allow, each in
 * file order. */
struct access_role_rules {
    struct map_entry entry;
    char *name;
    const struct access_rule **rules;
    size_t deny_count;
    size_t count;
};

struct access_policy {
    struct access_rule *rules;
    size_t rule_count;
    struct access_admins *admins;
    size_t admin_count;
    struct access_role_rules *roles;
    size_t role_count;
    struct map role_map;
    struct access_group_names *group_names; /* scratch for one decision */
    char digest[65];
};

/* Fills in policy->digest. 0 or ERR_NOMEM. */
int access_policy_digest_compute(struct access_policy *policy) ATTR_MUST_USE;

/* Judges one allow rule whose subjects match; the decision says what it gives, or why it doesn't.
 */
bool access_rule_allows(const struct access_rule *rule, const struct access_request *request,
                        struct access_decision *decision);

/* Does a grant with the binding `asked` end no later than one with `role`? */
bool access_binding_is_within(enum access_binding asked, enum access_binding role);

/* As access_binding_parse, for a rule's list: there "pid:*" is any ancestor, and comm may have
 * globs. */
int access_binding_rule_parse(struct str text, struct access_binding_spec *ret_spec) ATTR_MUST_USE;
bool access_binding_is_listed(const struct access_binding_spec *listed,
                              const struct access_binding_spec *asked);

#endif
