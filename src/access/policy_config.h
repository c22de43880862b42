/* Policies as they are decoded, before they are compiled. Internal to access/. */
#ifndef LEASED_ACCESS_POLICY_CONFIG_H
#define LEASED_ACCESS_POLICY_CONFIG_H

#include "access/policy.h"
#include "access/subject.h"
#include "wire/schema.h"

struct access_limits_config {
    const struct yaml_node *node;
    uint64_t duration_ms;
    uint64_t ttl_ms;
    uint64_t live;
    struct schema_strings binding;
};

struct access_require_config {
    const struct yaml_node *node;
    char *reason;
};

struct access_rule_config {
    const struct yaml_node *node;
    char *name;
    struct schema_list subjects; /* struct access_subject_config */
    struct schema_strings roles;
    struct schema_list paths; /* struct access_path_config */
    int is_deny;
    struct access_limits_config limits;
    struct access_require_config require;
};

struct access_admins_config {
    const struct yaml_node *node;
    struct schema_list subjects;
    struct schema_strings may;
};

/* A whole file. Entries of `admins` have two forms and are decoded one by one. */
struct access_policy_config {
    const struct yaml_node *node;
    struct schema_list rules; /* struct access_rule_config */
    char *admins_json;        /* only looked at for being there */
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
    struct yaml_errors *errors;
};

/* Compiles the next rule of the policy, and takes what it can use out of `config`. Mistakes go to
 * the parser's errors. 0 or ERR_NOMEM. */
int access_rule_compile(struct access_parser *parser,
                        struct access_rule_config *config) ATTR_MUST_USE;

/* The node of item `index` of a SCHEMA_STRINGS under `key`, for messages; `parent` if there is
 * none. */
const struct yaml_node *access_item_node(const struct yaml_node *parent, const char *key,
                                         size_t index);

#endif
