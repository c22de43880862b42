/* Which roles have which path at their issuer: made when the first request of Vault's API asks, and
 * anew when the roles may have changed. Roles whose path has a template in it aren't found here:
 * their path is another one for each caller. */
#ifndef LEASED_SERVE_VAULT_ROLES_H
#define LEASED_SERVE_VAULT_ROLES_H

#include "base/map.h"
#include "lease/core.h"

struct vault_roles {
    struct map paths;
    uint64_t seed;
    bool is_made;
};

void serve_vault_roles_init(struct vault_roles *roles, uint64_t seed);

/* Forgets all of them. */
void serve_vault_roles_clear(struct vault_roles *roles);

/* The roles of one path and backend, in file order: `at` counts them, from 0. NULL: there are no
 * more. */
const struct lease_role *serve_vault_roles_next(struct vault_roles *roles, struct lease_core *core,
                                                const char *backend, struct str path, size_t *at);

/* A role's path, for people; "" where it has none. Copied into `out`. Returns `out`. */
#define VAULT_ROLE_PATH_MAX_BYTES 513
const char *serve_vault_role_path(const struct lease_role *role,
                                  char out[VAULT_ROLE_PATH_MAX_BYTES]);

/* Is there a role at `path` or below it, where the backend's mounts are? The first segments count.
 * `is_versioned`: one whose path has "data" as its second segment or later, and before it
 * ret_mount_len bytes, with the slash. */
bool serve_vault_roles_find_mount(struct vault_roles *roles, struct lease_core *core,
                                  struct str path, size_t *ret_mount_len);

#endif
