/* Moments as Vault and HTTP write them. */
#ifndef PLUGIN_COMMON_WHEN_H
#define PLUGIN_COMMON_WHEN_H

#include "text.h"

/* Unix seconds; -1: not such a text. "Wed, 21 Oct 2026 07:28:00 GMT". */
int64_t plugin_when_http(struct leased_str text);

/* "2026-11-23T00:00:51.321226082Z", "…+01:00". Parts of a second are dropped. */
int64_t plugin_when_rfc3339(struct leased_str text);

/* "90s", "15m", "1h30m", "2d", or plain seconds; -1: not such a text, or more than a hundred years.
 */
int64_t plugin_when_duration(struct leased_str text);

#endif
