/* New grants of one identity by one rule: `limits.issue` of a rule.
 *
 * A grant counts from the moment that it is asked for, also when its lease can't be issued or its
 * holder is gone by then: what a rule spares is the issuer. What has been used up stays so when the
 * grants are over and, where there is a ledger, when the daemon starts anew: its record goes into
 * the group that the grant's own, or its lease's intent, waits for. No clock that is set changes
 * it; after a reboot what has come back meanwhile is told by unix time, and is nothing where that
 * is behind the record. A rule is known by its name: with another rate what was used up stays used
 * up, under another name it begins anew. */
#ifndef LEASED_LEASE_RATES_H
#define LEASED_LEASE_RATES_H

#include "lease/core.h"
#include "lease/index.h"

/* Identities and rules with something used up. */
#define RATES_MAX 65536U

struct rates {
    struct index index; /* by identity and rule */
    struct list hand;   /* all of them; which is looked at next comes first */
};

void rates_init(struct rates *rates, uint64_t seed);
/* What is in the ledger stays there. */
void rates_fini(struct rates *rates);

/* May the decision's rule give the identity one more grant? ERR_LIMIT, with the time after which it
 * may; ERR_BUSY: too many have used something up; ERR_NOMEM. */
int rates_check(struct lease_core *core, const struct lease_ask *ask, uint64_t *ret_retry_after_ms,
                struct err *e) ATTR_MUST_USE;

/* It gives one; only when rates_check said that it may. ERR_IO with a text: that can't be put on
 * record, so it must not be given. */
int rates_take(struct lease_core *core, const struct lease_ask *ask, struct err *e) ATTR_MUST_USE;

#endif
