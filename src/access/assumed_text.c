/* Assumed identities as they are typed: YAML or JSON, or pairs on a command line, of which the same
 * tree is made. */
#include "access/assumed.h"

#include "base/mem.h"

#include <string.h>

/* Nodes for pairs: a root, `jwt`, `claims`, and of each pair at most a list and two items. */
#define PAIR_NODES(count) (3 + 3 * (count))

struct tree {
    struct yaml_node *nodes;
    size_t count;
    const char *name;
};

int access_assumed_read(const char *name, struct str text, struct access_assumed **ret_assumed,
                        struct yaml_errors *errors)
{
    struct yaml_document *document = NULL;
    size_t count_before = errors->count;
    int r = yaml_parse(name, text, &document, errors);

    if (r == 0) {
        r = access_assumed_new(yaml_root(document), ret_assumed, errors);
    }
    if (r == 0 && errors->count > count_before) {
        access_assumed_free(*ret_assumed);
        *ret_assumed = NULL;
        r = ERR_INVALID;
    }
    yaml_free(document);
    return r;
}

static struct yaml_node *node_add(struct tree *tree, struct yaml_node *parent, struct str key,
                                  enum yaml_type type)
{
    struct yaml_node *node = &tree->nodes[tree->count++];
    struct yaml_node **at = parent != NULL ? &parent->first : NULL;

    node->type = type;
    node->is_plain = true;
    node->file = tree->name;
    node->key = key;
    while (at != NULL && *at != NULL) {
        at = &(*at)->next;
    }
    if (at != NULL) {
        *at = node;
    }
    return node;
}

static struct yaml_node *child_find(struct yaml_node *parent, struct str key)
{
    struct yaml_node *child = parent->first;

    while (child != NULL && !str_eq(child->key, key)) {
        child = child->next;
    }
    return child;
}

static struct yaml_node *mapping_of(struct tree *tree, struct yaml_node *parent, const char *key)
{
    struct yaml_node *child = child_find(parent, str_of(key));

    return child != NULL ? child : node_add(tree, parent, str_of(key), YAML_MAPPING);
}

/* A key that comes again makes a list of what it had. */
static void value_add(struct tree *tree, struct yaml_node *parent, struct str key, struct str text)
{
    struct yaml_node *child = child_find(parent, key);

    if (child == NULL) {
        node_add(tree, parent, key, YAML_SCALAR)->text = text;
        return;
    }
    if (child->type == YAML_SCALAR) {
        child->type = YAML_SEQUENCE;
        node_add(tree, child, (struct str){.ptr = NULL, .len = 0}, YAML_SCALAR)->text = child->text;
    }
    node_add(tree, child, (struct str){.ptr = NULL, .len = 0}, YAML_SCALAR)->text = text;
}

static bool is_of_token(struct str key)
{
    static const char *const keys[] = {"issuer", "sub", "session", "person"};
    size_t i;

    for (i = 0; i < ARRAY_LEN(keys); i++) {
        if (str_eq_c(key, keys[i])) {
            return true;
        }
    }
    return false;
}

static void pair_add(struct tree *tree, struct yaml_node *root, const char *pair,
                     struct yaml_errors *errors)
{
    struct str text = str_of(pair);
    struct str key = str_cut(&text, '=');
    struct yaml_node *parent = root;

    if (text.ptr == NULL || key.len == 0) {
        yaml_error_at(errors, root, "`%s` is no KEY=VALUE, such as user=alice", pair);
        return;
    }
    if (is_of_token(key)) {
        parent = mapping_of(tree, root, "jwt");
    } else if (str_starts_with(key, "claims.")) {
        parent = mapping_of(tree, mapping_of(tree, root, "jwt"), "claims");
        key.ptr += strlen("claims.");
        key.len -= strlen("claims.");
    } else if (str_eq_c(key, "jwt") || str_eq_c(key, "claims")) {
        yaml_error_at(errors, root, "write issuer=…, sub=… and claims.NAME=… instead of `%s`",
                      pair);
        return;
    }
    value_add(tree, parent, key, text);
}

int access_assumed_read_pairs(const char *name, const char *const *pairs, size_t count,
                              struct access_assumed **ret_assumed, struct yaml_errors *errors)
{
    struct tree tree = {.name = name};
    size_t count_before = errors->count;
    struct yaml_node *root;
    size_t i;
    int r = ERR_INVALID;

    tree.nodes = mem_calloc(PAIR_NODES(count), sizeof(*tree.nodes));
    if (tree.nodes == NULL) {
        return ERR_NOMEM;
    }
    root = node_add(&tree, NULL, (struct str){.ptr = NULL, .len = 0}, YAML_MAPPING);
    for (i = 0; i < count; i++) {
        pair_add(&tree, root, pairs[i], errors);
    }
    if (errors->count == count_before) {
        r = access_assumed_new(root, ret_assumed, errors);
    }
    mem_free(tree.nodes);
    return r;
}
