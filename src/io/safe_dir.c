/* A walk from the root to a directory, one component at a time, that stops where a stranger could
 * have a hand in it.
 *
 * Happy path: open "/" → for each component: look at it without following, check its owner and
 * mode, open it by name below the descriptor of its parent. Links are followed by hand, because a
 * link that a stranger made is where attacks start, and /var/run, a link of root's, is not. What
 * has been checked can't be swapped before it is opened: that takes write access to its parent,
 * which has been checked already.
 *
 * Failure paths: a missing last directory is made when the caller says how; anything else that is
 * missing, foreign or open to others ends the walk with an error that names it. */
#include "io/safe_dir.h"

#include "base/str.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define WALK_LINKS_MAX 16

struct walk {
    int fd;              /* the directory reached */
    char seen[PATH_MAX]; /* its name, for messages */
    char rest[PATH_MAX]; /* what is left to walk */
    unsigned int links;
    const struct safe_dir_make *make;
};

static bool is_trusted_owner(uid_t uid)
{
    return uid == 0 || uid == geteuid();
}

static int check_dir(const struct walk *walk, const struct stat *st, bool is_last, struct err *e)
{
    bool is_open = (st->st_mode & (S_IWGRP | S_IWOTH)) != 0;
    bool is_sticky = (st->st_mode & S_ISVTX) != 0;

    if (!is_trusted_owner(st->st_uid)) {
        return err_set(e, ERR_DENIED, "%s belongs to uid %u; it must be root's or the daemon's own",
                       walk->seen, (unsigned int)st->st_uid);
    }
    if (is_open && !is_last && walk->make != NULL && walk->make->is_in_volume) {
        return 0;
    }
    if (is_open && !is_sticky) {
        return err_set(e, ERR_DENIED,
                       "%s can be written by group or others (mode %04o); take that right away",
                       walk->seen, (unsigned int)(st->st_mode & 07777));
    }
    if (is_open && is_last) {
        return err_set(e, ERR_DENIED,
                       "%s is shared with others (mode %04o); use a directory of its own below it",
                       walk->seen, (unsigned int)(st->st_mode & 07777));
    }
    return 0;
}

static int enter(struct walk *walk, int parent, const char *name, struct err *e)
{
    int fd = openat(parent, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

    if (fd < 0) {
        return err_set(e, -errno, "could not open %s: %s", walk->seen, strerror(errno));
    }
    if (walk->fd >= 0) {
        (void)close(walk->fd);
    }
    walk->fd = fd;
    return 0;
}

static int start_at_root(struct walk *walk, struct err *e)
{
    (void)snprintf(walk->seen, sizeof(walk->seen), "/");
    return enter(walk, AT_FDCWD, "/", e);
}

/* Takes the next component off `rest`. */
static struct str next_component(struct walk *walk)
{
    size_t skip = strspn(walk->rest, "/");
    size_t len = strcspn(walk->rest + skip, "/");

    return (struct str){.ptr = walk->rest + skip, .len = len};
}

static void consume(struct walk *walk, struct str component)
{
    size_t used = (size_t)(component.ptr - walk->rest) + component.len;

    memmove(walk->rest, walk->rest + used, strlen(walk->rest + used) + 1);
}

static bool is_walk_over(const struct walk *walk)
{
    return walk->rest[strspn(walk->rest, "/")] == '\0';
}

static int follow(struct walk *walk, const char *name, const struct stat *st, struct err *e)
{
    char target[PATH_MAX];
    char rest[PATH_MAX];
    ssize_t len;
    int n;

    if (!is_trusted_owner(st->st_uid)) {
        return err_set(e, ERR_DENIED, "%s is a symbolic link made by uid %u", walk->seen,
                       (unsigned int)st->st_uid);
    }
    if (++walk->links > WALK_LINKS_MAX) {
        return err_set(e, -ELOOP, "%s: too many symbolic links", walk->seen);
    }
    len = readlinkat(walk->fd, name, target, sizeof(target) - 1);
    if (len < 0) {
        return err_set(e, -errno, "could not read the link %s: %s", walk->seen, strerror(errno));
    }
    target[len] = '\0';
    n = snprintf(rest, sizeof(rest), "%s/%s", target, walk->rest);
    if (n < 0 || (size_t)n >= sizeof(rest)) {
        return err_set(e, -ENAMETOOLONG, "%s leads to a path that is too long", walk->seen);
    }
    memcpy(walk->rest, rest, (size_t)n + 1);
    if (target[0] == '/') {
        return start_at_root(walk, e);
    }
    *strrchr(walk->seen, '/') = '\0';
    return 0;
}

static int make_dir(struct walk *walk, const char *name, struct err *e)
{
    int fd;
    int rc = 0;

    /* 0700 first: nobody else gets in before the group is right. */
    if (mkdirat(walk->fd, name, 0700) != 0 && errno != EEXIST) {
        return err_set(e, -errno, "could not make the directory %s: %s", walk->seen,
                       strerror(errno));
    }
    fd = openat(walk->fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) {
        return err_set(e, -errno, "could not open %s: %s", walk->seen, strerror(errno));
    }
    if (walk->make->has_gid && fchown(fd, (uid_t)-1, walk->make->gid) != 0) {
        rc = err_set(e, ERR_DENIED, "could not give the directory %s to group %u: %s", walk->seen,
                     (unsigned int)walk->make->gid, strerror(errno));
    } else if (fchmod(fd, walk->make->mode) != 0) {
        rc = err_set(e, -errno, "could not set the mode of %s: %s", walk->seen, strerror(errno));
    }
    (void)close(fd);
    return rc;
}

static int name_component(struct walk *walk, struct str component, char *ret_name, size_t size,
                          struct err *e)
{
    size_t seen_len = strlen(walk->seen);
    bool is_root = seen_len == 1;
    int n;

    if (component.len >= size) {
        return err_set(e, -ENAMETOOLONG, "a component below %s is too long", walk->seen);
    }
    memcpy(ret_name, component.ptr, component.len);
    ret_name[component.len] = '\0';
    n = snprintf(walk->seen + seen_len, sizeof(walk->seen) - seen_len, "%s%s", is_root ? "" : "/",
                 ret_name);
    if (n < 0 || (size_t)n >= sizeof(walk->seen) - seen_len) {
        return err_set(e, -ENAMETOOLONG, "the path is too long");
    }
    return 0;
}

static int step(struct walk *walk, struct err *e)
{
    struct str component = next_component(walk);
    char name[NAME_MAX + 1];
    struct stat st;
    bool is_last;
    int rc = name_component(walk, component, name, sizeof(name), e);

    if (rc != 0) {
        return rc;
    }
    consume(walk, component);
    is_last = is_walk_over(walk);
    if (fstatat(walk->fd, name, &st, AT_SYMLINK_NOFOLLOW) != 0) {
        if (errno != ENOENT) {
            return err_set(e, -errno, "could not look at %s: %s", walk->seen, strerror(errno));
        }
        if (!is_last || walk->make == NULL) {
            return err_set(e, ERR_NOT_FOUND, "the directory %s does not exist; make it first",
                           walk->seen);
        }
        rc = make_dir(walk, name, e);
        if (rc != 0) {
            return rc;
        }
    } else if (S_ISLNK(st.st_mode)) {
        return follow(walk, name, &st, e);
    } else if (!S_ISDIR(st.st_mode)) {
        return err_set(e, ERR_INVALID, "%s is not a directory", walk->seen);
    }
    rc = enter(walk, walk->fd, name, e);
    if (rc != 0) {
        return rc;
    }
    if (fstat(walk->fd, &st) != 0) {
        return err_set(e, -errno, "could not look at %s: %s", walk->seen, strerror(errno));
    }
    return check_dir(walk, &st, is_last, e);
}

int safe_dir_open(const char *path, const struct safe_dir_make *make, int *ret_fd, struct err *e)
{
    struct walk walk = {.fd = -1, .make = make};
    int rc;

    if (path[0] != '/' || strlen(path) >= sizeof(walk.rest)) {
        return err_set(e, ERR_INVALID, "%.200s is not an absolute path of bearable length", path);
    }
    memcpy(walk.rest, path, strlen(path) + 1);
    rc = start_at_root(&walk, e);
    while (rc == 0 && !is_walk_over(&walk)) {
        rc = step(&walk, e);
    }
    if (rc != 0) {
        if (walk.fd >= 0) {
            (void)close(walk.fd);
        }
        return rc;
    }
    *ret_fd = walk.fd;
    return 0;
}
