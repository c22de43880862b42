/* Which role a client's credential comes from: the configuration's patterns (`clients`) against
 * what a client asks for, both HOST[:PORT][/PATH] in lower case up to the path. */
#ifndef LEASED_WIRE_CLIENT_MATCH_H
#define LEASED_WIRE_CLIENT_MATCH_H

#include "base/str.h"

#define CLIENT_TARGET_MAX_BYTES 512

/* Does the pattern cover the target? `*` is any run of characters, in the host up to its end only:
 * no path passes for a host. A port must be equal. A pattern without a path covers every path, one
 * with a path also what is below it, but nothing whose path isn't known. Paths with `.` or `..`,
 * empty or escaped segments are covered by no pattern with a path: what they stand for is the
 * server's to say. */
bool client_match(struct str pattern, struct str target);

/* Can it be a pattern? No blanks, control characters, capitals in the host, or a scheme. */
bool client_pattern_is_valid(struct str pattern);

#endif
