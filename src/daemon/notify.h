/* Telling the service manager how it goes: READY, RELOADING, STOPPING, and the watchdog. */
#ifndef LEASED_DAEMON_NOTIFY_H
#define LEASED_DAEMON_NOTIFY_H

#include "env/env.h"

struct notify {
    int fd; /* -1: nobody listens */
    struct env *env;
    struct env_timer watchdog;
    uint64_t watchdog_interval_ms; /* 0: none */
};

/* Finds NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID. Without them everything here does nothing.
 */
void notify_init(struct notify *notify, struct env *env);
void notify_fini(struct notify *notify);

/* Serving; from now on the watchdog is fed by the loop. `status` is shown by systemctl. */
void notify_ready(struct notify *notify, const char *status);

/* A reload begins, and has ended: notify_ready says so too. */
void notify_reloading(struct notify *notify);

/* It takes that long at most, also where the unit's own limit is shorter. */
void notify_stopping(struct notify *notify, uint64_t within_ms);

#endif
