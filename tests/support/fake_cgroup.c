/* The fake env's cgroups. */
#include "support/fake_env.h"

#include "support/fake_internal.h"

#include <stdio.h>
#include <stdlib.h>

struct fake_cgroup_watch {
    struct list node;
    struct env_cgroup_watch *watch;
    bool is_due;
    bool is_closing;
};

void fake_env_set_cgroup(struct fake_env *fake, enum env_cgroup_level level, uint64_t id)
{
    struct env_cgroup *cgroup = &fake->cgroups[level];

    cgroup->id = id;
    (void)snprintf(cgroup->path, sizeof(cgroup->path), "/cgroup/%llu", (unsigned long long)id);
}

static bool is_there(const struct fake_env *fake, const struct env_cgroup *cgroup)
{
    return cgroup->id == fake->cgroups[0].id || cgroup->id == fake->cgroups[1].id;
}

void fake_env_end_cgroup(struct fake_env *fake, enum env_cgroup_level level)
{
    struct list *node;

    fake->cgroups[level].id = 0;
    for (node = fake->cgroup_watches.next; node != &fake->cgroup_watches; node = node->next) {
        struct fake_cgroup_watch *entry = LIST_ENTRY(node, struct fake_cgroup_watch, node);

        entry->is_due =
            entry->is_due || (!entry->is_closing && !is_there(fake, entry->watch->cgroup));
    }
}

int fake_cgroup_find(struct env *env, const struct env_cgroup_query *query,
                     struct env_cgroup *ret_cgroup, struct err *e)
{
    struct fake_env *fake = fake_of(env);

    if (fake->cgroup_status != 0) {
        return err_set(e, fake->cgroup_status, "the cgroup can't be had");
    }
    if (fake->cgroups[query->level].id == 0) {
        return err_set(e, ERR_NOT_FOUND, "process %d is in none", query->pid);
    }
    *ret_cgroup = fake->cgroups[query->level];
    return 0;
}

int fake_cgroup_watch_start(struct env *env, struct env_cgroup_watch *watch)
{
    struct fake_env *fake = fake_of(env);
    struct fake_cgroup_watch *entry;

    if (!is_there(fake, watch->cgroup)) {
        return ERR_GONE;
    }
    entry = fake_alloc(sizeof(*entry));
    *entry = (struct fake_cgroup_watch){.watch = watch};
    watch->impl = entry;
    list_push_back(&fake->cgroup_watches, &entry->node);
    fake->watch_count++;
    return 0;
}

void fake_cgroup_watch_close(struct env *env, struct env_cgroup_watch *watch)
{
    struct fake_cgroup_watch *entry = watch->impl;

    CHECK(entry != NULL && !entry->is_closing);
    entry->is_closing = true;
    entry->is_due = false;
    fake_of(env)->watch_count--;
}

bool fake_cgroup_watch_has_ended(struct env *env, struct env_cgroup_watch *watch)
{
    return !is_there(fake_of(env), watch->cgroup);
}

bool fake_cgroups_run(struct fake_env *fake)
{
    struct list *node;

    for (node = fake->cgroup_watches.next; node != &fake->cgroup_watches; node = node->next) {
        struct fake_cgroup_watch *entry = LIST_ENTRY(node, struct fake_cgroup_watch, node);
        struct env_cgroup_watch *watch = entry->watch;

        if (entry->is_due) {
            entry->is_due = false;
            watch->fn(watch);
            return true;
        }
        if (entry->is_closing) {
            list_remove(&entry->node);
            free(entry);
            watch->impl = NULL;
            watch->closed(watch);
            return true;
        }
    }
    return false;
}
