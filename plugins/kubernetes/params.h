/* A role's keys: whose token, for whom, and what it is bound to. */
#ifndef KUBERNETES_PARAMS_H
#define KUBERNETES_PARAMS_H

#include "common/text.h"

#include <jansson.h>

#define KUBERNETES_LABEL_MAX_BYTES 64 /* of a namespace, with the NUL */
#define KUBERNETES_NAME_MAX_BYTES 254 /* of other objects */

struct kubernetes_params {
    char namespace_name[KUBERNETES_LABEL_MAX_BYTES];
    char account[KUBERNETES_NAME_MAX_BYTES];
    bool is_bound_to_secret; /* to one that is made for it: `revoke: bound-secret` */
    json_t *audiences;       /* owned: a list, perhaps empty: the API server's own */
    json_t *bound;           /* owned: boundObjectRef; NULL: none */
};

/* 0, or -1 with the reason; out of memory is one. */
int kubernetes_params_parse(struct leased_str json, struct kubernetes_params *ret_params,
                            struct plugin_text *ret_detail);
void kubernetes_params_fini(struct kubernetes_params *params);

/* Are these letters of a name, so that it stays one segment of a path? At most `most_bytes`. */
bool kubernetes_is_name(struct leased_str name, size_t most_bytes);

#endif
