/* `lease reload`. */
#ifndef LEASED_CLI_RELOAD_H
#define LEASED_CLI_RELOAD_H

struct cli;

int reload_run(struct cli *cli);

#endif
