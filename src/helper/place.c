/* The walk from the root: each step opens one component with O_NOFOLLOW below the one before, and
 * what was opened is looked at, not its name. That refuses links as RESOLVE_NO_SYMLINKS does, on
 * each kernel, and tells which component is at fault. */
#include "helper/place.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static bool is_trusted(const struct helper_file *file, uid_t uid)
{
    return uid == 0 || uid == geteuid() || (file->has_owner && uid == file->owner);
}

/* `seen` is the part of the path up to this folder. */
static int check_folder(const struct helper_file *file, int fd, struct str seen, bool is_last,
                        struct err *e)
{
    struct stat st;
    bool is_shared;

    if (fstat(fd, &st) != 0) {
        return err_set(e, -errno, "could not look at %.*s: %s", STR_ARG(seen), strerror(errno));
    }
    /* Who has a folder may take away what is in it; to do that for him is no harm. */
    if (file->is_stale) {
        return 0;
    }
    if (!is_trusted(file, st.st_uid)) {
        return err_set(
            e, ERR_DENIED,
            "the folder %.*s belongs to uid %u: neither root, nor leased, nor the file's "
            "owner",
            STR_ARG(seen), (unsigned int)st.st_uid);
    }
    is_shared = (st.st_mode & (S_IWGRP | S_IWOTH)) != 0;
    if (is_shared && (is_last || (st.st_mode & S_ISVTX) == 0)) {
        return err_set(e, ERR_DENIED, "the folder %.*s can be written by others (mode %04o)",
                       STR_ARG(seen), (unsigned int)(st.st_mode & 07777));
    }
    return 0;
}

static int enter(const struct helper_file *file, int *dir, struct str component, bool is_last,
                 struct err *e)
{
    struct str seen = {.ptr = file->path,
                       .len = (size_t)(component.ptr - file->path) + component.len};
    char name[NAME_MAX + 1];
    int fd;

    if (component.len > NAME_MAX) {
        return err_set(e, -ENAMETOOLONG, "a component of %s is too long", file->path);
    }
    memcpy(name, component.ptr, component.len);
    name[component.len] = '\0';
    fd = openat(*dir, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 && errno == ENOTDIR) {
        return err_set(e, ERR_INVALID, "%.*s is no folder (and links aren't followed)",
                       STR_ARG(seen));
    }
    if (fd < 0 && errno == ENOENT) {
        return err_set(e, ERR_NOT_FOUND, "there is no folder %.*s (yet)", STR_ARG(seen));
    }
    if (fd < 0) {
        return err_set(e, -errno, "could not open %.*s: %s", STR_ARG(seen), strerror(errno));
    }
    (void)close(*dir);
    *dir = fd;
    return check_folder(file, fd, seen, is_last, e);
}

static int walk(const struct helper_file *file, struct str folders, int *dir, struct err *e)
{
    int r = check_folder(file, *dir, STR("/"), folders.len == 0, e);

    while (r == 0 && folders.len > 0) {
        struct str component = str_cut(&folders, '/');

        if (str_eq_c(component, "..") || str_eq_c(component, ".") || component.len == 0) {
            r = err_set(e, ERR_INVALID, "%s isn't a plain path", file->path);
        } else {
            r = enter(file, dir, component, folders.len == 0, e);
        }
    }
    return r;
}

int place_open(const struct helper_file *file, struct place *ret_place, struct err *e)
{
    const char *slash = strrchr(file->path, '/');
    struct place place = {.dir = -1, .name = slash + 1};
    struct str folders = {.ptr = file->path + 1, .len = 0};
    int r;

    if (slash > file->path) {
        folders.len = (size_t)(slash - file->path) - 1;
    }
    r = snprintf(place.beside, sizeof(place.beside), ".%s.leased", place.name);
    if (r < 0 || (size_t)r >= sizeof(place.beside)) {
        return err_set(e, -ENAMETOOLONG, "the name of %s is too long", file->path);
    }
    place.dir = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (place.dir < 0) {
        return err_set(e, -errno, "could not open /: %s", strerror(errno));
    }
    r = walk(file, folders, &place.dir, e);
    if (r != 0) {
        place_close(&place);
        return r;
    }
    *ret_place = place;
    return 0;
}

void place_close(struct place *place)
{
    (void)close(place->dir);
    place->dir = -1;
}

int place_look(const struct place *place, const struct helper_file *file, struct stat *ret_facts,
               struct err *e)
{
    struct stat st;

    if (fstatat(place->dir, place->name, &st, AT_SYMLINK_NOFOLLOW) != 0) {
        return err_set(e, errno == ENOENT ? ERR_NOT_FOUND : -errno, "could not look at %s: %s",
                       file->path, strerror(errno));
    }
    if (!S_ISREG(st.st_mode)) {
        return err_set(e, ERR_INVALID, "%s is %s: take it away, or name another path", file->path,
                       S_ISLNK(st.st_mode) ? "a symbolic link" : "no regular file");
    }
    *ret_facts = st;
    return 0;
}
