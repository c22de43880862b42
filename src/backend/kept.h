/* What plugins keep across restarts (their logins): in the ledger, sealed, one record for each
 * backend. */
#ifndef LEASED_BACKEND_KEPT_H
#define LEASED_BACKEND_KEPT_H

#include "env/ledger.h"

/* Replaces what the backend of this name keeps; empty: nothing. Not waited for. ERR_NOMEM,
 * ERR_LIMIT, ERR_TOO_LARGE. */
int kept_put(struct env_ledger *ledger, const char *name, struct str state) ATTR_MUST_USE;

/* What it kept before this start, into secret memory; empty: nothing. By the rules of
 * env_ledger_each. ERR_NOT_FOUND: it was sealed with a key that isn't there any more. ERR_CORRUPT,
 * ERR_NOMEM, ERR_IO. */
int kept_read(struct env_ledger *ledger, const char *name, struct secret *ret_state,
              struct err *e) ATTR_MUST_USE;

#endif
