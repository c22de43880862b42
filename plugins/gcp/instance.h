/* What the files of this plugin share. */
#ifndef PLUGIN_GCP_INSTANCE_H
#define PLUGIN_GCP_INSTANCE_H

#include "config.h"
#include "params.h"

#include "common/work.h"

struct leased_instance {
    struct plugin_works works; /* first: closing frees the instance by it */
    struct gcp_config config;
    int64_t skew_s; /* to be added to our clock for what is signed */
};

/* One issue: a token of the source, and, with impersonate, another one that is got with it. */
struct gcp_work {
    struct plugin_work work; /* first */
    struct leased_instance *gcp;
    struct gcp_params params;
    uint64_t ttl_ms;
    char *sent; /* what was proved with last, to recognise it in what comes back; owned */
    char who[GCP_NAME_MAX_BYTES];     /* is being asked, for texts */
    char account[GCP_NAME_MAX_BYTES]; /* whose token it will be; "": not known */
    bool is_second;                   /* signed anew, with another clock */
};

/* Why a step went no further. */
struct gcp_failure {
    int32_t status; /* LEASED_* */
    struct plugin_text detail;
};

/* backend_ops.issue. */
int32_t gcp_issue(struct leased_instance *gcp, const struct leased_issue *request, leased_op *op);

#endif
