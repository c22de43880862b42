/* What the own token may do: asked after each login, so that what is missing is known before it is
 * needed. */
#ifndef VAULT_RIGHTS_H
#define VAULT_RIGHTS_H

#include "instance.h"

/* Asks when it is due. */
void vault_rights_step(struct leased_instance *vault, uint64_t now_ms);

/* An issue was refused a child token, or what it needs of one: `path` with update. From now on
 * issues that needn't be isolated aren't, until the token's rights are seen to be others. */
void vault_rights_isolation_denied(struct leased_instance *vault, const char *path);

/* A child that is no orphan was made: it dies with the own token. */
void vault_rights_child_depends(struct leased_instance *vault);

/* The path that makes child tokens, into `out`. */
#define VAULT_CREATE_PATH_MAX_BYTES (VAULT_NAME_MAX_BYTES + 32U)
void vault_rights_create_path(const struct vault_config *config,
                              char out[VAULT_CREATE_PATH_MAX_BYTES]);

#endif
