/* Files: append-only ones, ones that are replaced whole (struct env_put), and small ones
 * that others leave.
 *
 * Append-only files have group commit: whatever was appended since the last write goes out with one
 * write and one fdatasync, on a thread of its own, and then all callbacks of that group run. */
#ifndef LEASED_ENV_FILE_H
#define LEASED_ENV_FILE_H

#include "base/buf.h"
#include "env/env.h"

/* Records that wait for the disk, in all; more is refused. */
#define ENV_FILE_QUEUE_MAX_BYTES (16U * 1024U * 1024U)

/* One append, embedded in its owner. */
struct env_append {
    struct str bytes; /* borrowed until the callback; whole records */
    /* 0 when the bytes are on stable storage. On a failure (ENOSPC, EIO, …: a negated errno)
     * nothing of this append stays in the file: a torn record is cut off again. */
    void (*fn)(struct env_append *append, int status);
    void *user;
    int status;
    bool is_short; /* when fn runs: env_file_reserve's room couldn't be renewed after it */
    struct list node;
};

/* Files that are replaced whole: public ones that others read (lists of what is revoked), and
 * leased's own state. One replacement, embedded in its owner. */
#define ENV_PUT_MAX_BYTES (8U * 1024U * 1024U)

struct env_put {
    const char *path; /* borrowed until the callback */
    struct str bytes; /* the same; at most ENV_PUT_MAX_BYTES */
    /* For leased alone (0600): then its folder is made (0700) where it is missing, and what stands
     * at the path must be as private. */
    bool is_private;
    /* 0 when the new content and its name are on stable storage. Else an ERR_* or a negated errno
     * with a text (borrowed until the callback returns): then the old content is there whole, or,
     * when only the last sync failed, the new one. */
    void (*fn)(struct env_put *put, int status, const char *detail);
    void *user;
    struct list node;
};

/* A small file that another program leaves under a folder of its own. */
struct env_file_place {
    const char *folder; /* absolute; may lead through links */
    const char *path;   /* below it; neither links nor ".." */
};

struct env_file_ops {
    int (*append_start)(struct env_file *file, struct env_append *append);
    int (*reopen)(struct env_file *file, struct err *e);
    void (*close)(struct env_file *file, void (*closed)(void *user), void *user);
    void (*reserve)(struct env_file *file, size_t bytes);
    int (*tail)(struct env_file *file, size_t max_bytes, char **ret_bytes, size_t *ret_size);
};

struct env_file {
    const struct env_file_ops *ops;
    struct env *env;
};

/* Opens (creates with 0600; O_APPEND, O_NOFOLLOW) for appending. Blocks; used at start. Path "-":
 * stdout, where no sync happens. ERR_BUSY when another process has it open here. ERR_* or a negated
 * errno with a text. */
static inline int env_file_open(struct env *env, const char *path, struct env_file **ret_file,
                                struct err *e)
{
    return env->ops->file_open(env, path, ret_file, e);
}

/* Replaces the file at put->path: written beside it, synced, then renamed onto it, with mode 0644
 * or 0600.
 * The path is absolute; its directory must be there and be changeable by root and us only; what
 * stands at it must be a regular file or nothing. Puts that are under way at once land in any
 * order. Can't be cancelled. ERR_NOMEM, ERR_CLOSED. */
static inline int env_put_start(struct env *env, struct env_put *put)
{
    return env->ops->file_put(env, put);
}

/* Appends the whole file to `out`. Blocks briefly. With a text: ERR_NOT_FOUND, ERR_INVALID (a link,
 * no regular file, no plain path), ERR_DENIED (others than root and we could have written it),
 * ERR_TOO_LARGE (more than `out` takes), ERR_NOMEM, ERR_UNSUPPORTED, or a negated errno. */
static inline int env_file_read(struct env *env, const struct env_file_place *place,
                                struct buf *out, struct err *e)
{
    return env->ops->file_read != NULL ? env->ops->file_read(env, place, out, e)
                                       : err_set(e, ERR_UNSUPPORTED, "files can't be read");
}

/* ERR_LIMIT when ENV_FILE_QUEUE_MAX_BYTES wait already, ERR_CLOSED after close. Appends land in the
 * order of their starts. */
static inline int env_append_start(struct env_file *file, struct env_append *append)
{
    return file->ops->append_start(file, append);
}

/* From now on so much of the disk is kept for the file alone, beyond its end, where the file system
 * can do that; renewed as it is used up. So appends still succeed for a while when somebody else
 * has filled the disk, and say is_short. An append without bytes looks after it, too. Once, before
 * the first append. */
static inline void env_file_reserve(struct env_file *file, size_t bytes)
{
    file->ops->reserve(file, bytes);
}

/* Opens the same path anew, for log rotation; appends started before go to the old file. On failure
 * the old file stays in use. */
static inline int env_file_reopen(struct env_file *file, struct err *e)
{
    return file->ops->reopen(file, e);
}

/* The last `max_bytes` of the file as it is at start (mem_free); nothing for stdout: size 0.
 * Blocks; used at start to find the head of the chain. */
static inline int env_file_tail(struct env_file *file, size_t max_bytes, char **ret_bytes,
                                size_t *ret_size)
{
    return file->ops->tail(file, max_bytes, ret_bytes, ret_size);
}

/* Pending appends are still written and their callbacks run; then `closed` runs and the file is
 * freed. */
static inline void env_file_close(struct env_file *file, void (*closed)(void *user), void *user)
{
    file->ops->close(file, closed, user);
}

#endif
