/* The backend's own keys: how leased shows the API server who it is. */
#ifndef KUBERNETES_CONFIG_H
#define KUBERNETES_CONFIG_H

#include "common/config.h"

struct kubernetes_config {
    bool is_certificate; /* by the client certificate that the host presents */
    struct plugin_source token;
};

/* 0, or -1 with the reason in `ret_detail`. */
int kubernetes_config_parse(struct leased_str json, struct kubernetes_config *ret_config,
                            struct plugin_text *ret_detail);

#endif
