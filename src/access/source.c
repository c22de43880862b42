/* From the texts of files to the trees that count.
 *
 * Way of a source: its files in name order → those at the top of the folder (or the one that is
 * meant) are parsed → each brings in what it includes, which is parsed behind it → when all are
 * there, variables are put into each. */
#include "access/source.h"

#include "access/includes.h"
#include "access/source_internal.h"
#include "base/mem.h"
#include "wire/schema.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct reading {
    const struct access_source *source;
    struct access_tree *tree;
    struct yaml_errors *errors;
    size_t depth;
    bool is_broken; /* a file can't be read as a tree */
};

static int part_read(struct reading *it, struct access_part *part,
                     const struct access_part *includer);

/* --- which files ---------------------------------------------------------------------------- */

static bool is_at_top(struct str name)
{
    return memchr(name.ptr, '/', name.len) == NULL;
}

static struct access_part *part_find(const struct access_tree *tree, struct str name)
{
    size_t i;

    for (i = 0; i < tree->part_count; i++) {
        if (str_eq_c(name, tree->parts[i].file->name)) {
            return &tree->parts[i];
        }
    }
    return NULL;
}

/* --- includes ------------------------------------------------------------------------------- */

/* No file is called so. */
static int none_report(struct reading *it, const struct yaml_node *node, const char *pattern)
{
    const char **names = mem_calloc(it->tree->part_count + 1, sizeof(*names));
    const char *close;
    size_t i;

    if (names == NULL) {
        return ERR_NOMEM;
    }
    for (i = 0; i < it->tree->part_count; i++) {
        names[i] = it->tree->parts[i].file->name;
    }
    close = schema_suggest(str_of(pattern), names);
    if (close != NULL) {
        yaml_error_at(it->errors, node,
                      "there is no file `%s` in the policy's folder: did you mean `%s`?", pattern,
                      close);
    } else {
        yaml_error_at(it->errors, node, "there is no file `%s` in the policy's folder", pattern);
    }
    mem_free((void *)names);
    return 0;
}

static int include_matching(struct reading *it, const struct access_part *part,
                            const struct yaml_node *node, const char *pattern)
{
    bool is_glob = strchr(pattern, '*') != NULL;
    bool is_found = false;
    size_t i;
    int r = 0;

    for (i = 0; r == 0 && i < it->tree->part_count; i++) {
        struct access_part *other = &it->tree->parts[i];
        struct str name = str_of(other->file->name);

        if (!access_file_is_policy(name) || !access_include_matches(str_of(pattern), name)) {
            continue;
        }
        is_found = true;
        if (!other->is_open) {
            r = part_read(it, other, part);
        } else if (!is_glob) {
            yaml_error_at(it->errors, node, "`%s` includes this file, so it can't be included here",
                          other->file->name);
        }
    }
    return r == 0 && !is_found ? none_report(it, node, pattern) : r;
}

static int include(struct reading *it, const struct access_part *part, const struct yaml_node *node)
{
    char pattern[ACCESS_INCLUDE_MAX_BYTES];
    char found[YAML_DESCRIBE_MAX_BYTES];

    if (node->is_refused) {
        return 0;
    }
    if (node->type != YAML_SCALAR || !access_include_is_downward(node->text)) {
        yaml_error_at(it->errors, node,
                      "expected the way to a file in this folder or below, without `..`, found %s",
                      yaml_describe(node, found));
        return 0;
    }
    if (it->depth == ACCESS_INCLUDE_DEPTH_MAX) {
        yaml_error_at(it->errors, node, "files include each other more than %d deep",
                      ACCESS_INCLUDE_DEPTH_MAX);
        return 0;
    }
    access_include_from_top(part->file->name, node->text.ptr, pattern);
    return include_matching(it, part, node, pattern);
}

/* A text, or a list of them. */
static int includes_read(struct reading *it, struct access_part *part)
{
    const struct yaml_node *list = yaml_get(yaml_root(part->document), "include");
    const struct yaml_node *item;
    int r = 0;

    if (list == NULL || list->is_refused) {
        return 0;
    }
    if (list->type != YAML_SEQUENCE) {
        return include(it, part, list);
    }
    for (item = list->first; r == 0 && item != NULL; item = item->next) {
        r = include(it, part, item);
    }
    return r;
}

/* --- files ---------------------------------------------------------------------------------- */

static int part_parse(struct reading *it, struct access_part *part)
{
    const char *folder = it->source->folder;
    char name[ACCESS_INCLUDE_MAX_BYTES];
    int r;

    (void)snprintf(name, sizeof(name), "%s%s%s", folder != NULL ? folder : "",
                   folder != NULL ? "/" : "", part->file->name);
    r = yaml_parse(name, part->file->text, &part->document, it->errors);
    if (r == 0) {
        it->tree->roots[it->tree->nodes.count++] = yaml_root(part->document);
    }
    it->is_broken = it->is_broken || r != 0;
    return r == ERR_NOMEM ? r : 0;
}

static int part_read(struct reading *it, struct access_part *part,
                     const struct access_part *includer)
{
    int r;

    if (part->is_read) {
        return 0;
    }
    part->is_read = true;
    part->includer = includer;
    r = part_parse(it, part);
    if (r == 0 && part->document != NULL) {
        part->is_open = true;
        it->depth++;
        r = includes_read(it, part);
        it->depth--;
        part->is_open = false;
    }
    return r;
}

static int parts_read(struct reading *it)
{
    const char *main = it->source->main;
    size_t i;
    int r = 0;

    for (i = 0; r == 0 && i < it->tree->part_count; i++) {
        struct access_part *part = &it->tree->parts[i];
        struct str name = str_of(part->file->name);

        if (main != NULL ? str_eq_c(name, main) : is_at_top(name) && access_file_is_policy(name)) {
            r = part_read(it, part, NULL);
        }
    }
    return r;
}

/* --- the whole ------------------------------------------------------------------------------ */

static int part_compare(const void *a, const void *b)
{
    return strcmp(((const struct access_part *)a)->file->name,
                  ((const struct access_part *)b)->file->name);
}

static int tree_alloc(const struct access_source *source, struct access_tree **ret_tree)
{
    struct access_tree *tree = mem_calloc(1, sizeof(*tree));
    size_t i;

    if (tree == NULL) {
        return ERR_NOMEM;
    }
    tree->parts = mem_calloc(source->file_count + 1, sizeof(*tree->parts));
    tree->roots = mem_calloc(source->file_count + 1, sizeof(*tree->roots));
    if (tree->parts == NULL || tree->roots == NULL) {
        access_tree_free(tree);
        return ERR_NOMEM;
    }
    for (i = 0; i < source->file_count; i++) {
        tree->parts[i].file = &source->files[i];
    }
    tree->part_count = source->file_count;
    tree->nodes.items = tree->roots;
    qsort(tree->parts, tree->part_count, sizeof(*tree->parts), part_compare);
    *ret_tree = tree;
    return 0;
}

int access_tree_new(const struct access_source *source, struct access_tree **ret_tree,
                    struct yaml_errors *errors)
{
    struct reading it = {.source = source, .errors = errors};
    const char *place = source->folder != NULL ? source->folder : "policy";
    int r;

    if (source->file_count > ACCESS_FILES_MAX) {
        yaml_error_in(errors, place, 0, 0, "holds more than %d files", ACCESS_FILES_MAX);
        return ERR_INVALID;
    }
    r = tree_alloc(source, &it.tree);
    if (r != 0) {
        return r;
    }
    if (source->main != NULL && part_find(it.tree, str_of(source->main)) == NULL) {
        yaml_error_in(errors, place, 0, 0, "holds no file %s", source->main);
        it.is_broken = true;
    }
    r = parts_read(&it);
    if (r == 0) {
        r = access_vars_put(it.tree, errors);
    }
    if (r == 0 && it.is_broken) {
        r = ERR_INVALID;
    }
    if (r != 0) {
        access_tree_free(it.tree);
        return r;
    }
    *ret_tree = it.tree;
    return 0;
}

void access_tree_free(struct access_tree *tree)
{
    size_t i;

    if (tree == NULL) {
        return;
    }
    for (i = 0; tree->parts != NULL && i < tree->part_count; i++) {
        yaml_free(tree->parts[i].document);
    }
    mem_free(tree->parts);
    mem_free((void *)tree->roots);
    mem_free(tree);
}

const struct access_nodes *access_tree_nodes(const struct access_tree *tree)
{
    return &tree->nodes;
}

void access_tree_each_left_out(const struct access_tree *tree,
                               void (*fn)(void *user, const char *name), void *user)
{
    size_t i;

    for (i = 0; i < tree->part_count; i++) {
        const struct access_part *part = &tree->parts[i];

        if (!part->is_read && access_file_is_policy(str_of(part->file->name))) {
            fn(user, part->file->name);
        }
    }
}

int access_policy_compile(const struct access_source *source, const struct access_known *known,
                          const struct access_policy_options *options,
                          struct access_policy **ret_policy, struct yaml_errors *errors)
{
    size_t count_before = errors->count;
    struct access_policy *policy = NULL;
    struct access_tree *tree = NULL;
    int r = access_tree_new(source, &tree, errors);

    if (r == 0) {
        r = access_policy_parse(access_tree_nodes(tree), known, options, &policy, errors);
    }
    access_tree_free(tree);
    if (r == 0 && errors->count > count_before) {
        access_policy_free(policy);
        r = ERR_INVALID;
    }
    if (r == 0) {
        *ret_policy = policy;
    }
    return r;
}
