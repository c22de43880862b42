/* The keys of one issuer: where they come from, how long they are good. Internal to access/. */
#ifndef LEASED_ACCESS_ISSUER_KEYS_H
#define LEASED_ACCESS_ISSUER_KEYS_H

#include "access/issuer.h"
#include "access/jwt.h"

struct issuer_keys;

/* NULL: out of memory. `config` is borrowed. */
struct issuer_keys *issuer_keys_new(struct env *env, const struct access_issuer_config *config);

/* Wakes who waits. What is being fetched ends later, and is freed then. NULL is fine. */
void issuer_keys_free(struct issuer_keys *keys);

/* Gives `keys` what `old` has, when both come from the same place. */
void issuer_keys_inherit(struct issuer_keys *keys, struct issuer_keys *old);

/* Verifies a token's signature. As access_issuers_check, without ret_claims. */
int issuer_keys_verify(struct issuer_keys *keys, const struct access_jwt *jwt,
                       struct access_issuer_wait *wait, struct err *e) ATTR_MUST_USE;

#endif
