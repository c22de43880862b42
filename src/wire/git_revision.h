/* Which commit a git work tree is at, read from its files: HEAD, loose and packed refs, and the
 * `.git` file of a linked work tree. No program is run. */
#ifndef LEASED_WIRE_GIT_REVISION_H
#define LEASED_WIRE_GIT_REVISION_H

#include "base/buf.h"

#define GIT_REVISION_MAX_BYTES 64U
#define GIT_FILE_MAX_BYTES (8U * 1024U * 1024U) /* packed-refs are the largest */

struct git_reader {
    /* Appends what the file at the path holds. Not 0: there is none, it isn't trusted, or out of
     * memory. */
    int (*read)(void *user, const char *path, struct buf *out);
    void *user;
};

/* Of the work tree that the folder (an absolute path) is in; in hex. False: it is in none, or what
 * is there can't be read. */
bool git_revision_find(const struct git_reader *reader, const char *folder,
                       char ret_revision[GIT_REVISION_MAX_BYTES + 1]) ATTR_MUST_USE;

#endif
