/* What a rule demands of the reason that is given. Internal to access/. */
#ifndef LEASED_ACCESS_REASON_H
#define LEASED_ACCESS_REASON_H

#include "base/err.h"
#include "base/str.h"

#include <stdbool.h>

struct access_reason;

/* Compiles a regular expression (PCRE2; it may match anywhere unless it is anchored). ERR_INVALID
 * with a text that names the place in the pattern, or ERR_NOMEM. */
int access_reason_new(const char *pattern, struct access_reason **ret_reason,
                      struct err *e) ATTR_MUST_USE;
void access_reason_free(struct access_reason *reason);

const char *access_reason_pattern(const struct access_reason *reason);

/* False as well when the expression needs more steps or memory than its limits: who wrote the
 * reason must not be able to stop the daemon with it. */
bool access_reason_matches(const struct access_reason *reason, struct str text);

#endif
