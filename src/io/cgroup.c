/* Which cgroup a process is in, and who else is.
 *
 * Happy path of a look-up: open /proc/PID and compare the start time, so that all that is read
 * below it is of one process → read its cgroup → open that folder and take its inode, which the
 * kernel gives to no other cgroup in this boot → read the process's cgroup again. It is the same,
 * so the process was in there while the folder was opened, and a cgroup with somebody in it can't
 * be removed: the inode is that of the process's own.
 *
 * Two hierarchies can tell when they become empty: cgroup v2, and systemd's own of v1 (processes
 * are listed there). They are looked for where systemd mounts them. Nothing here takes a privilege.
 *
 * Failure paths: the process has ended or has been moved meanwhile: GONE. It is in no cgroup but
 * the root, which is never empty: NOT_FOUND. Its hierarchy isn't mounted here, or its folder can't
 * be seen (another cgroup namespace): UNSUPPORTED. */
#include "io/cgroup.h"

#include "wire/procfs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#define DEPTH_MAX 16         /* of the folders that are searched for a member */
#define LIST_MAX_BYTES 4096U /* of a list of members: any one of them will do */

static const struct cgroup_mount {
    const char *path;
    long magic;
    bool is_unified;
} mounts[] = {
    {"/sys/fs/cgroup", CGROUP2_SUPER_MAGIC, true},
    {"/sys/fs/cgroup/unified", CGROUP2_SUPER_MAGIC, true},
    {"/sys/fs/cgroup/systemd", CGROUP_SUPER_MAGIC, false},
};

/* --- the cgroup of a process ------------------------------------------------------------------ */

/* NULL: it isn't mounted. */
static const char *mount_of(bool is_unified)
{
    size_t i;

    for (i = 0; i < ARRAY_LEN(mounts); i++) {
        struct statfs info;

        if (mounts[i].is_unified == is_unified && statfs(mounts[i].path, &info) == 0 &&
            info.f_type == mounts[i].magic) {
            return mounts[i].path;
        }
    }
    return NULL;
}

/* A file below /proc/PID. ERR_GONE when the process has ended. */
static int read_at(int folder_fd, const char *name, char *bytes, struct str *ret_text)
{
    int fd = openat(folder_fd, name, O_RDONLY | O_CLOEXEC);
    ssize_t size = -1;

    if (fd >= 0) {
        size = read(fd, bytes, PROCFS_FILE_MAX_BYTES);
    }
    if (size <= 0) {
        int rc = size < 0 && errno != ESRCH && errno != ENOENT ? ERR_UNAVAILABLE : ERR_GONE;

        if (fd >= 0) {
            (void)close(fd);
        }
        return rc;
    }
    (void)close(fd);
    *ret_text = (struct str){.ptr = bytes, .len = (size_t)size};
    return 0;
}

static int open_process(const struct env_cgroup_query *query, char *bytes, int *ret_fd)
{
    struct procfs_stat stat;
    struct str text;
    char path[32];
    int fd;
    int rc;

    (void)snprintf(path, sizeof(path), "/proc/%" PRId32, query->pid);
    fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return errno == ENOENT ? ERR_GONE : ERR_UNAVAILABLE;
    }
    rc = read_at(fd, "stat", bytes, &text);
    if (rc == 0 && procfs_parse_stat(text, &stat) != 0) {
        rc = ERR_UNAVAILABLE;
    }
    if (rc == 0 && (stat.start_ticks != query->start_ticks || stat.is_ended)) {
        rc = ERR_GONE;
    }
    if (rc != 0) {
        (void)close(fd);
        return rc;
    }
    *ret_fd = fd;
    return 0;
}

/* The part of a path in a hierarchy that is asked for; empty where there is none. The root isn't
 * one: it never becomes empty. */
static struct str path_at(struct str path, enum env_cgroup_level level)
{
    struct str unit = procfs_unit_path(path);

    if (level == ENV_CGROUP_SCOPE) {
        return procfs_scope_path(path);
    }
    if (unit.len > 0) {
        return unit;
    }
    return str_eq_c(path, "/") ? STR("") : path;
}

/* It goes into the ledger and into texts. A blank also stands in " (deleted)", behind the name of a
 * cgroup that has gone. */
static bool is_plain(struct str path)
{
    size_t i;

    for (i = 0; i < path.len; i++) {
        if ((unsigned char)path.ptr[i] <= 0x20 || (unsigned char)path.ptr[i] >= 0x7f) {
            return false;
        }
    }
    return true;
}

/* Where the cgroup's folder is, by what /proc/PID/cgroup says. */
static int find_path(struct str text, const struct env_cgroup_query *query,
                     char ret_path[ENV_CGROUP_PATH_MAX_BYTES], struct err *e)
{
    struct procfs_cgroups all;
    struct str path;
    const char *mount;
    bool is_unified;

    if (procfs_parse_cgroups(text, &all) != 0) {
        return err_set(e, ERR_UNSUPPORTED,
                       "process %" PRId32 " is in no cgroup that can be watched", query->pid);
    }
    path = path_at(all.unified, query->level);
    is_unified = path.len > 0;
    if (!is_unified) {
        path = path_at(all.systemd, query->level);
    }
    if (path.len == 0) {
        return err_set(e, ERR_NOT_FOUND,
                       query->level == ENV_CGROUP_SCOPE
                           ? "process %" PRId32 " is in no scope"
                           : "process %" PRId32 " is in the root cgroup, which never becomes empty",
                       query->pid);
    }
    mount = mount_of(is_unified);
    if (mount == NULL) {
        return err_set(e, ERR_UNSUPPORTED,
                       "the cgroup %.*s can't be watched: %s isn't mounted below /sys/fs/cgroup",
                       STR_ARG(path), is_unified ? "cgroup v2" : "systemd's hierarchy");
    }
    if (strlen(mount) + path.len >= ENV_CGROUP_PATH_MAX_BYTES || !is_plain(path)) {
        return err_set(e, ERR_UNSUPPORTED,
                       "the cgroup of process %" PRId32 " has too long or too strange a name",
                       query->pid);
    }
    (void)snprintf(ret_path, ENV_CGROUP_PATH_MAX_BYTES, "%s%.*s", mount, STR_ARG(path));
    return 0;
}

/* What is outside the daemon's cgroup namespace begins with "/..", which as a path would lead to
 * another's. */
static bool is_outside(const char *path)
{
    return strstr(path, "/../") != NULL || str_ends_with(str_of(path), "/..");
}

static int folder_id(const char *path, uint64_t *ret_id, struct err *e)
{
    int fd = is_outside(path) ? -1 : open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    struct stat st;
    int rc = 0;

    if (fd < 0) {
        return err_set(e, ERR_UNSUPPORTED, "the cgroup %s can't be watched: %s", path,
                       is_outside(path) || errno == ENOENT ? "it is outside of leased's namespace"
                                                           : strerror(errno));
    }
    if (fstat(fd, &st) != 0) {
        rc = err_set(e, ERR_UNAVAILABLE, "the cgroup %s could not be looked at: %s", path,
                     strerror(errno));
    }
    (void)close(fd);
    if (rc == 0) {
        *ret_id = st.st_ino;
    }
    return rc;
}

/* Says why a process can't be read. */
static int tell(int rc, const struct env_cgroup_query *query, struct err *e)
{
    return err_set(e, rc,
                   rc == ERR_GONE ? "process %" PRId32 " has ended"
                                  : "the cgroup of process %" PRId32 " could not be looked up",
                   query->pid);
}

static int find(int process_fd, const struct env_cgroup_query *query, char *bytes,
                struct env_cgroup *ret_cgroup, struct err *e)
{
    struct env_cgroup cgroup = {.id = 0};
    char again[ENV_CGROUP_PATH_MAX_BYTES];
    struct str text;
    int seen;
    int rc = read_at(process_fd, "cgroup", bytes, &text);

    if (rc != 0) {
        return tell(rc, query, e);
    }
    rc = find_path(text, query, cgroup.path, e);
    if (rc != 0) {
        return rc;
    }
    seen = folder_id(cgroup.path, &cgroup.id, e);
    rc = read_at(process_fd, "cgroup", bytes, &text);
    if (rc != 0) {
        return tell(rc, query, e);
    }
    if (find_path(text, query, again, NULL) != 0 || strcmp(again, cgroup.path) != 0) {
        return err_set(e, ERR_GONE, "process %" PRId32 " has been moved to another cgroup",
                       query->pid);
    }
    if (seen == 0) {
        *ret_cgroup = cgroup;
    }
    return seen;
}

int io_cgroup_find(struct env *env, const struct env_cgroup_query *query,
                   struct env_cgroup *ret_cgroup, struct err *e)
{
    char bytes[PROCFS_FILE_MAX_BYTES];
    int fd = -1;
    int rc = open_process(query, bytes, &fd);

    (void)env;
    if (rc != 0) {
        return tell(rc, query, e);
    }
    rc = find(fd, query, bytes, ret_cgroup, e);
    (void)close(fd);
    return rc;
}

/* --- who is in a cgroup ----------------------------------------------------------------------- */

int cgroup_open(const struct env_cgroup *cgroup, int *ret_fd)
{
    int fd = open(cgroup->path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    struct stat st;

    if (fd < 0) {
        return errno == EMFILE || errno == ENFILE ? ERR_LIMIT : ERR_GONE;
    }
    if (fstat(fd, &st) != 0 || st.st_ino != cgroup->id) {
        (void)close(fd);
        return ERR_GONE;
    }
    *ret_fd = fd;
    return 0;
}

bool cgroup_is_unified(int folder_fd)
{
    struct statfs info;

    return fstatfs(folder_fd, &info) == 0 && info.f_type == CGROUP2_SUPER_MAGIC;
}

bool cgroup_is_populated(int events_fd)
{
    char bytes[256];
    ssize_t size = pread(events_fd, bytes, sizeof(bytes) - 1, 0);

    if (size <= 0) {
        return false; /* ENODEV: removed */
    }
    bytes[size] = '\0';
    return strstr(bytes, "populated 1") != NULL;
}

static int member_of(struct io *io, int folder_fd, struct env_process *ret_process)
{
    char bytes[LIST_MAX_BYTES];
    int fd = openat(folder_fd, "cgroup.procs", O_RDONLY | O_CLOEXEC);
    struct str text = {.ptr = bytes};
    ssize_t size;

    if (fd < 0) {
        return ERR_GONE;
    }
    size = read(fd, bytes, sizeof(bytes));
    (void)close(fd);
    text.len = size > 0 ? (size_t)size : 0;
    while (text.len > 0) {
        uint64_t pid;

        if (str_parse_u64(str_cut(&text, '\n'), &pid) == 0 && pid > 0 && pid <= INT32_MAX &&
            io_process_lookup(&io->env, (int32_t)pid, ret_process) == 0) {
            return 0;
        }
    }
    return ERR_GONE;
}

/* The folders below are walked by hand, because libc's walkers change the working directory or take
 * paths. */
static int member_below(struct io *io, int folder_fd, unsigned depth,
                        struct env_process *ret_process)
{
    int rc = member_of(io, folder_fd, ret_process);
    DIR *folder;
    struct dirent *entry;
    int fd;

    if (rc == 0 || depth == DEPTH_MAX) {
        return rc;
    }
    fd = openat(folder_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    folder = fd >= 0 ? fdopendir(fd) : NULL;
    if (folder == NULL) {
        if (fd >= 0) {
            (void)close(fd);
        }
        return ERR_GONE;
    }
    while (rc != 0 && (entry = readdir(folder)) != NULL) {
        int below = -1;

        if (entry->d_type == DT_DIR && entry->d_name[0] != '.') {
            below = openat(dirfd(folder), entry->d_name,
                           O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        }
        if (below >= 0) {
            rc = member_below(io, below, depth + 1, ret_process);
            (void)close(below);
        }
    }
    (void)closedir(folder);
    return rc;
}

int cgroup_find_member(struct io *io, int folder_fd, struct env_process *ret_process)
{
    return member_below(io, folder_fd, 0, ret_process);
}
