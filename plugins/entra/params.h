/* The role's keys: what the token is for. */
#ifndef PLUGIN_ENTRA_PARAMS_H
#define PLUGIN_ENTRA_PARAMS_H

#include "common/text.h"

#define ENTRA_RESOURCE_MAX_BYTES 512
#define ENTRA_DEFAULT "/.default"

struct entra_params {
    char resource[ENTRA_RESOURCE_MAX_BYTES]; /* as managed identities are asked */
    char scope[ENTRA_RESOURCE_MAX_BYTES + sizeof(ENTRA_DEFAULT) - 1]; /* RESOURCE/.default */
};

/* 0, or -1 with the reason, which begins with the key. */
int entra_params_parse(struct leased_str json, struct entra_params *ret_params,
                       struct plugin_text *ret_detail);

#endif
