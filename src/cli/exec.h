/* `lease exec`: a program with credentials in its environment, which end when it ends. */
#ifndef LEASED_CLI_EXEC_H
#define LEASED_CLI_EXEC_H

#include "cli/cli.h"
#include "wire/format.h"

#include <sys/types.h>

#define EXEC_ROLES_MAX 32

/* The command `exec`. */
int exec_run(struct cli *cli);

/* The child's part: asks for the credentials, tells their grants on `grants_fd`, becomes the
 * program. Returns only an exit code, after a message. */
int exec_child(struct cli *cli, pid_t parent, int grants_fd);

/* An environment: `base` (NULL-ended) with the credentials' variables added, in place of inherited
 * ones of the same name. Two credentials that claim one variable are an error. 0, ERR_INVALID with
 * a text, or ERR_NOMEM. exec_environment_free it. */
int exec_environment_new(char *const *base, const struct format_credential *credentials,
                         size_t count, char ***ret_environment, struct err *e) ATTR_MUST_USE;
void exec_environment_free(char **environment);

/* Must a signal that reached `lease` be passed on? Not what a terminal sent to the whole foreground
 * group, nor what the child itself sent. */
struct exec_signal {
    int number;
    int code; /* si_code */
    pid_t sender;
};
bool exec_must_forward(const struct exec_signal *signal, pid_t child, bool is_same_group,
                       bool is_session_leader);

#endif
