/* `lease explain`. */
#ifndef LEASED_CLI_EXPLAIN_H
#define LEASED_CLI_EXPLAIN_H

struct cli;

int explain_run(struct cli *cli);

#endif
