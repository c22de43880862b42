/* Compiled policies: what the parser makes and the decision reads. Internal to access/.
 *
 * Files: policy_parse.c and rule_compile.c (YAML to this), policy_digest.c, index_build.c and
 * policy_index.c (which rules may be about a caller), policy.c and rule_judge.c (decide), explain.c
 * (says why), policy_object.c, subject.c, reason.c, binding.c, paths.c. */
#ifndef LEASED_ACCESS_RULES_H
#define LEASED_ACCESS_RULES_H

#include "access/paths.h"
#include "access/policy.h"
#include "access/policy_index.h"
#include "access/reason.h"
#include "access/subject.h"
#include "access/window.h"
#include "base/map.h"

#define ACCESS_RULES_MAX 65536
#define ACCESS_RULE_BINDINGS_MAX 16
#define ACCESS_PERSONS_MAX 65536
#define ACCESS_DIGEST_BYTES 65 /* in hex, with the NUL */

struct access_rule {
    char *name;
    bool is_deny;
    bool is_observed; /* has that mode; access_rule_counts says what comes of it */
    bool is_break_glass;
    struct access_subjects subjects;
    char **role_patterns;
    size_t role_pattern_count;
    uint64_t duration_ms; /* 0: the role's max_ttl */
    uint64_t ttl_ms;      /* 0: the role's */
    uint64_t live;        /* 0: no limit */
    struct units_rate issue;
    uint64_t min_remaining_ms; /* 0: the role's */
    struct access_binding_spec *bindings;
    size_t binding_count;
    const struct access_reason *reason; /* of policy->expressions; NULL: none is required */
    const struct access_reason *ticket;
    struct access_subjects approvers;
    struct access_approval approval; /* count 0: none is required */
    struct access_window *window;    /* NULL: at all times */
    struct access_path *paths;
    size_t path_count;
    char digest[ACCESS_DIGEST_BYTES];
};

struct access_admins {
    struct access_subjects subjects;
    uint32_t may; /* ACCESS_ADMIN_* */
};

struct access_person {
    char *name;
    struct access_subjects subjects;
};

/* A regular expression, once for all rules that have it: one takes some 20 KiB to match with. */
struct access_expression {
    struct map_entry entry; /* by its pattern */
    struct access_reason *compiled;
};

struct access_policy {
    struct access_rule *rules;
    size_t rule_count;
    struct access_admins *admins;
    size_t admin_count;
    struct access_person *persons;
    size_t person_count;
    struct map expressions;
    struct access_zones zones;
    bool counts_observed;
    struct access_role *roles;
    size_t role_count;
    struct map role_map;
    struct access_index index;
    struct access_index path_index;         /* those that are about paths */
    struct access_group_names *group_names; /* scratch for one decision */
    char digest[ACCESS_DIGEST_BYTES];
};

/* Fills in the digests of the policy and of its rules. 0 or ERR_NOMEM. */
int access_policy_digest_compute(struct access_policy *policy) ATTR_MUST_USE;

/* Does the rule decide anything? */
static inline bool access_rule_counts(const struct access_policy *policy,
                                      const struct access_rule *rule)
{
    return !rule->is_observed || policy->counts_observed;
}

/* Is the rule about this role? */
bool access_rule_names(const struct access_rule *rule, struct str role);

/* A decision that denies without a rule; `bindings` isn't touched. */
void access_decision_clear(struct access_decision *decision);

/* Refuses by this rule; false. */
bool access_refuse(struct access_decision *decision, const struct access_rule *rule,
                   enum access_outcome outcome, const char *limit, const char *format, ...)
    ATTR_PRINTF(5, 6);

/* Is the rule's window open? If not, it refuses. */
bool access_window_fits(const struct access_rule *rule, int64_t wall_ms,
                        struct access_decision *decision);

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
