/* The tables of policy files. */
#include "access/policy_config.h"

#include "access/paths.h"
#include "access/policy.h"

#define LIMIT_MAX_MS (366ULL * 24 * 3600 * 1000)
#define LIVE_MAX 1000000U
#define APPROVERS_MAX 16

static const struct schema_field limits_fields[] = {
    {"duration", SCHEMA_DURATION, offsetof(struct access_limits_config, duration_ms), .min = 1000,
     .max = LIMIT_MAX_MS, .doc = "how long a grant may live; the role's max_ttl when absent"},
    {"ttl", SCHEMA_DURATION, offsetof(struct access_limits_config, ttl_ms), .min = 1000,
     .max = LIMIT_MAX_MS, .doc = "the credential's ttl; the role's when absent"},
    {"live", SCHEMA_UINT, offsetof(struct access_limits_config, live), .min = 1, .max = LIVE_MAX,
     .doc = "grants of one identity for one role at a time"},
    {"binding", SCHEMA_STRINGS, offsetof(struct access_limits_config, binding),
     .pattern = "^(process|parent|session|unit|connection|none|pid:(\\*|0*[1-9][0-9]*)|comm:.+)$",
     .doc = "bindings that may be asked for although they let a grant live longer than the role's"},
    {"issue", SCHEMA_RATE, offsetof(struct access_limits_config, issue),
     .doc = "new grants of one identity by this rule, such as 20/h"},
    {"min_remaining", SCHEMA_DURATION, offsetof(struct access_limits_config, min_remaining_ms),
     .min = 1000, .max = LIMIT_MAX_MS,
     .doc = "what a credential must have left at least when it is handed out; the role's when "
            "absent or longer"},
    {0},
};

static const struct schema_object limits_table = {
    .name = "limits",
    .size = sizeof(struct access_limits_config),
    .fields = limits_fields,
};

static const struct schema_field approval_fields[] = {
    {"from", SCHEMA_LIST, offsetof(struct access_approval_config, from), .flags = SCHEMA_REQUIRED,
     .min = 1, .object = &access_subject_table,
     .doc = "who may approve: any of these, but never whoever asks"},
    {"count", SCHEMA_UINT, offsetof(struct access_approval_config, count), .min = 1,
     .max = APPROVERS_MAX, .default_text = "1", .doc = "how many of them must"},
    {"decide_within", SCHEMA_DURATION, offsetof(struct access_approval_config, decide_within_ms),
     .min = 1000, .max = LIMIT_MAX_MS, .default_text = "30m",
     .doc = "a request that isn't approved until then expires"},
    {"use_within", SCHEMA_DURATION, offsetof(struct access_approval_config, use_within_ms),
     .min = 1000, .max = LIMIT_MAX_MS, .default_text = "15m",
     .doc = "an approval that isn't used until then expires"},
    {0},
};

static const struct schema_object approval_table = {
    .name = "approval",
    .size = sizeof(struct access_approval_config),
    .fields = approval_fields,
};

static const struct schema_field require_fields[] = {
    {"reason", SCHEMA_STRING, offsetof(struct access_require_config, reason),
     .doc = "a regular expression that the reason must match"},
    {"ticket", SCHEMA_STRING, offsetof(struct access_require_config, ticket),
     .doc = "a regular expression that the ticket must match"},
    {"approval", SCHEMA_OBJECT, offsetof(struct access_require_config, approval), .min = 1,
     .object = &approval_table,
     .doc = "others must agree before; with break_glass, look at it after"},
    {"window", SCHEMA_OBJECT, offsetof(struct access_require_config, window), .min = 1,
     .object = &access_window_table,
     .doc = "the times in which it allows; a grant ends with its window"},
    {0},
};

static const struct schema_object require_table = {
    .name = "require",
    .size = sizeof(struct access_require_config),
    .fields = require_fields,
};

static const struct schema_enum_value effect_values[] = {{"allow", 0}, {"deny", 1}, {0}};

const struct schema_enum_value access_mode_words[] = {{"active", 0}, {"observe", 1}, {0}};

static const struct schema_field rule_fields[] = {
    {"name", SCHEMA_NAME, offsetof(struct access_rule_config, name),
     .doc = "stands in answers and in the audit trail; rule-1, … by default"},
    {"subjects", SCHEMA_LIST, offsetof(struct access_rule_config, subjects),
     .flags = SCHEMA_REQUIRED, .min = 1, .object = &access_subject_table, .doc = "any of these"},
    {"roles", SCHEMA_STRINGS, offsetof(struct access_rule_config, roles), .min = 1,
     .doc = "names of roles; globs with *"},
    {"paths", SCHEMA_LIST, offsetof(struct access_rule_config, paths), .min = 1,
     .object = &access_path_table,
     .doc = "paths of an issuer's own API that requests may be passed on to"},
    {"effect", SCHEMA_ENUM, offsetof(struct access_rule_config, is_deny), .default_text = "allow",
     .values = effect_values, .doc = "allow or deny; a deny wins"},
    {"limits", SCHEMA_OBJECT, offsetof(struct access_rule_config, limits), .object = &limits_table,
     .doc = "of what the rule allows"},
    {"require", SCHEMA_OBJECT, offsetof(struct access_rule_config, require), .min = 1,
     .object = &require_table, .doc = "what a request must bring"},
    {"mode", SCHEMA_ENUM, offsetof(struct access_rule_config, is_observed),
     .default_text = "active", .values = access_mode_words,
     .doc = "observe: it is logged where it would have changed a decision, and decides nothing"},
    {"break_glass", SCHEMA_BOOL, offsetof(struct access_rule_config, is_break_glass),
     .doc = "for emergencies: counts only where it is asked for, at once and loudly; `approval` is "
            "who must look at it afterwards"},
    {0},
};

const struct schema_object access_rule_table = {
    .name = "a rule",
    .size = sizeof(struct access_rule_config),
    .fields = rule_fields,
    .relations_json = "\"anyOf\":[{\"required\":[\"roles\"]},{\"required\":[\"paths\"]}]",
};

static const struct schema_field policy_fields[] = {
    {"rules", SCHEMA_LIST, offsetof(struct access_policy_config, rules),
     .object = &access_rule_table, .doc = "the first allow rule that fits decides; a deny wins"},
    {"admins", SCHEMA_JSON, offsetof(struct access_policy_config, admins_json),
     .object = &access_admins_table, .other_object = &access_subject_table,
     .doc = "who may see and end what others hold; a bare subject may all"},
    {"persons", SCHEMA_JSON, offsetof(struct access_policy_config, persons_json),
     .flags = SCHEMA_BY_NAME, .object = &access_subject_table,
     .doc = "people by name: a subject or a list of them, so that nobody approves what he asked "
            "for under another name"},
    {"vars", SCHEMA_JSON, offsetof(struct access_policy_config, vars_json),
     .doc = "names of texts and lists of texts: ${NAME} stands for them in all other texts, and "
            "$${ for ${; also those of the files that include this one"},
    {"include", SCHEMA_STRINGS, offsetof(struct access_policy_config, include), .min = 1,
     .doc = "files in this folder or below it, read behind this one; globs with *"},
    {"mode", SCHEMA_ENUM, offsetof(struct access_policy_config, is_observed),
     .default_text = "active", .values = access_mode_words,
     .doc = "observe: as if every rule had it"},
    {0},
};

const struct schema_object access_policy_table = {
    .name = "a policy",
    .size = sizeof(struct access_policy_config),
    .fields = policy_fields,
};

const struct schema_object access_policy_inline_table = {
    .name = "policies",
    .size = sizeof(struct access_policy_config),
    .fields = policy_fields,
    .is_open = true,
};

const struct schema_enum_value access_admin_words[] = {
    {"read", ACCESS_ADMIN_READ},
    {"revoke", ACCESS_ADMIN_REVOKE},
    {"policy", ACCESS_ADMIN_POLICY},
    {"reload", ACCESS_ADMIN_RELOAD},
    {0},
};

static const struct schema_field admins_fields[] = {
    {"subjects", SCHEMA_LIST, offsetof(struct access_admins_config, subjects),
     .flags = SCHEMA_REQUIRED, .min = 1, .object = &access_subject_table, .doc = "any of these"},
    {"may", SCHEMA_STRINGS, offsetof(struct access_admins_config, may),
     .values = access_admin_words, .doc = "read, revoke, policy, reload; everything by default"},
    {0},
};

const struct schema_object access_admins_table = {
    .name = "admins",
    .size = sizeof(struct access_admins_config),
    .fields = admins_fields,
};

const struct yaml_node *access_item_node(const struct yaml_node *parent, const char *key,
                                         size_t index)
{
    const struct yaml_node *list = yaml_get(parent, key);
    const struct yaml_node *node;

    if (list == NULL) {
        return parent;
    }
    if (list->type != YAML_SEQUENCE) {
        return list;
    }
    /* Items that were refused weren't decoded and have no index. */
    for (node = list->first; node != NULL; node = node->next) {
        if (!node->is_refused && index-- == 0) {
            return node;
        }
    }
    return list;
}

const struct yaml_node *access_item_next(const struct yaml_node *node)
{
    const struct yaml_node *next = node->next;

    while (next != NULL && next->is_refused) {
        next = next->next;
    }
    return next != NULL ? next : node;
}
