/* Cgroups: which one a process is in, and notice when the last process in one has ended. A cgroup
 * is named by its folder and its id together, so that a new one under an old name is another. */
#ifndef LEASED_ENV_CGROUP_H
#define LEASED_ENV_CGROUP_H

#include "env/env.h"

#define ENV_CGROUP_PATH_MAX_BYTES 576

struct env_cgroup {
    uint64_t id;                          /* not given again in this boot */
    char path[ENV_CGROUP_PATH_MAX_BYTES]; /* of its folder; says which hierarchy it is in, too */
};

/* Which of those that a process is in, each inside the next. */
enum env_cgroup_level {
    ENV_CGROUP_SCOPE, /* the innermost systemd scope around it: its login or its job */
    ENV_CGROUP_UNIT,  /* the innermost systemd scope or service around it; where there is none, its
                         own cgroup */
};

struct env_cgroup_query {
    int32_t pid;
    uint64_t start_ticks;
    enum env_cgroup_level level;
};

/* The cgroup that the process is in now. With a text: ERR_NOT_FOUND when it is in none (in no
 * scope; or in the root, which never becomes empty), ERR_GONE when the process has ended,
 * ERR_UNSUPPORTED when its cgroup can't be seen from here, ERR_UNAVAILABLE when it could not be
 * looked up. */
static inline int env_cgroup_find(struct env *env, const struct env_cgroup_query *query,
                                  struct env_cgroup *ret_cgroup, struct err *e)
{
    return env->ops->cgroup_find(env, query, ret_cgroup, e);
}

/* Embedded in its owner. */
struct env_cgroup_watch {
    /* Set by the caller. */
    const struct env_cgroup *cgroup; /* lives as long as the watch */
    /* Runs once when nobody is left in the cgroup or below it (from the loop; never from inside
     * start). It does not run after close. */
    void (*fn)(struct env_cgroup_watch *watch);
    /* Runs once after env_cgroup_watch_close, from the loop; then the memory may go. */
    void (*closed)(struct env_cgroup_watch *watch);
    void *user;
    /* The implementation's. */
    void *impl;
};

/* ERR_GONE if nobody is in a cgroup of this path and id now: then fn never runs. ERR_LIMIT when
 * there are too many watches. */
static inline int env_cgroup_watch_start(struct env *env, struct env_cgroup_watch *watch)
{
    return env->ops->cgroup_watch_start(env, watch);
}

/* Ends the watch, before or after fn ran. Required for each started watch. */
static inline void env_cgroup_watch_close(struct env *env, struct env_cgroup_watch *watch)
{
    env->ops->cgroup_watch_close(env, watch);
}

/* Has it become empty, though its notice may not have come yet? Of a started watch. */
static inline bool env_cgroup_watch_has_ended(struct env *env, struct env_cgroup_watch *watch)
{
    return env->ops->cgroup_watch_has_ended(env, watch);
}

#endif
