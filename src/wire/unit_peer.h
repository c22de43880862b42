/* Who a service manager asks for: systemd (LoadCredential= with a socket's path) says it in the
 * name of its own end, an abstract socket's:
 *
 *   NUL, 1 to 16 hexadecimal digits, "/unit/", the unit, "/", the credential's id
 *
 * Anybody can take such a name: it counts as much as its owner does. */
#ifndef LEASED_WIRE_UNIT_PEER_H
#define LEASED_WIRE_UNIT_PEER_H

#include "base/err.h"
#include "base/str.h"

#define UNIT_PEER_NAME_MAX_BYTES 108U

struct unit_peer {
    struct str unit;
    struct str id;
};

/* Slices of `name`. ERR_INVALID: it is none; unit and id aren't empty then, printable, and have no
 * blank and no "/". */
int unit_peer_parse(struct str name, struct unit_peer *ret_peer) ATTR_MUST_USE;

#endif
