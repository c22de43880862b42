/* Time zones as files describe them (RFC 8536, versions 1 to 4): what the local clock shows at a
 * moment, and until when that holds. The moments after those in the file follow its footer's rule.
 *
 * Files: tzif.c (the file), tz_rule.c (the footer). */
#ifndef LEASED_WIRE_TZIF_H
#define LEASED_WIRE_TZIF_H

#include "base/err.h"
#include "base/str.h"

#include <limits.h>

#define TZIF_MAX_BYTES (64U * 1024U)
#define TZIF_ABBREVIATION_MAX_BYTES 16

/* What local clocks are ahead of UTC stays between these. */
#define TZIF_OFFSET_MIN_S (-25 * 3600 + 1)
#define TZIF_OFFSET_MAX_S (26 * 3600 - 1)

/* Moments that are further away from 1970 are as this one; a million centuries, whose sums with
 * offsets can't overflow. */
#define TZIF_MOMENT_MAX_S (INT64_C(1) << 52)

struct tzif;

/* What holds from a moment that was asked about until `until_s`. */
struct tzif_span {
    int64_t until_s;  /* unix seconds, not included; INT64_MAX: for ever. The next span may have the
                         same offset */
    int32_t offset_s; /* local time less UTC */
    bool is_dst;
    char abbreviation[TZIF_ABBREVIATION_MAX_BYTES]; /* for people; cut when it is longer */
};

/* Parses a file's bytes; they may go afterwards. ERR_NOMEM, or with a text ERR_TOO_LARGE,
 * ERR_INVALID, and ERR_UNSUPPORTED for a file that counts leap seconds, which a POSIX clock
 * doesn't. */
int tzif_parse(struct str bytes, struct tzif **ret_zone, struct err *e) ATTR_MUST_USE;

/* NULL is fine. */
void tzif_free(struct tzif *zone);

/* What holds at a moment. A zone of NULL is UTC. Allocates nothing. */
void tzif_at(const struct tzif *zone, int64_t unix_s, struct tzif_span *ret_span);

#endif
