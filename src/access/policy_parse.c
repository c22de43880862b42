/* Policies from YAML to compiled rules.
 *
 * Every file is decoded by its tables (policy_config.c), the rules of all are compiled one behind
 * the other (rule_compile.c), and at the end they are sorted by role. All mistakes are reported; a
 * policy comes out only when there are none. */
#include "access/policy_config.h"

#include "access/rules.h"
#include "base/mem.h"

#include <string.h>

#define ADMIN_ALL                                                                                  \
    (ACCESS_ADMIN_READ | ACCESS_ADMIN_REVOKE | ACCESS_ADMIN_POLICY | ACCESS_ADMIN_RELOAD)

/* --- rules --- */

static int rules_compile(struct access_parser *parser, struct access_policy_config *configs,
                         size_t config_count)
{
    struct access_policy *policy = parser->policy;
    size_t total = 0;
    size_t i;
    size_t k;
    int r = 0;

    for (i = 0; i < config_count; i++) {
        total += configs[i].rules.count;
    }
    if (total > ACCESS_RULES_MAX) {
        yaml_error_at(parser->errors, configs[0].node,
                      "there are %zu rules; at most %d are possible", total, ACCESS_RULES_MAX);
        return 0;
    }
    policy->rules = mem_calloc(total + 1, sizeof(*policy->rules));
    if (policy->rules == NULL) {
        return ERR_NOMEM;
    }
    for (i = 0; i < config_count; i++) {
        struct access_rule_config *rules = configs[i].rules.items;

        for (k = 0; r == 0 && k < configs[i].rules.count; k++) {
            r = access_rule_compile(parser, &rules[k]);
        }
    }
    return r;
}

/* --- admins --- */

static uint32_t admin_may(const struct access_admins_config *config)
{
    const struct schema_enum_value *word;
    uint32_t may = 0;
    size_t i;

    if (yaml_get(config->node, "may") == NULL) {
        return ADMIN_ALL;
    }
    for (i = 0; i < config->may.count; i++) {
        for (word = access_admin_words; word->name != NULL; word++) {
            may |= strcmp(config->may.items[i], word->name) == 0 ? (uint32_t)word->value : 0;
        }
    }
    return may;
}

static int admin_entry(struct access_parser *parser, const struct yaml_node *node,
                       struct access_admins *admins)
{
    struct access_admins_config config = {0};
    int r = schema_decode(&access_admins_table, node, &config, parser->errors);

    if (r != ERR_NOMEM) {
        admins->may = admin_may(&config);
        r = access_subjects_compile(config.subjects.items, config.subjects.count, &admins->subjects,
                                    parser);
    }
    schema_fini(&access_admins_table, &config);
    return r;
}

static int admin_bare(struct access_parser *parser, const struct yaml_node *node,
                      struct access_admins *admins)
{
    struct access_subject_config config = {0};
    int r = schema_decode(&access_subject_table, node, &config, parser->errors);

    if (r != ERR_NOMEM) {
        admins->may = ADMIN_ALL;
        r = access_subjects_compile(&config, 1, &admins->subjects, parser);
    }
    schema_fini(&access_subject_table, &config);
    return r;
}

static size_t child_count(const struct yaml_node *node)
{
    const struct yaml_node *child;
    size_t count = 0;

    for (child = node != NULL ? node->first : NULL; child != NULL; child = child->next) {
        count++;
    }
    return count;
}

static int admins_of_file(struct access_parser *parser, const struct yaml_node *list)
{
    struct access_policy *policy = parser->policy;
    const struct yaml_node *child;
    char found[YAML_DESCRIBE_MAX_BYTES];
    int r = 0;

    if (list == NULL || list->type == YAML_NULL || list->is_refused) {
        return 0;
    }
    if (list->type != YAML_SEQUENCE) {
        yaml_error_at(parser->errors, list, "expected a list, found %s",
                      yaml_describe(list, found));
        return 0;
    }
    for (child = list->first; r == 0 && child != NULL; child = child->next) {
        bool is_bare = yaml_get(child, "subjects") == NULL && yaml_get(child, "may") == NULL;

        if (child->type == YAML_NULL) {
            yaml_error_at(parser->errors, child,
                          "expected a mapping with the keys of admins or of a subject, found "
                          "nothing");
        } else if (!child->is_refused) {
            struct access_admins *admins = &policy->admins[policy->admin_count++];

            r = is_bare ? admin_bare(parser, child, admins) : admin_entry(parser, child, admins);
        }
    }
    return r;
}

static int admins_compile(struct access_parser *parser, const struct yaml_node *const *nodes,
                          size_t node_count)
{
    size_t total = 0;
    size_t i;
    int r = 0;

    for (i = 0; i < node_count; i++) {
        total += child_count(yaml_get(nodes[i], "admins"));
    }
    parser->policy->admins = mem_calloc(total + 1, sizeof(*parser->policy->admins));
    if (parser->policy->admins == NULL) {
        return ERR_NOMEM;
    }
    for (i = 0; r == 0 && i < node_count; i++) {
        r = admins_of_file(parser, yaml_get(nodes[i], "admins"));
    }
    return r;
}

/* --- by role --- */

static bool rule_names(const struct access_rule *rule, struct str role)
{
    size_t i;

    for (i = 0; i < rule->role_pattern_count; i++) {
        if (str_glob(str_of(rule->role_patterns[i]), role)) {
            return true;
        }
    }
    return false;
}

static int role_index(struct access_policy *policy, struct access_role_rules *role)
{
    struct str name = str_of(role->name);
    int effect;
    size_t i;

    role->rules = mem_calloc(policy->rule_count + 1, sizeof(struct access_rule *));
    if (role->rules == NULL) {
        return ERR_NOMEM;
    }
    for (effect = 1; effect >= 0; effect--) {
        for (i = 0; i < policy->rule_count; i++) {
            const struct access_rule *rule = &policy->rules[i];

            if (rule->is_deny == (effect == 1) && rule_names(rule, name)) {
                role->rules[role->count++] = rule;
                role->deny_count += rule->is_deny ? 1 : 0;
            }
        }
    }
    return 0;
}

static int roles_index(struct access_policy *policy, const char *const *roles)
{
    size_t count = 0;
    int r = 0;

    while (roles[count] != NULL) {
        count++;
    }
    policy->roles = mem_calloc(count + 1, sizeof(*policy->roles));
    if (policy->roles == NULL) {
        return ERR_NOMEM;
    }
    while (r == 0 && policy->role_count < count) {
        struct access_role_rules *role = &policy->roles[policy->role_count];

        role->name = mem_strdup(roles[policy->role_count++]);
        if (role->name == NULL) {
            return ERR_NOMEM;
        }
        r = map_add(&policy->role_map, &role->entry, str_of(role->name));
        if (r == 0) {
            r = role_index(policy, role);
        }
    }
    return r;
}

/* --- the whole --- */

/* A mapping inside another file was checked for unknown keys by the table that it is a part of. */
static int file_decode(struct access_parser *parser, const struct yaml_node *node,
                       struct access_policy_config *config)
{
    const struct schema_object *table =
        node->key.len > 0 ? &access_policy_inline_table : &access_policy_table;
    int r = schema_decode(table, node, config, parser->errors);

    return r == ERR_NOMEM ? r : 0;
}

static int policy_compile(struct access_parser *parser, const struct yaml_node *const *nodes,
                          size_t node_count)
{
    struct access_policy_config *configs = mem_calloc(node_count + 1, sizeof(*configs));
    size_t i;
    int r = configs != NULL ? 0 : ERR_NOMEM;

    for (i = 0; r == 0 && i < node_count; i++) {
        r = file_decode(parser, nodes[i], &configs[i]);
    }
    if (r == 0) {
        r = rules_compile(parser, configs, node_count);
    }
    if (r == 0) {
        r = admins_compile(parser, nodes, node_count);
    }
    for (i = 0; configs != NULL && i < node_count; i++) {
        schema_fini(&access_policy_table, &configs[i]);
    }
    mem_free(configs);
    return r;
}

int access_policy_parse(const struct yaml_node *const *nodes, size_t node_count,
                        const struct access_known *known, struct access_policy **ret_policy,
                        struct yaml_errors *errors)
{
    static const char *const nothing[] = {NULL};
    struct access_policy *policy = mem_calloc(1, sizeof(*policy));
    struct access_parser parser = {
        .policy = policy,
        .roles = known->roles != NULL ? known->roles : nothing,
        .issuers = known->issuers != NULL ? known->issuers : nothing,
        .errors = errors,
    };
    size_t count_before = errors->count;
    int r = ERR_NOMEM;

    if (policy == NULL) {
        return ERR_NOMEM;
    }
    /* The keys are the operator's own, so nobody can choose colliding ones. */
    map_init(&policy->role_map, 1);
    policy->group_names = mem_calloc(1, sizeof(*policy->group_names));
    if (policy->group_names != NULL) {
        r = policy_compile(&parser, nodes, node_count);
    }
    if (r == 0 && errors->count > count_before) {
        r = ERR_INVALID;
    }
    if (r == 0) {
        r = roles_index(policy, parser.roles);
    }
    if (r == 0) {
        r = access_policy_digest_compute(policy);
    }
    if (r != 0) {
        access_policy_free(policy);
        return r;
    }
    *ret_policy = policy;
    return 0;
}
