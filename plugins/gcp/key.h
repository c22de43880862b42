/* A service account's key file, and the assertion that is signed with it. */
#ifndef PLUGIN_GCP_KEY_H
#define PLUGIN_GCP_KEY_H

#include "config.h"
#include "params.h"

#include <openssl/types.h>

struct gcp_key {
    EVP_PKEY *key;
    char id[GCP_NAME_MAX_BYTES]; /* "": the file names none */
    char email[GCP_NAME_MAX_BYTES];
    char token_url[PLUGIN_ENDPOINT_MAX_BYTES]; /* as the file has it: the assertion's audience */
    struct plugin_endpoint token;              /* the same in parts */
};

/* 0, or -1 with the reason. gcp_key_fini. */
int gcp_key_parse(struct leased_str json, struct gcp_key *ret_key, struct plugin_text *ret_detail);
void gcp_key_fini(struct gcp_key *key);

/* The assertion's claims, for what `params` want; json_decref; NULL: out of memory. `scope`: with
 * an access token. */
json_t *gcp_key_claims(const struct gcp_key *key, const struct gcp_params *params,
                       const char *scope, const char *subject, int64_t now_s);

#endif
