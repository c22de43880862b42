/* What issuers want people to know, as log lines: each text once, and again after an hour at the
 * earliest; never more than a few a minute, whatever an issuer sends. */
#ifndef LEASED_BACKEND_WARNING_H
#define LEASED_BACKEND_WARNING_H

#include "leased/plugin.h"

#define WARNINGS_KNOWN_MAX 16U
#define WARNINGS_PER_RESULT_MAX 4U
#define WARNINGS_PER_MINUTE_MAX 10U
#define WARNING_AGAIN_MS 3600000U

struct warning_known {
    uint64_t hash; /* 0: free */
    uint64_t logged_ms;
};

/* Zero-initialised: nothing was logged yet. */
struct warnings {
    struct warning_known known[WARNINGS_KNOWN_MAX];
    uint64_t minute_ms; /* when the minute that is counted began */
    uint32_t minute_count;
    uint64_t dropped_total; /* over the rate */
};

/* `role` may be NULL. */
void warning_log(struct warnings *warnings, const char *backend, const char *role,
                 struct leased_str text, uint64_t now_ms);

#endif
