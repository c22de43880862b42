/* Dates in HTTP headers (RFC 9110, 5.6.7), in the one form that servers may send:
 * "Wed, 21 Oct 2026 07:28:00 GMT". */
#ifndef LEASED_WIRE_HTTP_DATE_H
#define LEASED_WIRE_HTTP_DATE_H

#include "base/str.h"

/* Unix milliseconds. ERR_INVALID when it isn't such a date; the name of the day isn't looked at. */
int http_date_parse(struct str text, int64_t *ret_wall_ms) ATTR_MUST_USE;

#endif
