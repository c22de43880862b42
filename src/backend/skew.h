/* How far an issuer's clock is from ours, by the Date header of its answers. Lifetimes don't depend
 * on it (they count from when the request was sent), but certificates, JWTs and what people read in
 * logs do, so an operator is told. */
#ifndef LEASED_BACKEND_SKEW_H
#define LEASED_BACKEND_SKEW_H

#include "base/str.h"

#define SKEW_WARN_MS 30000

struct skew {
    bool is_known;
    bool is_large; /* SKEW_WARN_MS or more */
    int64_t ms;    /* the issuer's clock minus ours, to about a second */
};

/* An answer came at `wall_ms` with this Date header (empty: none). Logs, for the backend `name`,
 * when the difference becomes large and when it isn't any more. */
void skew_heard(struct skew *skew, const char *name, struct str date, int64_t wall_ms);

#endif
