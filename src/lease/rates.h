/* New grants of one identity by one rule: `limits.issue` of a rule. What has been used up stays so
 * when the grants are over, but not when the daemon starts anew. */
#ifndef LEASED_LEASE_RATES_H
#define LEASED_LEASE_RATES_H

#include "lease/core.h"
#include "lease/index.h"

/* Identities and rules with something used up. */
#define RATES_MAX 65536U

struct rates {
    struct index index;  /* by identity and rule */
    struct list by_time; /* what was used longest ago comes first */
};

void rates_init(struct rates *rates, uint64_t seed);
void rates_fini(struct rates *rates);

/* May the decision's rule give the identity one more grant? ERR_LIMIT, with the time after which it
 * may; ERR_BUSY: too many have used something up; ERR_NOMEM. */
int rates_check(struct rates *rates, const struct lease_ask *ask, uint64_t now_ms,
                uint64_t *ret_retry_after_ms, struct err *e) ATTR_MUST_USE;

/* It has given one; only when rates_check said that it may. */
void rates_take(struct rates *rates, const struct lease_ask *ask, uint64_t now_ms);

#endif
