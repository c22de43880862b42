/* What the daemon before has written to files (wire/file_record.h). */
#ifndef LEASED_DAEMON_FILES_KNOWN_H
#define LEASED_DAEMON_FILES_KNOWN_H

#include "base/buf.h"
#include "base/err.h"

/* Appends the record at `path`; nothing where there is none. ERR_DENIED: others can write it. ERR_*
 * or a negated errno. */
int files_known_read(const char *path, struct buf *out) ATTR_MUST_USE;

#endif
