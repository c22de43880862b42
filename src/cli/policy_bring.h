/* A policy on its way to leased: its files, the revision of the work tree that they are in, and the
 * questions about them. */
#ifndef LEASED_CLI_POLICY_BRING_H
#define LEASED_CLI_POLICY_BRING_H

#include "cli/cli.h"
#include "cli/policy_folder.h"

#include <jansson.h>

/* Reads the policy at `path` (NULL: none, for what ends the observing) and has leased plan it. The
 * answer is to be freed with json_decref, the folder with policy_folder_fini, both after CLI_OK
 * alone; everything else was told. */
int policy_bring_plan(struct cli *cli, const char *path, struct policy_folder *ret_folder,
                      json_t **ret_plan) ATTR_MUST_USE;

/* Writes the members of a request that say which policy it is into an open object. */
struct json_out;
void policy_bring_write(const struct cli *cli, const struct policy_folder *folder,
                        struct json_out *json);

/* The revision, of a folder that was read by anybody. */
int policy_bring_revision(struct policy_folder *folder) ATTR_MUST_USE;

/* The same without leased, from what --audit and --base name: see policy_offline.c. *ret_plan may
 * be set even after a failure. */
int policy_offline_plan(struct cli *cli, json_t **ret_plan) ATTR_MUST_USE;

/* Appends the plan for people. CLI_OK, or CLI_FAILED after a message. */
int policy_plan_show(struct cli *cli, const json_t *plan) ATTR_MUST_USE;

/* Does it change anything, even if only what is written? */
bool policy_plan_has_changes(const json_t *plan);

#endif
