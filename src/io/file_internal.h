/* What the loop's side (file.c) and the writer's side (file_disk.c) of an append-only file share.
 */
#ifndef LEASED_IO_FILE_INTERNAL_H
#define LEASED_IO_FILE_INTERNAL_H

#include "env/file.h"
#include "io/io_internal.h"

#include <sys/types.h>

#define FILE_MAGIC 0x66696c65U /* "file" */

/* The open file as the writer sees it. Only the writer's thread touches it once that runs. */
struct file_disk {
    int fd;
    const char *path; /* borrowed from the file */
    bool is_stdout;
    bool is_dir_unsynced; /* the file's name may not be on stable storage yet */
    /* After a write that could not be undone, or a sync that failed: the descriptor is no longer to
     * be trusted, and what stands beyond cut_to in that inode belongs to nobody. */
    bool is_broken;
    bool has_cut;
    off_t cut_to;
    dev_t cut_device;
    ino_t cut_inode;
    /* What is kept allocated beyond the end (file_reserve.c). */
    size_t reserve_bytes; /* 0: nothing */
    off_t reserved_to;    /* 0: nothing is allocated that we know of */
    off_t size_seen;      /* when it was last looked at */
    bool is_short;        /* it couldn't be renewed */
};

/* Opens for appending; refuses what isn't a regular file or isn't ours alone. `ret_disk` is
 * untouched on failure. */
int file_disk_open(const char *path, struct file_disk *ret_disk, struct err *e) ATTR_MUST_USE;
/* Makes us the file's only writer until the descriptor is closed; ERR_BUSY when there is another.
 * On a file system without locks it does nothing. */
int file_disk_lock(const struct file_disk *disk, struct err *e);
void file_disk_close(struct file_disk *disk);
/* Closes `disk` and goes on with `fresh`; what is still to be cut off stays so. */
void file_disk_change(struct file_disk *disk, const struct file_disk *fresh);

/* Appends all of `group` (struct env_append), syncs once and sets each one's status: the same for
 * all, because on failure the file is cut back to where the group began. Blocks. `is_stopping`
 * (called now and then while stdout isn't taken) says whether to give up. */
void file_disk_write(struct file_disk *disk, struct list *group, bool (*is_stopping)(void *user),
                     void *user);

/* Looks after the room beyond the end; sets disk->is_short. Blocks. */
void file_reserve_renew(struct file_disk *disk);
/* Gives it back: a file that is rotated away shall not keep it. */
void file_reserve_release(struct file_disk *disk);

#endif
