/* JSON Web Tokens (RFC 7519) in their compact form (RFC 7515), taken apart, and the keys of an
 * issuer (RFC 7517) that they may be signed with. What a token claims counts for nothing until
 * access_jwks_verify has held; then it is still to be judged by its issuer's terms (issuer.h).
 *
 * Keys come from the issuer's set alone: a token that names or carries one itself (jku, jwk, x5u,
 * x5c) is none. Keys are public ones; a set with anything else in it gives just what fits. */
#ifndef LEASED_ACCESS_JWT_H
#define LEASED_ACCESS_JWT_H

#include "base/err.h"
#include "base/str.h"

#include <jansson.h>

#define ACCESS_JWT_MAX_BYTES (16U * 1024U) /* of a token */
#define ACCESS_JWKS_MAX_BYTES (256U * 1024U)
#define ACCESS_JWKS_KEYS_MAX 64U

/* Algorithms that may be allowed, as a set of bits. Each needs a public key: none and HS… don't
 * exist here. */
enum access_jwt_algorithm {
    ACCESS_JWT_RS256 = 1,
    ACCESS_JWT_RS384 = 2,
    ACCESS_JWT_RS512 = 4,
    ACCESS_JWT_PS256 = 8,
    ACCESS_JWT_PS384 = 16,
    ACCESS_JWT_PS512 = 32,
    ACCESS_JWT_ES256 = 64,
    ACCESS_JWT_ES384 = 128,
    ACCESS_JWT_ES512 = 256,
};

/* The bit of "RS256" and so on; 0: no algorithm that may be allowed. */
uint32_t access_jwt_algorithm(struct str name);

/* A token taken apart. */
struct access_jwt {
    json_t *header; /* owned; an object */
    json_t *claims; /* owned; an object, its keys unique */
    uint32_t algorithm;
    const char *kid;        /* borrowed from the header; NULL: none */
    struct str signed_part; /* header.payload; these two as they stand in the text, borrowed */
    struct str signature;
};

/* Has it the form of one? For places where clients send other words too. */
bool access_jwt_is_one(struct str text);

/* Reads a token. ERR_DENIED with why it is none, for people and without its words: parts, base64,
 * JSON, doubled keys, no algorithm that may be allowed, a key of its own, a critical extension, its
 * size. ERR_NOMEM. On failure nothing is to be freed. */
int access_jwt_parse(struct str text, struct access_jwt *ret_jwt, struct err *e) ATTR_MUST_USE;
void access_jwt_fini(struct access_jwt *jwt);

struct access_jwks;

/* Reads a key set: an object with `keys`. What can't verify a signature here (other types, other
 * uses, RSA under 2048 bits, curves that no algorithm has) is passed over. ERR_INVALID with the
 * reason: no key set, or none of its keys is of use. ERR_NOMEM. */
int access_jwks_parse(struct str text, struct access_jwks **ret_jwks, struct err *e) ATTR_MUST_USE;
void access_jwks_free(struct access_jwks *jwks);
size_t access_jwks_count(const struct access_jwks *jwks);

/* Is the token signed by a key of the set? 0. ERR_NOT_FOUND: no key for it is in the set (by its
 * kid, or without one by its algorithm), so a newer set may have it. ERR_DENIED: the signature is
 * wrong. Both with a text. */
int access_jwks_verify(const struct access_jwks *jwks, const struct access_jwt *jwt,
                       struct err *e) ATTR_MUST_USE;

#endif
