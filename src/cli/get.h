/* `lease get`. */
#ifndef LEASED_CLI_GET_H
#define LEASED_CLI_GET_H

#define GET_ROLES_MAX 32

struct cli;

/* The command `get`. */
int get_run(struct cli *cli);

#endif
