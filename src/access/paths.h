/* Paths of an issuer's own API that rules open: `paths:` of a rule. A pattern is written as in
 * Vault's policies: `*` at its end stands for any rest, `+` for one whole segment. Internal to
 * access/. */
#ifndef LEASED_ACCESS_PATHS_H
#define LEASED_ACCESS_PATHS_H

#include "access/policy.h"
#include "wire/schema.h"

#define ACCESS_PATHS_MAX 256 /* of one rule */
#define ACCESS_PATH_PATTERN_MAX_BYTES 512

/* An entry of `paths` as it is decoded. */
struct access_path_config {
    const struct yaml_node *node;
    char *path;
    struct schema_strings capabilities;
    char *backend;
};

struct access_path {
    char *pattern;
    char *backend; /* NULL: any */
    uint32_t may;  /* ACCESS_CAN_* */
};

extern const struct schema_object access_path_table;

/* Why this is no pattern, for people; NULL: it is one. */
const char *access_path_pattern_problem(struct str pattern);

bool access_path_matches(struct str pattern, struct str path);

/* How every path begins that the pattern fits: up to the slash before what may be anything, or all
 * of it. Points into the pattern. */
struct str access_path_beginning(struct str pattern);

/* Compiles a rule's entries; their texts are taken out of the configs. Mistakes go to `errors`. 0
 * or ERR_NOMEM. */
int access_paths_compile(struct schema_list *configs, struct access_path **ret_paths,
                         size_t *ret_count, struct yaml_errors *errors) ATTR_MUST_USE;
void access_paths_fini(struct access_path *paths, size_t count);

#endif
