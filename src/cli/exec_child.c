/* The child of `lease exec`, between fork and exec. It asks the daemon itself, so that the grant is
 * bound to its own pid, which stays the program's, and to the pid of `lease`: whichever ends first
 * ends the grant. It is always a new one: where no process can be bound to, another job of the same
 * user would otherwise be handed the same, and lose it when this one ends.
 *
 * Failures: no credential or a clash of names → message, 125; the program isn't there → 127, can't
 * be executed → 126. Grants told so far are ended by the parent. */
#include "cli/exec.h"

#include "base/mem.h"
#include "cli/credential.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* A line is shorter than PIPE_BUF: it arrives whole or not at all, and without it the grant still
 * ends with this process. */
static void tell_grant(int fd, const char *grant)
{
    char line[128];
    int len = snprintf(line, sizeof(line), "%s\n", grant);

    if (len > 0 && (size_t)len < sizeof(line)) {
        (void)!write(fd, line, (size_t)len);
    }
}

static int fetch_all(struct cli *cli, const char *bindings, int grants_fd,
                     struct format_credential *credentials)
{
    size_t i;

    for (i = 0; i < cli->options.arg_count; i++) {
        if (credential_fetch_new(cli, cli->options.args[i], bindings, &credentials[i]) != CLI_OK) {
            return CLI_EXEC_FAILED;
        }
        tell_grant(grants_fd, credentials[i].grant);
    }
    return CLI_OK;
}

/* Returns only when the program can't be started. */
static int become(struct cli *cli, char **environment)
{
    char *const *program = cli->options.program;
    int cause;

    process_restore(&cli->process);
    (void)execvpe(program[0], program, environment);
    cause = errno;
    cli_message(cli, "could not run %s: %s", program[0], err_str(-cause));
    return cause == ENOENT ? CLI_EXEC_NOT_FOUND : CLI_EXEC_NOT_RUN;
}

int exec_child(struct cli *cli, pid_t parent, int grants_fd)
{
    size_t count = cli->options.arg_count;
    struct format_credential *credentials = mem_calloc(count, sizeof(*credentials));
    char **environment = NULL;
    char bindings[64];
    struct err e = {0};
    int exit_code = CLI_EXEC_FAILED;
    size_t i;

    if (credentials == NULL) {
        cli_message(cli, "%s", err_str(ERR_NOMEM));
        return CLI_EXEC_FAILED;
    }
    (void)snprintf(bindings, sizeof(bindings), "process,pid:%ld", (long)parent);
    if (fetch_all(cli, bindings, grants_fd, credentials) == CLI_OK &&
        credential_apply_maps(cli, credentials, count) == CLI_OK) {
        if (exec_environment_new(environ, credentials, count, &environment, &e) != 0) {
            cli_message(cli, "%s", e.text);
        }
    }
    for (i = 0; i < count; i++) {
        format_credential_fini(&credentials[i]);
    }
    mem_free(credentials);
    if (environment != NULL) {
        exit_code = become(cli, environment);
    }
    exec_environment_free(environment);
    return exit_code;
}
