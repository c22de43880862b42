/* Streams of what becomes of a caller's grants (GET /watch). Internal to serve/. */
#ifndef LEASED_SERVE_WATCH_H
#define LEASED_SERVE_WATCH_H

#include "env/server.h"
#include "lease/observe.h"

struct watches {
    struct env *env;
    struct lease_core *core;
    struct list list;               /* struct watch */
    struct lease_observer observer; /* observes while there is one */
    struct env_deferred ending;
    const char *ending_why; /* static */
    uint32_t epoch;         /* of this start: ids of another one's events mean nothing */
};

void watches_init(struct watches *watches, struct env *env, struct lease_core *core,
                  uint32_t epoch);

/* There are none any more. */
void watches_fini(struct watches *watches);

/* Those that there are end, with a comment that says why (static), after this turn's events. */
void watches_end(struct watches *watches, const char *why);

#endif
