/* What the process uses and how busy its loop is: only to be shown. */
#ifndef LEASED_ENV_USAGE_H
#define LEASED_ENV_USAGE_H

#include "env/env.h"

/* Zero: not known. */
struct env_usage {
    uint64_t resident_bytes;
    uint64_t virtual_bytes;
    uint64_t cpu_us; /* user and system, since the start */
    uint64_t open_fds;
    uint64_t max_fds;
    int64_t start_wall_ms;
    uint64_t connections;         /* clients that are connected now */
    uint64_t connections_refused; /* over a limit, since the start */
    /* The longest time within the last one to two minutes for which an event may have had to wait,
     * because the loop was busy with others. */
    uint64_t loop_lag_us;
};

/* Reads a few files of /proc: for a scrape, not for each request. */
static inline void env_usage(struct env *env, struct env_usage *ret_usage)
{
    *ret_usage = (struct env_usage){0};
    if (env->ops->usage != NULL) {
        env->ops->usage(env, ret_usage);
    }
}

#endif
