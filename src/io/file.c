/* Append-only files with group commit: the loop's side.
 *
 * Happy path: append_start puts the record into a queue and wakes the writer, a thread of the
 * file's own → the writer takes all that has gathered since its last group, writes and syncs it
 * (file_disk.c) → puts it into the done list and wakes the loop → the callbacks run in the order of
 * their starts. While a sync is under way the next group gathers; that is all the batching there
 * is, and it adapts to the disk.
 *
 * A reopen opens the path on the loop's thread, so that the caller learns of a failure at once, and
 * queues the new descriptor behind the records that came before.
 *
 * Closing: the writer drains what is queued and ends; then the loop joins it, closes the handle and
 * frees the file.
 *
 * The threads share the queue, the done list and the stop flag, all under one lock; a record in the
 * queue belongs to the writer, which reads its bytes and sets its status. */
#include "env/file.h"

#include "base/mem.h"
#include "io/file_internal.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The writer changes to `disk` after the records in `before`. */
struct file_change {
    struct list node;
    struct list before; /* struct env_append */
    struct file_disk disk;
};

struct io_file {
    uint32_t magic;
    struct env_file base;
    struct io *io;
    char *path;
    uv_thread_t writer;
    uv_async_t wake;
    struct file_disk disk; /* the writer's */
    size_t pending_bytes;  /* the loop's: started and not called back */
    bool is_closing;       /* the loop's */
    void (*closed)(void *user);
    void *closed_user;

    uv_mutex_t lock;
    uv_cond_t has_work;
    struct list changes; /* struct file_change, before `queue` */
    struct list queue;   /* struct env_append */
    struct list done;    /* struct env_append */
    bool is_stopping;
    bool has_stopped;
};

static struct io_file *file_of(struct env_file *base)
{
    struct io_file *file = CONTAINER_OF(base, struct io_file, base);

    CHECK(file->magic == FILE_MAGIC);
    return file;
}

static bool is_writer_stopping(void *user)
{
    struct io_file *file = OBJ_CAST(user, struct io_file, FILE_MAGIC);
    bool is_stopping;

    uv_mutex_lock(&file->lock);
    is_stopping = file->is_stopping;
    uv_mutex_unlock(&file->lock);
    return is_stopping;
}

static void write_group(struct io_file *file, struct list *group)
{
    if (list_is_empty(group)) {
        return;
    }
    file_disk_write(&file->disk, group, is_writer_stopping, file);
    uv_mutex_lock(&file->lock);
    list_splice(&file->done, group);
    uv_mutex_unlock(&file->lock);
    (void)uv_async_send(&file->wake);
}

static void apply_changes(struct io_file *file, struct list *changes)
{
    struct list *node;

    while ((node = list_pop_front(changes)) != NULL) {
        struct file_change *change = LIST_ENTRY(node, struct file_change, node);

        write_group(file, &change->before);
        file_disk_change(&file->disk, &change->disk);
        mem_free(change);
    }
}

static void run_writer(void *user)
{
    struct io_file *file = OBJ_CAST(user, struct io_file, FILE_MAGIC);
    bool is_over = false;

    while (!is_over) {
        struct list changes;
        struct list group;

        list_init(&changes);
        list_init(&group);
        uv_mutex_lock(&file->lock);
        while (list_is_empty(&file->queue) && list_is_empty(&file->changes) && !file->is_stopping) {
            uv_cond_wait(&file->has_work, &file->lock);
        }
        list_splice(&changes, &file->changes);
        list_splice(&group, &file->queue);
        is_over = list_is_empty(&changes) && list_is_empty(&group);
        uv_mutex_unlock(&file->lock);
        apply_changes(file, &changes);
        write_group(file, &group);
    }
    uv_mutex_lock(&file->lock);
    file->has_stopped = true;
    uv_mutex_unlock(&file->lock);
    (void)uv_async_send(&file->wake);
}

static void file_free(struct io_file *file)
{
    file_disk_close(&file->disk);
    mem_free(file->path);
    mem_free(file);
}

static void on_wake_closed(uv_handle_t *handle)
{
    struct io_file *file = OBJ_CAST(handle->data, struct io_file, FILE_MAGIC);
    void (*closed)(void *user) = file->closed;
    void *user = file->closed_user;

    if (file->is_closing) {
        file->io->closing_file_count--;
    }
    uv_cond_destroy(&file->has_work);
    uv_mutex_destroy(&file->lock);
    file_free(file);
    if (closed != NULL) {
        closed(user);
    }
}

static void on_wake(uv_async_t *handle)
{
    struct io_file *file = OBJ_CAST(handle->data, struct io_file, FILE_MAGIC);
    struct list done;
    struct list *node;
    bool has_stopped;

    list_init(&done);
    uv_mutex_lock(&file->lock);
    list_splice(&done, &file->done);
    has_stopped = file->has_stopped;
    uv_mutex_unlock(&file->lock);
    while ((node = list_pop_front(&done)) != NULL) {
        struct env_append *append = LIST_ENTRY(node, struct env_append, node);

        file->pending_bytes -= append->bytes.len;
        append->fn(append, append->status); /* the append may be gone, the file isn't */
    }
    if (has_stopped) {
        (void)uv_thread_join(&file->writer);
        uv_close((uv_handle_t *)&file->wake, on_wake_closed);
    }
}

static int file_append_start(struct env_file *base, struct env_append *append)
{
    struct io_file *file = file_of(base);

    if (file->is_closing) {
        return ERR_CLOSED;
    }
    if (append->bytes.len > ENV_FILE_QUEUE_MAX_BYTES - file->pending_bytes) {
        return ERR_LIMIT;
    }
    file->pending_bytes += append->bytes.len;
    uv_mutex_lock(&file->lock);
    list_push_back(&file->queue, &append->node);
    uv_cond_signal(&file->has_work);
    uv_mutex_unlock(&file->lock);
    return 0;
}

static void file_reserve(struct env_file *base, size_t bytes)
{
    struct io_file *file = file_of(base);

    /* The writer reads it after it has taken a group under the lock. */
    uv_mutex_lock(&file->lock);
    file->disk.reserve_bytes = file->disk.is_stdout ? 0 : bytes;
    uv_mutex_unlock(&file->lock);
}

static int file_reopen(struct env_file *base, struct err *e)
{
    struct io_file *file = file_of(base);
    struct file_change *change;
    int rc;

    if (file->is_closing) {
        return err_set(e, ERR_CLOSED, "%s is being closed", file->path);
    }
    change = mem_calloc(1, sizeof(*change));
    if (change == NULL) {
        return err_set(e, ERR_NOMEM, "out of memory");
    }
    rc = file_disk_open(file->path, &change->disk, e);
    if (rc != 0) {
        mem_free(change);
        return rc;
    }
    list_init(&change->before);
    uv_mutex_lock(&file->lock);
    list_splice(&change->before, &file->queue);
    list_push_back(&file->changes, &change->node);
    uv_cond_signal(&file->has_work);
    uv_mutex_unlock(&file->lock);
    return 0;
}

static void file_close(struct env_file *base, void (*closed)(void *user), void *user)
{
    struct io_file *file = file_of(base);

    CHECK(!file->is_closing);
    file->is_closing = true;
    file->io->closing_file_count++;
    file->closed = closed;
    file->closed_user = user;
    uv_mutex_lock(&file->lock);
    file->is_stopping = true;
    uv_cond_signal(&file->has_work);
    uv_mutex_unlock(&file->lock);
}

static int read_tail(int fd, char *bytes, size_t size, off_t offset)
{
    size_t got = 0;

    while (got < size) {
        ssize_t n = pread(fd, bytes + got, size - got, offset + (off_t)got);

        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return n < 0 ? -errno : ERR_IO;
        }
        got += (size_t)n;
    }
    return 0;
}

static int file_tail(struct env_file *base, size_t max_bytes, char **ret_bytes, size_t *ret_size)
{
    struct io_file *file = file_of(base);
    struct file_disk disk;
    struct stat st;
    size_t size = 0;
    char *bytes;
    int rc;

    /* By a descriptor of its own: the writer's belongs to the writer. */
    rc = file_disk_open(file->path, &disk, NULL);
    if (rc != 0) {
        return rc;
    }
    if (!disk.is_stdout) {
        rc = fstat(disk.fd, &st) == 0 ? 0 : -errno;
        size = rc == 0 && (size_t)st.st_size < max_bytes ? (size_t)st.st_size : max_bytes;
    }
    bytes = rc == 0 ? mem_alloc(size) : NULL;
    if (rc == 0 && bytes == NULL) {
        rc = ERR_NOMEM;
    }
    if (rc == 0 && size > 0) {
        rc = read_tail(disk.fd, bytes, size, st.st_size - (off_t)size);
    }
    file_disk_close(&disk);
    if (rc != 0) {
        mem_free(bytes);
        return rc;
    }
    *ret_bytes = bytes;
    *ret_size = size;
    return 0;
}

static const struct env_file_ops file_ops = {
    .append_start = file_append_start,
    .reserve = file_reserve,
    .reopen = file_reopen,
    .close = file_close,
    .tail = file_tail,
};

/* The lock, the wake-up and the thread. `file` is taken even on error. */
static int start_writer(struct io_file *file, struct err *e)
{
    int rc = uv_mutex_init(&file->lock);

    if (rc != 0) {
        goto err_file;
    }
    rc = uv_cond_init(&file->has_work);
    if (rc != 0) {
        goto err_lock;
    }
    rc = uv_async_init(io_uv(file->io), &file->wake, on_wake);
    if (rc != 0) {
        goto err_cond;
    }
    file->wake.data = file;
    rc = uv_thread_create(&file->writer, run_writer, file);
    if (rc != 0) {
        /* The handle is the loop's now, so its close callback frees the file. */
        uv_close((uv_handle_t *)&file->wake, on_wake_closed);
        return err_set(e, rc, "could not start the writer of %s: %s", file->path, uv_strerror(rc));
    }
    return 0;

err_cond:
    uv_cond_destroy(&file->has_work);
err_lock:
    uv_mutex_destroy(&file->lock);
err_file:
    (void)err_set(e, rc, "could not start the writer of %s: %s", file->path, uv_strerror(rc));
    file_free(file);
    return rc;
}

int io_file_open(struct env *env, const char *path, struct env_file **ret_file, struct err *e)
{
    struct io_file *file = mem_calloc(1, sizeof(*file));
    int rc;

    if (file == NULL) {
        return err_set(e, ERR_NOMEM, "out of memory");
    }
    file->magic = FILE_MAGIC;
    file->base.ops = &file_ops;
    file->base.env = env;
    file->io = io_of(env);
    file->disk.fd = -1;
    list_init(&file->changes);
    list_init(&file->queue);
    list_init(&file->done);
    file->path = mem_strdup(path);
    rc = file->path == NULL ? err_set(e, ERR_NOMEM, "out of memory")
                            : file_disk_open(file->path, &file->disk, e);
    if (rc == 0) {
        rc = file_disk_lock(&file->disk, e);
    }
    if (rc != 0) {
        file_free(file);
        return rc;
    }
    rc = start_writer(file, e);
    if (rc != 0) {
        return rc;
    }
    *ret_file = &file->base;
    return 0;
}
