/* Processes: facts from /proc, and notice of their end by pidfd.
 *
 * Happy path of a watch: open a pidfd, then compare the start time (only in this order does it
 * prove that the pidfd is of the process that is meant), poll the pidfd; when it becomes readable
 * the process has ended, also as a zombie that nobody reaps; fn runs once; the owner closes.
 *
 * The process at the other end of a connection may have no pid here; the pidfd that the kernel gave
 * for it when it connected is watched then, by a descriptor of its own.
 *
 * Failure paths: another start time, or a pidfd that is readable at once: ERR_GONE. No pidfd in
 * this kernel: ERR_UNSUPPORTED. No descriptor or too many watches: ERR_LIMIT. */
#include "env/process.h"

#include "base/mem.h"
#include "io/io_internal.h"
#include "io/poll_now.h"
#include "wire/procfs.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define WATCH_MAGIC 0x77617463U /* "watc" */

struct process_watch {
    uint32_t magic;
    struct io *io;
    struct env_process_watch *owner;
    int pidfd;
    uv_poll_t poll;
    struct list node; /* in io->watches, until it is closed */
};

/* A pidfd, or a negated errno. The kernel sets FD_CLOEXEC. */
static int open_pidfd(int32_t pid)
{
    long fd = syscall(SYS_pidfd_open, pid, 0);

    return fd >= 0 ? (int)fd : -errno;
}

/* Readable means: every thread of the process has ended. */
static bool is_pidfd_readable(int pidfd)
{
    return poll_now(pidfd, POLLIN) > 0;
}

/* /proc doesn't show it: has the process gone, or is it hidden (hidepid, another pid namespace)? */
static int why_not_shown(int32_t pid)
{
    return kill(pid, 0) != 0 && errno == ESRCH ? ERR_NOT_FOUND : ERR_UNAVAILABLE;
}

/* Reads /proc/PID/stat, and the owner from the same directory, so that both are of one process. 0,
 * or what kept us. */
static int read_stat(int32_t pid, struct procfs_stat *ret_stat, uint32_t *ret_uid)
{
    char path[32];
    char text[PROCFS_FILE_MAX_BYTES];
    ssize_t size = -1;
    struct stat owner;
    int folder;
    int fd;

    (void)snprintf(path, sizeof(path), "/proc/%d", pid);
    folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0) {
        return errno == EMFILE || errno == ENFILE ? ERR_UNAVAILABLE : why_not_shown(pid);
    }
    fd = openat(folder, "stat", O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        size = read(fd, text, sizeof(text));
        (void)close(fd);
    }
    if (size > 0 && fstat(folder, &owner) != 0) {
        size = -1;
    }
    (void)close(folder);
    if (size <= 0) {
        return why_not_shown(pid);
    }
    if (procfs_parse_stat((struct str){.ptr = text, .len = (size_t)size}, ret_stat) != 0 ||
        ret_stat->pid != pid) {
        return ERR_UNAVAILABLE;
    }
    *ret_uid = owner.st_uid;
    return 0;
}

int io_process_lookup(struct env *env, int32_t pid, struct env_process *ret_process)
{
    struct procfs_stat stat;
    uint32_t uid;
    int rc;

    (void)env;
    if (pid <= 0) {
        return ERR_NOT_FOUND;
    }
    rc = read_stat(pid, &stat, &uid);
    if (rc != 0) {
        return rc;
    }
    if (stat.is_ended) {
        return ERR_NOT_FOUND;
    }
    *ret_process = (struct env_process){.pid = pid,
                                        .start_ticks = stat.start_ticks,
                                        .parent_pid = stat.parent_pid,
                                        .session_pid = stat.session,
                                        .uid = uid,
                                        .is_fork_no_exec = stat.is_fork_no_exec};
    memcpy(ret_process->name, stat.name, sizeof(ret_process->name));
    return 0;
}

static void on_readable(uv_poll_t *handle, int status, int events)
{
    struct process_watch *watch = OBJ_CAST(handle->data, struct process_watch, WATCH_MAGIC);

    /* Neither can say anything else than that it has ended: a pidfd has no errors. */
    (void)status;
    (void)events;
    /* It stays readable, so it would be reported in every turn. */
    (void)uv_poll_stop(handle);
    io_enter(watch->io);
    watch->owner->fn(watch->owner); /* the watch may be closed */
}

static void on_closed(uv_handle_t *handle)
{
    struct process_watch *watch = OBJ_CAST(handle->data, struct process_watch, WATCH_MAGIC);
    struct env_process_watch *owner = watch->owner;

    (void)close(watch->pidfd);
    watch->io->watch_count--;
    watch->magic = 0;
    mem_free(watch);
    if (owner != NULL) {
        owner->impl = NULL;
        owner->closed(owner); /* the owner may be gone */
    }
}

/* A pidfd of the living process with this pid and start time. */
static int open_process(int32_t pid, uint64_t start_ticks, int *ret_pidfd)
{
    struct procfs_stat stat;
    uint32_t uid;
    int pidfd;
    int rc;

    pidfd = open_pidfd(pid);
    switch (pidfd) {
    case -ESRCH:
    case -EINVAL: /* A thread that leads no process. */
        return ERR_GONE;
    case -ENOSYS:
    case -EPERM: /* A system call filter that doesn't know it. */
        return ERR_UNSUPPORTED;
    case -EMFILE:
    case -ENFILE:
        return ERR_LIMIT;
    case -ENOMEM:
        return ERR_NOMEM;
    default:
        break;
    }
    if (pidfd < 0) {
        return pidfd;
    }
    rc = read_stat(pid, &stat, &uid);
    if (rc == ERR_NOT_FOUND || (rc == 0 && stat.start_ticks != start_ticks) ||
        is_pidfd_readable(pidfd)) {
        rc = ERR_GONE;
    }
    if (rc != 0) {
        (void)close(pidfd);
        return rc;
    }
    *ret_pidfd = pidfd;
    return 0;
}

static int open_peer(const struct env_request *request, int *ret_pidfd)
{
    int pidfd = io_request_pidfd(request);

    if (pidfd < 0) {
        return ERR_UNSUPPORTED;
    }
    pidfd = fcntl(pidfd, F_DUPFD_CLOEXEC, 0);
    if (pidfd < 0) {
        return ERR_LIMIT;
    }
    if (is_pidfd_readable(pidfd)) {
        (void)close(pidfd);
        return ERR_GONE;
    }
    *ret_pidfd = pidfd;
    return 0;
}

int io_process_watch_start(struct env *env, struct env_process_watch *owner)
{
    struct io *io = io_of(env);
    struct process_watch *watch;
    int rc;

    CHECK(owner->fn != NULL);
    CHECK(owner->closed != NULL);
    if (io->is_closing) {
        return ERR_CLOSED;
    }
    if (io->watch_count >= IO_WATCHES_MAX) {
        return ERR_LIMIT;
    }
    if (owner->pid <= 0 && owner->request == NULL) {
        return ERR_GONE;
    }
    watch = mem_calloc(1, sizeof(*watch));
    if (watch == NULL) {
        return ERR_NOMEM;
    }
    rc = owner->pid > 0 ? open_process(owner->pid, owner->start_ticks, &watch->pidfd)
                        : open_peer(owner->request, &watch->pidfd);
    if (rc != 0) {
        goto err_watch;
    }
    rc = uv_poll_init(&io->loop, &watch->poll, watch->pidfd);
    if (rc != 0) {
        (void)close(watch->pidfd);
        goto err_watch;
    }
    watch->magic = WATCH_MAGIC;
    watch->io = io;
    watch->owner = owner;
    watch->poll.data = watch;
    io->watch_count++;
    rc = uv_poll_start(&watch->poll, UV_READABLE, on_readable);
    if (rc != 0) {
        watch->owner = NULL;
        uv_close((uv_handle_t *)&watch->poll, on_closed);
        return rc;
    }
    list_push_back(&io->watches, &watch->node);
    owner->impl = watch;
    return 0;

err_watch:
    mem_free(watch);
    return rc;
}

void io_process_watch_close(struct env *env, struct env_process_watch *owner)
{
    struct process_watch *watch = OBJ_CAST(owner->impl, struct process_watch, WATCH_MAGIC);

    (void)env;
    if (!uv_is_closing((uv_handle_t *)&watch->poll)) {
        list_remove(&watch->node);
        uv_close((uv_handle_t *)&watch->poll, on_closed);
    }
}

bool io_process_watch_has_ended(struct env *env, struct env_process_watch *owner)
{
    (void)env;
    return is_pidfd_readable(OBJ_CAST(owner->impl, struct process_watch, WATCH_MAGIC)->pidfd);
}

void io_processes_close(struct io *io)
{
    while (!list_is_empty(&io->watches)) {
        struct process_watch *watch = LIST_ENTRY(io->watches.next, struct process_watch, node);

        io_process_watch_close(&io->env, watch->owner);
    }
}
