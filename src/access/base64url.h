/* base64url without padding (RFC 4648, 5; RFC 7515, 2). Internal to access/. */
#ifndef LEASED_ACCESS_BASE64URL_H
#define LEASED_ACCESS_BASE64URL_H

#include "base/str.h"

/* Strict: no other character, no padding, no bits left over. 0; ERR_INVALID, ERR_TOO_LARGE. */
int base64url_decode(struct str text, unsigned char *out, size_t size,
                     size_t *ret_len) ATTR_MUST_USE;

#endif
