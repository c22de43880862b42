/* A role's parameters: `path`, `method` and `params`. */
#ifndef VAULT_PARAMS_H
#define VAULT_PARAMS_H

#include "text.h"

#include <jansson.h>

#define VAULT_PATH_MAX_BYTES 512

struct vault_params {
    json_t *root;     /* owned */
    const char *path; /* in root; without leading "/" and "v1/" */
    bool is_post;     /* GET with `params` as query, or POST with `params` as JSON */
    json_t *params;   /* in root; NULL: none */
};

/* 0, or -1 with the reason in `ret_detail`. */
int vault_params_parse(struct leased_str json, struct vault_params *ret_params,
                       struct vault_text *ret_detail);
void vault_params_fini(struct vault_params *params);

#endif
