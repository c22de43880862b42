/* Simulated append-only files: groups of appends become durable together after a while, or fail
 * together. Appends that come while a group is being written are the next group, as on a real disk.
 */
#include "sim.h"

#include "sim_oom.h"
#include "base/mem.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SIM_FILE_MAX_BYTES (256U * 1024U * 1024U)
#define SIM_SYNC_MAX_MS 4
#define SIM_SYNC_SLOW_MAX_MS 5000

struct sim_file {
    struct env_file file;
    struct sim *sim;
    struct list node;
    struct list pending; /* wait for the next group */
    struct list group;   /* is being written */
    struct sim_event sync;
    struct sim_event closing;
    struct buf bytes;
    char path[64];
    void (*closed)(void *user);
    void *closed_user;
    bool is_open;
    bool is_closed; /* `closed` has run */
    bool is_crashed;
};

static struct sim_file *file_find(struct sim *sim, const char *path)
{
    struct list *node;
    struct list *following;

    LIST_EACH (&sim->files, node, following) {
        struct sim_file *file = LIST_ENTRY(node, struct sim_file, node);

        if (strcmp(file->path, path) == 0) {
            return file;
        }
    }
    return NULL;
}

static void sync_begin(struct sim_file *file)
{
    bool is_slow = sim_random_chance(&file->sim->random, file->sim->faults.append_slow);

    list_splice(&file->group, &file->pending);
    sim_schedule_in(file->sim, &file->sync,
                    sim_random_below(&file->sim->random,
                                     is_slow ? SIM_SYNC_SLOW_MAX_MS : SIM_SYNC_MAX_MS));
}

static void sync_done(struct sim_event *event)
{
    struct sim_file *file = CONTAINER_OF(event, struct sim_file, sync);
    bool fails = file->is_crashed || file->sim->is_disk_full || file->sim->is_dead ||
                 sim_random_chance(&file->sim->random, file->sim->faults.append_failed);
    struct list group;
    struct list *node;

    list_init(&group);
    list_splice(&group, &file->group);
    sim_trace(file->sim, "file %s: %s", file->path, fails ? "append failed" : "appended");
    while ((node = list_pop_front(&group)) != NULL) {
        struct env_append *append = LIST_ENTRY(node, struct env_append, node);

        if (!fails) {
            sim_oom_outside();
            buf_add_str(&file->bytes, append->bytes);
            sim_oom_inside();
            CHECK(buf_status(&file->bytes) == 0);
        }
        append->status = fails ? -ENOSPC : 0;
        append->is_short = false;
        append->fn(append, append->status);
    }
    if (file->sync.heap_index == 0 && !list_is_empty(&file->pending)) {
        sync_begin(file);
    }
}

static int file_append_start(struct env_file *env_file, struct env_append *append)
{
    struct sim_file *file = CONTAINER_OF(env_file, struct sim_file, file);

    if (!file->is_open || file->sim->is_dead) {
        return ERR_CLOSED;
    }
    append->node = (struct list){NULL, NULL};
    list_push_back(&file->pending, &append->node);
    if (file->sync.heap_index == 0) {
        sync_begin(file);
    }
    return 0;
}

/* A simulated disk is full for everybody. */
static void file_reserve(struct env_file *env_file, size_t bytes)
{
    (void)env_file;
    (void)bytes;
}

static int file_reopen(struct env_file *env_file, struct err *e)
{
    (void)env_file;
    (void)e;
    return 0;
}

static void close_done(struct sim_event *event)
{
    struct sim_file *file = CONTAINER_OF(event, struct sim_file, closing);

    if (file->sync.heap_index != 0) {
        sim_schedule(file->sim, &file->closing, file->sync.when_ms);
        return;
    }
    file->is_closed = true;
    file->closed(file->closed_user);
}

static void file_close(struct env_file *env_file, void (*closed)(void *user), void *user)
{
    struct sim_file *file = CONTAINER_OF(env_file, struct sim_file, file);

    file->is_open = false;
    file->closed = closed;
    file->closed_user = user;
    sim_schedule_in(file->sim, &file->closing, 0);
}

static int file_tail(struct env_file *env_file, size_t max_bytes, char **ret_bytes,
                     size_t *ret_size)
{
    struct sim_file *file = CONTAINER_OF(env_file, struct sim_file, file);
    size_t size = file->bytes.len < max_bytes ? file->bytes.len : max_bytes;
    char *copy = mem_strndup(size > 0 ? file->bytes.bytes + file->bytes.len - size : "", size);

    if (copy == NULL) {
        return ERR_NOMEM;
    }
    *ret_bytes = copy;
    *ret_size = size;
    return 0;
}

static const struct env_file_ops sim_file_ops = {
    .append_start = file_append_start,
    .reserve = file_reserve,
    .reopen = file_reopen,
    .close = file_close,
    .tail = file_tail,
};

static struct sim_file *file_new(struct sim *sim, const char *path)
{
    struct sim_file *file = calloc(1, sizeof(*file));

    CHECK(file != NULL);
    CHECK(strlen(path) < sizeof(file->path));
    memcpy(file->path, path, strlen(path));
    file->file.ops = &sim_file_ops;
    file->file.env = &sim->env;
    file->sim = sim;
    file->sync.fn = sync_done;
    file->closing.fn = close_done;
    list_init(&file->pending);
    list_init(&file->group);
    buf_init(&file->bytes, SIM_FILE_MAX_BYTES);
    list_push_back(&sim->files, &file->node);
    return file;
}

int sim_file_open(struct env *env, const char *path, struct env_file **ret_file, struct err *e)
{
    struct sim *sim = env->impl;
    struct sim_file *file = file_find(sim, path);

    (void)e;
    CHECK(file == NULL || file->is_closed);
    if (file == NULL) {
        file = file_new(sim, path);
    }
    file->is_open = true;
    file->is_closed = file->is_crashed = false;
    *ret_file = &file->file;
    return 0;
}

/* --- files that are replaced whole ------------------------------------------------------------ */

struct sim_put {
    struct sim *sim;
    struct env_put *put;
    struct sim_event event;
};

static void put_done(struct sim_event *event)
{
    struct sim_put *it = CONTAINER_OF(event, struct sim_put, event);
    struct sim *sim = it->sim;
    struct env_put *put = it->put;
    bool fails = sim->is_disk_full || sim->is_dead ||
                 sim_random_chance(&sim->random, sim->faults.append_failed);
    struct sim_file *file = file_find(sim, put->path);

    free(it);
    sim_trace(sim, "file %s: %s", put->path, fails ? "put failed" : "put");
    if (!fails) {
        sim_oom_outside();
        if (file == NULL) {
            file = file_new(sim, put->path);
            file->is_closed = true;
        }
        buf_fini(&file->bytes);
        buf_init(&file->bytes, SIM_FILE_MAX_BYTES);
        buf_add_str(&file->bytes, put->bytes);
        sim_oom_inside();
        CHECK(buf_status(&file->bytes) == 0);
    }
    put->fn(put, fails ? -ENOSPC : 0, fails ? "the disk is full" : "");
}

int sim_file_put(struct env *env, struct env_put *put)
{
    struct sim *sim = env->impl;
    struct sim_put *it;

    if (sim->is_dead) {
        return ERR_CLOSED;
    }
    it = calloc(1, sizeof(*it));
    CHECK(it != NULL);
    *it = (struct sim_put){.sim = sim, .put = put, .event = {.fn = put_done}};
    sim_schedule_in(sim, &it->event, sim_random_below(&sim->random, SIM_SYNC_MAX_MS));
    return 0;
}

struct str sim_file_bytes(struct sim *sim, const char *path)
{
    struct sim_file *file = file_find(sim, path);

    return file != NULL ? buf_str(&file->bytes) : STR("");
}

static void file_crash(struct sim_file *file)
{
    struct list *node;
    struct list *following;
    size_t cut = SIZE_MAX;

    LIST_EACH (&file->group, node, following) {
        struct str bytes = LIST_ENTRY(node, struct env_append, node)->bytes;

        if (cut < bytes.len) {
            break;
        }
        cut = (size_t)sim_random_below(&file->sim->random, bytes.len + 1);
        buf_add_str(&file->bytes, (struct str){bytes.ptr, cut});
        CHECK(buf_status(&file->bytes) == 0);
    }
    file->is_crashed = true;
}

void sim_files_crash(struct sim *sim)
{
    struct list *node;
    struct list *following;

    LIST_EACH (&sim->files, node, following) {
        file_crash(LIST_ENTRY(node, struct sim_file, node));
    }
}

void sim_files_free(struct sim *sim)
{
    struct list *node;

    while ((node = list_pop_front(&sim->files)) != NULL) {
        struct sim_file *file = LIST_ENTRY(node, struct sim_file, node);

        CHECK(file->is_closed);
        buf_fini(&file->bytes);
        free(file);
    }
}
