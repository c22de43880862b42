/* Signed JWTs (RFC 7515, 7519): assertions of who we are, for token services. */
#ifndef PLUGIN_COMMON_JWT_H
#define PLUGIN_COMMON_JWT_H

#include "text.h"

#include <jansson.h>
#include <openssl/types.h>

enum plugin_jwt_alg {
    PLUGIN_JWT_RS256,
    PLUGIN_JWT_PS256, /* salt as long as the digest (RFC 7518, 3.5) */
    PLUGIN_JWT_ES256, /* P-256; the signature is r and s, 32 bytes each */
};

/* The name in the header's `alg`. */
const char *plugin_jwt_alg_name(enum plugin_jwt_alg alg);

/* A private key in PEM (PKCS#8 or traditional, not encrypted); EVP_PKEY_free. NULL with the reason.
 */
EVP_PKEY *plugin_key_read(struct leased_str pem, struct plugin_text *detail);

struct plugin_jwt {
    enum plugin_jwt_alg alg;
    EVP_PKEY *key;
    const json_t *header; /* what is said beside alg and typ (kid, x5t#S256); NULL: nothing */
    const json_t *claims;
};

/* header.claims.signature, to be freed by host->secret_free; NULL with the reason: out of memory,
 * or a key that doesn't fit its algorithm. */
char *plugin_jwt_sign(const struct leased_host *host, const struct plugin_jwt *jwt,
                      struct plugin_text *detail);

#endif
