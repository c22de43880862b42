/* One rule from its decoded form to its compiled one. */
#include "access/policy_config.h"

#include "access/rules.h"
#include "base/mem.h"

#include <stdio.h>
#include <string.h>

static int rule_name(struct access_parser *parser, struct access_rule *rule,
                     const struct access_rule_config *config)
{
    const struct access_policy *policy = parser->policy;
    char name[32];
    size_t i;

    (void)snprintf(name, sizeof(name), "rule-%zu", policy->rule_count);
    rule->name = mem_strdup(config->name != NULL ? config->name : name);
    if (rule->name == NULL) {
        return ERR_NOMEM;
    }
    for (i = 0; i + 1 < policy->rule_count; i++) {
        if (strcmp(policy->rules[i].name, rule->name) == 0) {
            yaml_error_at(parser->errors,
                          config->name != NULL ? yaml_get(config->node, "name") : config->node,
                          "there is a rule `%s` already", rule->name);
            break;
        }
    }
    return 0;
}

static bool role_exists(const struct access_parser *parser, struct str pattern)
{
    size_t i;

    for (i = 0; parser->roles[i] != NULL; i++) {
        if (str_glob(pattern, str_of(parser->roles[i]))) {
            return true;
        }
    }
    return false;
}

static void role_check(struct access_parser *parser, const char *pattern,
                       const struct yaml_node *node)
{
    const char *close = schema_suggest(str_of(pattern), parser->roles);

    if (role_exists(parser, str_of(pattern))) {
        return;
    }
    if (strchr(pattern, '*') != NULL) {
        yaml_error_at(parser->errors, node, "no role matches `%s`", pattern);
    } else if (close != NULL) {
        yaml_error_at(parser->errors, node, "unknown role `%s`: did you mean `%s`?", pattern,
                      close);
    } else {
        yaml_error_at(parser->errors, node, "unknown role `%s`", pattern);
    }
}

static void rule_roles(struct access_parser *parser, struct access_rule *rule,
                       struct access_rule_config *config)
{
    size_t i;

    for (i = 0; i < config->roles.count; i++) {
        role_check(parser, config->roles.items[i], access_item_node(config->node, "roles", i));
    }
    /* The texts move into the rule. */
    rule->role_patterns = config->roles.items;
    rule->role_pattern_count = config->roles.count;
    config->roles = (struct schema_strings){0};
}

static void rule_bindings(struct access_parser *parser, struct access_rule *rule,
                          const struct access_limits_config *limits)
{
    size_t i;

    if (limits->binding.count > ACCESS_RULE_BINDINGS_MAX) {
        yaml_error_at(parser->errors, yaml_get(limits->node, "binding"),
                      "at most %d bindings are possible", ACCESS_RULE_BINDINGS_MAX);
        return;
    }
    for (i = 0; i < limits->binding.count; i++) {
        const struct yaml_node *node = access_item_node(limits->node, "binding", i);
        struct access_binding_spec *spec = &rule->bindings[rule->binding_count];
        const char *text = limits->binding.items[i];

        if (access_binding_rule_parse(str_of(text), spec) != 0) {
            yaml_error_at(parser->errors, node,
                          "`%s` is no binding; possible are process, parent, session, unit, "
                          "connection, none, pid:N, pid:* and comm:NAME",
                          text);
        } else {
            rule->binding_count++;
        }
    }
}

static int rule_reason(struct access_parser *parser, struct access_rule *rule,
                       const struct access_require_config *require)
{
    struct err e = {0};
    int r;

    if (require->reason == NULL) {
        return 0;
    }
    r = access_reason_new(require->reason, &rule->reason, &e);
    if (r == ERR_INVALID) {
        yaml_error_at(parser->errors, yaml_get(require->node, "reason"),
                      "this is no regular expression: %s", e.text);
        r = 0;
    }
    return r;
}

/* What would be read and then do nothing is a mistake of whoever wrote it. */
static void deny_check(struct access_parser *parser, const struct access_rule_config *config)
{
    static const char *const keys[] = {"limits", "require"};
    size_t i;

    for (i = 0; i < ARRAY_LEN(keys); i++) {
        const struct yaml_node *node = yaml_get(config->node, keys[i]);

        if (node != NULL) {
            yaml_error_at_key(parser->errors, node, "`%s` has no effect in a rule that denies",
                              keys[i]);
        }
    }
}

int access_rule_compile(struct access_parser *parser, struct access_rule_config *config)
{
    struct access_policy *policy = parser->policy;
    struct access_rule *rule = &policy->rules[policy->rule_count++];
    int r;

    rule->is_deny = config->is_deny != 0;
    rule->duration_ms = config->limits.duration_ms;
    rule->ttl_ms = config->limits.ttl_ms;
    rule->live = config->limits.live;
    if (rule->is_deny) {
        deny_check(parser, config);
    }
    if (config->node->type == YAML_MAPPING && yaml_get(config->node, "roles") == NULL &&
        yaml_get(config->node, "paths") == NULL) {
        yaml_error_at(parser->errors, config->node, "`roles` or `paths` is missing in a rule");
    }
    rule_roles(parser, rule, config);
    rule_bindings(parser, rule, &config->limits);
    r = rule_name(parser, rule, config);
    if (r == 0) {
        r = access_subjects_compile(config->subjects.items, config->subjects.count, &rule->subjects,
                                    parser);
    }
    if (r == 0) {
        r = access_paths_compile(&config->paths, &rule->paths, &rule->path_count, parser->errors);
    }
    if (r == 0) {
        r = rule_reason(parser, rule, &config->require);
    }
    return r;
}
