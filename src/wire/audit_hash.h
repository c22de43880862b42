/* The hash that chains audit records, and where it stands in a line. Shared by the writer and the
 * reader. */
#ifndef LEASED_WIRE_AUDIT_HASH_H
#define LEASED_WIRE_AUDIT_HASH_H

#include "base/str.h"
#include "wire/audit_record.h"

#define AUDIT_TRAILER_BEGIN ",\"hash\":\""
#define AUDIT_TRAILER_BEGIN_LEN (sizeof(AUDIT_TRAILER_BEGIN) - 1)
#define AUDIT_TRAILER_END "\"}"
#define AUDIT_TRAILER_END_LEN (sizeof(AUDIT_TRAILER_END) - 1)
#define AUDIT_TRAILER_BYTES (AUDIT_TRAILER_BEGIN_LEN + AUDIT_HASH_HEX_BYTES + AUDIT_TRAILER_END_LEN)

/* Hash over `prev` (as text) and `body`, the line without its trailer. 0 or ERR_NOMEM. */
int audit_hash(const char *prev, struct str body,
               char ret_hash[AUDIT_HASH_HEX_BYTES + 1]) ATTR_MUST_USE;

#endif
