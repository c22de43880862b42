/* What rules and tests may name: the roles and issuers of leased's configuration, read from its
 * text without the daemon's tables, so that part of one is enough. */
#ifndef LEASED_CLI_POLICY_KNOWN_H
#define LEASED_CLI_POLICY_KNOWN_H

#include "access/cases.h"
#include "base/err.h"

struct policy_known {
    struct access_roles roles;
    struct access_role_facts *role_items;
    char **role_names; /* ended by NULL, both, and owned */
    char **issuer_names;
    struct yaml_document *document; /* of the configuration; NULL: none was read */
};

/* Reads roles and issuers from the configuration at `path`, a file or a folder of *.yaml. Mistakes
 * go to `errors`. ERR_NOMEM, ERR_INVALID, or with a text the failure to read it. */
int policy_known_read(const char *path, struct policy_known *ret_known, struct yaml_errors *errors,
                      struct err *e) ATTR_MUST_USE;

/* Without a configuration: whatever stands under role, roles and issuer in these trees is known.
 * ERR_NOMEM. */
int policy_known_collect(const struct yaml_node *const *nodes, size_t node_count,
                         struct policy_known *ret_known) ATTR_MUST_USE;

/* Zeroed memory is fine. */
void policy_known_fini(struct policy_known *known);

#endif
