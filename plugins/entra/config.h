/* The backend's own keys: which tenant, who we are there, and how we prove it. */
#ifndef PLUGIN_ENTRA_CONFIG_H
#define PLUGIN_ENTRA_CONFIG_H

#include "common/config.h"
#include "common/endpoint.h"

#define ENTRA_NAME_MAX_BYTES 128
#define ENTRA_IDENTITY_MAX_BYTES 512

enum entra_method {
    ENTRA_SECRET,
    ENTRA_CERTIFICATE,
    ENTRA_FEDERATED,
    ENTRA_IMDS,        /* managed identity of a virtual machine */
    ENTRA_APP_SERVICE, /* the same of App Service and Functions */
};

enum entra_source {
    ENTRA_SOURCE_PROOF,       /* the secret, the private key, the other issuer's token, or the
                                 header that App Service wants */
    ENTRA_SOURCE_CERTIFICATE, /* with ENTRA_CERTIFICATE */
    ENTRA_SOURCE_ENDPOINT,    /* with ENTRA_APP_SERVICE: its URL */
    ENTRA_SOURCE_COUNT,
};

struct entra_config {
    enum entra_method method;
    char tenant[ENTRA_NAME_MAX_BYTES];
    char client_id[ENTRA_NAME_MAX_BYTES];       /* of a managed identity: may be empty */
    char object_id[ENTRA_NAME_MAX_BYTES];       /* managed identity: instead of client_id */
    char resource_id[ENTRA_IDENTITY_MAX_BYTES]; /* likewise */
    struct plugin_endpoint authority;           /* of the cloud; with a managed identity IMDS */
    struct plugin_source sources[ENTRA_SOURCE_COUNT];
};

/* 0, or -1 with the reason, which begins with the key. */
int entra_config_parse(struct leased_str json, struct entra_config *ret_config,
                       struct plugin_text *ret_detail);

#endif
