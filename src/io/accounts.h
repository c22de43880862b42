/* Users and groups by the names that a configuration gives. Blocks: the look-up may go to a
 * directory service. */
#ifndef LEASED_IO_ACCOUNTS_H
#define LEASED_IO_ACCOUNTS_H

#include "base/err.h"

#include <sys/types.h>

/* What the database holds under this name. ERR_NOT_FOUND: nothing; ERR_UNAVAILABLE: it didn't
 * answer; ERR_NOMEM. */
int io_find_user(const char *name, uid_t *ret_uid, struct err *e) ATTR_MUST_USE;
int io_find_group(const char *name, gid_t *ret_gid, struct err *e) ATTR_MUST_USE;

/* The same, and a number that is no name stands for itself. */
int io_resolve_user(const char *name, uid_t *ret_uid, struct err *e) ATTR_MUST_USE;
int io_resolve_group(const char *name, gid_t *ret_gid, struct err *e) ATTR_MUST_USE;

#endif
