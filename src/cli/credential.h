/* Credentials as the commands ask for them. */
#ifndef LEASED_CLI_CREDENTIAL_H
#define LEASED_CLI_CREDENTIAL_H

#include "cli/cli.h"
#include "wire/format.h"

/* Checks --for, --bind, --map and --wait before anything is asked for. CLI_OK, or an exit code
 * after a message. */
int credential_check_options(struct cli *cli) ATTR_MUST_USE;

#define CREDENTIAL_REASON_MAX_BYTES 256 /* more is refused */

/* The reason that goes on record: what the user says, else which CI job this is; NULL: none. What
 * nobody said is written into `out`, made fit: cut, without control characters. */
const char *credential_reason(const struct cli *cli, char out[CREDENTIAL_REASON_MAX_BYTES + 1]);

#define CREDENTIAL_QUESTION_MAX_BYTES 8192U
#define CREDENTIAL_WAIT_MAX_MS                                                                     \
    600000U /* that one answer can be waited for: the API's own limit                              \
             */

/* What the options ask for, as the JSON object that POST /leases, /requests and /policy/explain
 * take. `bindings` ("process,pid:12"; NULL: none is said) counts where --bind isn't given, and
 * where leased can see our processes: elsewhere it is "none". `wants_token`: the answer has a token
 * of the grant, too. */
void credential_add_question(const struct cli *cli, const char *role, const char *bindings,
                             bool wants_token, struct buf *body);
/* The same without its end: members may follow. */
struct json_out;
void credential_begin_question(const struct cli *cli, const char *role, const char *bindings,
                               struct json_out *json);

/* Has the token of the grant that a program of `lease exec` belongs to. */
#define CREDENTIAL_GRANT_VARIABLE "LEASED_GRANT"

/* Asks the daemon for the grant that the caller belongs to, or holds already, if it will do, else
 * for a new one. CLI_OK or an exit code after a message. On success format_credential_fini it. */
int credential_fetch_held(struct cli *cli, const char *role, const char *bindings,
                          struct format_credential *ret_credential) ATTR_MUST_USE;

/* Asks the daemon for a grant of its own, which the caller may end without taking a credential from
 * anyone else. CLI_OK or an exit code after a message. On success format_credential_fini it. */
int credential_fetch_new(struct cli *cli, const char *role, const char *bindings, bool wants_token,
                         struct format_credential *ret_credential) ATTR_MUST_USE;

/* Applies each --map FIELD=NAME or ROLE.FIELD=NAME; one that fits no field is an error. CLI_OK or
 * CLI_FAILED after a message. */
int credential_apply_maps(struct cli *cli, struct format_credential *credentials,
                          size_t count) ATTR_MUST_USE;

/* Does a --map name this field of this role? */
bool credential_is_mapped(const struct cli *cli, const char *role, const char *field);

#endif
