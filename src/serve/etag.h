/* Entity tags of credentials: what a client has already needn't be sent again. */
#ifndef LEASED_SERVE_ETAG_H
#define LEASED_SERVE_ETAG_H

#include "base/str.h"

/* Does an If-None-Match header (RFC 9110, 13.1.2) name `etag`, which stands in quotes? It is a list
 * of tags, each with W/ or without, or "*" for any. What isn't one names nothing. */
bool etag_is_named(struct str header, struct str etag);

#endif
