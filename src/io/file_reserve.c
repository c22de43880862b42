/* Room on the disk that is an append-only file's alone: allocated beyond its end, so that records
 * go on being written for a while when somebody else has filled the disk.
 *
 * Happy path: after each group the room is looked at; once a quarter of it is used up, it is
 * allocated anew from the file's end.
 *
 * Failure paths: it can't be renewed (ENOSPC, EDQUOT): the groups from then on say so, and each of
 * them tries again. A file system that can't do this: the file goes on without. The file was
 * shortened, ours or by others, and with it went what was allocated: it is renewed. */
#include "io/file_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

static int allocate(int fd, off_t from, off_t bytes)
{
    int rc;

    do {
        rc = fallocate(fd, FALLOC_FL_KEEP_SIZE, from, bytes) == 0 ? 0 : errno;
    } while (rc == EINTR);
    return rc;
}

void file_reserve_renew(struct file_disk *disk)
{
    off_t bytes = (off_t)disk->reserve_bytes;
    struct stat st;
    int rc;

    if (bytes == 0 || disk->is_broken || fstat(disk->fd, &st) != 0) {
        return;
    }
    if (st.st_size < disk->size_seen) {
        disk->reserved_to = 0;
    }
    disk->size_seen = st.st_size;
    if (disk->reserved_to - st.st_size > bytes - bytes / 4) {
        return;
    }
    rc = allocate(disk->fd, st.st_size, bytes);
    if (rc == 0) {
        disk->reserved_to = st.st_size + bytes;
    } else if (rc == EOPNOTSUPP || rc == ENOSYS) {
        disk->reserve_bytes = 0;
        rc = 0;
    }
    disk->is_short = rc != 0;
}

void file_reserve_release(struct file_disk *disk)
{
    struct stat st;

    /* Truncating to its own size takes away what is allocated beyond it. */
    if (disk->reserved_to > 0 && fstat(disk->fd, &st) == 0) {
        (void)!ftruncate(disk->fd, st.st_size);
    }
    disk->reserved_to = 0;
}
