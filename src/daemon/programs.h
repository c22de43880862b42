/* What the helper process may run: the programs that backends name whose plugin has them run
 * (LEASED_PLUGIN_RUNS), and those that try a role's credentials out. */
#ifndef LEASED_DAEMON_PROGRAMS_H
#define LEASED_DAEMON_PROGRAMS_H

#include "daemon/config.h"
#include "helper/programs.h"

/* The same for `files`, and for what `known` (wire/file_record.h) says that the daemon before has
 * written: that may be removed. Before anybody could have taken leased over: from then on the
 * helper takes no more. ERR_INVALID with a text for people, ERR_NOMEM; helper_programs_fini in any
 * case. */
int programs_add_files(const struct config *config, struct str known,
                       struct helper_programs *programs, struct err *e) ATTR_MUST_USE;

/* Users are looked up. ERR_INVALID with a text for people, ERR_NOMEM; else helper_programs_fini. */
int programs_of_config(const struct config *config, struct helper_programs *ret_programs,
                       struct err *e) ATTR_MUST_USE;

#endif
