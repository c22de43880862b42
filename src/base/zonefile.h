/* The files of the system's time zone database. */
#ifndef LEASED_BASE_ZONEFILE_H
#define LEASED_BASE_ZONEFILE_H

#include "base/buf.h"

#define ZONEFILE_FOLDER "/usr/share/zoneinfo"
#define ZONEFILE_MAX_BYTES (256U * 1024U)

/* Appends the file of the zone `name` ("Europe/Berlin"), whose bytes the caller has checked: it
 * stays below the folder. Blocks briefly. `user` isn't used: it is what zones are asked for by
 * (access/zones.h). ERR_NOT_FOUND, ERR_TOO_LARGE, ERR_NOMEM, ERR_IO. */
int zonefile_read(void *user, const char *name, struct buf *out) ATTR_MUST_USE;

#endif
