/* The leak drill and blocks: `revoke` with whom or what it is about instead of ids, `block`,
 * `blocks`, `unblock`. */
#ifndef LEASED_CLI_DRILL_H
#define LEASED_CLI_DRILL_H

struct cli;

/* `revoke` without ids. */
int drill_run_revoke(struct cli *cli);

int drill_run_block(struct cli *cli);
int drill_run_blocks(struct cli *cli);
int drill_run_unblock(struct cli *cli);

#endif
