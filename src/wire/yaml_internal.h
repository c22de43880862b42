/* What yaml.c and yaml_tree.c share: how a document holds its nodes. */
#ifndef LEASED_WIRE_YAML_INTERNAL_H
#define LEASED_WIRE_YAML_INTERNAL_H

#include "wire/yaml.h"

/* A node with what the document owns of it. All items hang on one list, so that freeing needs no
 * walk of the tree. */
struct yaml_item {
    struct yaml_node node;
    struct yaml_item *next_item;
    struct yaml_node *last; /* the last child, where the next one goes */
    char *text_bytes;       /* owned */
    char *key_bytes;        /* owned */
};

struct yaml_document {
    char *file;
    struct yaml_node *root;
    struct yaml_item *items;
    struct yaml_document *merged; /* documents whose nodes hang in this tree now */
};

static inline struct yaml_item *yaml_item_of(struct yaml_node *node)
{
    return CONTAINER_OF(node, struct yaml_item, node);
}

/* Appends a child that hangs nowhere yet. */
static inline void yaml_append(struct yaml_node *parent, struct yaml_node *child)
{
    struct yaml_item *item = yaml_item_of(parent);

    child->next = NULL;
    if (item->last == NULL) {
        parent->first = child;
    } else {
        item->last->next = child;
    }
    item->last = child;
}

/* yaml_text.c: 0, or ERR_INVALID with the first byte that may not be there. */
int yaml_text_check(const char *file, struct str text, struct yaml_errors *errors) ATTR_MUST_USE;

#endif
