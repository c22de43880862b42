/* Base64 as JOSE and forms write it (RFC 4648, sections 4 and 5). */
#ifndef PLUGIN_COMMON_BASE64_H
#define PLUGIN_COMMON_BASE64_H

#include "text.h"

/* Room for `size` bytes and the NUL. */
#define PLUGIN_BASE64_ROOM(size) (((size) + 2) / 3 * 4 + 1)

/* Without padding, with - and _. Returns the length; `out` has PLUGIN_BASE64_ROOM(size) bytes. */
size_t plugin_base64url(const void *bytes, size_t size, char *out);

/* With padding, with + and /. */
size_t plugin_base64(const void *bytes, size_t size, char *out);

/* Takes either alphabet, with or without padding; line ends are skipped. Returns the length, or -1:
 * not such a text, or more than `out_size` bytes. */
int64_t plugin_base64_decode(struct leased_str text, void *out, size_t out_size);

#endif
