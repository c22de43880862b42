/* The simulated world: env on a virtual clock with a seeded scheduler.
 *
 * Everything that happens is an event, ordered by (time, tie, sequence); the tie is drawn from the
 * seed, so that events of one moment come in any order. sim_step runs one event, then what it
 * deferred. Idle time costs nothing. What happens is told line by line (sim_trace) and folded into
 * a hash: two runs of one seed must end with the same, else something looked at the machine.
 *
 * sim_env.c: clock, events, timers. sim_random.c: chance. sim_trace.c: the last lines, and how a
 * run fails. sim_file.c: append-only files. sim_process.c: processes. sim_cgroup.c: their cgroups.
 * sim_net.c: HTTP to the model issuers, with a network that loses. sim_run.c: programs.
 * sim_issuer.h: the model issuers. sim_request.h: requests of consumers. sim_world.h: the daemon's
 * parts put together. sim_client.h: consumers. sim_check.h: what must always hold. */
#ifndef LEASED_TESTS_SIM_H
#define LEASED_TESTS_SIM_H

#include "base/buf.h"
#include "env/env.h"
#include "env/file.h"
#include "env/http.h"
#include "env/cgroup.h"
#include "env/process.h"
#include "env/run.h"
#include "env/server.h"

#define SIM_START_MS 1000000U
#define SIM_START_WALL_MS INT64_C(1767225600000) /* 2026-01-01T00:00:00Z */
#define SIM_HEAP_MAX 262144U
#define SIM_TRACE_LINES 200
#define SIM_TRACE_LINE_MAX_BYTES 200

struct sim;

/* Something that will happen; embedded in its owner. */
struct sim_event {
    void (*fn)(struct sim_event *event);
    void *user;
    uint64_t when_ms;
    uint64_t tie;
    uint64_t sequence;
    size_t heap_index; /* from 1; 0: not scheduled */
};

/* A seeded source of chance (splitmix64). */
struct sim_random {
    uint64_t state;
};

uint64_t sim_random_u64(struct sim_random *random);

/* 0 … bound - 1. */
uint64_t sim_random_below(struct sim_random *random, uint64_t bound);

/* True with a probability of `permille` in 1000. */
bool sim_random_chance(struct sim_random *random, uint32_t permille);

/* A pid is used again for another process after its end, as on a real machine. */
struct sim_process {
    struct env_process facts;
    uint64_t cgroup; /* its id; every second one is a scope */
    bool is_alive;
    uint64_t died_ms; /* sim_awake_ms */
};

/* A job's: made with its first process, never given to another. */
struct sim_cgroup {
    uint32_t member_count;
    uint64_t emptied_ms; /* sim_awake_ms */
};

/* How badly network, disk and loop behave; in permille. */
struct sim_faults {
    uint32_t refused;       /* no connection */
    uint32_t unreachable;   /* no connection, and no answer either */
    uint32_t lost_request;  /* sent, but the server never saw it */
    uint32_t lost_answer;   /* executed, answer lost or cut off */
    uint32_t garbage;       /* executed, and something that isn't the server's answer comes back */
    uint32_t bad_gateway;   /* something in between answers 502, 503, 504, and half of these were
                               executed; or, which weren't, 403 or 404 */
    uint32_t duplicated;    /* executed twice, one answer */
    uint32_t truncated;     /* executed, and the answer's body ends too early */
    uint32_t odd;           /* executed, and JSON that isn't the server's comes back */
    uint32_t stripped;      /* executed, and all but the lease's id is missing from the answer */
    uint32_t redirected;    /* a standby answers, and says where the active node is */
    uint32_t slow;          /* takes seconds */
    uint32_t append_failed; /* a group of appends fails */
    uint32_t append_slow;   /* a group of appends takes seconds */
    uint32_t timer_late;    /* the loop was busy */
};

/* What credentials are for: where they can be tried out. */
#define SIM_TARGET "https://target.example"
#define SIM_RUN "run:" /* and a backend's name: where its programs are, as it were */

/* One request as a model issuer sees it; borrowed until the call returns. */
struct sim_call {
    uint64_t id; /* of the exchange */
    uint64_t now_ms;
    struct str method;
    struct str url;
    struct str path; /* without the query */
    struct str token;
    struct str body;
    const struct env_http *http; /* NULL: a program that is run, or a call that a test makes */
    const struct env_run_variable *variables; /* of that */
    size_t variable_count;
    bool is_late;       /* its deadline is over: the machine has slept */
    bool is_for_target; /* it goes to what the credentials are for, not to the issuer */
    struct str secret;  /* … and shows this one */
};

struct sim_answer {
    uint32_t status;        /* of a program: its exit code */
    uint32_t retry_after_s; /* 0: none */
    char date[32];          /* ""; else what the issuer's clock says */
    struct buf body;        /* of a program: what it prints */
};

/* A secret that a configuration names, as the machine has it. Both borrowed. */
struct sim_secret {
    const char *source;
    const char *value;
};
#define SIM_SECRETS_MAX 8

/* The other end of the network. */
struct sim_server {
    /* A request was handed to the network. */
    void (*sent)(void *user, const struct sim_call *call);
    /* It has arrived. */
    void (*answer)(void *user, const struct sim_call *call, struct sim_answer *answer);
    /* The exchange is over; did an answer that was made reach the daemon whole? */
    void (*ended)(void *user, uint64_t id, bool is_delivered);
    /* The daemon doesn't wait for it any more. May be NULL. */
    void (*canceled)(void *user, uint64_t id);
    void *user;
};

struct sim {
    struct env env; /* first */
    uint64_t seed;
    uint64_t now_ms;
    uint64_t step_count;
    uint64_t hash;
    struct sim_random random;     /* of the world */
    struct sim_random env_random; /* what env_random gives */
    struct sim_event **heap;      /* heap[1] is next */
    size_t heap_count;
    uint64_t sequence;
    struct list timers_unused;
    size_t timer_count; /* armed */
    struct list deferreds;
    struct list files;
    struct list watches;
    struct list exchanges;
    struct list runs;
    struct sim_process *processes;
    size_t process_count;
    size_t process_cap;
    struct list cgroup_watches;
    struct sim_cgroup *cgroups; /* by id - 1 */
    size_t cgroup_count;
    uint64_t process_ticks;
    uint32_t boot_count;
    char boot_id[ENV_BOOT_ID_MAX_BYTES + 1];
    struct sim_faults faults;
    struct sim_server server;
    bool is_issuer_down;     /* no connection to it at all */
    const char *down_prefix; /* no connection to URLs that begin like this; may be NULL */
    bool is_disk_full;       /* no append works */
    /* The daemon was killed and is being taken apart: nothing that it does is seen any more, not by
     * the network, not by the disk, not by its clients. */
    bool is_dead;
    int64_t wall_offset_ms; /* what the wall clock was set forward by */
    uint64_t clock_set_ms;  /* when that was, the last time */
    struct sim_secret secrets[SIM_SECRETS_MAX];
    size_t secret_count;
    uint64_t suspended_ms; /* of the time that has passed, nothing ran */
    uint64_t woke_ms;      /* when that ended last */
    uint64_t exchange_count;
    uint64_t request_count;
    bool is_traced; /* print each line at once */
    uint64_t trace_count;
    char trace[SIM_TRACE_LINES][SIM_TRACE_LINE_MAX_BYTES];
};

void sim_init(struct sim *sim, uint64_t seed);

/* From now on this source ("file:/path") holds `value`; others hold their own names. */
void sim_secret_set(struct sim *sim, const char *source, const char *value);

/* CHECKs that nothing is left: no exchange, watch, timer, event or open file. */
void sim_fini(struct sim *sim);

/* Runs the next event and what it deferred. False when nothing is scheduled any more. */
bool sim_step(struct sim *sim);

/* Steps until `ms` of virtual time have passed. */
void sim_run_for(struct sim *sim, uint64_t ms);

/* Schedules an event (again); past times mean now. */
void sim_schedule(struct sim *sim, struct sim_event *event, uint64_t when_ms);
void sim_schedule_in(struct sim *sim, struct sim_event *event, uint64_t delay_ms);
void sim_unschedule(struct sim *sim, struct sim_event *event);

/* The machine sleeps: time passes, and what was due meanwhile is late. From inside an event. */
void sim_suspend(struct sim *sim, uint64_t ms);

/* The time without that. */
uint64_t sim_awake_ms(const struct sim *sim);

/* Runs deferred calls; for code that starts something outside an event. */
void sim_run_deferred(struct sim *sim);

/* Keeps a line for the case that the run fails, folds it into the hash, prints it when tracing. */
void sim_trace(struct sim *sim, const char *format, ...) ATTR_PRINTF(2, 3);

/* Ends the program: says the seed, the step and what doesn't hold, and prints the last lines. */
ATTR_NORETURN void sim_fail(struct sim *sim, const char *format, ...) ATTR_PRINTF(2, 3);

/* From here on a failed CHECK says the seed and the step of `sim` too. NULL: no more. */
void sim_watch_aborts(struct sim *sim);

/* --- processes -------------------------------------------------------------------------------- */

/* A new process; its pid. Without a parent of its own (1) it begins a job: it leads a session and
 * has a cgroup for itself and its children. */
int32_t sim_process_spawn(struct sim *sim, uint32_t uid, int32_t parent_pid);
void sim_process_kill(struct sim *sim, int32_t pid);

/* The facts of the process that had this pid last; NULL if none had. */
struct sim_process *sim_process(struct sim *sim, int32_t pid);
int sim_process_lookup(struct env *env, int32_t pid, struct env_process *ret_process);
int sim_process_watch_start(struct env *env, struct env_process_watch *watch);
void sim_process_watch_close(struct env *env, struct env_process_watch *watch);
bool sim_process_watch_has_ended(struct env *env, struct env_process_watch *watch);

/* sim_cgroup.c */
uint64_t sim_cgroup_new(struct sim *sim);
struct sim_cgroup *sim_cgroup(struct sim *sim, uint64_t id);
bool sim_cgroup_is_scope(uint64_t id);
void sim_cgroup_enter(struct sim *sim, uint64_t id);
void sim_cgroup_leave(struct sim *sim, uint64_t id);
int sim_cgroup_find(struct env *env, const struct env_cgroup_query *query,
                    struct env_cgroup *ret_cgroup, struct err *e);
int sim_cgroup_watch_start(struct env *env, struct env_cgroup_watch *watch);
void sim_cgroup_watch_close(struct env *env, struct env_cgroup_watch *watch);
bool sim_cgroup_watch_has_ended(struct env *env, struct env_cgroup_watch *watch);

/* --- files ------------------------------------------------------------------------------------ */

int sim_file_open(struct env *env, const char *path, struct env_file **ret_file, struct err *e);

int sim_file_put(struct env *env, struct env_put *put);

/* What is durable in the file of this path; empty if there is none. */
struct str sim_file_bytes(struct sim *sim, const char *path);
void sim_files_free(struct sim *sim);

/* The machine goes down: of what is being appended only a part is in the files, and nothing more is
 * written until they are opened again. */
void sim_files_crash(struct sim *sim);

/* --- network ---------------------------------------------------------------------------------- */

int sim_http_start(struct env *env, struct env_http *http, struct err *e);
void sim_http_cancel(struct env *env, struct env_http *http);

/* Exchanges under way that nobody has cancelled, and that `counts` says yes to. */
size_t sim_net_count(const struct sim *sim, bool (*counts)(void *user, const struct sim_call *call),
                     void *user);

/* A header of the request, or a variable of the program; "" if it isn't there. */
struct str sim_call_value(const struct sim_call *call, const char *name);
/* What stands behind "Bearer " in the request; "" if nothing does. Valid until the next call. */
const char *sim_call_bearer(const struct sim_call *call);

/* --- programs --------------------------------------------------------------------------------- */

int sim_run_start(struct env *env, struct env_run *run);
void sim_run_cancel(struct env *env, struct env_run *run);
const char *sim_run_problem(struct env *env);

#endif
