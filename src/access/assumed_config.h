/* Assumed identities as they are decoded, for files that have them among other things. Internal to
 * access/. */
#ifndef LEASED_ACCESS_ASSUMED_CONFIG_H
#define LEASED_ACCESS_ASSUMED_CONFIG_H

#include "access/assumed.h"

struct access_assumed_jwt_config {
    const struct yaml_node *node; /* NULL: nothing */
    char *issuer;
    char *sub;
    char *session;
    char *person;
    char *claims_json;
};

struct access_assumed_tls_config {
    const struct yaml_node *node; /* NULL: nothing */
    struct schema_strings sans;
};

/* access_assumed_table. */
struct access_assumed_config {
    const struct yaml_node *node;
    char *name; /* where it is an entry of a mapping */
    char *user;
    uint64_t uid;
    struct schema_strings groups;
    struct schema_strings gids;
    char *unit;
    char *container;
    char *image;
    char *listener;
    int kind;
    struct schema_strings sans;
    struct access_assumed_tls_config tls; /* as rules write it */
    struct access_assumed_jwt_config jwt;
};

/* As access_assumed_new, of what was decoded; it may go afterwards. */
int access_assumed_make(const struct access_assumed_config *config,
                        struct access_assumed **ret_assumed,
                        struct yaml_errors *errors) ATTR_MUST_USE;

#endif
