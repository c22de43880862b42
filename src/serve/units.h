/* Credentials for systemd units (LoadCredential=), asked for by the service manager on their
 * behalf, and what their grants hang on: a unit that has no process yet. Internal to serve/. */
#ifndef LEASED_SERVE_UNITS_H
#define LEASED_SERVE_UNITS_H

#include "env/env.h"
#include "lease/core.h"

struct exchange;
struct serve;

struct units {
    struct serve *serve;
    struct list list; /* struct unit_grant */
    struct env_timer timer;
};

void units_init(struct units *units, struct serve *serve);
void units_fini(struct units *units);

/* Looks after what an earlier daemon has left: grants of units that have no process end. */
void units_start(struct units *units);

/* A request of a service manager, whose identity is established: answers now or later. */
void serve_unit(struct exchange *x);

#endif
