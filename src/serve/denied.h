/* Denials on record, and how many: a caller that is denied again and again, as fast as it can ask,
 * must not fill the disk that the audit trail is on. Each caller's first ten stand in the trail and
 * one more for each second; what exceeds that is counted, and the count is on record every ten
 * seconds, by a grant.denied with `count`. */
#ifndef LEASED_SERVE_DENIED_H
#define LEASED_SERVE_DENIED_H

#include "audit/audit.h"
#include "base/map.h"

#define DENIED_CALLERS_MAX 1024 /* the rest is counted together */

struct denied_caller {
    struct map_entry entry; /* by key */
    uint64_t level_ms;      /* of its bucket, when it was looked at last */
    uint64_t at_ms;
    uint64_t skipped_count;  /* not on record yet */
    struct audit_record who; /* the identity, for the record of the count; texts behind the key */
    char key[];
};

struct denied {
    struct env *env;
    struct audit *audit;
    struct map callers;
    struct env_timer timer;
    bool is_armed;
    uint64_t others_count; /* of callers that there was no room for */
};

void denied_init(struct denied *denied, struct env *env, struct audit *audit, uint64_t seed);

/* Puts the counts on record. */
void denied_fini(struct denied *denied);

/* Notes the record, or counts it. `key` tells callers apart. */
void denied_note(struct denied *denied, const char *key, struct audit_record *record);

#endif
