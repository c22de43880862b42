/* Programs that the helper process runs for a backend, or to try a role's credentials out (design:
 * the daemon itself never does). Only
 * those that the configuration named at the start, and with nothing of the caller's but the values
 * of a few fixed variables. */
#ifndef LEASED_ENV_RUN_H
#define LEASED_ENV_RUN_H

#include "env/env.h"

#define ENV_RUN_VARIABLES_MAX 8U
#define ENV_RUN_INPUT_MAX_BYTES (32U * 1024U)

enum env_run_outcome {
    ENV_RUN_EXITED,
    ENV_RUN_NOT_STARTED, /* and trying again won't help before someone changes something */
    ENV_RUN_BUSY,        /* not started, for want of something that passes */
    ENV_RUN_KILLED,      /* it ran, and was ended before its time */
    ENV_RUN_LOST,        /* the helper has ended, and how far it came isn't known */
    ENV_RUN_CANCELED,
};

struct env_run_variable {
    struct str name; /* "LEASED_ROLE", … */
    struct str value;
};

/* Borrowed until fn returns. */
struct env_run_end {
    enum env_run_outcome outcome;
    uint8_t exit_code; /* ENV_RUN_EXITED */
    struct str output; /* what it printed; a secret */
    struct str text;   /* one line for people: why, or what it said on stderr; may be empty */
};

/* Embedded in its owner; by the rules of env.h. */
struct env_run {
    /* Set by the caller. */
    const char *backend;
    const char *program; /* the key of its configuration that names it */
    struct env_run_variable variables[ENV_RUN_VARIABLES_MAX]; /* borrowed until start returns */
    size_t variable_count;
    struct str input; /* its stdin, at most ENV_RUN_INPUT_MAX_BYTES; a secret; borrowed likewise */
    void (*fn)(struct env_run *run, const struct env_run_end *end);
    void *user;
    /* The implementation's. */
    uint32_t id;
    struct list node;
};

/* ERR_INVALID: a variable that isn't known, or a value that is too long or isn't a line of text.
 * ERR_NOMEM, ERR_CLOSED; ERR_UNSUPPORTED where nothing can be run at all. */
static inline int env_run_start(struct env *env, struct env_run *run)
{
    return env->ops->run_start != NULL ? env->ops->run_start(env, run) : ERR_UNSUPPORTED;
}

/* Its program is killed. */
static inline void env_run_cancel(struct env *env, struct env_run *run)
{
    env->ops->run_cancel(env, run);
}

/* Can programs be run now? NULL, or why not; static. */
static inline const char *env_run_problem(struct env *env)
{
    return env->ops->run_problem != NULL ? env->ops->run_problem(env)
                                         : "programs can't be run here";
}

#endif
