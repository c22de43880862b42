/* What source.c and source_vars.c share. */
#ifndef LEASED_ACCESS_SOURCE_INTERNAL_H
#define LEASED_ACCESS_SOURCE_INTERNAL_H

#include "access/source.h"

/* A file of the source, in name order. */
struct access_part {
    const struct policy_file *file;
    struct yaml_document *document;     /* NULL: it doesn't count, or can't be read */
    const struct access_part *includer; /* NULL: it is at the top */
    bool is_read;
    bool is_open; /* what it includes is being read */
};

struct access_tree {
    struct access_part *parts;
    size_t part_count;
    const struct yaml_node **roots; /* of those that count, in their order */
    struct access_nodes nodes;
};

/* Puts the variables of all files into their texts. Mistakes go to `errors`. 0 or ERR_NOMEM. */
int access_vars_put(const struct access_tree *tree, struct yaml_errors *errors) ATTR_MUST_USE;

#endif
