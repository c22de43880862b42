/* Simulated processes: a table of facts, and watches that hear of an end a little later. */
#include "sim.h"

#include <stdio.h>
#include <stdlib.h>

#define SIM_FIRST_PID 1000
#define SIM_NOTICE_MAX_MS 20

struct sim_watch {
    struct sim_event noticed;
    struct sim_event closed;
    struct env_process_watch *watch;
    struct sim *sim;
    struct list node;
    bool is_noticed;
};

static struct sim_process *process_find(struct sim *sim, int32_t pid)
{
    size_t index = (size_t)(pid - SIM_FIRST_PID);

    return pid >= SIM_FIRST_PID && index < sim->process_count ? &sim->processes[index] : NULL;
}

size_t sim_process_spawn(struct sim *sim, uint32_t uid, int32_t parent_pid)
{
    size_t index = sim->process_count++;
    struct sim_process *process;

    CHECK(index < SIM_PROCESSES_MAX);
    process = &sim->processes[index];
    process->is_alive = true;
    process->facts = (struct env_process){.pid = SIM_FIRST_PID + (int32_t)index,
                                          .start_ticks = sim->now_ms,
                                          .parent_pid = parent_pid,
                                          .uid = uid,
                                          .name = "consumer"};
    return index;
}

int sim_process_lookup(struct env *env, int32_t pid, struct env_process *ret_process)
{
    struct sim_process *process = process_find(env->impl, pid);

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
    struct sim_process *process = process_find(sim, watch->pid);
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

void sim_process_watch_close(struct env *env, struct env_process_watch *watch)
{
    struct sim_watch *impl = watch->impl;

    sim_unschedule(env->impl, &impl->noticed);
    sim_schedule(env->impl, &impl->closed, 0);
}

void sim_process_kill(struct sim *sim, size_t index)
{
    struct sim_process *process = &sim->processes[index];
    struct list *node;
    struct list *following;

    if (!process->is_alive) {
        return;
    }
    process->is_alive = false;
    LIST_EACH (&sim->watches, node, following) {
        struct sim_watch *impl = LIST_ENTRY(node, struct sim_watch, node);

        if (impl->watch->pid == process->facts.pid && impl->closed.heap_index == 0 &&
            !impl->is_noticed) {
            sim_schedule(sim, &impl->noticed,
                         sim->now_ms + sim_random_below(&sim->random, SIM_NOTICE_MAX_MS));
        }
    }
}
