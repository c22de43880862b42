/* The writer's side of an append-only file: one group of records at a time, all or nothing.
 *
 * Happy path: the length is noted → writev until all is out → fdatasync → the group's status is 0.
 *
 * Failure paths:
 *   - A write that fails or stops short (ENOSPC, EDQUOT, EIO): the file is cut back to the noted
 * length, so that no torn record stays, and the group fails. The descriptor stays in use.
 *   - A sync that fails: the kernel may have dropped the pages and call the next sync a success, so
 * nothing that this descriptor says about them counts any more. The group fails; before the next
 * group the path is opened anew, the group's rest is cut off, and that is synced. Until this has
 * worked each group fails.
 *   - The file was unlinked behind our back: records in it would be lost without an error, so the
 * path is opened anew before the group. A rename needs no such guess: whoever renames asks for a
 * reopen.
 *   - Another daemon writes the file: the two chains would end each other, so a file is locked when
 * it is opened first, and ERR_BUSY says so. A descriptor that replaces ours can take the lock only
 * when ours is closed (it is the same file, perhaps), too late to refuse; it goes on without.
 *   - It was shortened behind our back (copytruncate): O_APPEND puts the group at the new end, and
 * the length is read anew for each group, so a later cut doesn't go by the old one. */
#include "io/file_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define IOV_MAX_COUNT 256

/* A pipe takes this much without blocking once poll says that it is writable. */
#define STDOUT_PIECE_BYTES 4096U
#define STDOUT_POLL_MS 100
#define STDOUT_STOP_POLLS 20 /* two seconds for a reader that no longer reads, when closing */

static int check_file(int fd, const char *path, struct err *e)
{
    struct stat st;

    if (fstat(fd, &st) != 0) {
        return err_set(e, -errno, "could not look at %s: %s", path, strerror(errno));
    }
    if (!S_ISREG(st.st_mode)) {
        return err_set(e, ERR_INVALID, "%s is not a regular file", path);
    }
    if (st.st_uid != geteuid() && st.st_uid != 0) {
        return err_set(e, ERR_DENIED, "%s belongs to uid %u; it must be the daemon's own", path,
                       (unsigned int)st.st_uid);
    }
    if ((st.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
        return err_set(e, ERR_DENIED,
                       "%s can be written by others (mode %04o); take that right away", path,
                       (unsigned int)(st.st_mode & 07777));
    }
    return 0;
}

int file_disk_open(const char *path, struct file_disk *ret_disk, struct err *e)
{
    /* O_NONBLOCK: whoever put a FIFO there shall not stop us in open. */
    int flags = O_RDWR | O_APPEND | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
    struct file_disk disk = {.fd = STDOUT_FILENO, .path = path};
    int rc;

    if (strcmp(path, "-") == 0) {
        disk.is_stdout = true;
        *ret_disk = disk;
        return 0;
    }
    disk.fd = open(path, flags | O_CREAT | O_EXCL, 0600);
    if (disk.fd >= 0) {
        disk.is_dir_unsynced = true;
    } else if (errno == EEXIST) {
        disk.fd = open(path, flags);
    }
    if (disk.fd < 0) {
        return err_set(e, errno == EACCES ? ERR_DENIED : -errno, "could not open %s: %s%s", path,
                       strerror(errno), errno == ELOOP ? " (it is a symbolic link)" : "");
    }
    rc = check_file(disk.fd, path, e);
    if (rc != 0) {
        (void)close(disk.fd);
        return rc;
    }
    *ret_disk = disk;
    return 0;
}

int file_disk_lock(const struct file_disk *disk, struct err *e)
{
    if (!disk->is_stdout && flock(disk->fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
        return err_set(e, ERR_BUSY,
                       "%s is being written already; each daemon and sink needs a file of its own",
                       disk->path);
    }
    return 0;
}

void file_disk_close(struct file_disk *disk)
{
    if (!disk->is_stdout && disk->fd >= 0) {
        file_reserve_release(disk);
        (void)close(disk->fd);
    }
    disk->fd = -1;
}

void file_disk_change(struct file_disk *disk, const struct file_disk *fresh)
{
    struct file_disk old = *disk;

    file_disk_close(disk);
    *disk = *fresh;
    disk->reserve_bytes = old.reserve_bytes;
    disk->is_short = old.is_short;
    (void)file_disk_lock(disk, NULL);
    if (old.is_broken) {
        /* Perhaps it is the same inode: then the rest of the failed group is still in it. */
        disk->is_broken = true;
        disk->has_cut = old.has_cut;
        disk->cut_to = old.cut_to;
        disk->cut_device = old.cut_device;
        disk->cut_inode = old.cut_inode;
    }
}

static int sync_dir(const char *path)
{
    char dir[PATH_MAX] = ".";
    const char *slash = strrchr(path, '/');
    int fd;
    int rc;

    if (slash != NULL && (size_t)(slash - path) < sizeof(dir)) {
        size_t len = slash == path ? 1 : (size_t)(slash - path);

        memcpy(dir, path, len);
        dir[len] = '\0';
    }
    fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return -errno;
    }
    rc = fsync(fd) == 0 ? 0 : -errno;
    (void)close(fd);
    return rc;
}

/* Takes a new descriptor for the path in place of one that can't be used any more. */
static int replace(struct file_disk *disk)
{
    struct file_disk fresh = {.fd = -1};
    struct stat st;
    int rc = file_disk_open(disk->path, &fresh, NULL);

    if (rc != 0) {
        return rc;
    }
    /* Cutting is for the inode that holds the rest of a failed group; a new file at the path has
     * none. */
    if (disk->has_cut && fstat(fresh.fd, &st) == 0 && st.st_dev == disk->cut_device &&
        st.st_ino == disk->cut_inode && st.st_size > disk->cut_to &&
        (ftruncate(fresh.fd, disk->cut_to) != 0 || fdatasync(fresh.fd) != 0)) {
        rc = -errno;
        (void)close(fresh.fd);
        return rc;
    }
    fresh.reserve_bytes = disk->reserve_bytes;
    fresh.is_short = disk->is_short;
    file_disk_close(disk);
    *disk = fresh;
    (void)file_disk_lock(disk, NULL);
    return 0;
}

/* The descriptor is fit for a group; its length now. */
static int prepare(struct file_disk *disk, struct stat *ret_st)
{
    int rc = disk->is_broken ? replace(disk) : 0;

    if (rc == 0 && fstat(disk->fd, ret_st) != 0) {
        rc = -errno;
    }
    if (rc == 0 && ret_st->st_nlink == 0) {
        rc = replace(disk);
        if (rc == 0 && fstat(disk->fd, ret_st) != 0) {
            rc = -errno;
        }
    }
    return rc;
}

/* Takes what is allocated beyond the end with it. */
static int cut(struct file_disk *disk, off_t size)
{
    disk->reserved_to = 0;
    return ftruncate(disk->fd, size) == 0 ? 0 : -errno;
}

static void mark_broken(struct file_disk *disk, const struct stat *before)
{
    disk->is_broken = true;
    disk->has_cut = true;
    disk->cut_to = before->st_size;
    disk->cut_device = before->st_dev;
    disk->cut_inode = before->st_ino;
}

/* Skips `written` bytes of the pieces; returns the first one that isn't written whole. */
static struct iovec *advance(struct iovec *piece, const struct iovec *end, size_t written)
{
    while (piece < end && written >= piece->iov_len) {
        written -= piece->iov_len;
        piece++;
    }
    if (piece < end) {
        piece->iov_base = (char *)piece->iov_base + written;
        piece->iov_len -= written;
    }
    return piece;
}

static int write_pieces(int fd, struct iovec *pieces, size_t count)
{
    struct iovec *end = pieces + count;

    while (pieces < end) {
        ssize_t written = writev(fd, pieces, (int)(end - pieces));

        if (written < 0 && errno == EINTR) {
            continue;
        }
        if (written <= 0) {
            return written < 0 ? -errno : -EIO;
        }
        pieces = advance(pieces, end, (size_t)written);
    }
    return 0;
}

static int write_records(int fd, struct list *group)
{
    struct iovec pieces[IOV_MAX_COUNT] = {{.iov_len = 0}};
    struct list *node;
    struct list *following;
    size_t count = 0;
    int rc = 0;

    LIST_EACH (group, node, following) {
        struct str bytes = LIST_ENTRY(node, struct env_append, node)->bytes;

        if (bytes.len > 0) {
            /* writev only reads; its type doesn't say so. */
            pieces[count++] =
                (struct iovec){.iov_base = (void *)(uintptr_t)bytes.ptr, .iov_len = bytes.len};
        }
        if (count > 0 && (count == IOV_MAX_COUNT || following == group)) {
            rc = write_pieces(fd, pieces, count);
            count = 0;
        }
        if (rc != 0) {
            break;
        }
    }
    return rc;
}

static int write_file(struct file_disk *disk, struct list *group)
{
    struct stat before;
    int rc = prepare(disk, &before);

    if (rc != 0) {
        return rc;
    }
    rc = write_records(disk->fd, group);
    if (rc != 0) {
        if (cut(disk, before.st_size) != 0) {
            mark_broken(disk, &before);
        }
        return rc;
    }
    if (fdatasync(disk->fd) != 0) {
        rc = -errno;
        /* For readers now; what a crash would leave is cut again after the reopen. */
        (void)cut(disk, before.st_size);
        mark_broken(disk, &before);
        return rc;
    }
    if (disk->is_dir_unsynced) {
        rc = sync_dir(disk->path);
        disk->is_dir_unsynced = rc != 0;
        if (rc != 0 && cut(disk, before.st_size) != 0) {
            mark_broken(disk, &before);
        }
    }
    return rc;
}

/* Waits until stdout takes bytes. A reader that has stopped reading holds us only until we are
 * asked to stop. */
static int wait_for_stdout(int fd, bool (*is_stopping)(void *user), void *user)
{
    struct pollfd poll_fd = {.fd = fd, .events = POLLOUT};
    int stopping_polls = 0;

    while (stopping_polls < STDOUT_STOP_POLLS) {
        int rc = poll(&poll_fd, 1, STDOUT_POLL_MS);

        if (rc > 0) {
            return 0;
        }
        if (rc < 0 && errno != EINTR) {
            return -errno;
        }
        stopping_polls += is_stopping(user) ? 1 : 0;
    }
    return ERR_TIMEOUT;
}

static int write_stdout(int fd, struct list *group, bool (*is_stopping)(void *user), void *user)
{
    struct list *node;
    struct list *following;

    LIST_EACH (group, node, following) {
        struct str rest = LIST_ENTRY(node, struct env_append, node)->bytes;

        while (rest.len > 0) {
            size_t size = rest.len < STDOUT_PIECE_BYTES ? rest.len : STDOUT_PIECE_BYTES;
            int rc = wait_for_stdout(fd, is_stopping, user);
            ssize_t written;

            if (rc != 0) {
                return rc;
            }
            written = write(fd, rest.ptr, size);
            if (written < 0 && errno != EINTR && errno != EAGAIN) {
                return -errno;
            }
            if (written > 0) {
                rest.ptr += written;
                rest.len -= (size_t)written;
            }
        }
    }
    return 0;
}

void file_disk_write(struct file_disk *disk, struct list *group, bool (*is_stopping)(void *user),
                     void *user)
{
    int status = disk->is_stdout ? write_stdout(disk->fd, group, is_stopping, user)
                                 : write_file(disk, group);
    struct list *node;
    struct list *following;

    if (!disk->is_stdout) {
        file_reserve_renew(disk);
    }
    LIST_EACH (group, node, following) {
        struct env_append *append = LIST_ENTRY(node, struct env_append, node);

        append->status = status;
        append->is_short = disk->is_short;
    }
}
