/* Following grants: the command `watch`, and what else wants to hear of them. */
#ifndef LEASED_CLI_WATCH_H
#define LEASED_CLI_WATCH_H

#include "base/check.h"

#include <stdbool.h>

struct cli;
struct json_t;

struct watch_follower {
    /* Runs for each event, with what the API says of it (borrowed until the call returns). False
     * ends the watch. */
    bool (*event)(void *user, const char *name, struct json_t *data);
    void *user;
};

/* Follows the caller's grants of a role (NULL: of all) until the follower or an interrupt of
 * `watch` ends it, over restarts of the daemon, too; the first connection is tried for this long.
 * The exit code, after a message where it isn't CLI_OK. */
int watch_follow(struct cli *cli, const char *role, uint64_t wait_ms,
                 const struct watch_follower *follower) ATTR_MUST_USE;

/* The command `watch`. */
int watch_run(struct cli *cli);

#endif
