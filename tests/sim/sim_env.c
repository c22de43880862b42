/* The clock, the event queue, and env on top of them. */
#include "sim.h"

#include "base/mem.h"
#include "support/fake_seal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SIM_LATE_MAX_MS 60
#define DEFERREDS_MAX 1000000 /* in one turn */

/* --- events ----------------------------------------------------------------------------------- */

static bool event_before(const struct sim_event *a, const struct sim_event *b)
{
    if (a->when_ms != b->when_ms) {
        return a->when_ms < b->when_ms;
    }
    return a->tie != b->tie ? a->tie < b->tie : a->sequence < b->sequence;
}

static void heap_place(struct sim *sim, struct sim_event *event, size_t index)
{
    sim->heap[index] = event;
    event->heap_index = index;
}

static void heap_sift(struct sim *sim, struct sim_event *event, size_t index)
{
    size_t child;

    while (index > 1 && event_before(event, sim->heap[index / 2])) {
        heap_place(sim, sim->heap[index / 2], index);
        index /= 2;
    }
    while ((child = index * 2) <= sim->heap_count) {
        if (child < sim->heap_count && event_before(sim->heap[child + 1], sim->heap[child])) {
            child++;
        }
        if (!event_before(sim->heap[child], event)) {
            break;
        }
        heap_place(sim, sim->heap[child], index);
        index = child;
    }
    heap_place(sim, event, index);
}

void sim_unschedule(struct sim *sim, struct sim_event *event)
{
    size_t index = event->heap_index;
    struct sim_event *last;

    if (index == 0) {
        return;
    }
    last = sim->heap[sim->heap_count--];
    event->heap_index = 0;
    if (last != event) {
        heap_sift(sim, last, index);
    }
}

void sim_schedule(struct sim *sim, struct sim_event *event, uint64_t when_ms)
{
    sim_unschedule(sim, event);
    CHECK(sim->heap_count + 1 < SIM_HEAP_MAX);
    event->when_ms = when_ms > sim->now_ms ? when_ms : sim->now_ms;
    event->tie = sim_random_u64(&sim->random);
    event->sequence = ++sim->sequence;
    heap_sift(sim, event, ++sim->heap_count);
}

void sim_schedule_in(struct sim *sim, struct sim_event *event, uint64_t delay_ms)
{
    sim_schedule(sim, event, sim->now_ms + delay_ms);
}

void sim_run_deferred(struct sim *sim)
{
    struct list *node;
    size_t count = 0;

    while ((node = list_pop_front(&sim->deferreds)) != NULL) {
        struct env_deferred *deferred = LIST_ENTRY(node, struct env_deferred, node);

        deferred->fn(deferred);
        if (++count == DEFERREDS_MAX) {
            sim_fail(sim, "I6: a turn of the loop never ends");
        }
    }
}

bool sim_step(struct sim *sim)
{
    struct sim_event *event;

    sim_run_deferred(sim);
    if (sim->heap_count == 0) {
        return false;
    }
    event = sim->heap[1];
    sim_unschedule(sim, event);
    if (event->when_ms > sim->now_ms) {
        sim->now_ms = event->when_ms;
    }
    sim->step_count++;
    event->fn(event);
    sim_run_deferred(sim);
    return true;
}

void sim_run_for(struct sim *sim, uint64_t ms)
{
    uint64_t end_ms = sim->now_ms + ms;

    sim_run_deferred(sim);
    while (sim->heap_count > 0 && sim->heap[1]->when_ms <= end_ms) {
        (void)sim_step(sim);
    }
    sim->now_ms = end_ms;
}

static void timer_due(struct sim_event *event);

/* As in a real loop, timers that are due run before anything else. */
void sim_suspend(struct sim *sim, uint64_t ms)
{
    struct sim_event *late;
    size_t i = 1;

    sim_trace(sim, "suspended for %llu ms", (unsigned long long)ms);
    sim->now_ms += ms;
    sim->suspended_ms += ms;
    sim->woke_ms = sim->now_ms;
    while (i <= sim->heap_count) {
        late = sim->heap[i];
        if (late->fn != timer_due && late->when_ms < sim->now_ms) {
            sim_schedule(sim, late, sim->now_ms);
            i = 1; /* the heap is another now */
        } else {
            i++;
        }
    }
}

uint64_t sim_awake_ms(const struct sim *sim)
{
    return sim->now_ms - sim->suspended_ms;
}

/* --- timers: an event each, found by the env_timer -------------------------------------------- */

/* heap_index of an env_timer is the address of its event while it is armed, 0 otherwise. */
struct sim_timer {
    struct sim_event event;
    struct sim *sim;
    struct env_timer *timer;
    struct list node; /* in timers_unused */
};

static struct sim *sim_of(struct env *env)
{
    return env->impl;
}

static struct sim_timer *timer_impl(const struct env_timer *timer)
{
    return (struct sim_timer *)(uintptr_t)timer->heap_index;
}

static void timer_release(struct sim_timer *impl)
{
    impl->sim->timer_count--;
    impl->timer->heap_index = 0;
    impl->timer = NULL;
    list_push_back(&impl->sim->timers_unused, &impl->node);
}

static void timer_due(struct sim_event *event)
{
    struct sim_timer *impl = CONTAINER_OF(event, struct sim_timer, event);
    struct env_timer *timer = impl->timer;

    timer_release(impl);
    timer->fn(timer);
}

static void sim_timer_disarm(struct env *env, struct env_timer *timer)
{
    struct sim_timer *impl = timer_impl(timer);

    if (impl != NULL) {
        sim_unschedule(sim_of(env), &impl->event);
        timer_release(impl);
    }
}

static void sim_timer_arm(struct env *env, struct env_timer *timer, uint64_t when_ms)
{
    struct sim *sim = sim_of(env);
    struct list *unused;
    struct sim_timer *impl;

    sim_timer_disarm(env, timer);
    unused = list_pop_front(&sim->timers_unused);
    impl = unused != NULL ? LIST_ENTRY(unused, struct sim_timer, node) : calloc(1, sizeof(*impl));
    CHECK(impl != NULL);
    impl->sim = sim;
    impl->timer = timer;
    impl->event.fn = timer_due;
    timer->when_ms = when_ms;
    timer->heap_index = (size_t)(uintptr_t)impl;
    sim->timer_count++;
    if (when_ms < UINT64_MAX - SIM_LATE_MAX_MS &&
        sim_random_chance(&sim->random, sim->faults.timer_late)) {
        when_ms += sim_random_below(&sim->random, SIM_LATE_MAX_MS);
    }
    sim_schedule(sim, &impl->event, when_ms);
}

/* --- the rest of env -------------------------------------------------------------------------- */

static uint64_t sim_now_ms(struct env *env)
{
    return sim_of(env)->now_ms;
}

static int64_t sim_wall_ms(struct env *env)
{
    const struct sim *sim = sim_of(env);

    return SIM_START_WALL_MS + (int64_t)sim->now_ms - (int64_t)SIM_START_MS + sim->wall_offset_ms;
}

static void sim_env_random(struct env *env, void *bytes, size_t size)
{
    unsigned char *out = bytes;
    size_t i;

    for (i = 0; i < size; i++) {
        out[i] = (unsigned char)sim_random_u64(&sim_of(env)->env_random);
    }
}

static void sim_defer(struct env *env, struct env_deferred *deferred)
{
    if (!list_is_linked(&deferred->node)) {
        list_push_back(&sim_of(env)->deferreds, &deferred->node);
    }
}

void sim_secret_set(struct sim *sim, const char *source, const char *value)
{
    CHECK(sim->secret_count < SIM_SECRETS_MAX);
    sim->secrets[sim->secret_count++] = (struct sim_secret){source, value};
}

/* What nobody has set is a text made from its name. */
static int sim_secret_read(struct env *env, struct str source, struct secret *ret_secret,
                           struct err *e)
{
    const struct sim *sim = sim_of(env);

    (void)e;
    for (size_t i = 0; i < sim->secret_count; i++) {
        if (str_eq_c(source, sim->secrets[i].source)) {
            return secret_set(ret_secret, str_of(sim->secrets[i].value));
        }
    }
    (void)str_cut(&source, ':');
    return secret_set(ret_secret, source);
}

static int sim_user_name(struct env *env, uint32_t uid, char ret_name[ENV_NAME_MAX_BYTES])
{
    (void)env;
    (void)snprintf(ret_name, ENV_NAME_MAX_BYTES, "user%u", uid);
    return 0;
}

static int sim_group_name(struct env *env, uint32_t gid, char ret_name[ENV_NAME_MAX_BYTES])
{
    (void)env;
    (void)snprintf(ret_name, ENV_NAME_MAX_BYTES, "group%u", gid);
    return 0;
}

static const char *sim_boot_id(struct env *env)
{
    struct sim *sim = sim_of(env);

    (void)snprintf(sim->boot_id, sizeof(sim->boot_id), "boot-%u", sim->boot_count);
    return sim->boot_id;
}

/* Consumers come by unix sockets, which say their groups themselves. */
static int sim_user_groups(struct env *env, uint32_t uid, const struct env_user_groups **ret_groups)
{
    (void)env;
    (void)uid;
    (void)ret_groups;
    return ERR_NOT_FOUND;
}

struct sim_post {
    struct sim_event event;
    void (*fn)(void *user);
    void *user;
};

static void post_due(struct sim_event *event)
{
    struct sim_post *post = CONTAINER_OF(event, struct sim_post, event);
    void (*fn)(void *user) = post->fn;
    void *user = post->user;

    free(post);
    fn(user);
}

static int sim_post(struct env *env, void (*fn)(void *user), void *user)
{
    struct sim_post *post = calloc(1, sizeof(*post));

    CHECK(post != NULL);
    *post = (struct sim_post){.event = {.fn = post_due}, .fn = fn, .user = user};
    sim_schedule(sim_of(env), &post->event, sim_of(env)->now_ms);
    return 0;
}

static const struct env_ops sim_ops = {
    .now_ms = sim_now_ms,
    .wall_ms = sim_wall_ms,
    .random = sim_env_random,
    .timer_arm = sim_timer_arm,
    .timer_disarm = sim_timer_disarm,
    .defer = sim_defer,
    .http_start = sim_http_start,
    .http_cancel = sim_http_cancel,
    .file_open = sim_file_open,
    .process_lookup = sim_process_lookup,
    .process_watch_start = sim_process_watch_start,
    .process_watch_close = sim_process_watch_close,
    .process_watch_has_ended = sim_process_watch_has_ended,
    .cgroup_find = sim_cgroup_find,
    .cgroup_watch_start = sim_cgroup_watch_start,
    .cgroup_watch_close = sim_cgroup_watch_close,
    .cgroup_watch_has_ended = sim_cgroup_watch_has_ended,
    .secret_read = sim_secret_read,
    .user_name = sim_user_name,
    .group_name = sim_group_name,
    .post = sim_post,
    .user_groups = sim_user_groups,
    .seal = fake_seal,
    .unseal = fake_unseal,
    .boot_id = sim_boot_id,
    .file_put = sim_file_put,
    .run_start = sim_run_start,
    .run_cancel = sim_run_cancel,
    .run_problem = sim_run_problem,
};

void sim_init(struct sim *sim, uint64_t seed)
{
    *sim = (struct sim){.env = {.ops = &sim_ops},
                        .seed = seed,
                        .now_ms = SIM_START_MS,
                        .hash = 0xcbf29ce484222325U};
    sim->env.impl = sim;
    sim->random.state = seed;
    sim->env_random.state = seed ^ 0x5deece66dU;
    sim->heap = calloc(SIM_HEAP_MAX, sizeof(struct sim_event *));
    CHECK(sim->heap != NULL);
    list_init(&sim->timers_unused);
    list_init(&sim->deferreds);
    list_init(&sim->files);
    list_init(&sim->watches);
    list_init(&sim->cgroup_watches);
    list_init(&sim->exchanges);
    list_init(&sim->runs);
}

void sim_fini(struct sim *sim)
{
    struct list *node;

    CHECK(list_is_empty(&sim->deferreds));
    CHECK(list_is_empty(&sim->watches));
    CHECK(list_is_empty(&sim->cgroup_watches));
    CHECK(list_is_empty(&sim->exchanges));
    CHECK(list_is_empty(&sim->runs));
    CHECK(sim->timer_count == 0);
    CHECK(sim->heap_count == 0);
    sim_files_free(sim);
    while ((node = list_pop_front(&sim->timers_unused)) != NULL) {
        free(LIST_ENTRY(node, struct sim_timer, node));
    }
    free(sim->processes);
    free(sim->cgroups);
    free(sim->heap);
}
