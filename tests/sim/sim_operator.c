/* Reloads. What the checkers must know of the past (the least limits that a role has had) is kept
 * in the world's roles. */
#include "sim_operator.h"
#include "sim_apply.h"

#include <stdio.h>

#define SECOND_MS 1000U
#define MINUTE_MS 60000U

static uint64_t between(struct sim_world *world, uint64_t least, uint64_t most)
{
    return least + sim_random_below(&world->sim.random, most - least + 1);
}

static void give(struct sim_world *world, size_t index)
{
    int status = lease_core_set_role(world->core, &world->roles[index]);

    if (status != 0) {
        sim_fail(&world->sim, "a role can't be changed: %s", err_str(status));
    }
    world->is_removed[index] = false;
    sim_world_note_limits(world, index);
}

static void retime(struct sim_world *world, size_t index)
{
    struct lease_role *role = &world->roles[index];

    sim_trace(&world->sim, "operators: other timing for %s", role->name);
    role->ttl_ms =
        sim_random_chance(&world->sim.random, 300) ? between(world, 1, 30) * MINUTE_MS : 0;
    role->max_ttl_ms = between(world, 5, 120) * MINUTE_MS;
    role->renew_at_percent = (uint32_t)between(world, 30, 80);
    role->min_remaining_ms = between(world, 5, 600) * SECOND_MS;
    role->overlap_ms = between(world, 1, 600) * SECOND_MS;
    role->linger_ms =
        sim_random_chance(&world->sim.random, 500) ? 0 : between(world, 1, 300) * SECOND_MS;
    give(world, index);
}

static void repath(struct sim_world *world, size_t index)
{
    world->is_twin[index] = !world->is_twin[index];
    sim_trace(&world->sim, "operators: another path for %s", world->roles[index].name);
    sim_world_set_path(world, index);
    give(world, index);
}

static void remove_or_give(struct sim_world *world, size_t index)
{
    sim_trace(&world->sim, "operators: %s %s", world->roles[index].name,
              world->is_removed[index] ? "is back" : "is removed");
    if (world->is_removed[index]) {
        give(world, index);
    } else {
        lease_core_remove_role(world->core, str_of(world->roles[index].name));
        world->is_removed[index] = true;
    }
}

static void set_policy(struct sim_world *world, size_t index)
{
    const struct serve_settings settings = {.policy = world->policies[index],
                                            .backends = world->backend_list,
                                            .backend_count = world->backend_count};

    sim_trace(&world->sim, "operators: policy %zu", index);
    world->policy_index = index;
    serve_set(world->serve, &settings);
    sim_apply_recheck(world, &(struct lease_recheck){.drain_ms = 0});
}

void sim_operator_act(struct sim_world *world)
{
    size_t index;

    if (!world->is_up) {
        return;
    }
    index = sim_random_below(&world->sim.random, world->role_count);
    switch (sim_random_below(&world->sim.random, 4)) {
    case 0:
        retime(world, index);
        break;
    case 1:
        repath(world, index);
        break;
    case 2:
        remove_or_give(world, index);
        break;
    default:
        if (world->policies[1] != NULL && !world->is_guarded) {
            set_policy(world, 1 - world->policy_index);
        }
        break;
    }
}

void sim_operator_settle(struct sim_world *world)
{
    for (size_t i = 0; i < world->role_count; i++) {
        if (world->is_removed[i]) {
            give(world, i);
        }
    }
    if (world->policy_index != 0 && !world->is_guarded) {
        set_policy(world, 0);
    }
}
