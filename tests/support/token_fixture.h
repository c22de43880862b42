/* Keys and tokens signed with them, for the tests of job tokens. Made with libjose's other half. */
#ifndef LEASED_TESTS_SUPPORT_TOKEN_FIXTURE_H
#define LEASED_TESTS_SUPPORT_TOKEN_FIXTURE_H

#include <jansson.h>

/* A private key made anew: {"alg": "ES256", "kid": "k1"}, or what libjose makes keys from. */
json_t *token_key(const char *terms);

/* The RSA key of rsa_key.h, without `alg` and `kid`. */
json_t *token_rsa_key(void);

/* The set of the public halves of up to two keys, as text; free(). `two` may be NULL. */
char *token_jwks(const json_t *one, const json_t *two);

/* header.payload.signature, signed as the header says; free(). Header and claims are JSON texts. */
char *token_sign(const json_t *key, const char *header, const char *claims);

/* The same, of any three texts: nothing is signed; free(). */
char *token_forge(const char *header, const char *claims, const char *signature);

#endif
