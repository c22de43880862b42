/* What operators do to a running daemon: other timing, another path at the issuer, a role that goes
 * and comes back, another policy. Each as the daemon's reload does it, through public headers. */
#ifndef LEASED_TESTS_SIM_OPERATOR_H
#define LEASED_TESTS_SIM_OPERATOR_H

#include "sim_world.h"

/* One change, drawn from the world's own chance; nothing while there is no daemon. */
void sim_operator_act(struct sim_world *world);

/* All roles are there, and the first policy rules. */
void sim_operator_settle(struct sim_world *world);

#endif
