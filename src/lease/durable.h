/* A lease's place in the ledger: what of it survives the daemon, so that whoever starts next can
 * end it. It is there from before its credential leaves until its issuer has confirmed its end. */
#ifndef LEASED_LEASE_DURABLE_H
#define LEASED_LEASE_DURABLE_H

#include "base/check.h"

#include <stdbool.h>

struct durable_wait;
struct lease;

/* Puts an active lease into the ledger; issue_written is told when it is there, unless
 * durable_forget comes first. Where there is no ledger, or nothing to revoke, it tells nobody:
 * ret_is_awaited is false. ERR_*: it isn't there, and nobody will be told. */
int durable_start(struct lease *lease, bool *ret_is_awaited) ATTR_MUST_USE;

/* Puts it there without waiting, because nobody will get its credential. */
void durable_note(struct lease *lease);

/* Nobody waits any more. NULL is fine. */
void durable_forget(struct durable_wait *wait);

/* It is over. Fine where it never was in the ledger. */
void durable_end(struct lease *lease);

#endif
