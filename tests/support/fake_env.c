/* The fake env's clock, timers, deferred calls, chance, names and secrets. */
#include "support/fake_env.h"

#include "support/fake_internal.h"
#include "support/fake_seal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FAKE_WALL_START_MS 1767225600000LL /* 2026-01-01T00:00:00Z */

struct fake_post {
    struct list node;
    void (*fn)(void *user);
    void *user;
};

void *fake_alloc(size_t size)
{
    void *block = calloc(1, size);

    CHECK(block != NULL);
    return block;
}

char *fake_strdup(const char *text)
{
    size_t size = strlen(text) + 1;

    return memcpy(fake_alloc(size), text, size);
}

struct fake_env *fake_of(struct env *env)
{
    return CONTAINER_OF(env, struct fake_env, env);
}

static uint64_t fake_now_ms(struct env *env)
{
    return fake_of(env)->now_ms;
}

static int64_t fake_wall_ms(struct env *env)
{
    return fake_of(env)->wall_ms;
}

/* splitmix64: any seed will do, and the same seed gives the same run. */
static void fake_random(struct env *env, void *bytes, size_t size)
{
    struct fake_env *fake = fake_of(env);
    unsigned char *out = bytes;
    size_t i;

    for (i = 0; i < size; i++) {
        uint64_t z = fake->random_state += 0x9e3779b97f4a7c15ULL;

        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
        out[i] = (unsigned char)(z ^ (z >> 31));
    }
}

static void fake_timer_disarm(struct env *env, struct env_timer *timer)
{
    (void)env;
    list_remove(&timer->node);
    timer->heap_index = 0;
}

static void fake_timer_arm(struct env *env, struct env_timer *timer, uint64_t when_ms)
{
    struct fake_env *fake = fake_of(env);
    struct list *before;

    CHECK(timer->fn != NULL);
    fake_timer_disarm(env, timer);
    timer->when_ms = when_ms;
    timer->sequence = fake->timer_sequence++;
    timer->heap_index = 1;
    for (before = fake->timers.prev; before != &fake->timers; before = before->prev) {
        if (LIST_ENTRY(before, struct env_timer, node)->when_ms <= when_ms) {
            break;
        }
    }
    list_push_front(before, &timer->node);
}

static void fake_defer(struct env *env, struct env_deferred *deferred)
{
    CHECK(deferred->fn != NULL);
    if (!list_is_linked(&deferred->node)) {
        list_push_back(&fake_of(env)->deferreds, &deferred->node);
    }
}

static int fake_post(struct env *env, void (*fn)(void *user), void *user)
{
    struct fake_post *post = fake_alloc(sizeof(*post));

    *post = (struct fake_post){.fn = fn, .user = user};
    list_push_back(&fake_of(env)->posts, &post->node);
    return 0;
}

static int fake_name_find(struct env *env, uint32_t id, bool is_group,
                          char ret_name[ENV_NAME_MAX_BYTES])
{
    const struct fake_env *fake = fake_of(env);
    size_t i;

    if (fake->name_status != 0) {
        return fake->name_status;
    }
    for (i = 0; i < fake->name_count; i++) {
        if (fake->names[i].id == id && fake->names[i].is_group == is_group) {
            memcpy(ret_name, fake->names[i].name, ENV_NAME_MAX_BYTES);
            return 0;
        }
    }
    return ERR_NOT_FOUND;
}

static int fake_user_name(struct env *env, uint32_t uid, char ret_name[ENV_NAME_MAX_BYTES])
{
    return fake_name_find(env, uid, false, ret_name);
}

static int fake_group_name(struct env *env, uint32_t gid, char ret_name[ENV_NAME_MAX_BYTES])
{
    return fake_name_find(env, gid, true, ret_name);
}

static const char *fake_boot_id(struct env *env)
{
    return fake_of(env)->boot_id;
}

static int fake_user_groups(struct env *env, uint32_t uid,
                            const struct env_user_groups **ret_groups)
{
    const struct fake_env *fake = fake_of(env);

    if (fake->name_status != 0) {
        return fake->name_status;
    }
    if (fake->groups.group_count == 0 || fake->groups_uid != uid) {
        return ERR_NOT_FOUND;
    }
    *ret_groups = &fake->groups;
    return 0;
}

static int fake_secret_read(struct env *env, struct str source, struct secret *ret_secret,
                            struct err *e)
{
    const struct fake_env *fake = fake_of(env);
    size_t i;

    for (i = 0; i < fake->secret_count; i++) {
        if (str_eq_c(source, fake->secrets[i].source)) {
            return secret_set(ret_secret, str_of(fake->secrets[i].value));
        }
    }
    return err_set(e, ERR_NOT_FOUND, "could not read %.*s: not found", STR_ARG(source));
}

static int unit_is_running(struct env *env, const char *unit)
{
    (void)unit;
    return fake_of(env)->unit_is_running;
}

static int fake_file_read(struct env *env, const struct env_file_place *place, struct buf *out,
                          struct err *e)
{
    struct fake_env *fake = fake_of(env);
    char path[512];
    size_t i;

    (void)snprintf(path, sizeof(path), "%s/%s", place->folder, place->path);
    fake->file_read_count++;
    for (i = 0; i < fake->secret_count; i++) {
        if (strcmp(path, fake->secrets[i].source) == 0) {
            buf_add_c(out, fake->secrets[i].value);
            return buf_status(out);
        }
    }
    return err_set(e, ERR_NOT_FOUND, "could not read %s: there is none", path);
}

static const struct env_ops fake_ops = {
    .now_ms = fake_now_ms,
    .wall_ms = fake_wall_ms,
    .random = fake_random,
    .timer_arm = fake_timer_arm,
    .timer_disarm = fake_timer_disarm,
    .defer = fake_defer,
    .http_start = fake_http_start,
    .http_cancel = fake_http_cancel,
    .file_open = fake_file_open,
    .process_lookup = fake_process_lookup,
    .process_watch_start = fake_process_watch_start,
    .process_watch_close = fake_process_watch_close,
    .process_watch_has_ended = fake_process_watch_has_ended,
    .cgroup_find = fake_cgroup_find,
    .cgroup_watch_start = fake_cgroup_watch_start,
    .cgroup_watch_close = fake_cgroup_watch_close,
    .cgroup_watch_has_ended = fake_cgroup_watch_has_ended,
    .secret_read = fake_secret_read,
    .user_name = fake_user_name,
    .group_name = fake_group_name,
    .post = fake_post,
    .user_groups = fake_user_groups,
    .seal = fake_seal,
    .unseal = fake_unseal,
    .boot_id = fake_boot_id,
    .file_put = fake_file_put,
    .file_read = fake_file_read,
    .run_start = fake_run_start,
    .run_cancel = fake_run_cancel,
    .run_problem = fake_run_problem,
    .unit_is_running = unit_is_running,
};

void fake_env_init(struct fake_env *fake, uint64_t now_ms, uint64_t seed)
{
    memset(fake, 0, sizeof(*fake));
    fake->env.ops = &fake_ops;
    fake->env.impl = fake;
    fake->now_ms = now_ms;
    fake->wall_ms = FAKE_WALL_START_MS;
    memcpy(fake->boot_id, "boot-1", sizeof("boot-1"));
    fake->random_state = seed;
    list_init(&fake->timers);
    list_init(&fake->deferreds);
    list_init(&fake->posts);
    list_init(&fake->files);
    list_init(&fake->puts);
    list_init(&fake->https);
    list_init(&fake->watches);
    list_init(&fake->cgroup_watches);
    list_init(&fake->runs);
}

void fake_env_fini(struct fake_env *fake)
{
    CHECK(list_is_empty(&fake->timers));
    CHECK(list_is_empty(&fake->deferreds));
    CHECK(list_is_empty(&fake->posts));
    CHECK(list_is_empty(&fake->puts));
    CHECK(list_is_empty(&fake->https));
    CHECK(list_is_empty(&fake->watches));
    CHECK(list_is_empty(&fake->cgroup_watches));
    CHECK(list_is_empty(&fake->runs));
    fake_files_fini(fake);
}

/* Only what was deferred before; what that defers again is for the next round. */
static bool fake_deferreds_run(struct fake_env *fake)
{
    struct list due;
    struct list *node;
    bool has_run = false;

    list_init(&due);
    list_splice(&due, &fake->deferreds);
    while ((node = list_pop_front(&due)) != NULL) {
        struct env_deferred *deferred = LIST_ENTRY(node, struct env_deferred, node);

        has_run = true;
        deferred->fn(deferred);
    }
    return has_run;
}

static bool fake_posts_run(struct fake_env *fake)
{
    struct list *node = list_pop_front(&fake->posts);
    struct fake_post post;

    if (node == NULL) {
        return false;
    }
    post = *LIST_ENTRY(node, struct fake_post, node);
    free(LIST_ENTRY(node, struct fake_post, node));
    post.fn(post.user);
    return true;
}

void fake_env_run(struct fake_env *fake)
{
    bool has_run;

    do {
        has_run = fake_deferreds_run(fake);
        has_run = fake_posts_run(fake) || has_run;
        has_run = fake_files_run(fake) || has_run;
        has_run = fake_https_run(fake) || has_run;
        has_run = fake_watches_run(fake) || has_run;
        has_run = fake_cgroups_run(fake) || has_run;
        has_run = fake_programs_run(fake) || has_run;
    } while (has_run);
}

static void fake_move_clock(struct fake_env *fake, uint64_t now_ms)
{
    if (now_ms > fake->now_ms) {
        fake->wall_ms += (int64_t)(now_ms - fake->now_ms);
        fake->now_ms = now_ms;
    }
}

void fake_env_advance(struct fake_env *fake, uint64_t ms)
{
    uint64_t target_ms = fake->now_ms + ms;

    fake_env_run(fake);
    while (!list_is_empty(&fake->timers)) {
        struct env_timer *timer = LIST_ENTRY(fake->timers.next, struct env_timer, node);

        if (timer->when_ms > target_ms) {
            break;
        }
        fake_move_clock(fake, timer->when_ms);
        fake_timer_disarm(&fake->env, timer);
        timer->fn(timer);
        fake_env_run(fake);
    }
    fake_move_clock(fake, target_ms);
}

size_t fake_env_timer_count(const struct fake_env *fake)
{
    const struct list *node;
    size_t count = 0;

    for (node = fake->timers.next; node != &fake->timers; node = node->next) {
        count++;
    }
    return count;
}

static void fake_add_name(struct fake_env *fake, uint32_t id, bool is_group, const char *name)
{
    struct fake_name *entry = &fake->names[fake->name_count];

    CHECK(fake->name_count < FAKE_ENV_NAMES_MAX);
    CHECK(strlen(name) < ENV_NAME_MAX_BYTES);
    fake->name_count++;
    entry->id = id;
    entry->is_group = is_group;
    memcpy(entry->name, name, strlen(name) + 1);
}

void fake_env_add_user(struct fake_env *fake, uint32_t uid, const char *name)
{
    fake_add_name(fake, uid, false, name);
}

void fake_env_add_group(struct fake_env *fake, uint32_t gid, const char *name)
{
    fake_add_name(fake, gid, true, name);
}

void fake_env_remove_user(struct fake_env *fake, uint32_t uid)
{
    size_t i;

    for (i = 0; i < fake->name_count; i++) {
        if (fake->names[i].id == uid && !fake->names[i].is_group) {
            fake->names[i] = fake->names[--fake->name_count];
            return;
        }
    }
}

void fake_env_set_groups(struct fake_env *fake, uint32_t uid, uint32_t gid, uint32_t other_gid)
{
    fake->groups_uid = uid;
    fake->groups = (struct env_user_groups){.gid = gid, .groups = {other_gid}, .group_count = 1};
}

void fake_env_add_secret(struct fake_env *fake, const char *source, const char *value)
{
    CHECK(fake->secret_count < FAKE_ENV_SECRETS_MAX);
    fake->secrets[fake->secret_count++] = (struct fake_secret){.source = source, .value = value};
}
