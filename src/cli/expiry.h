/* Until when a program may keep a credential: its own end, or that of the grant, whichever comes
 * first. */
#ifndef LEASED_CLI_EXPIRY_H
#define LEASED_CLI_EXPIRY_H

#include "wire/format.h"

#define EXPIRY_TEXT_BYTES (sizeof("2026-01-01T00:00:00Z"))

/* In unix seconds. ERR_NOT_FOUND: the answer doesn't say. */
int expiry_seconds(const struct format_credential *credential, int64_t *ret_seconds) ATTR_MUST_USE;

/* As RFC 3339 with whole seconds. ERR_NOT_FOUND as above. */
int expiry_text(const struct format_credential *credential,
                char out[EXPIRY_TEXT_BYTES]) ATTR_MUST_USE;

#endif
