/* The simulated world: env on a virtual clock with a seeded scheduler.
 *
 * Everything that happens is an event, ordered by (time, tie, sequence); the tie is drawn from the
 * seed, so that events of one moment come in any order. sim_step runs one event, then what it
 * deferred. Idle time costs nothing. Each step is folded into a hash: two runs of one seed must end
 * with the same, else something looked at the machine.
 *
 * sim_env.c: clock, events, timers, chance. sim_file.c: append-only files. sim_process.c:
 * processes. sim_net.c: HTTP to the model issuer, with a network that loses. sim_client.c:
 * consumers. sim_world.c: the daemon's parts put together. */
#ifndef LEASED_TESTS_SIM_H
#define LEASED_TESTS_SIM_H

#include "base/buf.h"
#include "env/env.h"
#include "env/file.h"
#include "env/http.h"
#include "env/process.h"
#include "env/server.h"

#define SIM_START_WALL_MS 1767225600000LL /* 2026-01-01T00:00:00Z */
#define SIM_PROCESSES_MAX 256
#define SIM_HEAP_MAX 65536

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

struct sim_process {
    struct env_process facts;
    bool is_alive;
};

/* How badly the network and the disk behave; in permille. */
struct sim_faults {
    uint32_t refused;       /* no connection */
    uint32_t lost_request;  /* sent, but the server never saw it */
    uint32_t lost_answer;   /* executed, answer lost */
    uint32_t slow;          /* takes seconds */
    uint32_t append_failed; /* a group of appends fails */
};

/* Answers one request of the simulated network; `body` is written to `out`. */
typedef uint32_t (*sim_server_fn)(void *user, uint64_t now_ms, struct str method, struct str path,
                                  struct str token, struct str body, struct buf *out);

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
    struct list deferreds;
    struct list files;
    struct list watches;
    struct list exchanges;
    struct sim_process processes[SIM_PROCESSES_MAX];
    size_t process_count;
    struct sim_faults faults;
    sim_server_fn server;
    void *server_user;
    uint64_t exchange_count;
    uint64_t lost_answer_count;
    bool is_traced; /* print each event's trace line */
};

void sim_init(struct sim *sim, uint64_t seed);

/* CHECKs that nothing is left: no exchange, no watch, no open file. */
void sim_fini(struct sim *sim);

/* Runs the next event and what it deferred. False when nothing is scheduled any more. */
bool sim_step(struct sim *sim);

/* Steps until `ms` of virtual time have passed. */
void sim_run_for(struct sim *sim, uint64_t ms);

/* Schedules an event (again); past times mean now. */
void sim_schedule(struct sim *sim, struct sim_event *event, uint64_t when_ms);
void sim_unschedule(struct sim *sim, struct sim_event *event);

/* Runs deferred calls; for code that starts something outside an event. */
void sim_run_deferred(struct sim *sim);

/* Folds a line into the hash, and prints it when tracing. */
void sim_trace(struct sim *sim, const char *format, ...) ATTR_PRINTF(2, 3);

/* --- processes -------------------------------------------------------------------------------- */

/* A new process with a fresh pid; its index. */
size_t sim_process_spawn(struct sim *sim, uint32_t uid, int32_t parent_pid);
void sim_process_kill(struct sim *sim, size_t index);
int sim_process_lookup(struct env *env, int32_t pid, struct env_process *ret_process);
int sim_process_watch_start(struct env *env, struct env_process_watch *watch);
void sim_process_watch_close(struct env *env, struct env_process_watch *watch);

/* --- files ------------------------------------------------------------------------------------ */

int sim_file_open(struct env *env, const char *path, struct env_file **ret_file, struct err *e);

/* What is durable in the file of this path; empty if there is none. */
struct str sim_file_bytes(struct sim *sim, const char *path);
void sim_files_free(struct sim *sim);

/* --- network ---------------------------------------------------------------------------------- */

int sim_http_start(struct env *env, struct env_http *http, struct err *e);
void sim_http_cancel(struct env *env, struct env_http *http);

#endif
