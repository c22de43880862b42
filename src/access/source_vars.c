/* The variables of a policy's files: which one a text means, and whether it is one. */
#include "access/source_internal.h"
#include "base/mem.h"
#include "wire/schema.h"
#include "wire/yaml_vars.h"

static const struct yaml_node *vars_of(const struct access_part *part)
{
    const struct yaml_node *root = part->document != NULL ? yaml_root(part->document) : NULL;
    const struct yaml_node *vars = root != NULL ? yaml_get(root, "vars") : NULL;

    return vars != NULL && vars->type == YAML_MAPPING ? vars : NULL;
}

static const struct yaml_node *var_of(const struct access_part *part, struct str name)
{
    const struct yaml_node *vars = vars_of(part);
    const struct yaml_node *child = vars != NULL ? vars->first : NULL;

    while (child != NULL && !str_eq(child->key, name)) {
        child = child->next;
    }
    return child;
}

/* A text, or a list of texts. */
static bool is_value(const struct yaml_node *node)
{
    const struct yaml_node *child = node->first;

    if (node->type != YAML_SEQUENCE) {
        return node->type == YAML_SCALAR;
    }
    while (child != NULL && child->type == YAML_SCALAR && !child->is_refused) {
        child = child->next;
    }
    return child == NULL;
}

static void vars_check(const struct access_part *part, struct yaml_errors *errors)
{
    const struct yaml_node *root = part->document != NULL ? yaml_root(part->document) : NULL;
    const struct yaml_node *vars = root != NULL ? yaml_get(root, "vars") : NULL;
    const struct yaml_node *child;
    char found[YAML_DESCRIBE_MAX_BYTES];

    if (vars == NULL || vars->type == YAML_NULL || vars->is_refused) {
        return;
    }
    if (vars->type != YAML_MAPPING) {
        yaml_error_at(errors, vars, "expected a mapping of names to texts or lists, found %s",
                      yaml_describe(vars, found));
        return;
    }
    for (child = vars->first; child != NULL; child = child->next) {
        if (!yaml_vars_is_name(child->key)) {
            yaml_error_at_key(errors, child,
                              "`%.*s` is no name of a variable: letters, digits, `_` and `-`",
                              STR_ARG(child->key));
        } else if (!child->is_refused && !is_value(child)) {
            yaml_error_at_value(errors, child, "expected a text or a list of texts, found %s",
                                yaml_describe(child, found));
        }
    }
}

struct looking {
    const struct access_tree *tree;
    const struct access_part *part; /* whose texts they are */
    struct yaml_errors *errors;
};

/* The names of the variables of all files, for "did you mean"; how many there are. `names` NULL:
 * only counts. */
static size_t names_list(const struct access_tree *tree, const char **names)
{
    const struct yaml_node *child;
    size_t count = 0;
    size_t i;

    for (i = 0; i < tree->part_count; i++) {
        const struct yaml_node *vars = vars_of(&tree->parts[i]);

        for (child = vars != NULL ? vars->first : NULL; child != NULL; child = child->next) {
            if (names != NULL) {
                names[count] = child->key.ptr;
            }
            count++;
        }
    }
    return count;
}

static void unknown_report(const struct looking *it, const struct yaml_node *place, struct str name)
{
    const char **names = mem_calloc(names_list(it->tree, NULL) + 1, sizeof(*names));
    const char *close = NULL;

    if (names != NULL) {
        (void)names_list(it->tree, names);
        close = schema_suggest(name, names);
    }
    if (close != NULL) {
        yaml_error_at(it->errors, place, "there is no variable `%.*s`: did you mean `%s`?",
                      STR_ARG(name), close);
    } else {
        yaml_error_at(it->errors, place, "there is no variable `%.*s`", STR_ARG(name));
    }
    mem_free((void *)names);
}

/* In any file: one of them. */
static const struct yaml_node *anywhere_find(const struct looking *it,
                                             const struct yaml_node *place, struct str name)
{
    const struct yaml_node *first = NULL;
    size_t i;

    for (i = 0; i < it->tree->part_count; i++) {
        const struct yaml_node *value = var_of(&it->tree->parts[i], name);

        if (value != NULL && first != NULL) {
            yaml_error_at(it->errors, place, "there are two variables `%.*s`, in %s and in %s",
                          STR_ARG(name), first->file, value->file);
            return NULL;
        }
        first = first != NULL ? first : value;
    }
    if (first == NULL) {
        unknown_report(it, place, name);
    }
    return first;
}

static const struct yaml_node *var_find(void *user, const struct yaml_node *place, struct str name)
{
    const struct looking *it = user;
    const struct yaml_node *value = NULL;
    const struct access_part *part;

    for (part = it->part; value == NULL && part != NULL; part = part->includer) {
        value = var_of(part, name);
    }
    value = value != NULL ? value : anywhere_find(it, place, name);
    /* One that is neither text nor list was reported where it stands. */
    return value != NULL && is_value(value) ? value : NULL;
}

int access_vars_put(const struct access_tree *tree, struct yaml_errors *errors)
{
    static const char *const without[] = {"vars", "include", NULL};
    size_t i;
    int r = 0;

    for (i = 0; i < tree->part_count; i++) {
        vars_check(&tree->parts[i], errors);
    }
    for (i = 0; r == 0 && i < tree->part_count; i++) {
        struct looking looking = {.tree = tree, .part = &tree->parts[i], .errors = errors};

        if (looking.part->document != NULL) {
            r = yaml_vars_put(
                looking.part->document,
                &(struct yaml_vars){.find = var_find, .user = &looking, .without = without},
                errors);
        }
    }
    return r;
}
