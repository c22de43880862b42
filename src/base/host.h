/* Hosts as configurations and addresses write them: a name, an IPv4 address, or an IPv6 address in
 * brackets. */
#ifndef LEASED_BASE_HOST_H
#define LEASED_BASE_HOST_H

#include "base/str.h"

#define HOST_NAME_MAX_BYTES 253U

/* Has it one of these forms? Names: letters, digits, `.`, `-` and `_`. */
bool host_is_valid(struct str host);

/* This machine and nobody else: "localhost", 127.0.0.0/8, or "[::1]". */
bool host_is_loopback(struct str host);

/* "HOST" or "HOST:PORT" (1 to 65535; 0 where there is none), a valid host. ERR_INVALID. */
int host_parse(struct str authority, struct str *ret_host, uint16_t *ret_port) ATTR_MUST_USE;

#endif
