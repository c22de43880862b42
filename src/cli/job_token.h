/* The job token (JWT) that says to leased which job this is. */
#ifndef LEASED_CLI_JOB_TOKEN_H
#define LEASED_CLI_JOB_TOKEN_H

#include "cli/cli.h"

/* Finds it: in the variable that --token-env names, in LEASED_TOKEN (empty: none is sent), in the
 * file that LEASED_TOKEN_FILE names, or from GitHub, which gives jobs with `id-token: write` an
 * address to ask (ACTIONS_ID_TOKEN_REQUEST_URL and _TOKEN; for the audience LEASED_TOKEN_AUDIENCE,
 * else "leased"). ret_token stays empty where there is none. The exit code, after a message. */
int job_token_find(struct cli *cli, struct secret *ret_token) ATTR_MUST_USE;

#endif
