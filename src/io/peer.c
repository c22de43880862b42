/* Identification of a caller on a unix socket.
 *
 * Happy path: SO_PEERCRED (uid, gid, pid as of connect) → SO_PEERGROUPS → a pidfd, from the socket
 * where the kernel has SO_PEERPIDFD, else by number → the pidfd isn't readable, so the process
 * lives and its number can't have been reused since → /proc/PID opened once as a directory → start
 * time, cgroup and NSpid read below that directory → its owner equals the credentials → the pidfd
 * is still not readable, so all of it was about one process. Later looks are the same procedure
 * with less to read: /proc/PID has the owner that it must have, and the pidfd, looked at last, says
 * that the number still was this process's. So nothing but the pidfd is kept open.
 *
 * The uid and groups have no race: they are a snapshot of connect time. The rest narrows. Where the
 * kernel lacks SO_PEERPIDFD (before 6.5) a process of the same uid can win a race for the pid and
 * lend its cgroup; another uid can't, because the owner is compared.
 *
 * On a listener that takes foreign callers one that has no pid in our namespace is known by uid and
 * groups. The kernel's pidfd for it, where it gives one (6.5), tells of its end; in pidfs (6.9) its
 * inode is the process's own.
 *
 * Failure paths: an ended process is GONE; an owner that differs (a setuid program that dropped its
 * rights after connect) is CHANGED; everything that could not be established is UNKNOWN with a
 * static reason. None of them is ever "nobody in particular": the layers above deny all three. */
#include "io/peer.h"

#include "base/mem.h"
#include "io/poll_now.h"
#include "wire/procfs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77 /* Linux 6.5; older headers lack it */
#endif
#define PIDFS_MAGIC 0x50494446 /* Linux 6.9 */

void peer_set_state(struct peer *peer, enum env_peer_state state, const char *problem)
{
    peer->facts.state = state;
    peer->facts.problem = problem;
}

static void read_file_at(int dir_fd, const char *name, char *bytes, size_t capacity,
                         struct str *ret_text)
{
    int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC);
    size_t size = 0;
    ssize_t got = 1;

    while (fd >= 0 && got > 0 && size < capacity) {
        got = read(fd, bytes + size, capacity - size);
        if (got > 0) {
            size += (size_t)got;
        }
    }
    if (fd >= 0) {
        (void)close(fd);
    }
    *ret_text = (struct str){.ptr = bytes, .len = got < 0 ? 0 : size};
}

uint32_t peer_overflow_uid(void)
{
    char bytes[32];
    struct str text;
    uint64_t uid;

    read_file_at(AT_FDCWD, "/proc/sys/kernel/overflowuid", bytes, sizeof(bytes), &text);
    if (str_parse_u64(str_trim(text), &uid) != 0 || uid > UINT32_MAX) {
        return PEER_OVERFLOW_UID_DEFAULT;
    }
    return (uint32_t)uid;
}

static bool has_ended(const struct peer *peer)
{
    /* An error counts as an end: who can't be watched isn't trusted. */
    return poll_now(peer->process_fd, POLLIN) != 0;
}

#define PROC_PATH_BYTES 32

static const char *proc_path(const struct peer *peer, char text[PROC_PATH_BYTES])
{
    (void)snprintf(text, PROC_PATH_BYTES, "/proc/%d", peer->facts.pid);
    return text;
}

/* Compares the owner of /proc/PID (`rc` and `st` are a stat's of it, as it is now) with the
 * credentials of connect time. */
static void check_owner(struct peer *peer, int rc, const struct stat *st)
{
    if (rc != 0) {
        peer_set_state(peer, ENV_PEER_UNKNOWN, "its /proc directory could not be looked at");
    } else if (st->st_uid != peer->facts.uid || st->st_gid != peer->facts.gid) {
        peer_set_state(peer, ENV_PEER_CHANGED,
                       "it runs as another user or group than when it connected");
    }
}

static bool read_credentials(struct peer *peer, int socket_fd, uint32_t overflow_uid)
{
    struct ucred credentials;
    socklen_t size = sizeof(credentials);
    gid_t groups[ENV_PEER_GROUPS_MAX];
    socklen_t groups_size = sizeof(groups);
    size_t i;

    if (getsockopt(socket_fd, SOL_SOCKET, SO_PEERCRED, &credentials, &size) != 0) {
        peer_set_state(peer, ENV_PEER_UNKNOWN, "the kernel gave no credentials");
        return false;
    }
    peer->facts.uid = credentials.uid;
    peer->facts.gid = credentials.gid;
    peer->facts.pid = credentials.pid;
    if (credentials.uid == overflow_uid || credentials.uid == UINT32_MAX) {
        peer_set_state(peer, ENV_PEER_UNKNOWN,
                       "its uid has no name in the daemon's user namespace");
        return false;
    }
    if (getsockopt(socket_fd, SOL_SOCKET, SO_PEERGROUPS, groups, &groups_size) != 0) {
        peer_set_state(peer, ENV_PEER_UNKNOWN,
                       errno == ERANGE ? "it is in more groups than the daemon looks at"
                                       : "the kernel gave no groups");
        return false;
    }
    peer->facts.group_count = groups_size / sizeof(groups[0]);
    for (i = 0; i < peer->facts.group_count; i++) {
        peer->facts.groups[i] = groups[i];
    }
    if (credentials.pid <= 0 && peer->facts.kind != ENV_PEER_FOREIGN) {
        peer_set_state(
            peer, ENV_PEER_UNKNOWN,
            "it runs outside the daemon's pid namespace (a listener with `peers: foreign` "
            "takes such callers)");
        return false;
    }
    return true;
}

static bool open_process(struct peer *peer, int socket_fd, int *ret_proc_fd)
{
    socklen_t size = sizeof(peer->process_fd);
    char path[PROC_PATH_BYTES];
    int proc_fd;

    if (getsockopt(socket_fd, SOL_SOCKET, SO_PEERPIDFD, &peer->process_fd, &size) != 0) {
        peer->process_fd = (int)syscall(SYS_pidfd_open, peer->facts.pid, 0U);
    }
    if (peer->process_fd < 0) {
        peer->process_fd = -1;
        /* Before Linux 6.16 the kernel has no pidfd for a process that was reaped already. */
        if (errno == ESRCH || errno == EINVAL || errno == ENODATA) {
            peer_set_state(peer, ENV_PEER_GONE, "its process has ended");
        } else {
            peer_set_state(peer, ENV_PEER_UNKNOWN, "no pidfd could be had for its process");
        }
        return false;
    }
    proc_fd = open(proc_path(peer, path), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (proc_fd < 0) {
        if (has_ended(peer)) {
            peer_set_state(peer, ENV_PEER_GONE, "its process has ended");
        } else {
            peer_set_state(peer, ENV_PEER_UNKNOWN, "its /proc directory is hidden from the daemon");
        }
        return false;
    }
    *ret_proc_fd = proc_fd;
    return true;
}

/* Start time, cgroup and pid namespace; NULL or what is wrong. */
static const char *read_process(struct peer *peer, int proc_fd)
{
    char bytes[PROCFS_FILE_MAX_BYTES];
    struct procfs_stat stat_line;
    struct str text;
    struct str cgroup;
    size_t level_count;

    read_file_at(proc_fd, "stat", bytes, sizeof(bytes), &text);
    if (procfs_parse_stat(text, &stat_line) != 0) {
        return "its start time could not be read";
    }
    peer->facts.start_ticks = stat_line.start_ticks;
    read_file_at(proc_fd, "cgroup", bytes, sizeof(bytes), &text);
    if (procfs_parse_cgroup(text, &cgroup) != 0 || cgroup.len >= sizeof(peer->facts.cgroup)) {
        return "its cgroup could not be read";
    }
    memcpy(peer->facts.cgroup, cgroup.ptr, cgroup.len);
    peer->facts.cgroup[cgroup.len] = '\0';
    read_file_at(proc_fd, "status", bytes, sizeof(bytes), &text);
    if (procfs_parse_nspid(text, &level_count) != 0) {
        return "its pid namespace could not be read";
    }
    peer->facts.is_other_pid_namespace = level_count > 1;
    return NULL;
}

/* Of a process without a pid here. */
static void identify_foreign(struct peer *peer, int socket_fd)
{
    socklen_t size = sizeof(peer->process_fd);
    struct statfs info;
    struct stat st;

    peer->facts.pid = 0;
    peer->facts.is_other_pid_namespace = true;
    if (getsockopt(socket_fd, SOL_SOCKET, SO_PEERPIDFD, &peer->process_fd, &size) != 0) {
        peer->process_fd = -1;
        return;
    }
    if (fstatfs(peer->process_fd, &info) == 0 && info.f_type == PIDFS_MAGIC &&
        fstat(peer->process_fd, &st) == 0) {
        peer->facts.process_id = st.st_ino;
    }
    if (has_ended(peer)) {
        peer_set_state(peer, ENV_PEER_GONE, "its process has ended");
    }
}

static void identify(struct peer *peer, int socket_fd, uint32_t overflow_uid)
{
    const char *problem;
    struct stat st;
    int proc_fd;

    if (!read_credentials(peer, socket_fd, overflow_uid)) {
        return;
    }
    if (peer->facts.pid <= 0) {
        identify_foreign(peer, socket_fd);
        return;
    }
    if (!open_process(peer, socket_fd, &proc_fd)) {
        return;
    }
    problem = read_process(peer, proc_fd);
    if (problem == NULL) {
        check_owner(peer, fstat(proc_fd, &st), &st);
    }
    (void)close(proc_fd);
    /* Last, and over all else: what was read of a process that has ended is a zombie's or
     * another's. */
    if (has_ended(peer)) {
        peer_set_state(peer, ENV_PEER_GONE, "its process has ended");
    } else if (problem != NULL) {
        peer_set_state(peer, ENV_PEER_UNKNOWN, problem);
    }
}

void peer_init(struct peer *peer, enum env_peer_kind kind)
{
    memset(peer, 0, sizeof(*peer));
    peer->process_fd = -1;
    peer->facts.kind = kind;
    peer->facts.uid = ENV_NO_ID;
    peer->facts.gid = ENV_NO_ID;
    peer_set_state(peer, ENV_PEER_OK, NULL);
}

uint32_t peer_connect_uid(int socket_fd)
{
    struct ucred credentials;
    socklen_t size = sizeof(credentials);

    return getsockopt(socket_fd, SOL_SOCKET, SO_PEERCRED, &credentials, &size) == 0
               ? credentials.uid
               : ENV_NO_ID;
}

void peer_identify(struct peer *peer, enum env_peer_kind kind, int socket_fd, uint32_t overflow_uid)
{
    peer_init(peer, kind);
    identify(peer, socket_fd, overflow_uid);
}

void peer_init_unknown(struct peer *peer, const char *problem)
{
    peer_init(peer, ENV_PEER_LOOPBACK);
    peer_set_state(peer, ENV_PEER_UNKNOWN, problem);
}

void peer_recheck(struct peer *peer)
{
    char path[PROC_PATH_BYTES];
    struct stat st;

    if (peer->facts.state != ENV_PEER_OK) {
        return;
    }
    switch (peer->facts.kind) {
    case ENV_PEER_UNIX:
    case ENV_PEER_FOREIGN:
        if (peer->facts.pid > 0) {
            check_owner(peer, stat(proc_path(peer, path), &st), &st);
        }
        if (peer->process_fd >= 0 && has_ended(peer)) {
            peer_set_state(peer, ENV_PEER_GONE, "its process has ended");
        }
        break;
    case ENV_PEER_LOOPBACK:
        peer_recheck_loopback(peer);
        break;
    case ENV_PEER_TLS:
        peer_recheck_tls(peer);
        break;
    case ENV_PEER_SELF:
        break;
    }
}

void peer_fini(struct peer *peer)
{
    mem_free(peer->names);
    peer->names = NULL;
    if (peer->process_fd >= 0) {
        (void)close(peer->process_fd);
        peer->process_fd = -1;
    }
}
