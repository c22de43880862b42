/* Paths of Vault's API as policies judge them: decoded, with the way of the namespace before it.
 * Whatever Vault, or something on the way to it, could read in another way is refused. */
#ifndef LEASED_SERVE_VAULT_PATH_H
#define LEASED_SERVE_VAULT_PATH_H

#include "base/err.h"
#include "base/str.h"

#define VAULT_PATH_MAX_BYTES 2048
#define VAULT_NAMESPACE_MAX_BYTES 256

struct vault_path {
    char text[VAULT_PATH_MAX_BYTES]; /* "team/secret/data/a" in the namespace "team" */
    size_t len;
    size_t namespace_len; /* of it, with the slash behind it; 0: none */
};

/* `raw` is a request's path without its query and with "/v1/"; `space` is the header
 * X-Vault-Namespace (ptr NULL: none); `own_space` is the backend's own namespace ("": none),
 * whose name stands for itself, as do "root" and "/". ERR_INVALID with a text. */
int serve_vault_path_parse(struct str raw, struct str space, const char *own_space,
                           struct vault_path *ret_path, struct err *e) ATTR_MUST_USE;

/* All of it, and without the namespace. */
struct str serve_vault_path_full(const struct vault_path *path);
struct str serve_vault_path_local(const struct vault_path *path);

#endif
