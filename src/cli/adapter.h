/* What the adapters share: programs that git, docker, kubectl and Terraform run when they want a
 * credential, each in its own protocol. Grants are bound to that program, so that they end with it.
 */
#ifndef LEASED_CLI_ADAPTER_H
#define LEASED_CLI_ADAPTER_H

#include "cli/cli.h"
#include "wire/format.h"

/* Reads stdin to its end into `text` (initialised). CLI_OK, or CLI_FAILED after a message. */
int adapter_read_stdin(struct cli *cli, struct buf *text) ATTR_MUST_USE;

/* The role that --role says, else the one that the configuration has for this client ("git",
 * "docker") and target, written into `role` (initialised; stays empty when there is none). CLI_OK,
 * or an exit code after a message. */
int adapter_find_role(struct cli *cli, const char *client, const char *target,
                      struct buf *role) ATTR_MUST_USE;

/* The answer to GET /clients/{client}; json_decref it. CLI_OK, or an exit code after a message. */
struct json_t;
int adapter_list_roles(struct cli *cli, const char *client,
                       struct json_t **ret_document) ATTR_MUST_USE;

/* The credential, bound to who has started us. CLI_OK or an exit code after a message. On success
 * format_credential_fini it. */
int adapter_fetch(struct cli *cli, const char *role,
                  struct format_credential *ret_credential) ATTR_MUST_USE;

/* The command that a program of another name stands for ("docker-credential-leased"), as argv[0]
 * has it with or without its folder; NULL: none. */
const char *adapter_command(const char *program);

/* The commands. */
int adapter_run_git(struct cli *cli);
int adapter_run_docker(struct cli *cli);
int adapter_run_kube(struct cli *cli);
int adapter_run_terraform(struct cli *cli);

#endif
