/* Credentials as files of `lease exec`, for programs that want a path.
 *
 * Nothing can be left to remove: lease, its program and their whole cgroup may be killed at once,
 * and then nobody is left who would. So the files have no place in any directory. Each is memory
 * (memfd: tmpfs, 0600, sealed against writing) held open by `lease` under one descriptor for as
 * long as it runs, and its path is that descriptor's in /proc: any process of the same user opens
 * it like a file, however many processes lie between, and with the end of `lease` the path is gone,
 * and with its last reader the bytes. A new version takes the descriptor's place at once: who opens
 * the path gets the old one whole or the new one whole. */
#ifndef LEASED_CLI_EXEC_FILES_H
#define LEASED_CLI_EXEC_FILES_H

#include "cli/exec_plan.h"

/* Opens the plan's files, empty, and finds their paths. CLI_OK, or an exit code after a message. */
int exec_files_open(struct cli *cli, struct exec_plan *plan) ATTR_MUST_USE;
void exec_files_close(struct exec_plan *plan);

/* Makes an empty next version of each, for a child to write. The same. */
int exec_files_make_next(struct cli *cli, struct exec_plan *plan) ATTR_MUST_USE;

/* What was written becomes what the paths name. */
void exec_files_swap(struct exec_plan *plan);

/* In the child: writes the next version of each from the credentials. The same. */
int exec_files_write(struct cli *cli, const struct exec_plan *plan,
                     const struct format_credential *credentials, size_t count) ATTR_MUST_USE;

#endif
