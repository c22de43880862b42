/* Watched processes and cgroups.
 *
 * Happy path: the first grant that hangs on it starts a watch → others join → it ends: all of them
 * end, and the watch is closed → its memory goes when the env has let go of it. Or the last grant
 * leaves before.
 *
 * Failure path: it had ended before the watch began: ERR_GONE. */
#include "lease/watched.h"

#include "base/mem.h"
#include "base/mutant.h"
#include "lease/core_internal.h"

#define WATCHED_MAGIC 0x77617463U

struct watched {
    uint32_t magic;
    bool has_ended;
    struct lease_core *core;
    struct index_entry entry; /* by the target */
    struct binding_target target;
    struct list bindings;
    union {
        struct env_process_watch process;
        struct env_cgroup_watch cgroup;
    } watch;
    struct env_cgroup cgroup[]; /* one, where it is a cgroup */
};

static bool is_cgroup(const struct watched *watched)
{
    return watched->target.pid == BINDING_CGROUP;
}

/* --- the end ---------------------------------------------------------------------------------- */

static void watched_free(struct watched *watched)
{
    struct lease_core *core = watched->core;

    core->closing_watch_count--;
    mem_free(watched);
    core_touch(core);
}

static void watched_close(struct watched *watched)
{
    struct lease_core *core = watched->core;

    index_remove(&core->watched, &watched->entry);
    core->closing_watch_count++;
    if (is_cgroup(watched)) {
        env_cgroup_watch_close(core->env, &watched->watch.cgroup);
    } else {
        env_process_watch_close(core->env, &watched->watch.process);
    }
}

static void watched_end(struct watched *watched)
{
    watched->has_ended = true;
    if (MUTATED(9)) {
        return;
    }
    while (!list_is_empty(&watched->bindings)) {
        struct binding *binding = LIST_ENTRY(watched->bindings.next, struct binding, node);

        grant_end(binding->grant, GRANT_END_BINDING);
    }
    watched_close(watched);
}

static void process_ended(struct env_process_watch *watch)
{
    watched_end(OBJ_CAST(watch->user, struct watched, WATCHED_MAGIC));
}

static void process_closed(struct env_process_watch *watch)
{
    watched_free(OBJ_CAST(watch->user, struct watched, WATCHED_MAGIC));
}

static void cgroup_ended(struct env_cgroup_watch *watch)
{
    watched_end(OBJ_CAST(watch->user, struct watched, WATCHED_MAGIC));
}

static void cgroup_closed(struct env_cgroup_watch *watch)
{
    watched_free(OBJ_CAST(watch->user, struct watched, WATCHED_MAGIC));
}

/* --- the beginning ---------------------------------------------------------------------------- */

bool watched_is(const struct watched *watched, const struct binding_target *target)
{
    return watched->target.pid == target->pid && watched->target.value == target->value;
}

static bool watched_match(struct index_entry *entry, const void *key)
{
    return watched_is(CONTAINER_OF(entry, struct watched, entry), key);
}

static uint64_t target_hash(const struct index *index, const struct binding_target *target)
{
    return index_hash(index_hash(index->seed, (uint64_t)target->pid), target->value);
}

uint64_t watched_hash(const struct index *index, struct index_entry *entry)
{
    return target_hash(index, &CONTAINER_OF(entry, struct watched, entry)->target);
}

/* What a watch is begun with. */
struct watched_source {
    const struct binding_target *target;
    const struct env_cgroup *cgroup;
    const struct env_request *request;
};

static int watch_start(struct watched *watched, const struct watched_source *source)
{
    bool has_pid = source->target->pid != BINDING_PEER;

    if (source->cgroup != NULL) {
        watched->cgroup[0] = *source->cgroup;
        watched->watch.cgroup = (struct env_cgroup_watch){.cgroup = watched->cgroup,
                                                          .fn = cgroup_ended,
                                                          .closed = cgroup_closed,
                                                          .user = watched};
        return env_cgroup_watch_start(watched->core->env, &watched->watch.cgroup);
    }
    watched->watch.process =
        (struct env_process_watch){.pid = has_pid ? (int32_t)source->target->pid : 0,
                                   .start_ticks = source->target->value,
                                   .request = has_pid ? NULL : source->request,
                                   .fn = process_ended,
                                   .closed = process_closed,
                                   .user = watched};
    return env_process_watch_start(watched->core->env, &watched->watch.process);
}

static int watched_new(struct lease_core *core, const struct watched_source *source,
                       struct watched **ret_watched)
{
    size_t extra_bytes = source->cgroup != NULL ? sizeof(*source->cgroup) : 0;
    struct watched *watched = mem_calloc(1, sizeof(*watched) + extra_bytes);
    int r;

    if (watched == NULL) {
        return ERR_NOMEM;
    }
    watched->magic = WATCHED_MAGIC;
    watched->core = core;
    watched->target = *source->target;
    list_init(&watched->bindings);
    r = index_add(&core->watched, &watched->entry);
    if (r == 0) {
        r = watch_start(watched, source);
        if (r != 0) {
            index_remove(&core->watched, &watched->entry);
        }
    }
    if (r != 0) {
        mem_free(watched);
        return r;
    }
    *ret_watched = watched;
    return 0;
}

int watched_join(struct binding *binding, const struct binding_target *target,
                 const struct env_cgroup *cgroup, const struct env_request *request)
{
    const struct watched_source source = {.target = target, .cgroup = cgroup, .request = request};
    struct lease_core *core = binding->grant->lease->role->core;
    struct index_entry *entry =
        index_find(&core->watched, target_hash(&core->watched, target), watched_match, target);
    struct watched *watched = NULL;
    int r = 0;

    CHECK((target->pid == BINDING_CGROUP) == (cgroup != NULL));
    if (entry != NULL) {
        watched = CONTAINER_OF(entry, struct watched, entry);
        r = watched->has_ended ? ERR_GONE : 0;
    } else {
        r = watched_new(core, &source, &watched);
    }
    if (r == 0) {
        binding->watched = watched;
        list_push_back(&watched->bindings, &binding->node);
    }
    return r;
}

void watched_leave(struct binding *binding)
{
    struct watched *watched = binding->watched;

    list_remove(&binding->node);
    if (list_is_empty(&watched->bindings) && !watched->has_ended) {
        watched_close(watched);
    }
}

/* --- questions -------------------------------------------------------------------------------- */

bool watched_has_ended(struct watched *watched)
{
    struct env *env = watched->core->env;

    return is_cgroup(watched) ? env_cgroup_watch_has_ended(env, &watched->watch.cgroup)
                              : env_process_watch_has_ended(env, &watched->watch.process);
}

const struct binding_target *watched_target(const struct watched *watched)
{
    return &watched->target;
}

const struct env_cgroup *watched_cgroup(const struct watched *watched)
{
    return is_cgroup(watched) ? watched->cgroup : NULL;
}
