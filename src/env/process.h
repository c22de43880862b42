/* Processes: facts about one, and notice of its end. A process is named by pid and start time
 * together, so that a reused pid is another process. */
#ifndef LEASED_ENV_PROCESS_H
#define LEASED_ENV_PROCESS_H

#include "env/env.h"

#define ENV_PROCESS_NAME_MAX_BYTES 16

struct env_process {
    int32_t pid;
    uint64_t start_ticks; /* field 22 of /proc/PID/stat: clock ticks since boot */
    int32_t parent_pid;
    int32_t session_pid;                   /* of the leader of its session; 0: outside our sight */
    uint32_t uid;                          /* owner of /proc/PID */
    bool is_fork_no_exec;                  /* forked and hasn't exec'd: a subshell */
    char name[ENV_PROCESS_NAME_MAX_BYTES]; /* comm */
};

/* Facts about the process that has this pid now. 0, ERR_NOT_FOUND, or ERR_UNAVAILABLE when it can't
 * be looked up (hidepid, another pid namespace). */
static inline int env_process_lookup(struct env *env, int32_t pid, struct env_process *ret_process)
{
    return env->ops->process_lookup(env, pid, ret_process);
}

/* Embedded in its owner. */
struct env_process_watch {
    /* Set by the caller. */
    int32_t pid; /* 0: the process at the other end of `request`, which has none here */
    uint64_t start_ticks;
    const struct env_request *request; /* borrowed until start returns; NULL: there is a pid */
    /* Runs once when the process has ended (from the loop; never from inside start). It does not
     * run after close. */
    void (*fn)(struct env_process_watch *watch);
    /* Runs once after env_process_watch_close, from the loop; then the memory may go. */
    void (*closed)(struct env_process_watch *watch);
    void *user;
    /* The implementation's. */
    void *impl;
};

/* Watches by pidfd. ERR_GONE if no process with this pid and start time lives now: then fn never
 * runs. ERR_LIMIT when there are too many watches, ERR_UNSUPPORTED when the kernel gives no pidfd.
 */
static inline int env_process_watch_start(struct env *env, struct env_process_watch *watch)
{
    return env->ops->process_watch_start(env, watch);
}

/* Has it ended, though its notice may not have come yet? Of a started watch. */
static inline bool env_process_watch_has_ended(struct env *env, struct env_process_watch *watch)
{
    return env->ops->process_watch_has_ended(env, watch);
}

/* Ends the watch, before or after fn ran. Required for each started watch. */
static inline void env_process_watch_close(struct env *env, struct env_process_watch *watch)
{
    env->ops->process_watch_close(env, watch);
}

#endif
