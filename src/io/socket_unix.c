/* Binding a unix socket.
 *
 * Happy path: names of user and group resolved → its directory opened by a walk that trusts no
 * stranger, or made → lock file taken → what stands at the path looked at, and removed if it is a
 * socket of ours that nobody serves → bind under umask 0177 → mode, group and user set → listen.
 * Until listen the kernel refuses every connect, so nobody gets in by an early, wider mode.
 *
 * Two daemons that start at once both find a dead socket, and the slower one would remove the
 * socket that the faster one has just bound. The lock file (.NAME.lock, 0600, never removed,
 * because removing a lock file is a race of its own) makes look, remove and bind one step. It is
 * held for these milliseconds only: a child that inherited it could otherwise keep a restarted
 * daemon out. From then on the live socket itself says that the path is taken.
 *
 * Failure paths: whatever was bound is removed again. */
#include "io/socket.h"

#include "io/accounts.h"
#include "io/safe_dir.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define LISTEN_BACKLOG 4096

static_assert(sizeof(((struct sockaddr_un *)0)->sun_path) == SOCKET_PATH_MAX_BYTES + 1,
              "sun_path has another size here");

/* What the options ask for, resolved. */
struct socket_access {
    mode_t mode;
    bool has_uid;
    uid_t uid;
    bool has_gid;
    gid_t gid;
};

static int resolve_access(const struct io_listener_options *options, struct socket_access *ret,
                          struct err *e)
{
    struct socket_access access = {.mode = options->mode};
    int rc = 0;

    if ((options->mode & ~0777U) != 0) {
        return err_set(e, ERR_INVALID, "mode %04o is not a socket's mode (0000 to 0777)",
                       (unsigned int)options->mode);
    }
    if (access.mode == 0) {
        access.mode = options->group != NULL ? 0660 : 0600;
    }
    if (options->user != NULL) {
        access.has_uid = true;
        rc = io_resolve_user(options->user, &access.uid, e);
    }
    if (rc == 0 && options->group != NULL) {
        access.has_gid = true;
        rc = io_resolve_group(options->group, &access.gid, e);
    }
    if (rc == 0) {
        *ret = access;
    }
    return rc;
}

/* Whoever may connect must be able to pass the directory: the group when it has a right on the
 * socket, everybody when others have one or when a user is named who need not be in the group. */
static struct safe_dir_make dir_for(const struct socket_access *access)
{
    bool is_for_others =
        (access->mode & S_IRWXO) != 0 || (access->has_uid && access->uid != geteuid());

    return (struct safe_dir_make){
        .mode = is_for_others ? 0755 : 0750,
        .has_gid = access->has_gid,
        .gid = access->gid,
    };
}

static int split_path(const char *path, char *ret_dir, struct socket_file *file, struct err *e)
{
    const char *slash = strrchr(path, '/');

    if (path[0] != '/') {
        return err_set(e, ERR_INVALID, "%.200s is not an absolute path", path);
    }
    if (strlen(path) > SOCKET_PATH_MAX_BYTES) {
        return err_set(e, ERR_INVALID,
                       "the path of a socket has at most %d bytes, this one has %zu: %.200s",
                       SOCKET_PATH_MAX_BYTES, strlen(path), path);
    }
    if (slash[1] == '\0' || strcmp(slash + 1, ".") == 0 || strcmp(slash + 1, "..") == 0) {
        return err_set(e, ERR_INVALID, "%s names a directory, not a socket", path);
    }
    (void)snprintf(file->name, sizeof(file->name), "%s", slash + 1);
    (void)snprintf(ret_dir, SOCKET_PATH_MAX_BYTES + 1, "%.*s",
                   slash == path ? 1 : (int)(slash - path), path);
    return 0;
}

static int take_lock(const struct socket_file *file, const char *path, int *ret_fd, struct err *e)
{
    char name[SOCKET_PATH_MAX_BYTES + sizeof("..lock")];
    struct stat st;
    int fd;

    (void)snprintf(name, sizeof(name), ".%s.lock", file->name);
    fd = openat(file->dir_fd, name, O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600);
    if (fd < 0) {
        return err_set(e, errno == EACCES ? ERR_DENIED : -errno,
                       "could not open the lock file %s beside %s: %s", name, path,
                       strerror(errno));
    }
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        (void)close(fd);
        return err_set(e, ERR_INVALID, "%s beside %s is not a regular file; remove it", name, path);
    }
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        (void)close(fd);
        return err_set(e, ERR_BUSY, "another daemon is just opening %s", path);
    }
    *ret_fd = fd;
    return 0;
}

static const char *kind_of(mode_t mode)
{
    return S_ISREG(mode)    ? "a regular file"
           : S_ISDIR(mode)  ? "a directory"
           : S_ISLNK(mode)  ? "a symbolic link"
           : S_ISFIFO(mode) ? "a FIFO"
                            : "a device";
}

/* 0 when nobody answers at `address`. */
static int probe(const struct sockaddr_un *address, struct err *e)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int status = 0;

    if (fd < 0) {
        return err_set(e, -errno, "could not make a socket: %s", strerror(errno));
    }
    if (connect(fd, (const struct sockaddr *)address, sizeof(*address)) != 0) {
        status = errno;
    }
    (void)close(fd);
    if (status == ECONNREFUSED || status == ENOENT) {
        return 0;
    }
    /* EAGAIN is a server with a full queue, EPROTOTYPE a server of another socket type: both are
     * alive. */
    if (status == 0 || status == EAGAIN || status == EPROTOTYPE) {
        return err_set(e, ERR_EXISTS, "another daemon answers at %s; stop it or use another path",
                       address->sun_path);
    }
    return err_set(e, -status, "could not find out whether somebody answers at %s: %s",
                   address->sun_path, strerror(status));
}

static int clear_path(const struct socket_file *file, const struct socket_access *access,
                      const struct sockaddr_un *address, struct err *e)
{
    struct stat st;
    int rc;

    if (fstatat(file->dir_fd, file->name, &st, AT_SYMLINK_NOFOLLOW) != 0) {
        return errno == ENOENT ? 0
                               : err_set(e, -errno, "could not look at %s: %s", address->sun_path,
                                         strerror(errno));
    }
    if (!S_ISSOCK(st.st_mode)) {
        return err_set(e, ERR_INVALID, "%s is %s, not a socket; remove it or use another path",
                       address->sun_path, kind_of(st.st_mode));
    }
    if (st.st_uid != geteuid() && !(access->has_uid && st.st_uid == access->uid)) {
        return err_set(e, ERR_DENIED, "%s is a socket of uid %u; remove it or use another path",
                       address->sun_path, (unsigned int)st.st_uid);
    }
    rc = probe(address, e);
    if (rc == 0 && unlinkat(file->dir_fd, file->name, 0) != 0 && errno != ENOENT) {
        rc = err_set(e, -errno, "could not remove the dead socket %s: %s", address->sun_path,
                     strerror(errno));
    }
    return rc;
}

static int set_access(struct socket_file *file, const struct socket_access *access,
                      const char *path, struct err *e)
{
    /* The mode first: once the file belongs to somebody else, changing it would take one more
     * capability. */
    if (fchmodat(file->dir_fd, file->name, access->mode, 0) != 0) {
        return err_set(e, -errno, "could not set the mode of %s: %s", path, strerror(errno));
    }
    if ((access->has_uid || access->has_gid) &&
        fchownat(file->dir_fd, file->name, access->has_uid ? access->uid : (uid_t)-1,
                 access->has_gid ? access->gid : (gid_t)-1, AT_SYMLINK_NOFOLLOW) != 0) {
        return err_set(
            e, ERR_DENIED,
            "could not give %s to its user or group: %s; the daemon may only give it to a "
            "group that it is in",
            path, strerror(errno));
    }
    return 0;
}

static int bind_and_listen(int fd, struct socket_file *file, const struct socket_access *access,
                           const struct sockaddr_un *address, struct err *e)
{
    const char *path = address->sun_path;
    mode_t old_mask = umask(0177);
    int status = bind(fd, (const struct sockaddr *)address, sizeof(*address)) == 0 ? 0 : errno;
    struct stat st;
    int rc;

    (void)umask(old_mask);
    if (status != 0) {
        return err_set(e, status == EADDRINUSE ? ERR_EXISTS : -status, "could not bind %s: %s",
                       path, strerror(status));
    }
    if (fstatat(file->dir_fd, file->name, &st, AT_SYMLINK_NOFOLLOW) != 0) {
        return err_set(e, -errno, "could not look at %s: %s", path, strerror(errno));
    }
    file->device = st.st_dev;
    file->inode = st.st_ino;
    rc = set_access(file, access, path, e);
    if (rc == 0 && listen(fd, LISTEN_BACKLOG) != 0) {
        rc = err_set(e, -errno, "could not listen at %s: %s", path, strerror(errno));
    }
    if (rc != 0) {
        (void)unlinkat(file->dir_fd, file->name, 0);
    }
    return rc;
}

void socket_file_remove(struct socket_file *file)
{
    struct stat st;

    if (file->dir_fd < 0) {
        return;
    }
    if (fstatat(file->dir_fd, file->name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISSOCK(st.st_mode) &&
        st.st_dev == file->device && st.st_ino == file->inode) {
        (void)unlinkat(file->dir_fd, file->name, 0);
    }
    (void)close(file->dir_fd);
    file->dir_fd = -1;
}

int socket_open_unix(const struct io_listener_options *options, struct socket_file *ret_file,
                     int *ret_fd, struct err *e)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct socket_file file = {.dir_fd = -1};
    struct socket_access access = {.mode = 0};
    struct safe_dir_make make;
    char dir[SOCKET_PATH_MAX_BYTES + 1];
    int lock_fd = -1;
    int fd = -1;
    int rc = split_path(options->unix_path, dir, &file, e);

    if (rc == 0) {
        rc = resolve_access(options, &access, e);
    }
    if (rc != 0) {
        return rc;
    }
    memcpy(address.sun_path, options->unix_path, strlen(options->unix_path));
    make = dir_for(&access);
    make.is_in_volume = options->takes_foreign;
    rc = safe_dir_open(dir, &make, &file.dir_fd, e);
    if (rc != 0) {
        return rc;
    }
    rc = take_lock(&file, options->unix_path, &lock_fd, e);
    if (rc == 0) {
        rc = clear_path(&file, &access, &address, e);
    }
    if (rc != 0) {
        goto out;
    }
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        rc = err_set(e, -errno, "could not make a socket: %s", strerror(errno));
        goto out;
    }
    rc = bind_and_listen(fd, &file, &access, &address, e);
    if (rc != 0) {
        goto out;
    }
    *ret_file = file;
    *ret_fd = fd;

out:
    if (lock_fd >= 0) {
        (void)close(lock_fd);
    }
    if (rc != 0) {
        (void)close(file.dir_fd);
        if (fd >= 0) {
            (void)close(fd);
        }
    }
    return rc;
}
