/* A role's keys: whose installation, and what of it the token is for. */
#ifndef GITHUB_PARAMS_H
#define GITHUB_PARAMS_H

#include "common/text.h"

#include <jansson.h>

#define GITHUB_ID_MAX_BYTES 24
#define GITHUB_OWNER_MAX_BYTES 192 /* "owner/repository" */

struct github_params {
    char installation[GITHUB_ID_MAX_BYTES]; /* its id; empty: that of `owner` */
    char owner[GITHUB_OWNER_MAX_BYTES];     /* an organization or a user, or one's repository */
    json_t *scope; /* owned: repositories, repository_ids and permissions, as they are sent */
};

/* 0, or -1 with the reason; out of memory is one. */
int github_params_parse(struct leased_str json, struct github_params *ret_params,
                        struct plugin_text *ret_detail);
void github_params_fini(struct github_params *params);

#endif
