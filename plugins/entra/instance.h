/* What the files of this plugin share. */
#ifndef PLUGIN_ENTRA_INSTANCE_H
#define PLUGIN_ENTRA_INSTANCE_H

#include "config.h"

#include "common/work.h"

#define ENTRA_URL_MAX_BYTES (PLUGIN_ENDPOINT_MAX_BYTES + ENTRA_NAME_MAX_BYTES + 32)

struct leased_instance {
    struct plugin_works works; /* first: closing frees the instance by it */
    struct entra_config config;
    int64_t skew_s; /* to be added to our clock for what is signed */
};

/* Why a step went no further. */
struct entra_failure {
    int32_t status; /* LEASED_* */
    struct plugin_text detail;
};

/* backend_ops.issue. */
int32_t entra_issue(struct leased_instance *entra, const struct leased_issue *request,
                    leased_op *op);

#endif
