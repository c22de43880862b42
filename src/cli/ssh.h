/* `lease ssh`: an agent of ssh's with a certificate from leased. */
#ifndef LEASED_CLI_SSH_H
#define LEASED_CLI_SSH_H

struct cli;

/* The command `ssh`. */
int ssh_run(struct cli *cli);

#endif
