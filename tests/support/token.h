/* What tests on the issuer's side of token services need: a key pair, the fields of a form, and
 * JWTs that are verified. OpenSSL and jansson are asked directly, so that the plugins' own helpers
 * are checked by others. */
#ifndef LEASED_TESTS_SUPPORT_TOKEN_H
#define LEASED_TESTS_SUPPORT_TOKEN_H

#include "base/str.h"

#include <jansson.h>

/* An RSA key with its certificate, as PEM; made once for each number (0, 1). */
struct token_pair {
    char key_pem[4096];
    char certificate_pem[4096];
    char thumbprint[64]; /* SHA-256 of the certificate, base64url */
};
const struct token_pair *token_pair(size_t number);

/* A field of a form, decoded. False, and "", if it isn't there or doesn't fit. */
bool token_form_value(struct str form, const char *name, char *out, size_t out_size);

/* Header and claims of a JWT whose signature fits the pair's key (json_decref both). `alg`: RS256
 * or PS256. -1: it is none, or of somebody else. */
int token_open(const char *jwt, const char *alg, const struct token_pair *pair, json_t **ret_header,
               json_t **ret_claims);

#endif
