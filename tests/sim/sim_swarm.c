/* What a seed decides, and the course of a run.
 *
 * Swarm: each seed enables a random subset of the faults with random rates, not all at once, so
 * that one fault doesn't hide what another would show. */
#include "sim_swarm.h"

#include "sim_asking.h"
#include "sim_check.h"
#include "sim_client.h"
#include "sim_drill.h"
#include "sim_estate.h"
#include "sim_mishap.h"
#include "sim_operator.h"
#include "sim_policies.h"

#include "base/mem.h"

#include <stdio.h>

#define ISOLATES_PERMILLE 500
#define SECOND_MS 1000U
#define MINUTE_MS 60000U
#define DAY_MS 86400000U
#define HEAL_MS (20U * MINUTE_MS)
#define LONGEST_GRANT_MS (130U * MINUTE_MS)
#define DRAIN_PATIENCE_MS (10U * MINUTE_MS)

static uint64_t ttl_of_user_ms(uint32_t uid)
{
    return uid == 1003 || uid == 1004 ? 5U * MINUTE_MS : UINT64_MAX;
}

struct swarm {
    struct sim_world world;
    struct sim_check check;
    struct sim_crowd crowd;
    struct sim_random random; /* what the seed decides; apart from the world's own chance */
    struct sim_role roles[SIM_WORLD_ROLES_MAX];
    struct sim_event noise;
    struct sim_event calm; /* the end of a disturbance */
    uint32_t disturbances; /* permille of noise events that begin one */
    struct sim_event reload;
    uint64_t reload_every_ms; /* about; 0: never */
    struct sim_world_options options;
    struct sim_mishaps mishaps;
    struct sim_drills drills;
    struct sim_asking asking;
    bool is_short; /* of leases: everybody wants more */
};

static uint64_t between(struct swarm *swarm, uint64_t least, uint64_t most)
{
    return least + sim_random_below(&swarm->random, most - least + 1);
}

/* --- what the seed decides -------------------------------------------------------------------- */

/* Half of the faults are off; the others have rates from rare to bad. */
static uint32_t draw_rate(struct swarm *swarm, uint32_t most)
{
    return sim_random_chance(&swarm->random, 500) ? 0 : (uint32_t)between(swarm, 2, most);
}

static void draw_faults(struct swarm *swarm)
{
    swarm->world.sim.faults = (struct sim_faults){
        .refused = draw_rate(swarm, 200),
        .unreachable = draw_rate(swarm, 60),
        .lost_request = draw_rate(swarm, 60),
        .lost_answer = draw_rate(swarm, 80),
        .garbage = draw_rate(swarm, 40),
        .bad_gateway = draw_rate(swarm, 60),
        .duplicated = draw_rate(swarm, 30),
        .slow = draw_rate(swarm, 150),
        .append_failed = draw_rate(swarm, 60),
        .append_slow = draw_rate(swarm, 60),
        .timer_late = draw_rate(swarm, 200),
    };
    swarm->world.vault.issuer.faults = (struct sim_issuer_faults){
        .limited = draw_rate(swarm, 80),
        .failed = draw_rate(swarm, 80),
        .revoke_failed = draw_rate(swarm, 300),
    };
    swarm->disturbances = draw_rate(swarm, 300);
    swarm->reload_every_ms =
        sim_random_chance(&swarm->random, 400) ? 0 : between(swarm, 1, 60) * SECOND_MS;
}

static void draw_role(struct swarm *swarm, struct sim_role *role, const char *name)
{
    uint64_t ttl_ms = sim_random_chance(&swarm->random, 300) ? between(swarm, 10, 90) * SECOND_MS
                                                             : between(swarm, 2, 60) * MINUTE_MS;

    *role = (struct sim_role){
        .name = name,
        .issuer_ttl_ms = ttl_ms,
        .issuer_max_ttl_ms = ttl_ms * between(swarm, 1, 6),
        .is_renewable = !sim_random_chance(&swarm->random, 200),
        .binding =
            sim_random_chance(&swarm->random, 800) ? ACCESS_BINDING_PROCESS : ACCESS_BINDING_NONE,
        .ttl_ms = sim_random_chance(&swarm->random, 300) ? between(swarm, 1, 30) * MINUTE_MS : 0,
        .max_ttl_ms = between(swarm, 5, 120) * MINUTE_MS,
        .renew_at_percent = (uint32_t)between(swarm, 30, 80),
        .min_remaining_ms = between(swarm, 5, 600) * SECOND_MS,
        .overlap_ms = between(swarm, 1, 600) * SECOND_MS,
        .linger_ms =
            sim_random_chance(&swarm->random, 500) ? 0 : between(swarm, 1, 300) * SECOND_MS,
        .live_max = sim_random_chance(&swarm->random, 800) ? 0 : (uint32_t)between(swarm, 2, 20),
    };
}

static void draw_roles(struct swarm *swarm)
{
    static const struct {
        const char *name;
        enum lease_share share;
    } kinds[] = {
        {"none", LEASE_SHARE_NONE},   {"other", LEASE_SHARE_NONE},  {"own", LEASE_SHARE_IDENTITY},
        {"shared", LEASE_SHARE_ROLE}, {"common", LEASE_SHARE_ROLE},
    };

    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        draw_role(swarm, &swarm->roles[i], kinds[i].name);
        swarm->roles[i].share = kinds[i].share;
    }
    swarm->world.role_count = ARRAY_LEN(kinds);
}

static void draw_issuer(struct swarm *swarm)
{
    struct sim_vault_token_options *login = &swarm->world.vault.login;

    *login = (struct sim_vault_token_options){
        .ttl_ms = between(swarm, 2, 60) * MINUTE_MS,
        .is_renewable = !sim_random_chance(&swarm->random, 200),
    };
    if (sim_random_chance(&swarm->random, 200)) {
        login->period_ms = login->ttl_ms;
    } else {
        login->max_ttl_ms = login->ttl_ms * between(swarm, 1, 8);
    }
}

/* In half of the seeds there isn't enough of everything. */
static void draw_limits(struct swarm *swarm, struct lease_core_options *limits)
{
    if (sim_random_chance(&swarm->random, 500)) {
        return;
    }
    limits->leases_max = (uint32_t)between(swarm, 4, 60);
    limits->grants_max = (uint32_t)between(swarm, 4, 60);
    limits->waiting_max = (uint32_t)between(swarm, 1, 8);
    limits->leases_per_uid = (uint32_t)between(swarm, 2, 20);
    limits->grants_per_uid =
        (struct units_rate){.count = (uint32_t)between(swarm, 1, 10), .per_ms = SECOND_MS};
}

/* Very little of one thing, and enough of the others. */
static void draw_shortage(struct swarm *swarm, struct sim_world_options *options)
{
    uint64_t which = between(swarm, 0, 9);

    if (which == 0 || which == 3) {
        swarm->is_short = true;
        options->limits = (struct lease_core_options){.leases_max = (uint32_t)between(swarm, 1, 6)};
    } else if (which == 1) {
        options->in_flight = (uint32_t)between(swarm, 1, 2);
    }
    if (which == 1 || which == 2) {
        swarm->world.sim.faults.slow = (uint32_t)between(swarm, 300, 1000);
    }
}

static void draw_crowd(struct swarm *swarm)
{
    static const uint32_t usual[SIM_ACT_COUNT] = {
        [SIM_ACT_READ] = 40,  [SIM_ACT_CREATE] = 12,  [SIM_ACT_RELEASE] = 12, [SIM_ACT_LOOK] = 6,
        [SIM_ACT_RENEW] = 4,  [SIM_ACT_ROTATE] = 3,   [SIM_ACT_HANG_UP] = 6,  [SIM_ACT_DIE] = 6,
        [SIM_ACT_ORPHAN] = 2, [SIM_ACT_NONSENSE] = 2, [SIM_ACT_WATCH] = 3,    [SIM_ACT_ACK] = 4,
    };

    for (size_t i = 0; i < SIM_ACT_COUNT; i++) {
        swarm->crowd.weights[i] = usual[i] * (uint32_t)between(swarm, 0, 3);
    }
    swarm->crowd.weights[SIM_ACT_READ] += 10;
    swarm->crowd.think_max_ms = between(swarm, 1, 60) * SECOND_MS;
    swarm->crowd.uid_count = (uint32_t)between(swarm, 1, 6);
    swarm->crowd.bad_peers = draw_rate(swarm, 30);
    swarm->world.listener.undelivered = draw_rate(swarm, 100);
}

/* --- operators -------------------------------------------------------------------------------- */

static void end_disturbance(struct swarm *swarm)
{
    swarm->world.vault.is_sealed = false;
    swarm->world.vault.issuer.denies_issue = false;
    swarm->world.vault.denies_renew = false;
    swarm->world.vault.issuer.denies_login = false;
    swarm->world.sim.is_issuer_down = false;
    swarm->world.sim.down_prefix = NULL;
    swarm->world.sim.is_disk_full = false;
    sim_estate_follow(&swarm->world);
}

static void disturbance_over(struct sim_event *event)
{
    struct swarm *swarm = CONTAINER_OF(event, struct swarm, calm);

    sim_trace(&swarm->world.sim, "operators: all is well again");
    end_disturbance(swarm);
}

static void begin_disturbance(struct swarm *swarm)
{
    static const char *const names[] = {
        "sealed",      "no issue allowed", "no renewal allowed", "no login allowed",
        "issuer down", "disk full",        "first address down", "tokens killed"};
    struct sim_world *world = &swarm->world;
    uint64_t which = sim_random_below(&world->sim.random, ARRAY_LEN(names));
    bool *const switches[] = {&world->vault.is_sealed,    &world->vault.issuer.denies_issue,
                              &world->vault.denies_renew, &world->vault.issuer.denies_login,
                              &world->sim.is_issuer_down, &world->sim.is_disk_full};

    sim_trace(&world->sim, "operators: %s", names[which]);
    if (which < ARRAY_LEN(switches)) {
        *switches[which] = true;
        sim_estate_follow(&swarm->world);
        sim_schedule_in(&world->sim, &swarm->calm,
                        sim_random_below(&world->sim.random, 10U * MINUTE_MS));
    } else if (which == ARRAY_LEN(switches)) {
        world->sim.down_prefix = SIM_WORLD_ADDRESS;
        sim_schedule_in(&world->sim, &swarm->calm,
                        sim_random_below(&world->sim.random, 10U * MINUTE_MS));
    } else {
        sim_vault_kill_tokens(&world->vault);
    }
}

static void noise(struct sim_event *event)
{
    struct swarm *swarm = CONTAINER_OF(event, struct swarm, noise);
    struct sim *sim = &swarm->world.sim;

    if (swarm->calm.heap_index == 0 && sim_random_chance(&sim->random, swarm->disturbances)) {
        begin_disturbance(swarm);
    }
    sim_schedule_in(sim, &swarm->noise, sim_random_below(&sim->random, 2U * MINUTE_MS));
}

static void reload_again(struct swarm *swarm)
{
    struct sim *sim = &swarm->world.sim;

    if (swarm->reload_every_ms > 0) {
        sim_schedule_in(sim, &swarm->reload,
                        sim_random_below(&sim->random, 2 * swarm->reload_every_ms));
    }
}

static void reload(struct sim_event *event)
{
    struct swarm *swarm = CONTAINER_OF(event, struct swarm, reload);

    sim_operator_act(&swarm->world);
    reload_again(swarm);
}

/* --- the course ------------------------------------------------------------------------------- */

/* What the plain world hasn't; drawn last, so that all else is the same in both. */
static void draw_more(struct swarm *swarm)
{
    struct sim_faults *faults = &swarm->world.sim.faults;

    faults->truncated = draw_rate(swarm, 60);
    faults->odd = draw_rate(swarm, 40);
    faults->redirected = draw_rate(swarm, 60);
    faults->stripped = draw_rate(swarm, 40);
    swarm->world.listener.stalled = draw_rate(swarm, 60);
    if (!sim_random_chance(&swarm->random, 300)) {
        swarm->mishaps.every_ms = between(swarm, 20, 1200) * SECOND_MS;
    }
    swarm->mishaps.undelivered = swarm->world.listener.undelivered;
    swarm->mishaps.stalled = swarm->world.listener.stalled;
}

/* Of chances of its own, so that all else is the same without it. */
static void draw_verification(struct swarm *swarm, uint64_t seed)
{
    struct sim_random random = {.state = seed * 0xd1342543de82ef95U + 3};

    for (size_t i = 0; i < swarm->world.role_count; i++) {
        if (sim_random_chance(&random, 250)) {
            swarm->roles[i].spread_ms = sim_random_below(&random, 12U * SECOND_MS);
            swarm->roles[i].verify_timeout_ms = (5U + sim_random_below(&random, 60)) * SECOND_MS;
        }
    }
}

/* In a third of the seeds, by the seed alone: all else is as it was before there were drills. */
static void draw_drills(struct swarm *swarm, uint64_t seed)
{
    if (seed % 3 == 1) {
        swarm->drills.every_ms = (1 + seed / 3 % 10) * 20U * SECOND_MS;
    }
}

/* In a fifth of the seeds, by the seed alone; what found something before there were such worlds
 * isn't among them. */
static bool is_guarded(const struct sim_swarm_options *run)
{
    return !run->is_plain && !run->is_vault_only && run->seed % 5 == 2;
}

static void fill_crowd(struct swarm *swarm)
{
    bool is_small = swarm->options.is_guarded; /* others do most there */

    draw_crowd(swarm);
    if (swarm->is_short) {
        swarm->crowd.think_max_ms = between(swarm, 500, 3000);
        swarm->crowd.weights[SIM_ACT_CREATE] = 60;
    }
    if (is_small) {
        swarm->crowd.think_max_ms = between(swarm, 10, 40) * SECOND_MS;
    }
    sim_crowd_fill(&swarm->crowd, &swarm->world, &swarm->check,
                   is_small ? between(swarm, 1, 6) : between(swarm, 2, 24));
}

static void begin(struct swarm *swarm, const struct sim_swarm_options *run)
{
    struct sim_world_options *options = &swarm->options;

    *swarm = (struct swarm){.random = {.state = run->seed * 0x9e3779b97f4a7c15U + 1},
                            .noise = {.fn = noise},
                            .reload = {.fn = reload},
                            .calm = {.fn = disturbance_over}};
    sim_world_init(&swarm->world, run->seed);
    swarm->world.sim.is_traced = run->is_traced;
    sim_check_init(&swarm->check, &swarm->world);
    swarm->check.ttl_of_user_ms = ttl_of_user_ms;
    draw_roles(swarm);
    draw_issuer(swarm);
    draw_faults(swarm);
    *options = (struct sim_world_options){
        .roles = swarm->roles,
        .role_count = swarm->world.role_count,
        .policy = SIM_POLICY,
        .other_policy = SIM_OTHER_POLICY,
        .uses_token = sim_random_chance(&swarm->random, 200),
        .isolates = sim_random_chance(&swarm->random, ISOLATES_PERMILLE),
        .has_token_role = sim_random_chance(&swarm->random, 500),
        .in_flight = (uint32_t)between(swarm, 1, 32),
        .has_ledger = !run->is_plain,
        .token_period_ms = run->is_plain ? 0 : DAY_MS,
    };
    draw_limits(swarm, &options->limits);
    if (!run->is_plain) {
        draw_shortage(swarm, options);
        draw_verification(swarm, run->seed);
    }
    if (!run->is_plain && !run->is_vault_only) {
        options->variant = sim_estate_draw(run->seed, swarm->roles, swarm->world.role_count);
    }
    if (is_guarded(run)) {
        sim_asking_draw(&swarm->asking, &swarm->random, options);
        swarm->check.ttl_of_user_ms = NULL;
    }
    sim_world_start(&swarm->world, options);
    sim_estate_follow(&swarm->world);
    fill_crowd(swarm);
    sim_crowd_start(&swarm->crowd);
    sim_schedule_in(&swarm->world.sim, &swarm->noise, 0);
    reload_again(swarm);
    swarm->mishaps.world = &swarm->world;
    swarm->mishaps.check = &swarm->check;
    swarm->mishaps.options = options;
    if (!run->is_plain) {
        draw_more(swarm);
    }
    if (options->is_guarded) {
        sim_asking_start(&swarm->asking, &swarm->check);
        swarm->mishaps.every_ms = between(swarm, 20, 90) * SECOND_MS;
    }
    sim_mishaps_start(&swarm->mishaps);
    swarm->drills.world = &swarm->world;
    swarm->check.drills = &swarm->drills;
    if (!run->is_plain && !run->is_vault_only) {
        draw_drills(swarm, run->seed);
    }
    sim_drills_start(&swarm->drills);
}

static void step(struct swarm *swarm)
{
    if (!sim_step(&swarm->world.sim)) {
        sim_fail(&swarm->world.sim, "nothing is scheduled any more");
    }
    sim_check_step(&swarm->check);
    sim_mishaps_run(&swarm->mishaps);
}

static void pass(struct swarm *swarm, uint64_t ms)
{
    uint64_t end_ms = swarm->world.sim.now_ms + ms;

    while (swarm->world.sim.now_ms < end_ms) {
        step(swarm);
    }
}

/* No faults any more, and nobody who begins anything. */
static void heal(struct swarm *swarm)
{
    struct sim *sim = &swarm->world.sim;

    sim_trace(sim, "healing");
    sim->faults = (struct sim_faults){0};
    swarm->world.vault.issuer.faults = (struct sim_issuer_faults){0};
    sim_mishaps_end(&swarm->mishaps);
    end_disturbance(swarm);
    sim_operator_settle(&swarm->world);
    sim_unschedule(sim, &swarm->noise);
    sim_unschedule(sim, &swarm->reload);
    sim_drills_stop(&swarm->drills);
    sim_asking_stop(&swarm->asking);
    sim_unschedule(sim, &swarm->calm);
    sim_crowd_calm(&swarm->crowd);
    pass(swarm, HEAL_MS);
}

static void end(struct swarm *swarm)
{
    struct sim_world *world = &swarm->world;
    int status;

    if (sim_random_chance(&swarm->random, 500)) {
        sim_crowd_kill(&swarm->crowd);
        pass(swarm, LONGEST_GRANT_MS);
        sim_check_nothing_held(&swarm->check);
    }
    status = sim_world_drain(world, DRAIN_PATIENCE_MS);
    if (status != 0) {
        sim_fail(&world->sim, "I9: the drain ends with %s", err_str(status));
    }
    sim_check_nothing_held(&swarm->check);
    sim_crowd_kill(&swarm->crowd);
    sim_world_stop(world, true);
    sim_crowd_stop(&swarm->crowd);
    sim_asking_end(&swarm->asking);
    sim_check_nothing_held(&swarm->check);
    sim_check_ended(&swarm->check);
    while (sim_step(&world->sim)) {
        /* what is left belongs to dead clients */
    }
}

void sim_swarm_run(const struct sim_swarm_options *options, struct sim_swarm_result *ret_result)
{
    struct swarm *swarm = mem_calloc(1, sizeof(*swarm));
    size_t lost;

    CHECK(swarm != NULL);
    begin(swarm, options);
    for (uint64_t i = 0; i < options->steps; i++) {
        step(swarm);
    }
    heal(swarm);
    lost = sim_check_healed(&swarm->check);
    end(swarm);
    *ret_result = (struct sim_swarm_result){
        .hash = swarm->world.sim.hash,
        .steps = swarm->world.sim.step_count,
        .virtual_ms = swarm->world.sim.now_ms - SIM_START_MS,
        .handed_out = swarm->check.handed_out_count,
        .refused = swarm->check.refused_count,
        .renewals = swarm->world.vault.renew_total,
        .exchanges = swarm->world.sim.exchange_count,
        .records = swarm->check.trail.record_count,
        .crashes = swarm->mishaps.crash_count,
        .lost_credentials = lost,
    };
    for (size_t i = 0; i < swarm->world.backend_count; i++) {
        ret_result->issues += swarm->world.backends[i].issuer->issue_total;
        ret_result->revocations += swarm->world.backends[i].issuer->revoke_total;
    }
    sim_check_fini(&swarm->check);
    sim_world_fini(&swarm->world);
    mem_free(swarm);
}
