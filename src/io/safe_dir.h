/* Directories that no stranger can change: the only places where a socket or a secret file may
 * appear. */
#ifndef LEASED_IO_SAFE_DIR_H
#define LEASED_IO_SAFE_DIR_H

#include "base/err.h"

#include <stdbool.h>
#include <sys/types.h>

/* How to make the last directory of a path if it is missing. */
struct safe_dir_make {
    mode_t mode;
    bool has_gid;
    gid_t gid;         /* its group; without has_gid the daemon's */
    bool is_in_volume; /* those above may be open to others, who mount them read-only */
};

/* Opens the directory `path` (absolute) with O_PATH after a walk from the root that trusts only
 * what belongs to root or to us: each directory on the way may not be writable to group or others
 * unless it is sticky, the last one not even then, and a symbolic link must be root's or ours.
 * `make` (may be NULL) says how to make the last component. Errors name the component: ERR_DENIED,
 * ERR_NOT_FOUND, ERR_INVALID or a negated errno. */
int safe_dir_open(const char *path, const struct safe_dir_make *make, int *ret_fd,
                  struct err *e) ATTR_MUST_USE;

#endif
