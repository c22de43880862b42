/* A backend's keys. */
#ifndef LOCALCA_CONFIG_H
#define LOCALCA_CONFIG_H

#include "common/config.h"

#define LOCALCA_PATH_MAX_BYTES 1024

struct localca_config {
    struct plugin_source ca_key; /* empty: it makes no X.509 certificates */
    struct plugin_source ca_cert;
    struct plugin_source ssh_ca_key;       /* empty: no SSH certificates */
    char crl_file[LOCALCA_PATH_MAX_BYTES]; /* "": they can't be revoked */
    char krl_file[LOCALCA_PATH_MAX_BYTES];
    uint64_t max_ttl_s;
    uint64_t crl_lifetime_s; /* from a CRL's time to when the next one has to be there */
};

/* 0, or -1 with the reason. */
int localca_config_parse(struct leased_str json, struct localca_config *ret_config,
                         struct plugin_text *detail);

#endif
