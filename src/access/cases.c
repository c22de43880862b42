/* From a file of tests to cases: callers are made once, then each test is spread over the callers
 * and roles that it names. All mistakes are told. */
#include "access/cases_config.h"

#include "access/policy_config.h"
#include "access/rules.h"
#include "base/mem.h"
#include "base/units.h"

#include <stdio.h>
#include <string.h>

#define NAME_MAX_BYTES 512

/* --- facts about roles --- */

struct access_role_facts access_roles_find(const struct access_roles *roles, const char *name)
{
    size_t i;

    for (i = 0; i < roles->count; i++) {
        if (strcmp(roles->items[i].name, name) == 0) {
            return roles->items[i];
        }
    }
    return (struct access_role_facts){.name = name, .binding = ACCESS_BINDING_PROCESS};
}

static bool role_is_known(const struct access_roles *roles, const char *name)
{
    return !roles->are_known || access_roles_find(roles, name).node != NULL;
}

static void role_report(const struct access_cases_reading *it, const struct yaml_node *node,
                        const char *name)
{
    const struct access_roles *roles = it->source->roles;
    const char **names = mem_calloc(roles->count + 1, sizeof(*names));
    const char *close = NULL;
    size_t i;

    for (i = 0; names != NULL && i < roles->count; i++) {
        names[i] = roles->items[i].name;
    }
    if (names != NULL) {
        close = schema_suggest(str_of(name), names);
    }
    yaml_error_at(it->errors, node, "unknown role `%s`%s%s%s", name,
                  close != NULL ? ": did you mean `" : "", close != NULL ? close : "",
                  close != NULL ? "`?" : "");
    mem_free((void *)names);
}

/* --- callers --- */

static int caller_make(struct access_cases_reading *it, const struct access_assumed_config *config)
{
    struct access_cases *cases = it->cases;
    int r = access_assumed_make(config, &cases->callers[cases->caller_count], it->errors);

    cases->caller_count++;
    return r == ERR_NOMEM ? r : 0;
}

static int callers_make(struct access_cases_reading *it)
{
    struct access_cases *cases = it->cases;
    const struct access_cases_config *config = &cases->config;
    const struct access_assumed_config *subjects = config->subjects.items;
    size_t i;
    int r = 0;

    cases->callers = mem_calloc(config->subjects.count + config->tests.count + 1,
                                sizeof(struct access_assumed *));
    if (cases->callers == NULL) {
        return ERR_NOMEM;
    }
    for (i = 0; r == 0 && i < config->subjects.count; i++) {
        r = caller_make(it, &subjects[i]);
    }
    if (r == 0 && config->defaults.subject.node != NULL) {
        r = caller_make(it, &config->defaults.subject);
    }
    return r;
}

/* The caller of this name, reported where there is none. */
static const struct access_assumed *caller_find(const struct access_cases_reading *it,
                                                struct str name, const struct yaml_node *node)
{
    const struct schema_list *subjects = &it->cases->config.subjects;
    const struct access_assumed_config *items = subjects->items;
    const char **names = mem_calloc(subjects->count + 1, sizeof(*names));
    const char *close = NULL;
    size_t i;

    for (i = 0; names != NULL && i < subjects->count; i++) {
        names[i] = items[i].name;
        if (str_eq_c(name, names[i])) {
            mem_free((void *)names);
            return it->cases->callers[i];
        }
    }
    if (names != NULL) {
        close = schema_suggest(name, names);
    }
    yaml_error_at(it->errors, node, "`%.*s` is none of `subjects`%s%s%s", STR_ARG(name),
                  close != NULL ? ": did you mean `" : "", close != NULL ? close : "",
                  close != NULL ? "`?" : "");
    mem_free((void *)names);
    return NULL;
}

/* --- cases --- */

static struct access_case *case_add(struct access_cases *cases)
{
    size_t cap = cases->cap > 0 ? cases->cap * 2 : 64;
    struct access_case *items = cases->items;

    if (cases->count == cases->cap) {
        items = mem_realloc(items, cap * sizeof(*items));
        if (items == NULL) {
            return NULL;
        }
        cases->items = items;
        cases->cap = cap;
    }
    memset(&items[cases->count], 0, sizeof(*items));
    return &items[cases->count++];
}

/* One test of one caller and one role (NULL: it is about a path). */
static int case_make(struct access_cases_reading *it, const struct access_case_pattern *pattern,
                     const char *role, const struct yaml_node *role_node)
{
    struct access_case *made;
    char name[NAME_MAX_BYTES];

    if (it->cases->count == ACCESS_CASES_MAX) {
        yaml_error_at(it->errors, pattern->node, "there are more than %d tests in this file",
                      ACCESS_CASES_MAX);
        return 0;
    }
    if (role != NULL && !role_is_known(it->source->roles, role)) {
        role_report(it, role_node, role);
        return 0;
    }
    (void)snprintf(name, sizeof(name), pattern->is_spread ? "%s [%s%s%s]" : "%s", pattern->name,
                   pattern->who_name != NULL ? pattern->who_name : "",
                   pattern->who_name != NULL && role != NULL ? ", " : "", role != NULL ? role : "");
    made = case_add(it->cases);
    if (made == NULL) {
        return ERR_NOMEM;
    }
    *made = pattern->case_;
    made->node = pattern->node;
    made->name = mem_strdup(name);
    if (role != NULL) {
        struct access_role_facts facts = access_roles_find(it->source->roles, role);

        made->request.role = role;
        made->request.role_binding = facts.binding;
        made->request.role_max_ttl_ms = facts.max_ttl_ms;
    }
    return made->name != NULL ? 0 : ERR_NOMEM;
}

static int roles_spread(struct access_cases_reading *it, const struct access_test_config *test,
                        struct access_case_pattern *pattern)
{
    const char *role = pattern->case_.request.role;
    const struct yaml_node *node = yaml_get(test->node, "request");
    size_t i;
    int r = 0;

    if (test->roles.count == 0 && role == NULL && pattern->case_.path.path.len == 0) {
        yaml_error_at(it->errors, test->node,
                      "this test asks for nothing: `request.role` is missing");
        return 0;
    }
    if (test->roles.count == 0) {
        return case_make(it, pattern, role, node != NULL ? node : test->node);
    }
    for (i = 0; r == 0 && i < test->roles.count; i++) {
        r = case_make(it, pattern, test->roles.items[i], access_item_node(test->node, "roles", i));
    }
    return r;
}

static void expect_read(const struct access_cases_reading *it,
                        const struct access_expect_config *expect,
                        struct access_case_pattern *pattern)
{
    const struct access_policy *policy = it->source->policy;
    bool is_there = policy == NULL || expect->rule == NULL || strcmp(expect->rule, "none") == 0;
    size_t i;

    for (i = 0; !is_there && i < policy->rule_count; i++) {
        is_there = strcmp(policy->rules[i].name, expect->rule) == 0;
    }
    if (!is_there) {
        yaml_error_at(it->errors, yaml_get(expect->node, "rule"), "there is no rule `%s`",
                      expect->rule);
    }
    pattern->case_.expect = expect;
    pattern->case_.outcome = (enum access_outcome)expect->outcome;
    pattern->case_.until_wall_ms =
        access_case_time_read(it, expect->until, expect->node, "until", 0);
    pattern->case_.opens_wall_ms =
        access_case_time_read(it, expect->opens, expect->node, "opens", 0);
}

/* The callers by name that the test is made with, each with all roles. */
static int names_spread(struct access_cases_reading *it, const struct access_test_config *test,
                        const struct schema_strings *names, struct access_case_pattern *pattern)
{
    const struct yaml_node *parent =
        test->as.count > 0 ? test->node : it->cases->config.defaults.node;
    size_t i;
    int r = 0;

    pattern->is_spread = names->count > 1 || test->roles.count > 1;
    for (i = 0; r == 0 && i < names->count; i++) {
        pattern->who_name = names->items[i];
        pattern->case_.who =
            caller_find(it, str_of(names->items[i]), access_item_node(parent, "as", i));
        r = roles_spread(it, test, pattern);
    }
    return r;
}

static int test_read(struct access_cases_reading *it, const struct access_test_config *test)
{
    const struct access_defaults_config *defaults = &it->cases->config.defaults;
    const struct schema_strings *names = test->as.count > 0 ? &test->as : &defaults->as;
    struct access_case_pattern pattern = {.name = test->name, .node = test->node};
    int r = 0;

    if (test->name == NULL || test->expect.node == NULL) {
        return 0; /* reported already */
    }
    if (test->subject.node != NULL && test->as.count > 0) {
        yaml_error_at(it->errors, test->node, "give `subject` or `as`, not both");
    }
    access_case_ask_read(it, &test->request, test->time, &pattern);
    expect_read(it, &test->expect, &pattern);
    if (test->subject.node == NULL && names->count > 0) {
        return names_spread(it, test, names, &pattern);
    }
    if (test->subject.node != NULL) {
        r = caller_make(it, &test->subject);
        pattern.case_.who = it->cases->callers[it->cases->caller_count - 1];
    } else if (defaults->subject.node != NULL) {
        pattern.case_.who = it->cases->callers[it->cases->config.subjects.count];
    } else {
        yaml_error_at(it->errors, test->node, "nobody asks here: `subject` or `as` is missing");
    }
    pattern.is_spread = test->roles.count > 1;
    return r == 0 ? roles_spread(it, test, &pattern) : r;
}

/* --- tables --- */

static bool outcome_find(struct str word, enum access_outcome *ret_outcome)
{
    const struct schema_enum_value *at;

    for (at = access_outcome_words; at->name != NULL; at++) {
        if (str_eq_c(word, at->name)) {
            *ret_outcome = (enum access_outcome)at->value;
            return true;
        }
    }
    return false;
}

/* The next word of a row, and where it stands in it. */
static struct str word_next(struct str *rest)
{
    struct str word = {.ptr = NULL, .len = 0};

    while (rest->len > 0 && word.len == 0) {
        word = str_cut(rest, ' ');
    }
    return word;
}

static int row_read(struct access_cases_reading *it, const struct access_table_config *table,
                    const struct yaml_node *row, struct access_case_pattern *pattern)
{
    char who[ENV_NAME_MAX_BYTES];
    struct str rest = row->text;
    struct yaml_node place = *row;
    size_t column = 0;
    int r = 0;

    (void)snprintf(who, sizeof(who), "%.*s", STR_ARG(row->key));
    pattern->who_name = who;
    pattern->case_.who = caller_find(it, row->key, row);
    while (r == 0) {
        struct str word = word_next(&rest);

        if (word.len == 0) {
            break;
        }
        /* Words of a plain text stand where they are written. */
        place.column = row->column + (uint32_t)(word.ptr - row->text.ptr);
        pattern->node = it->cases->count < ACCESS_CASES_MAX ? row : pattern->node;
        if (!outcome_find(word, &pattern->case_.outcome)) {
            yaml_error_at(it->errors, &place,
                          "`%.*s` is no decision; possible are allow, deny, approval, "
                          "reason_required, limit_exceeded",
                          STR_ARG(word));
        }
        if (column < table->roles.count) {
            r = case_make(it, pattern, table->roles.items[column],
                          access_item_node(table->node, "roles", column));
        }
        column++;
    }
    pattern->who_name = NULL;
    if (r == 0 && column != table->roles.count) {
        yaml_error_at(it->errors, row, "this row has %zu decisions, but there are %zu roles",
                      column, table->roles.count);
    }
    return r;
}

static int table_read(struct access_cases_reading *it, const struct access_table_config *table)
{
    const struct yaml_node *rows = yaml_get(table->node, "expect");
    struct access_case_pattern pattern = {.name = table->name,
                                          .node = table->node,
                                          .is_spread = true};
    const struct yaml_node *row;
    int r = 0;

    if (table->name == NULL || rows == NULL) {
        return 0; /* reported already */
    }
    access_case_ask_read(it, &table->request, table->time, &pattern);
    for (row = rows->first; r == 0 && row != NULL; row = row->next) {
        r = row->type == YAML_SCALAR ? row_read(it, table, row, &pattern) : 0;
    }
    return r;
}

/* --- the whole --- */

static int file_read(struct access_cases_reading *it)
{
    const struct access_cases_config *config = &it->cases->config;
    const struct access_test_config *tests = config->tests.items;
    const struct access_table_config *tables = config->tables.items;
    int r = callers_make(it);
    size_t i;

    for (i = 0; r == 0 && i < config->tests.count; i++) {
        r = test_read(it, &tests[i]);
    }
    for (i = 0; r == 0 && i < config->tables.count; i++) {
        r = table_read(it, &tables[i]);
    }
    return r;
}

int access_cases_read(const struct access_cases_source *source, struct access_cases **ret_cases,
                      struct yaml_errors *errors)
{
    struct access_cases *cases = mem_calloc(1, sizeof(*cases));
    struct access_cases_reading it = {.source = source, .cases = cases, .errors = errors};
    size_t count_before = errors->count;
    int r = ERR_NOMEM;

    if (cases != NULL) {
        r = yaml_parse(source->file, source->text, &cases->document, errors);
    }
    if (r == 0) {
        r = schema_decode(&access_cases_table, yaml_root(cases->document), &cases->config, errors);
        r = r == ERR_NOMEM ? r : file_read(&it);
    }
    if (r == 0 && errors->count > count_before) {
        r = ERR_INVALID;
    }
    if (r != 0) {
        access_cases_free(cases);
        return r;
    }
    *ret_cases = cases;
    return 0;
}

void access_cases_free(struct access_cases *cases)
{
    size_t i;

    if (cases == NULL) {
        return;
    }
    for (i = 0; i < cases->count; i++) {
        mem_free(cases->items[i].name);
    }
    for (i = 0; i < cases->caller_count; i++) {
        access_assumed_free(cases->callers[i]);
    }
    mem_free(cases->items);
    mem_free((void *)cases->callers);
    schema_fini(&access_cases_table, &cases->config);
    yaml_free(cases->document);
    mem_free(cases);
}

size_t access_cases_count(const struct access_cases *cases)
{
    return cases->count;
}
