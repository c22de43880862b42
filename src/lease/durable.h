/* What of leases and grants survives the daemon. A lease is in the ledger from before its issuer is
 * asked for it until its issuer has confirmed its end; a grant from before its credential leaves
 * until it ends. Where there is no ledger everything here does nothing. */
#ifndef LEASED_LEASE_DURABLE_H
#define LEASED_LEASE_DURABLE_H

#include "base/list.h"
#include "base/str.h"
#include "env/ledger.h"
#include "env/server.h"

struct grant;
struct holder;
struct lease;
struct lease_core;
struct ledger_clock;
struct ledger_holder;

/* Somebody waits until what was put before is on stable storage. */
struct durable_wait;
/* `status` is 0, or an ERR_* or negated errno: it may not be there. From the loop. */
typedef void (*durable_fn)(void *owner, int status);

/* Waits for all that was put so far. Until then it is in `group`; NULL: in none. ERR_NOMEM. */
int durable_wait(struct env_ledger *ledger, struct list *group, durable_fn fn, void *owner,
                 struct durable_wait **ret_wait) ATTR_MUST_USE;

/* The same where there is no ledger: nothing is waited for but the loop. ERR_NOMEM. */
int durable_wait_none(struct env *env, durable_fn fn, void *owner,
                      struct durable_wait **ret_wait) ATTR_MUST_USE;

/* `fn` won't run. NULL is fine. */
void durable_forget(struct durable_wait *wait);
void durable_forget_all(struct list *group);

/* --- leases --- */

/* Puts what is known of the lease: of a live one with its credential, sealed. ERR_*: it isn't on
 * its way there. */
int durable_put(struct lease *lease) ATTR_MUST_USE;

/* The same before its issuer is asked: `ref` is what a revocation will need. */
int durable_put_intent(struct lease *lease, struct str ref) ATTR_MUST_USE;

/* The same where nobody waits; what can't be put is logged. */
void durable_note(struct lease *lease);

/* It is over. Fine where it never was in the ledger. */
void durable_end(struct lease *lease);

/* --- grants --- */

int durable_put_grant(struct grant *grant) ATTR_MUST_USE;
void durable_note_grant(struct grant *grant);
void durable_end_grant(struct grant *grant);

/* --- budgets --- */

struct role;
/* What is left of the role's budget of issues; fine where it has none. */
void durable_note_budget(struct role *role);

/* --- for durable_grant.c and recover.c --- */

void durable_fill_holder(const struct holder *holder, struct ledger_holder *ret_holder);
void durable_fill_clock(struct lease_core *core, struct ledger_clock *ret_clock);

#endif
