/* Texts of /proc/PID: stat, cgroup, status; and what a cgroup path says about its process. Pure
 * parsing; whether the text can be believed is the reader's business (io/process.c, io/peer.c). */
#ifndef LEASED_WIRE_PROCFS_H
#define LEASED_WIRE_PROCFS_H

#include "base/str.h"

#include <stdint.h>

#define PROCFS_NAME_MAX_BYTES 16 /* the kernel's TASK_COMM_LEN, with the NUL */

/* Larger than any of the three files can be (a path has at most 4 KiB). */
#define PROCFS_FILE_MAX_BYTES 16384U

struct procfs_stat {
    int32_t pid;
    char name[PROCFS_NAME_MAX_BYTES]; /* comm; control bytes are shown as '?' */
    char state;                       /* R S D Z T t X I … */
    int32_t parent_pid;               /* 0: none, or in another pid namespace */
    int32_t session;
    uint32_t flags;
    uint32_t thread_count;
    uint64_t start_ticks;
    bool is_fork_no_exec; /* forked and hasn't exec'd since: PF_FORKNOEXEC */
    bool is_ended;        /* a zombie whose last thread has gone, or less */
};

/* One line of /proc/PID/stat. The name may hold spaces, parentheses and newlines. 0 or ERR_INVALID.
 */
int procfs_parse_stat(struct str text, struct procfs_stat *ret_stat) ATTR_MUST_USE;

/* The path in the unified hierarchy or in systemd's of cgroup v1: the longer one, since on hybrid
 * hosts one of them is often "/" only. A slice of `text`; 0 or ERR_INVALID when neither is there.
 */
int procfs_parse_cgroup(struct str text, struct str *ret_path) ATTR_MUST_USE;

/* Where a process is in the hierarchies that can tell when it is the last one there. */
struct procfs_cgroups {
    struct str unified; /* cgroup v2; empty: not told */
    struct str systemd; /* systemd's own of cgroup v1; empty: there is none */
};

/* Slices of `text`. 0 or ERR_INVALID when neither is there. */
int procfs_parse_cgroups(struct str text, struct procfs_cgroups *ret_cgroups) ATTR_MUST_USE;

/* The beginning of the path up to its innermost systemd scope; and up to its innermost scope or
 * service. The empty slice if there is none. */
struct str procfs_scope_path(struct str cgroup_path);
struct str procfs_unit_path(struct str cgroup_path);

/* The number of pid namespaces that /proc/PID/status lists for the process, ours included: more
 * than 1 means that it runs in one below ours. 0 or ERR_INVALID. */
int procfs_parse_nspid(struct str text, size_t *ret_count) ATTR_MUST_USE;

/* The systemd unit (service or scope) below system.slice that the path belongs to, as systemd names
 * it: the first one after the slices. What comes deeper is under the control of that unit's own
 * processes and proves nothing; nor does what users arrange below user.slice. The empty slice if
 * there is none. */
struct str procfs_unit(struct str cgroup_path);

/* The container's id (64 hex digits) as docker, podman, containerd, cri-o and kubelets put it into
 * the path, with systemd scopes or without; the outermost one, which the host has made. Below
 * user.slice (rootless podman) the path is the user's own word. The empty slice if there is none.
 */
struct str procfs_container(struct str cgroup_path);

#endif
