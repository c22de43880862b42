/* What only admins may, and who they are. Internal to serve/. */
#ifndef LEASED_SERVE_ADMIN_H
#define LEASED_SERVE_ADMIN_H

#include "serve/exchange.h"

/* Has the caller one of these rights (ACCESS_ADMIN_*)? Else it is on record that it has tried, and
 * answered so. `what`: "only an admin that may … can do this"; `rights_text`: "[read, revoke]". */
bool admin_may(struct exchange *x, uint32_t rights, const char *what, const char *rights_text);

/* Who asks, for people. Returns `out`. */
const char *admin_name(const struct exchange *x, char out[SERVE_BY_MAX_BYTES + 1]);

#endif
