/* A secret_id that comes wrapped in a token. */
#ifndef VAULT_UNWRAP_H
#define VAULT_UNWRAP_H

#include "instance.h"

/* Begins to look the wrapping token up, or deals with not being able to. */
void vault_unwrap_start(struct leased_instance *vault);
void vault_unwrap_looked_up(struct leased_instance *vault, const struct leased_http_reply *http);
void vault_unwrap_answered(struct leased_instance *vault, const struct leased_http_reply *http);

/* Does a path fit a pattern, in which "*" stands for one segment? */
bool vault_unwrap_path_fits(struct leased_str path, const char *pattern);

#endif
