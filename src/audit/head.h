/* Where a chain stands: the last record of a file. Internal to audit/. */
#ifndef LEASED_AUDIT_HEAD_H
#define LEASED_AUDIT_HEAD_H

#include "env/file.h"
#include "wire/audit_record.h"

/* The last record at the end of `file`; ERR_NOT_FOUND when the file is empty. Lines that crashes
 * have cut off are skipped. ERR_CORRUPT with a text that names `path` when the file ends in
 * something that is no record, or in a changed one: a chain that continued it would vouch for it.
 */
int audit_head_find(struct env_file *file, const char *path, struct audit_line *ret_head,
                    struct err *e) ATTR_MUST_USE;

#endif
