/* Walks over a policy and tells what is wrong with it. */
#include "access/lint_internal.h"

#include "access/cover.h"
#include "access/policy_config.h"
#include "access/regex_check.h"
#include "base/mem.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define TEXT_MAX_BYTES 512

void access_lint_tell(const struct access_linting *it, bool is_error, const struct yaml_node *node,
                      const char *format, ...)
{
    char text[TEXT_MAX_BYTES];
    va_list args;

    va_start(args, format);
    (void)vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    it->lint->fn(it->lint->user,
                 &(struct access_finding){.is_error = is_error, .node = node, .text = text});
}

const struct yaml_node *access_lint_place(const struct yaml_node *parent, const char *key)
{
    const struct yaml_node *node = yaml_get(parent, key);

    return node != NULL ? node : parent;
}

/* --- expressions --- */

/* A reason may go on behind what is looked for, a ticket is nothing else. */
static int expression_check(const struct access_linting *it, const struct yaml_node *node,
                            const struct access_reason *expression, bool is_ticket)
{
    struct access_regex_report report;
    const char *pattern;
    int r;

    if (expression == NULL) {
        return 0;
    }
    pattern = access_reason_pattern(expression);
    r = access_regex_check(str_of(pattern), &report);
    if (r != 0) {
        return r;
    }
    if (report.verdict == ACCESS_REGEX_EXPLODES) {
        access_lint_tell(it, true, node,
                         "this expression can take exponential time: what is repeated at character "
                         "%zu of %s can take the same text in several ways",
                         report.at, pattern);
    } else if (report.verdict == ACCESS_REGEX_UNKNOWN) {
        access_lint_tell(it, false, node,
                         "whether this expression can take exponential time isn't known: %s",
                         report.unknown);
    }
    if (!report.begins_anchored || (is_ticket && !report.ends_anchored)) {
        access_lint_tell(it, false, node,
                         "%s isn't anchored, so it is enough that it matches somewhere: write ^ at "
                         "its beginning%s",
                         pattern, is_ticket ? " and $ at its end" : "");
    }
    return 0;
}

static int expressions_check(const struct access_linting *it, const struct access_rule *rule,
                             const struct yaml_node *node)
{
    const struct yaml_node *require = yaml_get(node, "require");
    int r;

    if (require == NULL) {
        return 0;
    }
    r = expression_check(it, access_lint_place(require, "reason"), rule->reason, false);
    return r == 0 ? expression_check(it, access_lint_place(require, "ticket"), rule->ticket, true)
                  : r;
}

/* --- subjects --- */

static void subjects_check(const struct access_linting *it, const struct access_subjects *subjects,
                           const struct yaml_node *parent, const char *key)
{
    size_t i;

    for (i = 0; i < subjects->count; i++) {
        const char *breadth = access_subject_breadth(&subjects->items[i], false);

        if (breadth != NULL) {
            access_lint_tell(it, false, access_item_node(parent, key, i), "this %s", breadth);
        }
    }
}

static void admin_check(const struct access_linting *it, const struct access_subjects *subjects,
                        const struct yaml_node *entry)
{
    size_t i;

    for (i = 0; i < subjects->count; i++) {
        const char *breadth = access_subject_breadth(&subjects->items[i], true);

        if (breadth != NULL) {
            access_lint_tell(it, false, access_item_node(entry, "subjects", i), "this %s", breadth);
        }
    }
}

/* Entries of `admins` are subjects, or have them. */
static void admins_check(const struct access_linting *it)
{
    const struct access_policy *policy = it->lint->policy;
    const struct access_nodes *nodes = it->lint->nodes;
    size_t at = 0;
    size_t i;

    for (i = 0; i < nodes->count; i++) {
        const struct yaml_node *list = yaml_get(nodes->items[i], "admins");
        const struct yaml_node *entry = list != NULL ? list->first : NULL;

        for (; entry != NULL && at < policy->admin_count; entry = entry->next, at++) {
            admin_check(it, &policy->admins[at].subjects, entry);
        }
    }
}

/* --- rules --- */

static void ttl_check(const struct access_linting *it, const struct access_rule *rule,
                      const struct yaml_node *node)
{
    const struct access_roles *roles = it->lint->roles;
    const struct yaml_node *limits = yaml_get(node, "limits");
    size_t i;

    for (i = 0; rule->ttl_ms > 0 && limits != NULL && i < roles->count; i++) {
        if (roles->items[i].is_shared && access_rule_names(rule, str_of(roles->items[i].name))) {
            access_lint_tell(it, true, access_lint_place(limits, "ttl"),
                             "`ttl` limits role %s, which is shared: its other holders would get "
                             "the shorter life too; set the role's `ttl`, or `share: none`",
                             roles->items[i].name);
            return;
        }
    }
}

static void window_check(const struct access_linting *it, size_t index)
{
    const struct access_rule *rule = &it->lint->policy->rules[index];
    const struct yaml_node *require = yaml_get(it->nodes[index], "require");
    const struct yaml_node *node;
    int64_t changes_wall_ms = 0;

    if (rule->window == NULL || require == NULL) {
        return;
    }
    node = access_lint_place(require, "window");
    if (!access_window_open(rule->window, it->lint->wall_ms, &changes_wall_ms) &&
        changes_wall_ms == 0) {
        access_lint_tell(it, true, node, "this window never opens, or not any more");
        return;
    }
    if (access_window_overlaps_itself(rule->window)) {
        access_lint_tell(it, false, node, "two of the hours of this window overlap");
    }
    access_lint_windows(it, index);
}

static int rule_check(const struct access_linting *it, size_t index)
{
    const struct access_rule *rule = &it->lint->policy->rules[index];
    const struct yaml_node *node = it->nodes[index];
    const struct yaml_node *require = yaml_get(node, "require");
    const struct yaml_node *approval = require != NULL ? yaml_get(require, "approval") : NULL;

    if (!rule->is_deny) {
        subjects_check(it, &rule->subjects, node, "subjects");
    }
    if (approval != NULL) {
        subjects_check(it, &rule->approvers, approval, "from");
    }
    ttl_check(it, rule, node);
    window_check(it, index);
    access_lint_reach(it, index);
    return expressions_check(it, rule, node);
}

/* --- the whole --- */

static void nodes_collect(const struct access_lint *lint, const struct yaml_node **nodes)
{
    size_t count = 0;
    size_t i;

    for (i = 0; i < lint->nodes->count; i++) {
        const struct yaml_node *list = yaml_get(lint->nodes->items[i], "rules");
        const struct yaml_node *rule = list != NULL ? list->first : NULL;

        for (; rule != NULL && count < lint->policy->rule_count; rule = rule->next) {
            nodes[count++] = rule;
        }
    }
    CHECK(count == lint->policy->rule_count);
}

int access_policy_lint(const struct access_lint *lint)
{
    struct access_linting it = {.lint = lint};
    size_t i;
    int r = 0;

    it.nodes = mem_calloc(lint->policy->rule_count + 1, sizeof(*it.nodes));
    if (it.nodes == NULL) {
        return ERR_NOMEM;
    }
    nodes_collect(lint, it.nodes);
    for (i = 0; r == 0 && i < lint->policy->rule_count; i++) {
        r = rule_check(&it, i);
    }
    if (r == 0) {
        admins_check(&it);
    }
    for (i = 0; r == 0 && lint->roles->are_known && i < lint->roles->count; i++) {
        access_lint_role(&it, &lint->roles->items[i]);
    }
    mem_free((void *)it.nodes);
    return r;
}
