/* Texts about `lease` itself, made from the tables. */
#ifndef LEASED_CLI_HELP_H
#define LEASED_CLI_HELP_H

#include "base/buf.h"

#include <stdbool.h>

struct cli;
struct command;

void help_overview(struct buf *out);

/* Lists the commands whose names are `first` and another word; false where there are none. */
bool help_group(struct buf *out, const char *first);

void help_command(struct buf *out, const struct command *command);
void help_version(struct buf *out);

/* The commands `help`, `version`. */
int help_run(struct cli *cli);
int help_run_version(struct cli *cli);

#endif
