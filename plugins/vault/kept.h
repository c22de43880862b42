/* The login across restarts: tokens are kept by the host, sealed, and taken over by the next run.
 */
#ifndef VAULT_KEPT_H
#define VAULT_KEPT_H

#include "instance.h"

/* Takes over what an earlier run kept. For open: nothing else is there yet. */
void vault_kept_restore(struct leased_instance *vault);

/* Keeps what has changed. */
void vault_kept_step(struct leased_instance *vault);

/* Nothing is to be kept any more. */
void vault_kept_remove(struct leased_instance *vault);

#endif
