/* Small files that other programs leave. Each step below the folder opens one component of the path
 * with O_NOFOLLOW under the one before, so that no name of theirs leads anywhere else; what was
 * opened is looked at, not its name. */
#include "io/io_internal.h"

#include "env/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PIECE_BYTES 8192

static int failed(const struct env_file_place *place, int r, const char *why, struct err *e)
{
    return err_set(e, r, "could not read %s/%s: %s", place->folder, place->path, why);
}

static int failed_errno(const struct env_file_place *place, struct err *e)
{
    int code = errno;

    if (code == ENOENT) {
        return failed(place, ERR_NOT_FOUND, "there is none", e);
    }
    /* ELOOP: a link in the place of the file; ENOTDIR: in that of a folder. */
    if (code == ELOOP || code == ENOTDIR) {
        return failed(place, ERR_INVALID, "links aren't followed", e);
    }
    return failed(place, -code, err_str(-code), e);
}

/* The file's descriptor. */
static int walk(const struct env_file_place *place, int *ret_fd, struct err *e)
{
    int dir = open(place->folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
    struct str rest = str_of(place->path);

    while (dir >= 0) {
        struct str component = str_cut(&rest, '/');
        bool is_last = rest.ptr == NULL;
        /* O_NONBLOCK: a pipe in place of the file must not hold the loop. */
        int flags = is_last ? O_RDONLY | O_NONBLOCK | O_NOCTTY : O_PATH | O_DIRECTORY;
        char name[NAME_MAX + 1];
        int next;
        int r = 0;

        if (component.len == 0 || component.len > NAME_MAX || str_eq_c(component, ".") ||
            str_eq_c(component, "..")) {
            (void)close(dir);
            return failed(place, ERR_INVALID, "it isn't a plain path", e);
        }
        *str_put(name, component) = '\0';
        next = openat(dir, name, flags | O_NOFOLLOW | O_CLOEXEC);
        r = next < 0 ? failed_errno(place, e) : 0;
        (void)close(dir);
        if (r != 0) {
            return r;
        }
        if (is_last) {
            *ret_fd = next;
            return 0;
        }
        dir = next;
    }
    return failed_errno(place, e);
}

static int facts_check(const struct env_file_place *place, int fd, struct err *e)
{
    struct stat facts;

    if (fstat(fd, &facts) != 0) {
        return failed_errno(place, e);
    }
    if (!S_ISREG(facts.st_mode)) {
        return failed(place, ERR_INVALID, "it is no regular file", e);
    }
    if ((facts.st_uid != 0 && facts.st_uid != geteuid()) ||
        (facts.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
        return failed(place, ERR_DENIED, "others than root and leased could have written it", e);
    }
    return 0;
}

static int bytes_read(const struct env_file_place *place, int fd, struct buf *out, struct err *e)
{
    char piece[PIECE_BYTES];
    ssize_t got;

    for (;;) {
        got = read(fd, piece, sizeof(piece));
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0 || buf_status(out) != 0) {
            break;
        }
        buf_add(out, piece, (size_t)got);
    }
    if (got < 0) {
        return failed_errno(place, e);
    }
    return buf_status(out) == 0 ? 0 : failed(place, buf_status(out), err_str(buf_status(out)), e);
}

int io_file_read(struct env *env, const struct env_file_place *place, struct buf *out,
                 struct err *e)
{
    int fd = -1;
    int r = walk(place, &fd, e);

    (void)env;
    if (r != 0) {
        return r;
    }
    r = facts_check(place, fd, e);
    r = r == 0 ? bytes_read(place, fd, out, e) : r;
    (void)close(fd);
    return r;
}
