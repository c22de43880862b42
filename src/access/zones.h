/* The time zones that the windows of one policy name, each read once. Internal to access/. */
#ifndef LEASED_ACCESS_ZONES_H
#define LEASED_ACCESS_ZONES_H

#include "base/buf.h"
#include "wire/tzif.h"

#define ACCESS_ZONES_MAX 600 /* there are about so many in the world */
#define ACCESS_ZONE_NAME_MAX_BYTES 64

/* Appends the file `name` of the time zone database to `out`. The name has been checked: it stays
 * below the database's folder. ERR_NOT_FOUND, ERR_TOO_LARGE, ERR_NOMEM, ERR_IO. */
typedef int (*access_zone_read_fn)(void *user, const char *name, struct buf *out);

struct access_zone {
    char *name;
    struct tzif *tzif; /* NULL: UTC */
};

struct access_zones {
    access_zone_read_fn read; /* NULL: only UTC is known */
    void *user;
    struct access_zone **items; /* of which windows borrow */
    size_t count;
};

/* Embedded in what owns the windows; zeroed memory is an empty set that knows only UTC. */
void access_zones_init(struct access_zones *zones, access_zone_read_fn read, void *user);
void access_zones_fini(struct access_zones *zones);

/* The zone of that name; borrowed, lives as long as `zones`. ERR_NOMEM, or with a text for people
 * ERR_INVALID (no name of a zone), ERR_NOT_FOUND (with a guess what was meant), ERR_LIMIT, or why
 * the file can't be used. */
int access_zones_get(struct access_zones *zones, const char *name,
                     const struct access_zone **ret_zone, struct err *e) ATTR_MUST_USE;

#endif
