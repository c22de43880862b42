/* The backend's own keys: `namespace`, `auth` and `token_role`. */
#ifndef VAULT_CONFIG_H
#define VAULT_CONFIG_H

#include "common/config.h"

#include <jansson.h>

#define VAULT_NAME_MAX_BYTES 256

enum vault_auth {
    VAULT_AUTH_TOKEN,
    VAULT_AUTH_APPROLE,
    VAULT_AUTH_JWT,
    VAULT_AUTH_KUBERNETES,
    VAULT_AUTH_CERT,
    VAULT_AUTH_USERPASS,
    VAULT_AUTH_LDAP,
};

/* What a login reads from somewhere. */
enum vault_source_id {
    VAULT_SOURCE_CREDENTIAL, /* token, secret_id, jwt or password */
    VAULT_SOURCE_ROLE_ID,
    VAULT_SOURCE_WRAPPING, /* a token that the secret_id is wrapped in */
    VAULT_SOURCE_COUNT,
};

struct vault_config {
    enum vault_auth method;
    const char *method_name;                   /* static */
    char mount[VAULT_NAME_MAX_BYTES];          /* of the auth method: "approle" */
    char namespace_path[VAULT_NAME_MAX_BYTES]; /* empty: the root namespace */
    char token_role[VAULT_NAME_MAX_BYTES];     /* makes the tokens of isolated issues; may be "" */
    char name[VAULT_NAME_MAX_BYTES];           /* the role, the certificate's or the user's name */
    char role_id[VAULT_NAME_MAX_BYTES];        /* empty: VAULT_SOURCE_ROLE_ID */
    /* Where a wrapped secret_id must have been made; "*" stands for one segment. */
    char wrapping_path[2 * VAULT_NAME_MAX_BYTES];
    struct plugin_source sources[VAULT_SOURCE_COUNT];
};

/* 0, or -1 with the reason in `ret_detail`. */
int vault_config_parse(struct leased_str json, struct vault_config *ret_config,
                       struct plugin_text *ret_detail);

/* Is that source given? */
bool vault_config_has(const struct vault_config *config, enum vault_source_id id);

/* Are its tokens made by logging in, and so ours to revoke? */
bool vault_config_makes_tokens(const struct vault_config *config);

/* --- for config_auth.c ------------------------------------------------------------------------ */

/* A path of plain segments, as mounts and namespaces are; trailing slashes are cut off. */
int vault_config_path(char *path, const char *key, struct plugin_text *detail);

/* The `auth` object (config_auth.c). */
int vault_config_auth(json_t *auth, struct vault_config *config, struct plugin_text *detail);

#endif
