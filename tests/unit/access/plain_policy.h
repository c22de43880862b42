/* Policies as a plain list of rules, and a plain reading of them: what the index must agree with.
 * Knows nothing of how policies are compiled. */
#ifndef LEASED_TESTS_UNIT_ACCESS_PLAIN_POLICY_H
#define LEASED_TESTS_UNIT_ACCESS_PLAIN_POLICY_H

#include "access/policy.h"

#define PLAIN_SUBJECTS_MAX 8
#define PLAIN_ROLES_MAX 3
#define PLAIN_RULES_MAX 40
#define PLAIN_ROLE_COUNT 100
#define PLAIN_GROUPS 6

/* NULL and -1: nothing is said. */
struct plain_subject {
    const char *user;
    const char *group;
    const char *unit;
    const char *container;
    const char *image;
    const char *listener;
    const char *san;
    const char *issuer;
    const char *project;
    int uid_first;
    int uid_last;
    int gid_first;
    int gid_last;
};

#define PLAIN_PATHS_MAX 3

struct plain_path {
    const char *pattern;
    const char *backend; /* NULL: any */
    uint32_t may;        /* ACCESS_CAN_* */
};

struct plain_rule {
    char name[24];
    bool is_deny;
    bool is_observed;
    bool is_break_glass;
    bool has_approval;
    bool needs_reason; /* that begins with OPS- */
    bool needs_ticket;
    bool lists_none; /* as binding */
    bool has_window; /* mon to fri, 08:00 to 19:00, UTC */
    int hours;       /* of duration; 0: the role's */
    int live;        /* 0: no limit */
    struct plain_subject subjects[PLAIN_SUBJECTS_MAX];
    size_t subject_count;
    const char *roles[PLAIN_ROLES_MAX];
    size_t role_count;
    struct plain_path paths[PLAIN_PATHS_MAX];
    size_t path_count;
};

struct plain_policy {
    struct plain_rule rules[PLAIN_RULES_MAX];
    size_t rule_count;
    bool counts_observed;
};

/* Who asks. The groups' names are NULL when they can't be looked up. */
struct plain_caller {
    const struct access_identity *identity;
    const char *issuer; /* NULL: no token */
    const char *project;
    bool has_unknown_groups;
};

struct plain_decision {
    enum access_outcome outcome;
    const struct plain_rule *rule;
    const char *limit;
    uint64_t duration_ms;
    int64_t until_wall_ms;
    int64_t opens_wall_ms;
};

/* The name of a group by its number, 50 to 50 + PLAIN_GROUPS - 1; NULL: it has none. */
const char *plain_group_name(uint32_t gid);

/* Appends the policy as its file would have it. */
void plain_write(const struct plain_policy *policy, struct buf *out);

/* Reads the rules one by one. */
struct plain_decision plain_decide(const struct plain_policy *policy,
                                   const struct plain_caller *caller,
                                   const struct access_request *request);
struct plain_decision plain_decide_path(const struct plain_policy *policy,
                                        const struct plain_caller *caller,
                                        const struct access_path_request *request);

#endif
