/* Happy path: open the directory and the file without following symlinks, look at owner and mode of
 * what was opened, then dlopen that very file through /proc/self/fd, so that nothing can be put in
 * its place between the check and the use. Failures name the file and what is wrong with it;
 * nothing is loaded then. */
#include "backend/load.h"

#include "base/buf.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

/* Only root and the daemon itself may be able to change what gets executed. */
static int check_owner(const struct stat *st, const char *what, const char *path, struct err *e)
{
    if (st->st_uid != 0 && st->st_uid != geteuid()) {
        return err_set(e, ERR_DENIED, "%s %s belongs to uid %u: it must be root's or the daemon's",
                       what, path, (unsigned)st->st_uid);
    }
    if ((st->st_mode & (S_IWGRP | S_IWOTH)) != 0) {
        return err_set(e, ERR_DENIED, "%s %s can be written by its group or by others (mode %04o)",
                       what, path, (unsigned)(st->st_mode & 07777U));
    }
    return 0;
}

static int open_failed(const char *what, const char *path, int error, struct err *e)
{
    if (error == ENOENT) {
        return err_set(e, ERR_NOT_FOUND, "%s %s does not exist", what, path);
    }
    if (error == ELOOP || error == ENOTDIR) {
        return err_set(e, ERR_DENIED, "%s %s is a symbolic link or not a %s", what, path, what);
    }
    return err_set(e, -error, "could not open %s %s: %s", what, path, err_str(-error));
}

static int open_directory(const char *directory, int *ret_fd, struct err *e)
{
    struct stat st;
    int fd = open(directory, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    int rc;

    if (fd < 0) {
        return open_failed("directory", directory, errno, e);
    }
    rc = fstat(fd, &st) != 0 ? open_failed("directory", directory, errno, e)
                             : check_owner(&st, "directory", directory, e);
    if (rc != 0) {
        (void)close(fd);
        return rc;
    }
    *ret_fd = fd;
    return 0;
}

static int open_file(int directory_fd, const char *file, const char *path, int *ret_fd,
                     struct err *e)
{
    struct stat st;
    /* Without O_NONBLOCK a fifo in the place of the plugin would hang the start. */
    int fd = openat(directory_fd, file, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    int rc;

    if (fd < 0) {
        return open_failed("file", path, errno, e);
    }
    if (fstat(fd, &st) != 0) {
        rc = open_failed("file", path, errno, e);
    } else if (!S_ISREG(st.st_mode)) {
        rc = err_set(e, ERR_DENIED, "%s is not a regular file", path);
    } else {
        rc = check_owner(&st, "file", path, e);
    }
    if (rc != 0) {
        (void)close(fd);
        return rc;
    }
    *ret_fd = fd;
    return 0;
}

/* Takes `fd`. It stays open with the library: the linker knows libraries by the name that they were
 * opened by, and would take the next one under the same number for this one. */
static int load(int fd, const char *path, leased_plugin_entry_fn *ret_entry, struct err *e)
{
    char proc_path[64];
    void *library;
    void *symbol;
    union {
        void *object;
        leased_plugin_entry_fn entry;
    } cast;

    (void)snprintf(proc_path, sizeof(proc_path), "/proc/self/fd/%d", fd);
    library = dlopen(proc_path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    if (library == NULL) {
        const char *why = dlerror();

        (void)close(fd);
        return err_set(e, ERR_INVALID, "could not load %s: %s", path, why != NULL ? why : "?");
    }
    symbol = dlsym(library, "leased_plugin_entry");
    (void)dlclose(library); /* RTLD_NODELETE keeps it */
    if (symbol == NULL) {
        return err_set(e, ERR_INVALID, "%s is not a leased plugin: no leased_plugin_entry", path);
    }
    /* POSIX says that a function's address fits; ISO C has no conversion for it. */
    cast.object = symbol;
    *ret_entry = cast.entry;
    return 0;
}

int load_plugin(const char *directory, struct str name, leased_plugin_entry_fn *ret_entry,
                struct err *e)
{
    char file[64];
    BUF_AUTO path;
    int directory_fd = -1;
    int fd = -1;
    int rc;

    (void)snprintf(file, sizeof(file), "%.*s.so", STR_ARG(name));
    buf_init(&path, 4096);
    buf_printf(&path, "%s/%s", directory, file);
    rc = buf_status(&path);
    if (rc != 0) {
        return err_set(e, rc, "%s", err_str(rc));
    }
    rc = open_directory(directory, &directory_fd, e);
    if (rc != 0) {
        return rc;
    }
    rc = open_file(directory_fd, file, path.bytes, &fd, e);
    if (rc == 0) {
        rc = load(fd, path.bytes, ret_entry, e);
    }
    (void)close(directory_fd);
    return rc;
}
