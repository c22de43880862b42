/* The backend's own keys: `namespace` and `auth`. */
#ifndef VAULT_CONFIG_H
#define VAULT_CONFIG_H

#include "text.h"

#define VAULT_NAME_MAX_BYTES 256
#define VAULT_SOURCE_MAX_BYTES 1100

enum vault_auth {
    VAULT_AUTH_TOKEN,
    VAULT_AUTH_APPROLE,
};

/* Where a secret is, in secret_read's words ("file:/path"); empty: not given. */
struct vault_source {
    char text[VAULT_SOURCE_MAX_BYTES];
};

struct vault_config {
    enum vault_auth method;
    char mount[VAULT_NAME_MAX_BYTES];          /* of the auth method: "approle" */
    char namespace_path[VAULT_NAME_MAX_BYTES]; /* empty: the root namespace */
    char role_id[VAULT_NAME_MAX_BYTES];        /* empty: role_id_source */
    struct vault_source token_source;
    struct vault_source role_id_source;
    struct vault_source secret_id_source; /* empty: the role asks for none */
};

/* 0, or -1 with the reason in `ret_detail`. */
int vault_config_parse(struct leased_str json, struct vault_config *ret_config,
                       struct vault_text *ret_detail);

#endif
