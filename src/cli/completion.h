/* Completion scripts for shells, made from the tables of commands and options. */
#ifndef LEASED_CLI_COMPLETION_H
#define LEASED_CLI_COMPLETION_H

struct cli;

/* The command `completion`. */
int completion_run(struct cli *cli);

#endif
