/* What the files of io/ share: the loop, the parts that hang on it, and the functions behind env's
 * table. Nobody outside io/ (and tests/io) includes this header. */
#ifndef LEASED_IO_IO_INTERNAL_H
#define LEASED_IO_IO_INTERNAL_H

#include "base/map.h"
#include "env/env.h"
#include "env/usage.h"
#include "io/diag.h"
#include "io/io.h"

#include <uv.h>

#define IO_MAGIC 0x696f2d2dU /* "io--" */

/* After a suspend libuv's clock lags behind ours, so a due timer is noticed at the latest by this
 * re-check. */
#define IO_TIMER_RECHECK_MS 30000U

/* A descriptor each; more is ERR_LIMIT, so that connections keep their share of the descriptors. */
#define IO_WATCHES_MAX 8192U

/* Calls from other threads that wait for the loop; more is ERR_LIMIT. */
#define IO_POSTS_MAX 65536U

struct env_request;
struct io_http;
struct io_environment;
struct io_helper;
struct io_passed;
struct io_seal;

/* Names of users and groups, remembered for a minute; a slot per (id % size). */
#define IO_NAMES_CACHED 64U
#define IO_NAMES_FRESH_MS 60000U

struct io_name {
    uint64_t fresh_until_ms; /* 0: empty */
    uint32_t id;
    bool is_known;
    char name[ENV_NAME_MAX_BYTES];
};

/* A user's groups, remembered as long. */
struct io_user_groups {
    uint64_t fresh_until_ms; /* 0: empty */
    uint32_t uid;
    int status; /* 0, ERR_NOT_FOUND or ERR_TOO_LARGE */
    struct env_user_groups groups;
};

/* What other threads have posted; the only state that is shared, and so the only lock. */
struct io_posts {
    uv_mutex_t lock;
    uv_async_t wake;
    struct list queue;
    size_t count;
    bool is_closed;
};

/* A heap of pointers to the armed timers, ordered by (when_ms, sequence); index 0 is unused,
 * because a timer that isn't armed has heap_index 0. Timers that found no room while memory was
 * short wait in `unsorted`. */
struct io_timers {
    struct env_timer **heap;
    size_t count;
    size_t capacity;
    uint64_t next_sequence;
    struct list unsorted;
    uv_timer_t uv;
};

/* How long turns of the loop took, without the time that it waited. */
struct io_lag {
    uint64_t turn_us; /* when the last one began */
    uint64_t idle_us; /* libuv's count then */
    uint64_t window_ms;
    uint64_t most_us;     /* in the window that began then … */
    uint64_t previous_us; /* … and in the one before */
    int64_t start_wall_ms;
};

/* Connections over a limit, of all listeners. */
struct io_refusals {
    uint64_t count;
    uint64_t told_count;     /* as the log has it */
    uint64_t quiet_until_ms; /* 0: never told */
};

struct io {
    uint32_t magic;
    struct env env;
    uv_loop_t loop;
    uv_prepare_t before_poll;
    uv_check_t after_poll;
    uv_idle_t no_wait; /* active while deferred calls wait: then poll returns at once */
    uint64_t now_ms;
    char boot_id[ENV_BOOT_ID_MAX_BYTES + 1]; /* read when it is first asked for; "": unknown */
    bool has_boot_id;
    bool now_is_stale;         /* the next io_now_ms reads the clock */
    bool is_single_turn;       /* io_run_once: don't wait once something has run */
    bool has_run_something;    /* … in this turn */
    bool is_closing;           /* io_close has begun: nothing new starts */
    size_t closing_file_count; /* closed by their owners; their writers aren't done yet */
    size_t put_count;          /* files that are being replaced */
    bool has_closed_handles;   /* our own handles have been given to uv_close */
    struct list deferred;
    struct io_timers timers;
    struct list signals;
    struct io_lag lag;
    uint32_t connection_count;   /* of all listeners, without the refused and the streams */
    uint32_t stream_count;       /* connections that carry a stream */
    uint32_t large_body_count;   /* requests with a body that only few may have at once */
    uint32_t connection_peak;    /* since memory was last given back */
    uint32_t connections_max;    /* that there are descriptors for; 0: not asked yet */
    struct io_refusals refusals; /* connections over a limit */
    struct io_refusals drops;    /* streams whose clients don't read */
    struct map usages;           /* struct usage: who has how many of them, refused ones too */
    struct list watches;         /* struct process_watch */
    struct list cgroup_watches;  /* struct cgroup_watch */
    uint32_t watch_count;        /* descriptors of both */
    struct io_http *http;        /* made by io_http_new */
    struct io_posts posts;
    struct io_seal *seal;
    struct io_helper *helper; /* runs programs; NULL: nothing can be run */
    struct io_name users[IO_NAMES_CACHED];
    struct io_name groups[IO_NAMES_CACHED];
    struct io_user_groups user_groups[IO_NAMES_CACHED];
    struct io_passed *passed;                 /* sockets of the service manager; NULL: none */
    struct diag diag;                         /* opened by the first listener on loopback TCP */
    const struct io_environment *environment; /* borrowed; NULL: env: secrets aren't found */
};

/* Every handle on the loop has `data` pointing to an object that starts with a magic: what is left
 * over at the end is reported by it. */
static inline uv_loop_t *io_uv(struct io *io)
{
    return &io->loop;
}

static inline struct io *io_of(struct env *env)
{
    return OBJ_CAST(env->impl, struct io, IO_MAGIC);
}

/* The first line of a callback of libuv's that calls out of io/: it sees a fresh clock. */
static inline void io_enter(struct io *io)
{
    io->now_is_stale = true;
    io->has_run_something = true;
}

/* clock.c. The clock goes stale between phases of a loop turn, never within a callback. */
uint64_t io_now_ms(struct env *env);
int64_t io_wall_ms(struct env *env);
const char *io_boot_id(struct env *env);
void io_random(struct env *env, void *bytes, size_t size);
uint64_t io_stopwatch_us(struct env *env);

/* timers.c */
void io_timers_init(struct io *io);
/* Closes the libuv timer and forgets what is armed; the heap is freed by io_timers_fini once the
 * loop is closed. */
void io_timers_close(struct io *io);
void io_timers_fini(struct io *io);
void io_timer_arm(struct env *env, struct env_timer *timer, uint64_t when_ms);
void io_timer_disarm(struct env *env, struct env_timer *timer);
/* Sets the libuv timer to the earliest deadline; called before each poll. */
void io_timers_schedule(struct io *io);

/* usage.c */
void io_usage_init(struct io *io);
/* A turn begins. */
void io_usage_turn(struct io *io);
void io_usage(struct env *env, struct env_usage *ret_usage);

/* signals.c */
void io_signals_close(struct io *io);

/* http.c */
int io_http_new(struct io *io, struct err *e) ATTR_MUST_USE;
/* Cancels every exchange; their callbacks run from the loop. True when none is left and no look-up
 * is under way. */
bool io_http_drain(struct io *io);
/* Closes curl and the handles behind it. Only after io_http_drain said true. */
void io_http_close(struct io *io);
/* Frees the rest, once the loop is closed. Fine when io_http_new failed or never ran. */
void io_http_fini(struct io *io);
int io_http_start(struct env *env, struct env_http *http, struct err *e);
void io_http_cancel(struct env *env, struct env_http *http);

/* process.c */
int io_process_lookup(struct env *env, int32_t pid, struct env_process *ret_process);
int io_process_watch_start(struct env *env, struct env_process_watch *watch);
void io_process_watch_close(struct env *env, struct env_process_watch *watch);
bool io_process_watch_has_ended(struct env *env, struct env_process_watch *watch);
/* Closes the watches that their owners left open. */
void io_processes_close(struct io *io);

/* cgroup.c */
int io_cgroup_find(struct env *env, const struct env_cgroup_query *query,
                   struct env_cgroup *ret_cgroup, struct err *e);

/* cgroup_watch.c */
int io_cgroup_watch_start(struct env *env, struct env_cgroup_watch *watch);
void io_cgroup_watch_close(struct env *env, struct env_cgroup_watch *watch);
bool io_cgroup_watch_has_ended(struct env *env, struct env_cgroup_watch *watch);
/* Closes the watches that their owners left open. Before io_processes_close. */
void io_cgroups_close(struct io *io);

/* server_conn.c: the pidfd of the process at the other end, the connection's; -1: there is none. */
int io_request_pidfd(const struct env_request *request);

/* run.c */
int io_run_start(struct env *env, struct env_run *run);
void io_run_cancel(struct env *env, struct env_run *run);
const char *io_run_problem(struct env *env);

/* unit.c */
int io_unit_is_running(struct env *env, const char *unit);
/* Ends what its owners left. */
void io_runs_close(struct io *io);
void io_runs_fini(struct io *io);

/* post.c */
int io_posts_init(struct io *io) ATTR_MUST_USE;
int io_post(struct env *env, void (*fn)(void *user), void *user);
/* Runs what was posted before, refuses the rest, closes the handle. */
void io_posts_close(struct io *io);
void io_posts_fini(struct io *io);

/* names.c */
int io_user_name(struct env *env, uint32_t uid, char ret_name[ENV_NAME_MAX_BYTES]);
int io_group_name(struct env *env, uint32_t gid, char ret_name[ENV_NAME_MAX_BYTES]);
int io_user_groups(struct env *env, uint32_t uid, const struct env_user_groups **ret_groups);

/* source.c */
int io_secret_read(struct env *env, struct str source, struct secret *ret_secret, struct err *e);

/* file.c */
int io_file_open(struct env *env, const char *path, struct env_file **ret_file, struct err *e);

/* file_put.c */
int io_file_put(struct env *env, struct env_put *put);
int io_file_read(struct env *env, const struct env_file_place *place, struct buf *out,
                 struct err *e);

/* ledger.c */
int io_ledger_open(struct env *env, const struct env_ledger_options *options,
                   struct env_ledger **ret_ledger, struct err *e);

#endif
