/* Whom or what a drill or a block is about, from the command line to the API. */
#ifndef LEASED_CLI_DRILL_MATCH_H
#define LEASED_CLI_DRILL_MATCH_H

#include "base/check.h"

#include <stdbool.h>

struct cli;

/* Is anything of it given? */
bool drill_match_is_given(const struct cli *cli);

/* The request's body; mem_free it. `block`: for how long, NULL: no block. CLI_OK, or the exit code
 * after a message. */
int drill_match_body(struct cli *cli, const char *block, char **ret_body) ATTR_MUST_USE;

#endif
