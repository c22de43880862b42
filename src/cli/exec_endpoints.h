/* Programs of `lease exec` that fetch credentials themselves, as the clouds' SDKs and Vault's
 * clients do: they get the address where leased answers as the cloud or as Vault, and the token of
 * the grant, in place of the credential. Or, with --aws process, a configuration that has them run
 * `lease aws-credentials`. */
#ifndef LEASED_CLI_EXEC_ENDPOINTS_H
#define LEASED_CLI_EXEC_ENDPOINTS_H

#include "cli/exec_environment.h"
#include "cli/exec_plan.h"

/* Does the program fetch this one itself, so that it is in no variable and no rotation concerns it?
 */
bool exec_endpoints_serve(const struct exec_plan *plan, const struct format_credential *credential);

/* Adds what tells the program where to fetch. ERR_NOT_FOUND with a text where leased doesn't answer
 * so, or no credential is of this kind; else as exec_settings_add. */
int exec_endpoints_add(const struct exec_plan *plan, const struct format_credential *credentials,
                       size_t count, struct exec_settings *settings, struct err *e) ATTR_MUST_USE;

/* Appends the configuration of --aws process, whose default profile has the credential of AWS.
 * ERR_NOT_FOUND (there is none) or ERR_INVALID with a text. */
int exec_endpoints_write_config(const struct cli *cli, const struct format_credential *credentials,
                                size_t count, struct buf *out, struct err *e) ATTR_MUST_USE;

/* In the child that has new grants: their tokens are kept for those that come after it, in memory
 * that `lease` holds open and never reads; and in those, put back. 0 or what kept us. */
int exec_endpoints_keep(const struct exec_plan *plan, const struct format_credential *credentials,
                        size_t count) ATTR_MUST_USE;
int exec_endpoints_recall(const struct exec_plan *plan, const struct format_credential *credentials,
                          size_t count) ATTR_MUST_USE;

#endif
