/* Policies from YAML to compiled rules.
 *
 * Every file is decoded by its tables (policy_config.c), the rules of all are compiled one behind
 * the other (rule_compile.c), and at the end they are indexed. All mistakes are reported; a
 * policy comes out only when there are none. */
#include "access/policy_config.h"

#include "access/rules.h"
#include "base/mem.h"

/* --- rules --- */

static int rules_of_file(struct access_parser *parser, struct access_policy_config *config)
{
    struct access_rule_config *rules = config->rules.items;
    size_t i;
    int r = 0;

    for (i = 0; r == 0 && i < config->rules.count; i++) {
        rules[i].is_observed |= config->is_observed;
        r = access_rule_compile(parser, &rules[i]);
    }
    return r;
}

static int rules_compile(struct access_parser *parser, struct access_policy_config *configs,
                         size_t config_count)
{
    struct access_policy *policy = parser->policy;
    size_t total = 0;
    size_t i;
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
    parser->name_entries = mem_calloc(total + 1, sizeof(*parser->name_entries));
    if (policy->rules == NULL || parser->name_entries == NULL) {
        return ERR_NOMEM;
    }
    for (i = 0; r == 0 && i < config_count; i++) {
        r = rules_of_file(parser, &configs[i]);
    }
    return r;
}

/* --- roles --- */

static int roles_make(struct access_policy *policy, const char *const *roles)
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
        struct access_role *role = &policy->roles[policy->role_count];

        role->name = mem_strdup(roles[policy->role_count++]);
        if (role->name == NULL) {
            return ERR_NOMEM;
        }
        r = map_add(&policy->role_map, &role->entry, str_of(role->name));
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

static int policy_compile(struct access_parser *parser, const struct access_nodes *nodes)
{
    struct access_policy_config *configs = mem_calloc(nodes->count + 1, sizeof(*configs));
    size_t i;
    int r = configs != NULL ? 0 : ERR_NOMEM;

    for (i = 0; r == 0 && i < nodes->count; i++) {
        r = file_decode(parser, nodes->items[i], &configs[i]);
    }
    if (r == 0) {
        r = rules_compile(parser, configs, nodes->count);
    }
    if (r == 0) {
        r = access_admins_compile(parser, nodes);
    }
    if (r == 0) {
        r = access_persons_compile(parser, nodes);
    }
    for (i = 0; configs != NULL && i < nodes->count; i++) {
        schema_fini(&access_policy_table, &configs[i]);
    }
    mem_free(configs);
    return r;
}

/* An empty policy for these roles. NULL: out of memory. */
static struct access_policy *policy_new(const char *const *roles,
                                        const struct access_policy_options *options)
{
    struct access_policy *policy = mem_calloc(1, sizeof(*policy));

    if (policy == NULL) {
        return NULL;
    }
    /* The keys are the operator's own, so nobody can choose colliding ones. */
    map_init(&policy->role_map, 1);
    map_init(&policy->expressions, 1);
    policy->counts_observed = options != NULL && options->counts_observed;
    policy->group_names = mem_calloc(1, sizeof(*policy->group_names));
    if (policy->group_names == NULL || roles_make(policy, roles) != 0) {
        access_policy_free(policy);
        return NULL;
    }
    return policy;
}

int access_policy_parse(const struct access_nodes *nodes, const struct access_known *known,
                        const struct access_policy_options *options,
                        struct access_policy **ret_policy, struct yaml_errors *errors)
{
    static const char *const nothing[] = {NULL};
    struct access_parser parser = {
        .roles = known->roles != NULL ? known->roles : nothing,
        .issuers = known->issuers != NULL ? known->issuers : nothing,
        .errors = errors,
        .unknown = options != NULL && options->unknown != NULL ? options->unknown : errors,
    };
    size_t count_before = errors->count;
    int r;

    parser.policy = policy_new(parser.roles, options);
    if (parser.policy == NULL) {
        return ERR_NOMEM;
    }
    map_init(&parser.rule_names, 1);
    access_zones_init(&parser.policy->zones, known->zone_read, known->zone_user);
    r = policy_compile(&parser, nodes);
    parser.policy->zones.read = NULL; /* all that are named have been read */
    map_fini(&parser.rule_names);
    mem_free(parser.name_entries);
    if (r == 0 && errors->count > count_before) {
        r = ERR_INVALID;
    }
    if (r == 0) {
        r = access_index_build(parser.policy);
    }
    if (r == 0) {
        r = access_policy_digest_compute(parser.policy);
    }
    if (r != 0) {
        access_policy_free(parser.policy);
        return r;
    }
    *ret_policy = parser.policy;
    return 0;
}
