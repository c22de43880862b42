/* `watch`. */
#ifndef LEASED_CLI_WATCH_H
#define LEASED_CLI_WATCH_H

struct cli;

int watch_run(struct cli *cli);

#endif
