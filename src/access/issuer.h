/* Issuers: who may vouch for a caller with a token (JWT), on which terms, and their keys.
 *
 * Keys come from a file, a URL, or the URL that the issuer's own discovery document names. They are
 * fetched when the first token of the issuer comes, kept for as long as the answer says (5 minutes
 * to 24 hours), and fetched anew early when a token names a key that isn't there: at most every 30
 * seconds, so that callers can't drive us to hammer the issuer. While the issuer can't be reached,
 * what was fetched last is good for 24 hours more. */
#ifndef LEASED_ACCESS_ISSUER_H
#define LEASED_ACCESS_ISSUER_H

#include "access/claims.h"
#include "base/list.h"
#include "env/env.h"

#define ACCESS_AUDIENCES_MAX 16U
#define ACCESS_ISSUERS_MAX 64U

/* Strings are borrowed and outlive the issuers. */
struct access_issuer_config {
    const char *name;
    const char *url; /* what `iss` must be, byte for byte */
    const char *const *audiences;
    size_t audience_count; /* one of them must be in `aud` */
    uint32_t algorithms;   /* ACCESS_JWT_*; 0: RS256 */
    const char *jwks_file; /* where its keys are: at most one; none: by discovery */
    const char *jwks_url;
    const char *ca_file; /* NULL: the system's */
    uint64_t leeway_ms;  /* of exp, nbf and iat */
    const char *session; /* names of claims; NULL: none */
    const char *person;
};

struct access_issuers;

/* `old` (NULL: none) gives what it has fetched, where that comes from the same place. ERR_NOMEM. */
int access_issuers_new(struct env *env, const struct access_issuer_config *configs, size_t count,
                       struct access_issuers *old,
                       struct access_issuers **ret_issuers) ATTR_MUST_USE;

/* Ends what is being fetched. Who still waits is told: before this returns nobody is. NULL is fine.
 */
void access_issuers_free(struct access_issuers *issuers);

/* How many there are; NULL has none. */
size_t access_issuers_count(const struct access_issuers *issuers);

/* For a caller that has to wait for an issuer's keys; embedded in it. */
struct access_issuer_wait {
    void (*fn)(struct access_issuer_wait *wait); /* ask again now; never from inside a check */
    void *user;
    struct list node;
    bool was_woken; /* it has waited; from then on what can't be checked is refused */
};

/* Checks a token. 0: ret_claims is the caller's (access_claims_free). ERR_DENIED: it isn't good,
 * and the text says why, for people and the trail, without its words. ERR_UNAVAILABLE: the issuer's
 * keys aren't to be had, so nothing is known; try later. ERR_BUSY: they are being fetched; wait->fn
 * will be called once, when it is time to check again. ERR_NOMEM. */
int access_issuers_check(struct access_issuers *issuers, struct str token,
                         struct access_issuer_wait *wait, struct access_claims **ret_claims,
                         struct err *e) ATTR_MUST_USE;

/* The caller has gone: fn will not be called. Fine on one that doesn't wait. */
void access_issuer_unwait(struct access_issuer_wait *wait);

#endif
