/* The role's keys: which token, for what, and for which service account. */
#ifndef PLUGIN_GCP_PARAMS_H
#define PLUGIN_GCP_PARAMS_H

#include "common/text.h"

#include <jansson.h>

#define GCP_SCOPE_ALL "https://www.googleapis.com/auth/cloud-platform"

struct gcp_params {
    json_t *root;            /* owns the rest */
    bool is_id;              /* an ID token instead of an access token */
    const char *audience;    /* of an ID token */
    const char *impersonate; /* a service account's email; NULL: nobody */
    const json_t *scopes;    /* texts without blanks; NULL: none are given */
    const json_t *delegates; /* emails; NULL: none */
};

/* 0, or -1 with the reason, which begins with the key. */
int gcp_params_parse(struct leased_str json, struct gcp_params *ret_params,
                     struct plugin_text *ret_detail);

void gcp_params_fini(struct gcp_params *params);

#endif
