/* A role's parameters: `path`, `method`, `params`, `refresh`, `revoke` and `isolate`. */
#ifndef VAULT_PARAMS_H
#define VAULT_PARAMS_H

#include "shape.h"
#include "common/text.h"

#define VAULT_PATH_MAX_BYTES 512

enum vault_isolate {
    VAULT_ISOLATE_AUTO, /* what answers with a lease, where the token may make children */
    VAULT_ISOLATE_NEVER,
    VAULT_ISOLATE_ALWAYS,
};

struct vault_params {
    json_t *root;     /* owned */
    const char *path; /* in root; without leading "/" and "v1/" */
    bool is_post;     /* GET with `params` as query, or POST with `params` as JSON */
    json_t *params;   /* in root; NULL: none */
    struct vault_shape shape;
    int64_t refresh_s; /* how often a secret is read again; 0: not said */
    bool is_unrevoked; /* certificates live to their end */
    enum vault_isolate isolate;
};

/* 0, or -1 with the reason in `ret_detail`. */
int vault_params_parse(struct leased_str json, struct vault_params *ret_params,
                       struct plugin_text *ret_detail);

/* Asks for a life by the parameter `ttl`, where the engine takes it and the role doesn't say
 * another. 0, or -1 when out of memory. */
int vault_params_want_ttl(struct vault_params *params, uint64_t ttl_s);
void vault_params_fini(struct vault_params *params);

#endif
