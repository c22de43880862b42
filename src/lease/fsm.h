/* Which state may follow which. The tables stand here alone; lease.c and grant.c each have one
 * function that changes a state, and it asks here first. */
#ifndef LEASED_LEASE_FSM_H
#define LEASED_LEASE_FSM_H

#include "lease/core.h"

#define LEASE_STATE_COUNT (LEASE_STATE_FAILED + 1)
#define GRANT_STATE_COUNT (GRANT_STATE_ENDED + 1)

bool fsm_lease_may(enum lease_state from, enum lease_state to);
bool fsm_grant_may(enum grant_state from, enum grant_state to);

/* Its credential can still be used at the issuer, as far as we know. */
bool fsm_lease_is_live(enum lease_state state);

/* Nothing happens to it any more. */
bool fsm_lease_is_over(enum lease_state state);

#endif
