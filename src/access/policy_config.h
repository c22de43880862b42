/* Policies as they are decoded, before they are compiled. Internal to access/. */
#ifndef LEASED_ACCESS_POLICY_CONFIG_H
#define LEASED_ACCESS_POLICY_CONFIG_H

#include "access/policy.h"
#include "access/subject.h"
#include "access/window.h"
#include "base/map.h"
#include "wire/schema.h"

struct access_limits_config {
    const struct yaml_node *node;
    uint64_t duration_ms;
    uint64_t ttl_ms;
    uint64_t live;
    struct units_rate issue;
    uint64_t min_remaining_ms;
    struct schema_strings binding;
};

struct access_approval_config {
    const struct yaml_node *node; /* NULL: none is asked for */
    struct schema_list from;      /* struct access_subject_config */
    uint64_t count;
    uint64_t decide_within_ms;
    uint64_t use_within_ms;
};

struct access_require_config {
    const struct yaml_node *node;
    char *reason;
    char *ticket;
    struct access_approval_config approval;
    struct access_window_config window;
};

struct access_rule_config {
    const struct yaml_node *node;
    char *name;
    struct schema_list subjects; /* struct access_subject_config */
    struct schema_strings roles;
    struct schema_list paths; /* struct access_path_config */
    int is_deny;
    int is_observed;
    bool is_break_glass;
    struct access_limits_config limits;
    struct access_require_config require;
};

struct access_admins_config {
    const struct yaml_node *node;
    struct schema_list subjects;
    struct schema_strings may;
};

/* A whole file. Entries of `admins` have two forms, those of `persons` have names that nobody
 * knows, and both are decoded one by one. */
struct access_policy_config {
    const struct yaml_node *node;
    struct schema_list rules; /* struct access_rule_config */
    int is_observed;
    char *admins_json; /* these are only looked at for being there */
    char *persons_json;
    char *vars_json;
    struct schema_strings include;
};

/* access_policy_table, but it passes over keys that it doesn't know. */
extern const struct schema_object access_policy_inline_table;

/* The words of `may`. */
extern const struct schema_enum_value access_admin_words[];

/* One run of the parser. */
struct access_parser {
    struct access_policy *policy;
    const char *const *roles; /* ended by NULL, both */
    const char *const *issuers;
    struct map rule_names; /* of name_entries, one for each rule */
    struct map_entry *name_entries;
    struct yaml_errors *errors;
    struct yaml_errors *unknown; /* for roles and issuers that exist nowhere; may be the same */
};

/* Compiles the next rule of the policy, and takes what it can use out of `config`. Mistakes go to
 * the parser's errors. 0 or ERR_NOMEM. */
int access_rule_compile(struct access_parser *parser,
                        struct access_rule_config *config) ATTR_MUST_USE;

/* The `admins` and `persons` of all files. 0 or ERR_NOMEM. */
int access_admins_compile(struct access_parser *parser,
                          const struct access_nodes *nodes) ATTR_MUST_USE;
int access_persons_compile(struct access_parser *parser,
                           const struct access_nodes *nodes) ATTR_MUST_USE;

/* "there is no KIND `word`", with what was meant, if that is clear. */
void access_report_unknown(struct yaml_errors *errors, const struct yaml_node *node,
                           const char *kind, const char *const *candidates);

/* The node of item `index` of a SCHEMA_STRINGS under `key`, for messages; `parent` if there is
 * none. */
const struct yaml_node *access_item_node(const struct yaml_node *parent, const char *key,
                                         size_t index);
/* That of the item behind an item; itself where it is the last. */
const struct yaml_node *access_item_next(const struct yaml_node *node);

#endif
