/* The fake env's disk: append-only files whose groups complete, fail or wait as the test says. */
#include "support/fake_env.h"

#include "base/mem.h"
#include "support/fake_internal.h"

#include <stdlib.h>
#include <string.h>

static struct fake_file *file_of(struct env_file *file)
{
    return CONTAINER_OF(file, struct fake_file, file);
}

static int fake_append_start(struct env_file *env_file, struct env_append *append)
{
    struct fake_file *file = file_of(env_file);

    if (!file->is_open || file->closed != NULL) {
        return ERR_CLOSED;
    }
    if (file->start_status != 0) {
        return file->start_status;
    }
    file->append_count++;
    list_push_back(&file->pending, &append->node);
    return 0;
}

static void fake_reserve(struct env_file *env_file, size_t bytes)
{
    file_of(env_file)->reserve_bytes = bytes;
}

static int fake_reopen(struct env_file *env_file, struct err *e)
{
    struct fake_file *file = file_of(env_file);

    file->reopen_count++;
    if (file->reopen_status != 0) {
        return err_set(e, file->reopen_status, "could not reopen %s", file->path);
    }
    return 0;
}

static void fake_closed(struct env_deferred *deferred)
{
    struct fake_file *file = deferred->user;
    void (*closed)(void *user) = file->closed;

    CHECK(list_is_empty(&file->pending));
    file->is_open = false;
    file->closed = NULL;
    closed(file->closed_user);
}

static void fake_close(struct env_file *env_file, void (*closed)(void *user), void *user)
{
    struct fake_file *file = file_of(env_file);

    CHECK(file->is_open && file->closed == NULL);
    file->closed = closed;
    file->closed_user = user;
    if (list_is_empty(&file->pending)) {
        env_defer(&file->fake->env, &file->close_deferred);
    }
}

static int fake_tail(struct env_file *env_file, size_t max_bytes, char **ret_bytes,
                     size_t *ret_size)
{
    struct fake_file *file = file_of(env_file);
    size_t size = file->size < max_bytes ? file->size : max_bytes;
    char *bytes;

    if (file->tail_status != 0) {
        return file->tail_status;
    }
    if (str_eq_c(str_of(file->path), "-")) {
        size = 0;
    }
    bytes = size > 0 ? mem_dup(file->bytes + file->size - size, size) : mem_alloc(0);
    if (bytes == NULL) {
        return ERR_NOMEM;
    }
    *ret_bytes = bytes;
    *ret_size = size;
    return 0;
}

static const struct env_file_ops fake_file_ops = {
    .append_start = fake_append_start,
    .reserve = fake_reserve,
    .reopen = fake_reopen,
    .close = fake_close,
    .tail = fake_tail,
};

struct fake_file *fake_env_file(struct fake_env *fake, const char *path)
{
    struct fake_file *file;
    struct list *node;

    for (node = fake->files.next; node != &fake->files; node = node->next) {
        file = LIST_ENTRY(node, struct fake_file, node);
        if (strcmp(file->path, path) == 0) {
            return file;
        }
    }
    file = fake_alloc(sizeof(*file));
    file->file.ops = &fake_file_ops;
    file->file.env = &fake->env;
    file->fake = fake;
    file->path = fake_strdup(path);
    file->bytes = fake_strdup("");
    file->close_deferred.fn = fake_closed;
    file->close_deferred.user = file;
    list_init(&file->pending);
    list_push_back(&fake->files, &file->node);
    return file;
}

void fake_file_set(struct fake_file *file, const char *bytes, size_t size)
{
    char *copy = fake_alloc(size + 1);

    memcpy(copy, bytes, size);
    free(file->bytes);
    file->bytes = copy;
    file->size = size;
}

int fake_file_open(struct env *env, const char *path, struct env_file **ret_file, struct err *e)
{
    struct fake_file *file = fake_env_file(fake_of(env), path);

    if (file->open_status != 0) {
        return err_set(e, file->open_status, "could not open %s", path);
    }
    CHECK(!file->is_open);
    file->is_open = true;
    *ret_file = &file->file;
    return 0;
}

static void fake_file_add(struct fake_file *file, struct str bytes)
{
    char *grown = realloc(file->bytes, file->size + bytes.len + 1);

    CHECK(grown != NULL);
    memcpy(grown + file->size, bytes.ptr, bytes.len);
    file->size += bytes.len;
    grown[file->size] = '\0';
    file->bytes = grown;
}

/* One group: whatever waits now is written, or all of it fails. */
static bool fake_group_run(struct fake_file *file)
{
    struct list group;
    struct list *node;
    int status = file->fail_status;

    if (list_is_empty(&file->pending) || (file->is_held && file->release_count == 0)) {
        return false;
    }
    file->release_count -= file->is_held ? 1 : 0;
    if (status != 0 && file->fail_count > 0 && --file->fail_count == 0) {
        file->fail_status = 0;
    }
    file->group_count++;
    list_init(&group);
    list_splice(&group, &file->pending);
    for (node = group.next; status == 0 && node != &group; node = node->next) {
        fake_file_add(file, LIST_ENTRY(node, struct env_append, node)->bytes);
    }
    while ((node = list_pop_front(&group)) != NULL) {
        struct env_append *append = LIST_ENTRY(node, struct env_append, node);

        append->status = status;
        append->is_short = file->is_short;
        append->fn(append, status);
    }
    if (file->closed != NULL && list_is_empty(&file->pending)) {
        env_defer(&file->fake->env, &file->close_deferred);
    }
    return true;
}

/* --- files that are replaced whole ------------------------------------------------------------ */

int fake_file_put(struct env *env, struct env_put *put)
{
    CHECK(put->bytes.len <= ENV_PUT_MAX_BYTES);
    put->node = (struct list){NULL, NULL};
    list_push_back(&fake_of(env)->puts, &put->node);
    return 0;
}

static bool fake_put_run(struct fake_env *fake)
{
    struct list *node = fake->is_put_held ? NULL : list_pop_front(&fake->puts);
    struct env_put *put;

    if (node == NULL) {
        return false;
    }
    put = LIST_ENTRY(node, struct env_put, node);
    if (fake->put_status != 0) {
        put->fn(put, fake->put_status, "the disk is full");
        return true;
    }
    fake_file_set(fake_env_file(fake, put->path), put->bytes.ptr, put->bytes.len);
    fake->put_count++;
    put->fn(put, 0, "");
    return true;
}

struct str fake_env_put_bytes(struct fake_env *fake, const char *path)
{
    const struct fake_file *file = fake_env_file(fake, path);

    return (struct str){file->bytes, file->size};
}

bool fake_files_run(struct fake_env *fake)
{
    struct list *node;
    bool has_run = fake_put_run(fake);

    for (node = fake->files.next; node != &fake->files; node = node->next) {
        has_run = fake_group_run(LIST_ENTRY(node, struct fake_file, node)) || has_run;
    }
    return has_run;
}

void fake_files_fini(struct fake_env *fake)
{
    struct list *node;

    while ((node = list_pop_front(&fake->files)) != NULL) {
        struct fake_file *file = LIST_ENTRY(node, struct fake_file, node);

        CHECK(!file->is_open);
        free(file->path);
        free(file->bytes);
        free(file);
    }
}
