/* What the files about cgroups share. */
#ifndef LEASED_IO_CGROUP_H
#define LEASED_IO_CGROUP_H

#include "env/cgroup.h"
#include "env/process.h"
#include "io/io_internal.h"

/* Opens the folder of a cgroup if it is the one that is meant. ERR_GONE when it isn't there or is
 * another, ERR_LIMIT without descriptors. */
int cgroup_open(const struct env_cgroup *cgroup, int *ret_fd) ATTR_MUST_USE;

/* In cgroup v2: is anybody in the cgroup or below it, by its open cgroup.events? Also false when it
 * has been removed. */
bool cgroup_is_populated(int events_fd);

/* Is the open folder one of cgroup v2? */
bool cgroup_is_unified(int folder_fd);

/* In cgroup v1: a living process that is in the cgroup of this open folder or below it. ERR_GONE:
 * there is none. */
int cgroup_find_member(struct io *io, int folder_fd, struct env_process *ret_process) ATTR_MUST_USE;

#endif
