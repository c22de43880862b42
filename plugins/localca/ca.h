/* The CA: its keys and certificate as they are now. Read at each use, so that changed files count
 * at once, and freed after it. */
#ifndef LOCALCA_CA_H
#define LOCALCA_CA_H

#include "config.h"

#include <openssl/types.h>

struct localca_ca {
    EVP_PKEY *key;     /* owned */
    X509 *certificate; /* owned; NULL: SSH's */
    char *chain;       /* owned (secret_free): the PEM of ca_cert_file */
    size_t chain_len;
    int64_t not_after_s; /* unix time of the certificate's end */
};

/* LEASED_OK, LEASED_RETRY (a file can't be read) or LEASED_INVALID (what it holds is wrong), with
 * the reason. */
int32_t localca_ca_read(const struct leased_host *host, leased_host_context *context,
                        const struct localca_config *config, struct localca_ca *ret_ca,
                        struct plugin_text *detail);
int32_t localca_ca_read_ssh(const struct leased_host *host, leased_host_context *context,
                            const struct localca_config *config, struct localca_ca *ret_ca,
                            struct plugin_text *detail);
/* What its signatures are made with; NULL: the key knows itself. */
const EVP_MD *localca_ca_digest(EVP_PKEY *key);

void localca_ca_fini(const struct leased_host *host, struct localca_ca *ca);

#endif
