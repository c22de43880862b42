/* A small world for unit tests: env on a virtual clock, with everything that can go wrong under the
 * test's control.
 *
 * Nothing happens by itself. fake_env_run runs what is due now (deferred calls, posts, file and
 * HTTP completions, ends of processes) until nothing is left; fake_env_advance moves the clock from
 * timer to timer and does the same at each. The fake's own memory comes from malloc, so that
 * mem_in_use_bytes and the failure hook see the code under test only. */
#ifndef LEASED_TESTS_SUPPORT_FAKE_ENV_H
#define LEASED_TESTS_SUPPORT_FAKE_ENV_H

#include "env/env.h"
#include "env/file.h"
#include "env/http.h"
#include "env/cgroup.h"
#include "env/process.h"
#include "env/run.h"

#define FAKE_ENV_PROCESSES_MAX 64
#define FAKE_ENV_NAMES_MAX 32
#define FAKE_ENV_SECRETS_MAX 16

struct fake_env;

/* A file on the fake disk; it stays when it is closed, so that a test can start again on the same
 * disk. */
struct fake_file {
    struct env_file file;
    struct fake_env *fake;
    struct list node;
    struct list pending; /* env_append.node */
    char *path;
    char *bytes; /* what is durable; NUL-terminated */
    size_t size;
    bool is_open;
    struct env_deferred close_deferred;
    void (*closed)(void *user);
    void *closed_user;
    /* For the test to set. */
    bool is_held;           /* completions wait until it is false again */
    uint32_t release_count; /* … but for this many groups */
    int fail_status;        /* not 0: appends end with this instead of being written … */
    uint32_t fail_count;    /* … this many times; 0: until fail_status is 0 again */
    int start_status;       /* not 0: append_start refuses with it */
    bool is_short;          /* the reserve can't be renewed */
    int reopen_status;
    int open_status; /* the next file_open fails with it */
    int tail_status;
    /* For the test to look at. */
    uint32_t append_count; /* appends that were started */
    uint32_t group_count;  /* groups that were completed, well or not */
    uint32_t reopen_count;
    size_t reserve_bytes;
};

struct fake_name {
    uint32_t id;
    bool is_group;
    char name[ENV_NAME_MAX_BYTES];
};

struct fake_secret {
    const char *source; /* borrowed, as env_secret_read gets it: "file:/run/token" */
    const char *value;  /* borrowed */
};

struct fake_process {
    struct env_process process;
    bool is_alive;
};

struct fake_env {
    struct env env; /* first: pass &fake.env */
    uint64_t now_ms;
    int64_t wall_ms; /* moves with now_ms */
    char boot_id[ENV_BOOT_ID_MAX_BYTES + 1];
    uint64_t random_state;
    uint64_t timer_sequence;
    struct list timers; /* by time, then in the order of arming */
    struct list deferreds;
    struct list posts;
    struct list files;
    struct list puts;
    struct list https;
    struct list watches;
    struct list cgroup_watches;
    struct list runs;
    struct fake_process processes[FAKE_ENV_PROCESSES_MAX];
    size_t process_count;
    struct env_cgroup cgroups[2]; /* of every process, by enum env_cgroup_level; id 0: none */
    struct fake_name names[FAKE_ENV_NAMES_MAX];
    size_t name_count;
    /* One user's groups; every other user has none that are known. */
    uint32_t groups_uid;
    struct env_user_groups groups;
    struct fake_secret secrets[FAKE_ENV_SECRETS_MAX];
    size_t secret_count;
    size_t file_read_count; /* env_file_read: of secrets whose source is the whole path */
    /* For the test to set. */
    int process_lookup_status; /* not 0: every look-up fails with it */
    int process_watch_status;  /* not 0: every watch_start fails with it */
    int cgroup_status;         /* not 0: every look-up of a cgroup fails with it */
    int name_status;           /* not 0: every look-up of a name fails with it */
    int put_status;            /* not 0: every replacement of a file fails with it */
    bool is_put_held;          /* replacements wait */
    int run_status;            /* not 0: every run_start fails with it */
    const char *run_problem;   /* NULL: programs can be run */
    bool is_run_stuck;         /* one that is cancelled doesn't die by that */
    int unit_is_running;       /* what is said of each unit */
    char *run_input;           /* 256 bytes for the stdin of each that starts; may be NULL */
    /* Called for each exchange that starts; 0 and later fake_env_http_finish, or an error that
     * start then returns. NULL: starts succeed and stay open. */
    int (*http_fn)(struct fake_env *fake, struct env_http *http);
    void *http_user;
    /* For the test to look at. */
    uint32_t http_start_count;
    uint32_t put_count; /* files that were replaced */
    size_t watch_count; /* started and not closed yet */
};

/* The clock starts at `now_ms`, the wall clock at 2026-01-01T00:00:00Z. */
void fake_env_init(struct fake_env *fake, uint64_t now_ms, uint64_t seed);

/* Fails the test (CHECK) if a watch, an exchange or an open file is left. */
void fake_env_fini(struct fake_env *fake);

/* Runs what is due now, until nothing is left to do. */
void fake_env_run(struct fake_env *fake);

/* Moves the clock on by `ms`; timers that come due run in order, each at its own time. */
void fake_env_advance(struct fake_env *fake, uint64_t ms);

/* Timers that are armed. */
size_t fake_env_timer_count(const struct fake_env *fake);

/* --- names, secrets --- */

void fake_env_add_user(struct fake_env *fake, uint32_t uid, const char *name);
void fake_env_add_group(struct fake_env *fake, uint32_t gid, const char *name);
void fake_env_remove_user(struct fake_env *fake, uint32_t uid);
/* Gives one user groups in the user database; only the last one counts. */
void fake_env_set_groups(struct fake_env *fake, uint32_t uid, uint32_t gid, uint32_t other_gid);
void fake_env_add_secret(struct fake_env *fake, const char *source, const char *value);

/* --- processes --- */

/* A living process; more of it can be set in the entry that comes back. A pid that is there already
 * is replaced (reused). */
struct env_process *fake_env_add_process(struct fake_env *fake, int32_t pid, uint64_t start_ticks,
                                         int32_t parent_pid, uint32_t uid);

/* The process ends; its watches run with the next fake_env_run. */
void fake_env_end_process(struct fake_env *fake, int32_t pid);

/* Every process is in this cgroup from now on. */
void fake_env_set_cgroup(struct fake_env *fake, enum env_cgroup_level level, uint64_t id);

/* Nobody is in it any more; its watches run with the next fake_env_run. */
void fake_env_end_cgroup(struct fake_env *fake, enum env_cgroup_level level);

/* --- files --- */

/* The file at `path`, made (empty, closed) if it isn't there. */
struct fake_file *fake_env_file(struct fake_env *fake, const char *path);
void fake_file_set(struct fake_file *file, const char *bytes, size_t size);
/* What was put at `path`; empty if nothing was. */
struct str fake_env_put_bytes(struct fake_env *fake, const char *path);

/* --- HTTP --- */

/* Lets the exchange end with the next fake_env_run. `status` as in struct env_http; `reply` (NULL
 * unless status is 0) and what it points to are copied. */
void fake_env_http_finish(struct fake_env *fake, struct env_http *http, int status,
                          const struct env_http_reply *reply, const char *detail);

/* The oldest exchange that is still open, or NULL. */
struct env_http *fake_env_http_first(struct fake_env *fake);

/* --- programs --- */

/* The oldest run that is still open, or NULL; and one of its variables, "" if it isn't set. */
struct env_run *fake_env_program_first(struct fake_env *fake);
const char *fake_env_program_variable(struct fake_env *fake, const char *name);

/* Lets it end with the next fake_env_run; what `end` points to is copied. */
void fake_env_program_finish(struct fake_env *fake, struct env_run *run,
                             const struct env_run_end *end);

#endif
