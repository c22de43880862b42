/* Texts about `lease` itself, made from the tables. */
#ifndef LEASED_CLI_HELP_H
#define LEASED_CLI_HELP_H

#include "base/buf.h"

struct cli;
struct command;

void help_overview(struct buf *out);
void help_command(struct buf *out, const struct command *command);
void help_version(struct buf *out);

/* The commands `help`, `version`. */
int help_run(struct cli *cli);
int help_run_version(struct cli *cli);

#endif
