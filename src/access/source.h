/* Policies from the texts of their files: which of them count, what they include, and what their
 * variables stand for.
 *
 * In a folder every file at its top that ends in .yaml counts, in the order of names, but none that
 * ends in _test.yaml. A file is read with what it includes behind it, each once: `include:` gives
 * ways from its own folder downwards, which may have globs. Its variables (`vars: {NAME: text or
 * list}`) are its own, else those of the file that includes it, else those of the one other file
 * that has one of the name. */
#ifndef LEASED_ACCESS_SOURCE_H
#define LEASED_ACCESS_SOURCE_H

#include "access/policy.h"
#include "wire/policy_bundle.h"

#define ACCESS_FILES_MAX 1024
#define ACCESS_FILE_NAME_MAX_BYTES 1024
#define ACCESS_INCLUDE_DEPTH_MAX 16

/* All borrowed until the call returns. */
struct access_source {
    const char *folder; /* stands before the names in messages; NULL: nothing does */
    const char *main;   /* the one file that counts, with what it includes; NULL: all at the top */
    const struct policy_file *files; /* in any order; those that don't count aren't looked at */
    size_t file_count;
};

struct access_tree;

/* Reads the files that count. Mistakes go to `errors`, and where they leave a tree behind the call
 * returns 0, so that compiling it can report the rest. ERR_INVALID, ERR_NOMEM. */
int access_tree_new(const struct access_source *source, struct access_tree **ret_tree,
                    struct yaml_errors *errors) ATTR_MUST_USE;
void access_tree_free(struct access_tree *tree);

/* One for each file that counts, in their order; borrowed from the tree. */
const struct access_nodes *access_tree_nodes(const struct access_tree *tree);

/* Calls `fn` with the name of each file of policies that doesn't count, because it lies in a folder
 * below and nothing includes it. Nobody would notice that it isn't read. */
void access_tree_each_left_out(const struct access_tree *tree,
                               void (*fn)(void *user, const char *name), void *user);

/* access_tree_new and access_policy_parse in one. */
int access_policy_compile(const struct access_source *source, const struct access_known *known,
                          const struct access_policy_options *options,
                          struct access_policy **ret_policy,
                          struct yaml_errors *errors) ATTR_MUST_USE;

#endif
