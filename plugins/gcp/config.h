/* The backend's own keys: what proves who we are, and where Google's services are. */
#ifndef PLUGIN_GCP_CONFIG_H
#define PLUGIN_GCP_CONFIG_H

#include "common/config.h"
#include "common/endpoint.h"

#define GCP_NAME_MAX_BYTES 256
#define GCP_AUDIENCE_MAX_BYTES 512

enum gcp_method {
    GCP_FEDERATED, /* another issuer's token, exchanged by the security token service */
    GCP_KEY,       /* a service account's key file */
    GCP_METADATA,  /* the service account of this machine */
};

enum gcp_endpoint {
    GCP_ENDPOINT_STS,
    GCP_ENDPOINT_IAM,
    GCP_ENDPOINT_TOKEN, /* without an address: where the key file says */
    GCP_ENDPOINT_METADATA,
    GCP_ENDPOINT_COUNT,
};

struct gcp_config {
    enum gcp_method method;
    struct plugin_source source;           /* the other issuer's token, or the key file */
    char audience[GCP_AUDIENCE_MAX_BYTES]; /* federated: the provider's full name */
    char token_type[16];                   /* federated: jwt, id_token, saml2 */
    char user_project[GCP_NAME_MAX_BYTES]; /* federated, of workforce pools; may be empty */
    char subject[GCP_NAME_MAX_BYTES];      /* key: the user to act for; may be empty */
    char account[GCP_NAME_MAX_BYTES];      /* metadata: which of the machine's */
    struct plugin_endpoint endpoints[GCP_ENDPOINT_COUNT];
};

/* 0, or -1 with the reason, which begins with the key. */
int gcp_config_parse(struct leased_str json, struct gcp_config *ret_config,
                     struct plugin_text *ret_detail);

#endif
