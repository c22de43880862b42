/* Who has read a lease beside the one for whom it was issued: also after its grant has ended or
 * moved on, and after a restart, because who has read a credential may still know it.
 *
 * A lease that only one holder can get has none of these, which is most leases. Of a shared one
 * each further holder is on record before the credential leaves for it, until the lease is over. */
#ifndef LEASED_LEASE_READERS_H
#define LEASED_LEASE_READERS_H

#include "lease/core.h"

struct holder;
struct readers;

/* Of one lease; past these it may have been anybody. */
#define LEASE_READERS_MAX 4096U

/* The holder is about to read the lease. With *ret_is_new its record is on its way to the ledger
 * and must be there first. ERR_NOMEM, or what the ledger gives: then it must not read. */
int readers_add(struct lease *lease, struct holder *holder, bool *ret_is_new) ATTR_MUST_USE;

/* Calls `fn` for each that has read the lease, the one for whom it was issued first, until it
 * returns true, which it then returns, too. True without a call of `fn` where it may have been
 * anybody. */
bool readers_any(const struct lease *lease, bool (*fn)(void *user, const struct holder *holder),
                 void *user);

/* The lease is over: nothing of them is needed after a restart. */
void readers_end(struct lease *lease);

/* The lease is being freed. */
void readers_free(struct lease *lease);

#endif
