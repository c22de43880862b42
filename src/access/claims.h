/* What an issuer vouches for about a caller: the claims of a token that has been verified and
 * judged. Copied out of the token; immutable. */
#ifndef LEASED_ACCESS_CLAIMS_H
#define LEASED_ACCESS_CLAIMS_H

#include "base/buf.h"
#include "env/env.h"

#include <jansson.h>

/* Longer ones make a token no identity, because cutting them would make it another one. */
#define ACCESS_CLAIM_MAX_BYTES 256U
#define ACCESS_CLAIMS_TEXT_MAX_BYTES (24U * 1024U)

#define ACCESS_CLAIMS_ID_MAX_BYTES (ENV_NAME_MAX_BYTES + 1U + 32U + 1U)

struct access_claims {
    const char *id;     /* issuer, "+" and a hash over iss, sub and session: whose identity it is */
    const char *issuer; /* its name in the configuration */
    const char *iss;    /* these are in the claims, too; "" where the token has none */
    const char *sub;
    const char *session; /* the claim that the issuer's `session` names: one job */
    const char *person;  /* likewise: who is behind it */
    json_t *all;         /* every claim; shared, and not to be changed */
};

/* Which claims name what; borrowed until the call returns. */
struct access_claims_source {
    const char *issuer;
    const char *session; /* NULL: no claim is one */
    const char *person;
    json_t *all; /* an object; shared from now on */
};

/* Finds what names the caller. ERR_DENIED with a text: a claim that should name it is missing, is
 * no text or number, or has bytes that no name has. ERR_NOMEM. */
int access_claims_new(const struct access_claims_source *source, struct access_claims **ret_claims,
                      struct err *e) ATTR_MUST_USE;

/* A copy that shares `all`. NULL: out of memory. */
struct access_claims *access_claims_dup(const struct access_claims *claims) ATTR_MUST_USE;

/* NULL is fine. */
void access_claims_free(struct access_claims *claims);

/* Appends one line of JSON, and the way back, for what outlives the daemon. ERR_NOMEM,
 * ERR_TOO_LARGE; reading: ERR_INVALID with a text. */
int access_claims_write(const struct access_claims *claims, struct buf *out) ATTR_MUST_USE;
int access_claims_read(struct str text, struct access_claims **ret_claims,
                       struct err *e) ATTR_MUST_USE;

#endif
