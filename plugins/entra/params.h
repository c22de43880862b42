/* The role's keys: what the token is for. */
#ifndef PLUGIN_ENTRA_PARAMS_H
#define PLUGIN_ENTRA_PARAMS_H

#include "common/text.h"

#define ENTRA_SCOPE_MAX_BYTES 512

struct entra_params {
    char scope[ENTRA_SCOPE_MAX_BYTES];    /* RESOURCE/.default */
    char resource[ENTRA_SCOPE_MAX_BYTES]; /* RESOURCE, as managed identities are asked */
};

/* 0, or -1 with the reason, which begins with the key. */
int entra_params_parse(struct leased_str json, struct entra_params *ret_params,
                       struct plugin_text *ret_detail);

#endif
