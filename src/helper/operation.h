/* What the helper does itself, in a child of its own (child.h): files and signals, with the rights
 * that the unit's drop-in gives it (config/leased-helper.conf). */
#ifndef LEASED_HELPER_OPERATION_H
#define LEASED_HELPER_OPERATION_H

#include "helper/programs.h"

/* Keeps the capabilities that this kind of operation needs, as far as there are any, and gives up
 * all others. A negated errno. */
int operation_drop_rights(enum helper_kind kind) ATTR_MUST_USE;

/* Is this capability (CAP_*) there? */
bool operation_may(unsigned int capability);

/* Does it; stdin, stdout and stderr are the daemon's. Returns the exit code: 0, or 1 with the
 * reason on stderr. */
int operation_run(const struct helper_program *program);

#endif
