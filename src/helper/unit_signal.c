/* Happy path: /proc is walked; of each process a pidfd is opened first, then its cgroup and its
 * parent are read, so that the signal goes to the process that was looked at → those of the unit
 * are kept → those whose parent isn't among them get the signal.
 *
 * Failure paths: a process that has ended meanwhile is passed over; one that may not be signaled is
 * the error. */
#include "helper/unit_signal.h"

#include "wire/procfs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PROCESSES_MAX 512U

struct member {
    int pidfd;
    int32_t pid;
    int32_t parent_pid;
};

struct members {
    struct member items[PROCESSES_MAX];
    size_t count;
};

static struct str read_file(int proc, const char *pid, const char *name, char *bytes, size_t size)
{
    char path[64];
    int fd;
    ssize_t got;

    (void)snprintf(path, sizeof(path), "%.20s/%s", pid, name);
    fd = openat(proc, path, O_RDONLY | O_CLOEXEC);
    got = fd >= 0 ? read(fd, bytes, size) : -1;
    if (fd >= 0) {
        (void)close(fd);
    }
    return (struct str){.ptr = bytes, .len = got > 0 ? (size_t)got : 0};
}

static bool is_of_unit(int proc, const char *pid, const char *unit)
{
    char bytes[PROCFS_FILE_MAX_BYTES];
    struct str path;

    return procfs_parse_cgroup(read_file(proc, pid, "cgroup", bytes, sizeof(bytes)), &path) == 0 &&
           str_eq_c(procfs_unit(path), unit);
}

static void look_at(int proc, const char *name, const char *unit, struct members *members)
{
    char bytes[PROCFS_FILE_MAX_BYTES];
    struct procfs_stat facts;
    uint64_t pid;
    int pidfd;

    if (members->count == PROCESSES_MAX || str_parse_u64(str_of(name), &pid) != 0 ||
        pid > INT32_MAX || !is_of_unit(proc, name, unit)) {
        return;
    }
    pidfd = (int)syscall(SYS_pidfd_open, (pid_t)pid, 0U);
    if (pidfd < 0) {
        return;
    }
    if (is_of_unit(proc, name, unit) &&
        procfs_parse_stat(read_file(proc, name, "stat", bytes, sizeof(bytes)), &facts) == 0) {
        members->items[members->count++] =
            (struct member){.pidfd = pidfd, .pid = (int32_t)pid, .parent_pid = facts.parent_pid};
    } else {
        (void)close(pidfd);
    }
}

static int collect(const char *unit, struct members *members, struct err *e)
{
    DIR *proc = opendir("/proc");
    const struct dirent *entry;

    if (proc == NULL) {
        return err_set(e, -errno, "could not look at /proc: %s", strerror(errno));
    }
    while ((entry = readdir(proc)) != NULL) {
        look_at(dirfd(proc), entry->d_name, unit, members);
    }
    (void)closedir(proc);
    return 0;
}

static bool is_main(const struct members *members, const struct member *member)
{
    size_t i;

    for (i = 0; i < members->count; i++) {
        if (members->items[i].pid == member->parent_pid) {
            return false;
        }
    }
    return true;
}

static int signal_mains(const struct members *members, const char *unit, int number, struct err *e)
{
    size_t sent_count = 0;
    size_t i;

    for (i = 0; i < members->count; i++) {
        const struct member *member = &members->items[i];

        if (!is_main(members, member)) {
            continue;
        }
        if (syscall(SYS_pidfd_send_signal, member->pidfd, number, NULL, 0U) == 0) {
            sent_count++;
        } else if (errno != ESRCH) {
            return err_set(e, -errno, "could not signal process %d of %s: %s", member->pid, unit,
                           strerror(errno));
        }
    }
    return sent_count > 0 ? 0 : err_set(e, ERR_NOT_FOUND, "%s has no process to be signaled", unit);
}

int unit_signal(const char *unit, int number, struct err *e)
{
    static struct members members;
    size_t i;
    int r;

    members.count = 0;
    r = collect(unit, &members, e);
    if (r == 0) {
        r = signal_mains(&members, unit, number, e);
    }
    for (i = 0; i < members.count; i++) {
        (void)close(members.items[i].pidfd);
    }
    return r;
}
