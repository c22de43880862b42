/* The backend's own keys: `app_id` and where the app's private key is. */
#ifndef GITHUB_CONFIG_H
#define GITHUB_CONFIG_H

#include "common/config.h"

#define GITHUB_APP_MAX_BYTES 64

struct github_config {
    char app[GITHUB_APP_MAX_BYTES]; /* the app's id or client id, as the JWT's `iss` */
    struct plugin_source key;       /* a private key in PEM */
};

/* 0, or -1 with the reason in `ret_detail`. */
int github_config_parse(struct leased_str json, struct github_config *ret_config,
                        struct plugin_text *ret_detail);

#endif
