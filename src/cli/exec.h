/* `lease exec`: a program with credentials in its environment or in files, which end when it ends.
 */
#ifndef LEASED_CLI_EXEC_H
#define LEASED_CLI_EXEC_H

#include "cli/exec_plan.h"

/* The command `exec`. */
int exec_run(struct cli *cli);

#endif
