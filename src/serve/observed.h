/* Where a policy that is only observed would have decided otherwise: on record once for each
 * identity, role or path, and difference, and after a while again, with the count of what was left
 * out. */
#ifndef LEASED_SERVE_OBSERVED_H
#define LEASED_SERVE_OBSERVED_H

#include "audit/audit.h"
#include "base/map.h"

#define OBSERVED_MAX 2048U            /* differences; more aren't told within an interval */
#define OBSERVED_INTERVAL_MS 3600000U /* after which one is told again */

struct observed_difference {
    struct map_entry entry; /* by key */
    uint64_t told_ms;
    uint64_t skipped_count; /* since then */
    char key[];
};

struct observed {
    struct env *env;
    struct audit *audit;
    struct map differences; /* in the order in which they were told first */
};

void observed_init(struct observed *observed, struct env *env, struct audit *audit, uint64_t seed);
void observed_fini(struct observed *observed);

/* Puts the record into the trail, unless it was told. `key` tells callers apart. */
void observed_note(struct observed *observed, const char *key, struct audit_record *record);

#endif
