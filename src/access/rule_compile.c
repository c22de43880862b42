/* One rule from its decoded form to its compiled one. */
#include "access/policy_config.h"

#include "access/rules.h"
#include "base/mem.h"

#include <stdio.h>
#include <string.h>

/* --- names ---------------------------------------------------------------------------------- */

void access_report_unknown(struct yaml_errors *errors, const struct yaml_node *node,
                           const char *kind, const char *const *candidates)
{
    const char *close = schema_suggest(node->text, candidates);

    if (close != NULL) {
        yaml_error_at(errors, node, "unknown %s `%.*s`: did you mean `%s`?", kind,
                      STR_ARG(node->text), close);
    } else {
        yaml_error_at(errors, node, "unknown %s `%.*s`", kind, STR_ARG(node->text));
    }
}

static int rule_name(struct access_parser *parser, struct access_rule *rule,
                     const struct access_rule_config *config)
{
    size_t number = parser->policy->rule_count;
    char name[32];
    int r;

    (void)snprintf(name, sizeof(name), "rule-%zu", number);
    rule->name = mem_strdup(config->name != NULL ? config->name : name);
    if (rule->name == NULL) {
        return ERR_NOMEM;
    }
    r = map_add(&parser->rule_names, &parser->name_entries[number - 1], str_of(rule->name));
    if (r == ERR_EXISTS) {
        yaml_error_at(parser->errors,
                      config->name != NULL ? yaml_get(config->node, "name") : config->node,
                      "there is a rule `%s` already", rule->name);
        r = 0;
    }
    return r;
}

static bool role_exists(const struct access_parser *parser, const char *pattern)
{
    size_t i;

    if (strchr(pattern, '*') == NULL) {
        return map_find(&parser->policy->role_map, str_of(pattern)) != NULL;
    }
    for (i = 0; parser->roles[i] != NULL; i++) {
        if (str_glob(str_of(pattern), str_of(parser->roles[i]))) {
            return true;
        }
    }
    return false;
}

static void role_check(struct access_parser *parser, const char *pattern,
                       const struct yaml_node *node)
{
    if (role_exists(parser, pattern)) {
        return;
    }
    if (strchr(pattern, '*') != NULL) {
        yaml_error_at(parser->unknown, node, "no role matches `%s`", pattern);
    } else {
        access_report_unknown(parser->unknown, node, "role", parser->roles);
    }
}

static void rule_roles(struct access_parser *parser, struct access_rule *rule,
                       struct access_rule_config *config)
{
    const struct yaml_node *node = access_item_node(config->node, "roles", 0);
    size_t i;

    for (i = 0; i < config->roles.count; i++) {
        role_check(parser, config->roles.items[i], node);
        node = access_item_next(node);
    }
    /* The texts move into the rule. */
    rule->role_patterns = config->roles.items;
    rule->role_pattern_count = config->roles.count;
    config->roles = (struct schema_strings){0};
}

/* --- limits --------------------------------------------------------------------------------- */

static int rule_bindings(struct access_parser *parser, struct access_rule *rule,
                         const struct access_limits_config *limits)
{
    size_t i;

    if (limits->binding.count > ACCESS_RULE_BINDINGS_MAX) {
        yaml_error_at(parser->errors, yaml_get(limits->node, "binding"),
                      "at most %d bindings are possible", ACCESS_RULE_BINDINGS_MAX);
        return 0;
    }
    if (limits->binding.count == 0) {
        return 0;
    }
    rule->bindings = mem_calloc(limits->binding.count, sizeof(*rule->bindings));
    if (rule->bindings == NULL) {
        return ERR_NOMEM;
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
    return 0;
}

static int rule_limits(struct access_parser *parser, struct access_rule *rule,
                       const struct access_limits_config *limits)
{
    rule->duration_ms = limits->duration_ms;
    rule->ttl_ms = limits->ttl_ms;
    rule->live = limits->live;
    rule->issue = limits->issue;
    rule->min_remaining_ms = limits->min_remaining_ms;
    return rule_bindings(parser, rule, limits);
}

/* --- requirements --------------------------------------------------------------------------- */

static int expression_add(struct access_policy *policy, const char *pattern,
                          const struct access_reason **ret_compiled, struct err *e)
{
    struct access_expression *expression = mem_calloc(1, sizeof(*expression));
    int r = ERR_NOMEM;

    if (expression == NULL) {
        return r;
    }
    r = access_reason_new(pattern, &expression->compiled, e);
    if (r == 0) {
        r = map_add(&policy->expressions, &expression->entry,
                    str_of(access_reason_pattern(expression->compiled)));
    }
    if (r != 0) {
        access_reason_free(expression->compiled);
        mem_free(expression);
        return r;
    }
    *ret_compiled = expression->compiled;
    return 0;
}

/* `pattern`: what stands under `key`; NULL: nothing does. */
static int rule_expression(struct access_parser *parser, const struct yaml_node *require,
                           const char *key, const char *pattern,
                           const struct access_reason **ret_compiled)
{
    struct map_entry *entry;
    struct err e = {0};
    int r;

    if (pattern == NULL) {
        return 0;
    }
    entry = map_find(&parser->policy->expressions, str_of(pattern));
    if (entry != NULL) {
        *ret_compiled = MAP_ENTRY(entry, struct access_expression, entry)->compiled;
        return 0;
    }
    r = expression_add(parser->policy, pattern, ret_compiled, &e);
    if (r == ERR_INVALID) {
        yaml_error_at(parser->errors, yaml_get(require, key), "this is no regular expression: %s",
                      e.text);
        r = 0;
    }
    return r;
}

static int rule_approval(struct access_parser *parser, struct access_rule *rule,
                         const struct access_approval_config *config)
{
    if (config->node == NULL) {
        return 0;
    }
    rule->approval = (struct access_approval){
        .count = (uint32_t)config->count,
        .decide_within_ms = config->decide_within_ms,
        .use_within_ms = config->use_within_ms,
        .from = &rule->approvers,
    };
    return access_subjects_compile(config->from.items, config->from.count, &rule->approvers,
                                   parser);
}

static int rule_requirements(struct access_parser *parser, struct access_rule *rule,
                             const struct access_require_config *require)
{
    int r = rule_expression(parser, require->node, "reason", require->reason, &rule->reason);

    if (r == 0) {
        r = rule_expression(parser, require->node, "ticket", require->ticket, &rule->ticket);
    }
    if (r == 0) {
        r = rule_approval(parser, rule, &require->approval);
    }
    if (r == 0 && require->window.node != NULL) {
        r = access_window_new(&require->window, &parser->policy->zones, &rule->window,
                              parser->errors);
    }
    return r;
}

/* --- the whole ------------------------------------------------------------------------------ */

/* What would be read and then do nothing is a mistake of whoever wrote it. */
static void deny_check(struct access_parser *parser, const struct access_rule_config *config)
{
    static const char *const keys[] = {"limits", "require", "break_glass"};
    size_t i;

    for (i = 0; i < ARRAY_LEN(keys); i++) {
        const struct yaml_node *node = yaml_get(config->node, keys[i]);

        if (node != NULL) {
            yaml_error_at_key(parser->errors, node, "`%s` has no effect in a rule that denies",
                              keys[i]);
        }
    }
}

/* Who breaks the glass gets it at once and without asking anybody, so it must end by itself, and
 * somebody must look at it. */
static void break_glass_check(struct access_parser *parser, const struct access_rule_config *config)
{
    const struct yaml_node *node = yaml_get(config->node, "break_glass");

    if (config->limits.duration_ms == 0) {
        yaml_error_at_key(
            parser->errors, node,
            "a rule with `break_glass` needs `limits.duration`: how long it may last");
    }
    if (config->require.approval.node == NULL) {
        yaml_error_at_key(
            parser->errors, node,
            "a rule with `break_glass` needs `require.approval`: who must look at it afterwards");
    }
    if (config->paths.count > 0) {
        yaml_error_at_key(parser->errors, yaml_get(config->node, "paths"),
                          "`paths` has no effect in a rule with `break_glass`");
    }
}

static void rule_check(struct access_parser *parser, const struct access_rule_config *config)
{
    if (config->is_deny != 0) {
        deny_check(parser, config);
    } else if (config->is_break_glass) {
        break_glass_check(parser, config);
    }
    if (config->node->type == YAML_MAPPING && yaml_get(config->node, "roles") == NULL &&
        yaml_get(config->node, "paths") == NULL) {
        yaml_error_at(parser->errors, config->node, "`roles` or `paths` is missing in a rule");
    }
}

int access_rule_compile(struct access_parser *parser, struct access_rule_config *config)
{
    struct access_policy *policy = parser->policy;
    struct access_rule *rule = &policy->rules[policy->rule_count++];
    int r;

    rule->is_deny = config->is_deny != 0;
    rule->is_observed = config->is_observed != 0;
    rule->is_break_glass = config->is_break_glass;
    rule_check(parser, config);
    rule_roles(parser, rule, config);
    r = rule_name(parser, rule, config);
    if (r == 0) {
        r = rule_limits(parser, rule, &config->limits);
    }
    if (r == 0) {
        r = access_subjects_compile(config->subjects.items, config->subjects.count, &rule->subjects,
                                    parser);
    }
    if (r == 0) {
        r = access_paths_compile(&config->paths, &rule->paths, &rule->path_count, parser->errors);
    }
    if (r == 0) {
        r = rule_requirements(parser, rule, &config->require);
    }
    return r;
}
