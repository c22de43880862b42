/* Where the cgroups of a systemd unit are: below system.slice, behind any slices (procfs_unit says
 * the same of a path), in the unified hierarchy or in systemd's own of cgroup v1. Only root makes
 * cgroups there, so nobody lends a name to what he runs. */
#include "env/unit.h"

#include "io/io_internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define SLICES_DEPTH_MAX 8U
#define BELOW_DEPTH_MAX 4U

static const char *const roots[] = {
    "/sys/fs/cgroup/system.slice",
    "/sys/fs/cgroup/unified/system.slice",
    "/sys/fs/cgroup/systemd/system.slice",
};

static DIR *folder_open(int parent, const char *name)
{
    int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *folder = fd >= 0 ? fdopendir(fd) : NULL;

    if (folder == NULL && fd >= 0) {
        (void)close(fd);
    }
    return folder;
}

static bool has_bytes(int folder, const char *name, const char *text)
{
    char bytes[256];
    int fd = openat(folder, name, O_RDONLY | O_CLOEXEC);
    ssize_t size = fd >= 0 ? read(fd, bytes, sizeof(bytes) - 1) : -1;

    if (fd >= 0) {
        (void)close(fd);
    }
    if (size <= 0) {
        return false;
    }
    bytes[size] = '\0';
    return strstr(bytes, text) != NULL;
}

/* cgroup v1 doesn't say it of the whole tree. */
static bool is_populated(int folder, size_t depth)
{
    const struct dirent *entry;
    bool has_any = has_bytes(folder, "cgroup.events", "populated 1") ||
                   (faccessat(folder, "cgroup.events", F_OK, 0) != 0 &&
                    has_bytes(folder, "cgroup.procs", "\n"));
    DIR *here = !has_any && depth > 0 ? folder_open(folder, ".") : NULL;

    while (here != NULL && !has_any && (entry = readdir(here)) != NULL) {
        int fd = entry->d_type == DT_DIR && entry->d_name[0] != '.'
                     ? openat(folder, entry->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
                     : -1;

        if (fd >= 0) {
            has_any = is_populated(fd, depth - 1);
            (void)close(fd);
        }
    }
    if (here != NULL) {
        (void)closedir(here);
    }
    return has_any;
}

/* systemd puts '_' before names that the kernel could take for an attribute. */
static bool is_unit(const char *name, const char *unit)
{
    return strcmp(name + (name[0] == '_' ? 1 : 0), unit) == 0;
}

/* Looks for it in this slice and in those below. */
static bool is_running_below(int slice, const char *unit, size_t depth)
{
    DIR *folder = folder_open(slice, ".");
    const struct dirent *entry;
    bool is_running = false;

    while (folder != NULL && !is_running && (entry = readdir(folder)) != NULL) {
        bool is_slice = depth > 0 && str_ends_with(str_of(entry->d_name), ".slice");
        int fd = entry->d_type == DT_DIR && (is_slice || is_unit(entry->d_name, unit))
                     ? openat(slice, entry->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
                     : -1;

        if (fd >= 0) {
            is_running = is_slice ? is_running_below(fd, unit, depth - 1)
                                  : is_populated(fd, BELOW_DEPTH_MAX);
            (void)close(fd);
        }
    }
    if (folder != NULL) {
        (void)closedir(folder);
    }
    return is_running;
}

int io_unit_is_running(struct env *env, const char *unit)
{
    size_t i;
    int found = ERR_UNSUPPORTED;

    (void)env;
    for (i = 0; i < ARRAY_LEN(roots) && found != 1; i++) {
        int fd = open(roots[i], O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        if (fd >= 0) {
            found = is_running_below(fd, unit, SLICES_DEPTH_MAX) ? 1 : 0;
            (void)close(fd);
        } else if (errno == ENOENT && found == ERR_UNSUPPORTED &&
                   access("/sys/fs/cgroup", X_OK) == 0) {
            found = 0; /* no system service was ever started here */
        }
    }
    return found;
}
