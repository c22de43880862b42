/* The world as an interface: the only door through which the layers above see time, chance,
 * network, files and processes. io/ implements it on libuv, libcurl and libmicrohttpd; tests/sim
 * implements it on a virtual clock with a seeded scheduler. Nothing above this line may observe the
 * machine in another way.
 *
 * The seven rules of every asynchronous call (x_start, x_cancel, x_close):
 *   a. x_start returns != 0: the callback will never run.
 *   b. x_start returns 0: the callback runs exactly once.
 *   c. It never runs from inside x_start; always from the loop.
 *   d. x_cancel only asks: the callback still runs, with ERR_CANCELED or with the result.
 *   e. The operation and what it borrows live until the callback has run.
 *   f. The callback may free the operation and its owner.
 *   g. After x_close no new starts; pending operations end with ERR_CANCELED, then the close
 * callback runs, then the memory may go. So a callback returns immediately after any call that can
 * free its owner.
 *
 * One thread: everything here is called on the loop's thread, except where a function says
 * otherwise.
 *
 * Interfaces too large for this file: env/http.h (calls to issuers), env/file.h (append-only
 * files, and files that are replaced whole), env/ledger.h (what survives a crash), env/process.h
 * and env/cgroup.h (who lives), env/run.h (programs that are run), env/server.h (requests that
 * arrive), env/unit.h (which services run), env/usage.h (what the process uses). */
#ifndef LEASED_ENV_ENV_H
#define LEASED_ENV_ENV_H

#include "base/err.h"
#include "base/list.h"
#include "base/secret.h"
#include "base/str.h"

struct env;
struct env_cgroup;
struct env_cgroup_query;
struct env_cgroup_watch;
struct env_http;
struct env_usage;
struct env_file;
struct env_put;
struct env_file_place;
struct buf;
struct env_ledger;
struct env_ledger_options;
struct env_process_watch;
struct env_process;
struct env_run;

#define ENV_NAME_MAX_BYTES 64
#define ENV_GROUPS_MAX 64
/* Stands where a uid or gid is unknown; the kernel gives it to nobody. */
#define ENV_NO_ID UINT32_MAX
#define ENV_SECRET_MAX_BYTES (64U * 1024U)
#define ENV_BOOT_ID_MAX_BYTES 40U
#define ENV_SEAL_BYTES 24U /* what sealing adds to a secret's length */

/* A one-shot timer, embedded in its owner. Zero-initialise, set fn and user, then arm. The
 * rest is the implementation's. */
struct env_timer {
    void (*fn)(struct env_timer *timer);
    void *user;
    uint64_t when_ms;
    uint64_t sequence;
    struct list node;
    size_t heap_index; /* 0 when not armed */
};

/* Work to be run after the current callback has returned to the loop; embedded in its owner. */
struct env_deferred {
    void (*fn)(struct env_deferred *deferred);
    void *user;
    struct list node;
};

/* A user's groups as the user database has them. */
struct env_user_groups {
    uint32_t gid; /* the primary one */
    uint32_t groups[ENV_GROUPS_MAX];
    size_t group_count;
};

struct env_ops {
    uint64_t (*now_ms)(struct env *env);
    int64_t (*wall_ms)(struct env *env);
    void (*random)(struct env *env, void *bytes, size_t size);
    void (*timer_arm)(struct env *env, struct env_timer *timer, uint64_t when_ms);
    void (*timer_disarm)(struct env *env, struct env_timer *timer);
    void (*defer)(struct env *env, struct env_deferred *deferred);
    int (*http_start)(struct env *env, struct env_http *http, struct err *e);
    void (*http_cancel)(struct env *env, struct env_http *http);
    int (*file_open)(struct env *env, const char *path, struct env_file **ret_file, struct err *e);
    int (*process_lookup)(struct env *env, int32_t pid, struct env_process *ret_process);
    int (*process_watch_start)(struct env *env, struct env_process_watch *watch);
    void (*process_watch_close)(struct env *env, struct env_process_watch *watch);
    bool (*process_watch_has_ended)(struct env *env, struct env_process_watch *watch);
    int (*cgroup_find)(struct env *env, const struct env_cgroup_query *query,
                       struct env_cgroup *ret_cgroup, struct err *e);
    int (*cgroup_watch_start)(struct env *env, struct env_cgroup_watch *watch);
    void (*cgroup_watch_close)(struct env *env, struct env_cgroup_watch *watch);
    bool (*cgroup_watch_has_ended)(struct env *env, struct env_cgroup_watch *watch);
    int (*secret_read)(struct env *env, struct str source, struct secret *ret_secret,
                       struct err *e);
    int (*user_name)(struct env *env, uint32_t uid, char ret_name[ENV_NAME_MAX_BYTES]);
    int (*group_name)(struct env *env, uint32_t gid, char ret_name[ENV_NAME_MAX_BYTES]);
    int (*post)(struct env *env, void (*fn)(void *user), void *user);
    uint64_t (*stopwatch_us)(struct env *env); /* may be NULL: code takes no time */
    int (*user_groups)(struct env *env, uint32_t uid, const struct env_user_groups **ret_groups);
    int (*seal)(struct env *env, struct str owner, struct str plain, char *ret_sealed);
    int (*unseal)(struct env *env, struct str owner, struct str sealed, char *ret_plain);
    void (*usage)(struct env *env, struct env_usage *ret_usage); /* may be NULL: nothing is known */
    int (*ledger_open)(struct env *env, const struct env_ledger_options *options,
                       struct env_ledger **ret_ledger, struct err *e);
    const char *(*boot_id)(struct env *env); /* may be NULL: it isn't known */
    int (*file_put)(struct env *env, struct env_put *put);
    /* May be NULL: none can be read. */
    int (*file_read)(struct env *env, const struct env_file_place *place, struct buf *out,
                     struct err *e);
    /* May be NULL, all three: nothing can be run. */
    int (*run_start)(struct env *env, struct env_run *run);
    void (*run_cancel)(struct env *env, struct env_run *run);
    const char *(*run_problem)(struct env *env);
    int (*unit_is_running)(struct env *env, const char *unit); /* may be NULL: it isn't known */
};

struct env {
    const struct env_ops *ops;
    void *impl;
};

/* Milliseconds of a clock that goes on through suspend (CLOCK_BOOTTIME) and never steps back; read
 * once per loop turn, so all steps of one callback see the same time. Deadlines are in this clock.
 */
static inline uint64_t env_now_ms(struct env *env)
{
    return env->ops->now_ms(env);
}

/* Unix time in milliseconds: for what is shown or sent, and for what policies say of the time of
 * day. Never for deadlines: it may be set. */
static inline int64_t env_wall_ms(struct env *env)
{
    return env->ops->wall_ms(env);
}

/* Names the boot of the machine that env_now_ms counts from, and in which a process is the same as
 * long as its pid and start time are; at most ENV_BOOT_ID_MAX_BYTES. Borrowed from the env. "": it
 * isn't known, so it is never the same as another. */
static inline const char *env_boot_id(struct env *env)
{
    return env->ops->boot_id != NULL ? env->ops->boot_id(env) : "";
}

/* Cryptographically strong in io/, from the seed in the simulator. Never fails. */
static inline void env_random(struct env *env, void *bytes, size_t size)
{
    env->ops->random(env, bytes, size);
}

/* Runs timer->fn once, at or after `when_ms` (past: next turn). Arming an armed timer moves it. */
static inline void env_timer_arm(struct env *env, struct env_timer *timer, uint64_t when_ms)
{
    env->ops->timer_arm(env, timer, when_ms);
}

/* Fine on a timer that isn't armed. Its fn will not run afterwards. */
static inline void env_timer_disarm(struct env *env, struct env_timer *timer)
{
    env->ops->timer_disarm(env, timer);
}

/* Runs deferred->fn in this turn, after the current callback. Deferring twice before it ran is one
 * run. */
static inline void env_defer(struct env *env, struct env_deferred *deferred)
{
    env->ops->defer(env, deferred);
}

/* Reads a secret that the configuration names: "file:/path" (refused when others can read or write
 * it), "shared-file:/path" (refused when others can write it), "env:NAME" (as it was at start),
 * "credential:NAME" (systemd's directory). A trailing newline is cut off; empty or over
 * ENV_SECRET_MAX_BYTES is an error with a text that names the source. Blocks briefly. */
static inline int env_secret_read(struct env *env, struct str source, struct secret *ret_secret,
                                  struct err *e)
{
    return env->ops->secret_read(env, source, ret_secret, e);
}

/* The name behind a uid or gid (cached for a minute). ERR_NOT_FOUND when there is none; every other
 * error: it could not be found out. */
static inline int env_user_name(struct env *env, uint32_t uid, char ret_name[ENV_NAME_MAX_BYTES])
{
    return env->ops->user_name(env, uid, ret_name);
}

static inline int env_group_name(struct env *env, uint32_t gid, char ret_name[ENV_NAME_MAX_BYTES])
{
    return env->ops->group_name(env, gid, ret_name);
}

/* The groups that the user database gives a user (cached for a minute); borrowed until the next
 * call. ERR_NOT_FOUND when it doesn't know the user, ERR_TOO_LARGE when he is in more than
 * ENV_GROUPS_MAX; every other error: it could not be found out. */
static inline int env_user_groups(struct env *env, uint32_t uid,
                                  const struct env_user_groups **ret_groups)
{
    return env->ops->user_groups(env, uid, ret_groups);
}

/* Runs fn(user) on the loop's thread, soon. The one function that any thread may call. ERR_NOMEM,
 * or ERR_CLOSED during shutdown. */
static inline int env_post(struct env *env, void (*fn)(void *user), void *user)
{
    return env->ops->post(env, fn, user);
}

/* Microseconds on a clock that is read now, only to measure how long code took; never for
 * deadlines. Stands still in simulators. */
static inline uint64_t env_stopwatch_us(struct env *env)
{
    return env->ops->stopwatch_us != NULL ? env->ops->stopwatch_us(env) : 0;
}

/* Seals `plain` so that it can lie in ordinary memory: encrypted and authenticated under a key that
 * is random per start and never leaves secret memory. Writes plain.len + ENV_SEAL_BYTES bytes.
 * `owner` says whose it is; it isn't kept, and must be the same for unsealing. ERR_LIMIT when the
 * key is used up (only a restart helps), ERR_NOMEM; then the output is wiped. */
static inline int env_seal(struct env *env, struct str owner, struct str plain, char *ret_sealed)
{
    return env->ops->seal(env, owner, plain, ret_sealed);
}

/* The way back: writes sealed.len - ENV_SEAL_BYTES bytes, into secret memory. ERR_INVALID when a
 * byte was changed, the owner is another or it wasn't sealed by this process; then the output is
 * wiped. */
static inline int env_unseal(struct env *env, struct str owner, struct str sealed, char *ret_plain)
{
    return env->ops->unseal(env, owner, sealed, ret_plain);
}

/* Takes a deferred call back; fine on one that isn't pending. */
static inline void env_undefer(struct env_deferred *deferred)
{
    list_remove(&deferred->node);
}

#endif
