/* The query string of a URL: `a=1&b=two%20words`. */
#ifndef LEASED_WIRE_QUERY_H
#define LEASED_WIRE_QUERY_H

#include "base/buf.h"
#include "base/err.h"

/* Appends `text` without its percent encoding to `out`. `plus_is_space`: as in queries. ERR_INVALID
 * for a broken escape, ERR_RANGE for a control character, ERR_TOO_LARGE and ERR_NOMEM as of `out`.
 */
int query_decode(struct str text, bool plus_is_space, struct buf *out) ATTR_MUST_USE;

/* Cuts the next pair off `rest`, still encoded. False at the end. */
bool query_next(struct str *rest, struct str *ret_key, struct str *ret_value);

#endif
