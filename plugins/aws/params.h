/* A role's keys: action, role_arn, session_name, external_id, source_identity, tags,
 * transitive_tags, policy, policy_arns, revoke. */
#ifndef AWS_PARAMS_H
#define AWS_PARAMS_H

#include "common/text.h"

#include <jansson.h>

enum aws_action {
    AWS_ACTION_ASSUME_ROLE,
    AWS_ACTION_WEB_IDENTITY,
    AWS_ACTION_SESSION_TOKEN,
    AWS_ACTION_FEDERATION_TOKEN,
};

struct aws_params {
    json_t *root;
    enum aws_action action;
    const char *role_arn; /* in `root`; NULL where the action has none */
    bool denies_older;    /* revoke: deny-older */
};

/* 0 and to be freed by aws_params_fini, or with the reason -LEASED_INVALID, or -LEASED_RETRY when
 * out of memory. */
int aws_params_parse(struct leased_str json, struct aws_params *ret_params,
                     struct plugin_text *ret_detail);
void aws_params_fini(struct aws_params *params);

#endif
