/* Simulated cgroups: how many live in each, and watches that hear of the last one's end a little
 * later. */
#include "sim.h"

#include <stdio.h>
#include <stdlib.h>

#define SIM_NOTICE_MAX_MS 60

struct sim_cgroup_watch {
    struct sim_event noticed;
    struct sim_event closed;
    struct env_cgroup_watch *watch;
    struct sim *sim;
    struct list node;
    bool is_noticed;
};

uint64_t sim_cgroup_new(struct sim *sim)
{
    sim->cgroups = realloc(sim->cgroups, (sim->cgroup_count + 1) * sizeof(*sim->cgroups));
    CHECK(sim->cgroups != NULL);
    sim->cgroups[sim->cgroup_count] = (struct sim_cgroup){.member_count = 0};
    return ++sim->cgroup_count;
}

struct sim_cgroup *sim_cgroup(struct sim *sim, uint64_t id)
{
    return id > 0 && id <= sim->cgroup_count ? &sim->cgroups[id - 1] : NULL;
}

bool sim_cgroup_is_scope(uint64_t id)
{
    return id % 2 == 0;
}

void sim_cgroup_enter(struct sim *sim, uint64_t id)
{
    sim_cgroup(sim, id)->member_count++;
}

void sim_cgroup_leave(struct sim *sim, uint64_t id)
{
    struct sim_cgroup *cgroup = sim_cgroup(sim, id);
    struct list *node;
    struct list *following;

    if (--cgroup->member_count > 0) {
        return;
    }
    cgroup->emptied_ms = sim_awake_ms(sim);
    sim_trace(sim, "cgroup %llu: empty", (unsigned long long)id);
    LIST_EACH (&sim->cgroup_watches, node, following) {
        struct sim_cgroup_watch *impl = LIST_ENTRY(node, struct sim_cgroup_watch, node);

        if (impl->watch->cgroup->id == id && impl->closed.heap_index == 0 && !impl->is_noticed) {
            sim_schedule_in(sim, &impl->noticed, sim_random_below(&sim->random, SIM_NOTICE_MAX_MS));
        }
    }
}

int sim_cgroup_find(struct env *env, const struct env_cgroup_query *query,
                    struct env_cgroup *ret_cgroup, struct err *e)
{
    struct sim *sim = env->impl;
    const struct sim_process *process = sim_process(sim, query->pid);

    if (process == NULL || !process->is_alive || process->facts.start_ticks != query->start_ticks) {
        return err_set(e, ERR_GONE, "process %d has ended", query->pid);
    }
    if (query->level == ENV_CGROUP_SCOPE && !sim_cgroup_is_scope(process->cgroup)) {
        return err_set(e, ERR_NOT_FOUND, "process %d is in no scope", query->pid);
    }
    *ret_cgroup = (struct env_cgroup){.id = process->cgroup};
    (void)snprintf(ret_cgroup->path, sizeof(ret_cgroup->path), "/jobs/%llu",
                   (unsigned long long)process->cgroup);
    return 0;
}

static void watch_noticed(struct sim_event *event)
{
    struct sim_cgroup_watch *impl = CONTAINER_OF(event, struct sim_cgroup_watch, noticed);

    impl->is_noticed = true;
    impl->watch->fn(impl->watch);
}

static void watch_closed(struct sim_event *event)
{
    struct sim_cgroup_watch *impl = CONTAINER_OF(event, struct sim_cgroup_watch, closed);
    struct env_cgroup_watch *watch = impl->watch;

    list_remove(&impl->node);
    free(impl);
    watch->closed(watch);
}

int sim_cgroup_watch_start(struct env *env, struct env_cgroup_watch *watch)
{
    struct sim *sim = env->impl;
    const struct sim_cgroup *cgroup = sim_cgroup(sim, watch->cgroup->id);
    struct sim_cgroup_watch *impl;

    if (cgroup == NULL || cgroup->member_count == 0) {
        return ERR_GONE;
    }
    impl = calloc(1, sizeof(*impl));
    CHECK(impl != NULL);
    impl->watch = watch;
    impl->sim = sim;
    impl->noticed.fn = watch_noticed;
    impl->closed.fn = watch_closed;
    watch->impl = impl;
    list_push_back(&sim->cgroup_watches, &impl->node);
    return 0;
}

void sim_cgroup_watch_close(struct env *env, struct env_cgroup_watch *watch)
{
    struct sim_cgroup_watch *impl = watch->impl;

    CHECK(impl->closed.heap_index == 0);
    sim_unschedule(env->impl, &impl->noticed);
    sim_schedule_in(env->impl, &impl->closed, 0);
}

bool sim_cgroup_watch_has_ended(struct env *env, struct env_cgroup_watch *watch)
{
    return sim_cgroup(env->impl, watch->cgroup->id)->member_count == 0;
}
