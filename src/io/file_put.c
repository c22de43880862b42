/* Files that are replaced whole, in a thread of libuv's pool.
 *
 * Happy path: the directory is opened by a walk that trusts no stranger → what stands at the name
 * is a regular file or nothing → the content goes into a hidden file beside it → fsync → rename →
 * fsync of the directory → the callback runs on the loop.
 *
 * Failure paths: whatever fails before the rename takes the hidden file away again, so the old
 * content stays. A hidden file that a crash has left is removed by the next put. A link at the name
 * is refused rather than replaced: somebody put it there to lead elsewhere, and would wait in vain
 * for the file behind it to change. */
#include "env/file.h"

#include "base/mem.h"
#include "io/io_internal.h"
#include "io/safe_dir.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PUT_MAGIC 0x66707574U /* "fput" */
#define PUT_MODE 0644
#define PRIVATE_MODE 0600
#define PRIVATE_DIR_MODE 0700

struct io_put {
    uint32_t magic;
    struct io *io;
    struct env_put *put; /* borrowed; the thread reads its path and bytes */
    struct env_deferred start;
    uv_work_t work;
    int status;
    struct err error;
};

/* The place of a file: its directory, opened, and its name there. */
struct place {
    int dir;
    bool is_private;
    const char *name;
    char beside[NAME_MAX + 1];
};

static int place_open(const char *path, struct place *place, struct err *e)
{
    static const struct safe_dir_make make = {.mode = PRIVATE_DIR_MODE};
    const char *slash = strrchr(path, '/');
    char dir[PATH_MAX];
    size_t len = slash != NULL ? (size_t)(slash - path) : 0;
    int n;

    if (slash == NULL || path[0] != '/' || slash[1] == '\0' || len + 1 >= sizeof(dir)) {
        return err_set(e, ERR_INVALID, "%.200s is not the absolute path of a file", path);
    }
    (void)snprintf(dir, sizeof(dir), "%.*s", len > 0 ? (int)len : 1, path);
    place->name = slash + 1;
    n = snprintf(place->beside, sizeof(place->beside), ".%s.leased", place->name);
    if (n < 0 || (size_t)n >= sizeof(place->beside)) {
        return err_set(e, -ENAMETOOLONG, "%.200s…: the name is too long", path);
    }
    return safe_dir_open(dir, place->is_private ? &make : NULL, &place->dir, e);
}

static int check_target(const struct place *place, const char *path, struct err *e)
{
    struct stat st;

    if (fstatat(place->dir, place->name, &st, AT_SYMLINK_NOFOLLOW) != 0) {
        return errno == ENOENT
                   ? 0
                   : err_set(e, -errno, "could not look at %s: %s", path, strerror(errno));
    }
    if (!S_ISREG(st.st_mode)) {
        return err_set(e, ERR_INVALID, "%s is %s; take it away, or name another path", path,
                       S_ISLNK(st.st_mode) ? "a symbolic link" : "not a regular file");
    }
    if (place->is_private && (st.st_mode & (S_IRWXG | S_IRWXO)) != 0) {
        return err_set(e, ERR_INVALID, "%s isn't its owner's alone (mode %04o): chmod 0600", path,
                       (unsigned)(st.st_mode & 07777U));
    }
    if (!place->is_private && (st.st_mode & (S_IRWXG | S_IRWXO)) == 0) {
        return err_set(
            e, ERR_INVALID,
            "%s is its owner's alone, so it was not written here, and may be a key; take "
            "it away, or name another path",
            path);
    }
    return 0;
}

static int write_all(int fd, struct str bytes)
{
    while (bytes.len > 0) {
        ssize_t written = write(fd, bytes.ptr, bytes.len);

        if (written < 0 && errno == EINTR) {
            continue;
        }
        if (written <= 0) {
            return written < 0 ? -errno : -EIO;
        }
        bytes.ptr += written;
        bytes.len -= (size_t)written;
    }
    return 0;
}

/* The content in the file beside, synced. */
static int write_beside(const struct place *place, struct str bytes)
{
    mode_t mode = place->is_private ? PRIVATE_MODE : PUT_MODE;
    int fd;
    int rc;

    if (unlinkat(place->dir, place->beside, 0) != 0 && errno != ENOENT) {
        return -errno;
    }
    fd = openat(place->dir, place->beside, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
                mode);
    if (fd < 0) {
        return -errno;
    }
    rc = write_all(fd, bytes);
    if (rc == 0 && (fchmod(fd, mode) != 0 || fsync(fd) != 0)) {
        rc = -errno;
    }
    if (close(fd) != 0 && rc == 0) {
        rc = -errno;
    }
    return rc;
}

static int sync_dir(const struct place *place, const char *name)
{
    int fd = openat(place->dir, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int rc;

    if (fd < 0) {
        return -errno;
    }
    rc = fsync(fd) == 0 ? 0 : -errno;
    (void)close(fd);
    return rc;
}

static int replace(const struct env_put *put, struct err *e)
{
    const char *path = put->path;
    struct place place = {.dir = -1, .is_private = put->is_private, .name = ""};
    int rc = place_open(path, &place, e);

    if (rc != 0) {
        return rc;
    }
    rc = check_target(&place, path, e);
    if (rc != 0) {
        (void)close(place.dir);
        return rc;
    }
    rc = write_beside(&place, put->bytes);
    if (rc == 0 && renameat(place.dir, place.beside, place.dir, place.name) != 0) {
        rc = -errno;
    }
    if (rc != 0) {
        (void)unlinkat(place.dir, place.beside, 0);
    } else {
        rc = sync_dir(&place, ".");
    }
    if (rc == 0 && place.is_private) {
        (void)sync_dir(&place, ".."); /* the folder may be new; where we can't look we made none */
    }
    (void)close(place.dir);
    return rc == 0 ? 0 : err_set(e, rc, "could not write %s: %s", path, strerror(-rc));
}

static void run(uv_work_t *work)
{
    struct io_put *put = OBJ_CAST(work->data, struct io_put, PUT_MAGIC);

    put->status = replace(put->put, &put->error);
}

static void finish(struct io_put *put)
{
    put->io->put_count--;
    put->put->fn(put->put, put->status, put->error.text); /* the owner's may be gone */
    put->magic = 0;
    mem_free(put);
}

static void on_done(uv_work_t *work, int status)
{
    struct io_put *put = OBJ_CAST(work->data, struct io_put, PUT_MAGIC);

    (void)status; /* nobody takes it back from the pool */
    io_enter(put->io);
    finish(put); /* put is gone */
}

/* Not inside the caller's start: the first work makes libuv start the threads of its pool, and wait
 * for them (10 ms were seen). */
static void start(struct env_deferred *deferred)
{
    struct io_put *put = OBJ_CAST(deferred->user, struct io_put, PUT_MAGIC);
    int rc = uv_queue_work(io_uv(put->io), &put->work, run, on_done);

    if (rc != 0) {
        put->status =
            err_set(&put->error, rc, "could not write %s: %s", put->put->path, uv_strerror(rc));
        finish(put); /* put is gone */
    }
}

int io_file_put(struct env *env, struct env_put *put)
{
    struct io *io = io_of(env);
    struct io_put *it;

    if (io->is_closing) {
        return ERR_CLOSED;
    }
    if (put->bytes.len > ENV_PUT_MAX_BYTES) {
        return ERR_TOO_LARGE;
    }
    it = mem_calloc(1, sizeof(*it));
    if (it == NULL) {
        return ERR_NOMEM;
    }
    it->magic = PUT_MAGIC;
    it->io = io;
    it->put = put;
    it->work.data = it;
    it->start.fn = start;
    it->start.user = it;
    env_defer(env, &it->start);
    io->put_count++;
    return 0;
}
