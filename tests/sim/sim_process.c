/* Simulated processes: a table of facts, and watches that hear of an end a little later. */
#include "sim.h"

#include <stdlib.h>

#define SIM_FIRST_PID 1000
#define SIM_NOTICE_MAX_MS 20
#define SIM_REUSE_PERMILLE 300

struct sim_watch {
    struct sim_event noticed;
    struct sim_event closed;
    struct env_process_watch *watch;
    struct sim *sim;
    struct list node;
    bool is_noticed;
};

struct sim_process *sim_process(struct sim *sim, int32_t pid)
{
    size_t index = (size_t)(pid - SIM_FIRST_PID);

    return pid >= SIM_FIRST_PID && index < sim->process_count ? &sim->processes[index] : NULL;
}

/* The checks look up what a grant's process was in by its pid, so that is kept as long as the grant
 * may hang on the cgroup. Nobody asks who leads a session what it was. */
static bool is_free(struct sim *sim, const struct sim_process *process)
{
    return !process->is_alive && (sim_cgroup(sim, process->cgroup)->member_count == 0 ||
                                  process->facts.session_pid == process->facts.pid);
}

/* A pid that is free again, sometimes; else the next. */
static size_t process_place(struct sim *sim)
{
    if (sim->process_count > 0 && sim_random_chance(&sim->random, SIM_REUSE_PERMILLE)) {
        size_t index = sim_random_below(&sim->random, sim->process_count);

        if (is_free(sim, &sim->processes[index])) {
            return index;
        }
    }
    if (sim->process_count == sim->process_cap) {
        sim->process_cap = sim->process_cap > 0 ? 2 * sim->process_cap : 64;
        sim->processes = realloc(sim->processes, sim->process_cap * sizeof(struct sim_process));
        CHECK(sim->processes != NULL);
    }
    return sim->process_count++;
}

int32_t sim_process_spawn(struct sim *sim, uint32_t uid, int32_t parent_pid)
{
    size_t index = process_place(sim);
    int32_t pid = SIM_FIRST_PID + (int32_t)index;
    const struct sim_process *parent = sim_process(sim, parent_pid);
    uint64_t cgroup = parent != NULL ? parent->cgroup : sim_cgroup_new(sim);
    int32_t session_pid = parent != NULL ? parent->facts.session_pid : pid;

    sim->processes[index] = (struct sim_process){.is_alive = true,
                                                 .cgroup = cgroup,
                                                 .facts = {.pid = pid,
                                                           .start_ticks = ++sim->process_ticks,
                                                           .parent_pid = parent_pid,
                                                           .session_pid = session_pid,
                                                           .uid = uid,
                                                           .name = "consumer"}};
    sim_cgroup_enter(sim, cgroup);
    return pid;
}

int sim_process_lookup(struct env *env, int32_t pid, struct env_process *ret_process)
{
    const struct sim_process *process = sim_process(env->impl, pid);

    if (process == NULL || !process->is_alive) {
        return ERR_NOT_FOUND;
    }
    *ret_process = process->facts;
    return 0;
}

static void watch_noticed(struct sim_event *event)
{
    struct sim_watch *impl = CONTAINER_OF(event, struct sim_watch, noticed);

    impl->is_noticed = true;
    sim_trace(impl->sim, "process %d: end noticed", impl->watch->pid);
    impl->watch->fn(impl->watch);
}

static void watch_closed(struct sim_event *event)
{
    struct sim_watch *impl = CONTAINER_OF(event, struct sim_watch, closed);
    struct env_process_watch *watch = impl->watch;

    list_remove(&impl->node);
    free(impl);
    watch->closed(watch);
}

int sim_process_watch_start(struct env *env, struct env_process_watch *watch)
{
    struct sim *sim = env->impl;
    const struct sim_process *process = sim_process(sim, watch->pid);
    struct sim_watch *impl;

    if (process == NULL || !process->is_alive || process->facts.start_ticks != watch->start_ticks) {
        return ERR_GONE;
    }
    impl = calloc(1, sizeof(*impl));
    CHECK(impl != NULL);
    impl->watch = watch;
    impl->sim = sim;
    impl->noticed.fn = watch_noticed;
    impl->closed.fn = watch_closed;
    watch->impl = impl;
    list_push_back(&sim->watches, &impl->node);
    return 0;
}

bool sim_process_watch_has_ended(struct env *env, struct env_process_watch *watch)
{
    const struct sim_process *process = sim_process(env->impl, watch->pid);

    return !process->is_alive || process->facts.start_ticks != watch->start_ticks;
}

void sim_process_watch_close(struct env *env, struct env_process_watch *watch)
{
    struct sim_watch *impl = watch->impl;

    CHECK(impl->closed.heap_index == 0);
    sim_unschedule(env->impl, &impl->noticed);
    sim_schedule_in(env->impl, &impl->closed, 0);
}

void sim_process_kill(struct sim *sim, int32_t pid)
{
    struct sim_process *process = sim_process(sim, pid);
    struct list *node;
    struct list *following;

    if (process == NULL || !process->is_alive) {
        return;
    }
    process->is_alive = false;
    process->died_ms = sim_awake_ms(sim);
    sim_trace(sim, "process %d: killed", pid);
    sim_cgroup_leave(sim, process->cgroup);
    LIST_EACH (&sim->watches, node, following) {
        struct sim_watch *impl = LIST_ENTRY(node, struct sim_watch, node);

        if (impl->watch->pid == pid && impl->watch->start_ticks == process->facts.start_ticks &&
            impl->closed.heap_index == 0 && !impl->is_noticed) {
            sim_schedule_in(sim, &impl->noticed, sim_random_below(&sim->random, SIM_NOTICE_MAX_MS));
        }
    }
}
