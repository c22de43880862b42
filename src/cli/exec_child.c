/* The child of `lease exec`, between fork and exec. It asks the daemon itself, so that the grant is
 * bound to its own pid, which stays the program's, and to `lease`, its parent: whichever ends first
 * ends the grant. (With --watch the program may be started again, and the grant is bound to `lease`
 * alone, which ends it with the program.) The parent never sees a credential.
 *
 * The first time it asks for a new grant: where no process can be bound to, another job of the same
 * user would otherwise be handed the same, and lose it when this one ends. Later it reads what is
 * held, and writes files or prepares the environment while the program still runs with the old.
 *
 * Failures: no credential or a clash of names → message, 125; the program isn't there → 127, can't
 * be executed → 126; the parent ends → so does it. Grants told so far are ended by the parent. */
#include "base/mem.h"
#include "cli/credential.h"
#include "cli/exec_endpoints.h"
#include "cli/exec_environment.h"
#include "cli/exec_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

/* What is left of the caller's options after the fork. */
struct asking {
    struct cli *cli;
    const struct exec *exec;
    struct format_credential *credentials;
    size_t count;
    int tell_fd;
    int go_fd;
};

/* A line is shorter than PIPE_BUF: it arrives whole or not at all. */
static void tell(const struct asking *asking, const char *word, size_t role, const char *ids)
{
    char line[4 * EXEC_ID_MAX_BYTES];
    int len = snprintf(line, sizeof(line), "%s %zu %s\n", word, role, ids);

    if (len > 0 && (size_t)len < sizeof(line)) {
        (void)!write(asking->tell_fd, line, (size_t)len);
    }
}

/* Reading what is held would make a new grant where the held one has just ended. */
static bool is_ours(const struct asking *asking, size_t role)
{
    const struct exec *exec = asking->exec;

    return exec->is_first || strcmp(asking->credentials[role].grant, exec->held[role].grant) == 0;
}

static bool is_revocable(const struct format_credential *credential)
{
    return !json_is_false(json_object_get(credential->document, "revocable"));
}

static int fetch_all(struct asking *asking)
{
    const struct exec *exec = asking->exec;
    const char *bindings = exec_plan_bindings(&exec->plan);
    bool wants_token = exec_plan_wants_tokens(&exec->plan);
    struct cli *cli = asking->cli;
    char ids[3 * EXEC_ID_MAX_BYTES];

    while (asking->count < cli->options.arg_count) {
        size_t at = asking->count;
        const char *role = cli->options.args[at];
        struct format_credential *credential = &asking->credentials[at];
        int exit_code = exec->is_first
                            ? credential_fetch_new(cli, role, bindings, wants_token, credential)
                            : credential_fetch_held(cli, role, bindings, credential);

        if (exit_code != CLI_OK) {
            return CLI_EXEC_FAILED;
        }
        asking->count++;
        (void)snprintf(ids, sizeof(ids), "%s %s %s", credential->grant, credential->lease,
                       is_revocable(credential) ? "ends" : "stays");
        if (!is_ours(asking, at)) {
            exec_end_grant(cli, credential->grant, 0);
            cli_message(cli, "the grant of %s has ended", role);
            return CLI_EXEC_FAILED;
        }
        tell(asking, exec_endpoints_serve(&exec->plan, credential) ? "served" : "grant", at, ids);
    }
    return CLI_OK;
}

/* Only a new grant comes with its token. */
static int get_tokens(const struct asking *asking)
{
    const struct exec_plan *plan = &asking->exec->plan;
    int status = 0;

    if (exec_plan_wants_tokens(plan)) {
        status = asking->exec->is_first
                     ? exec_endpoints_keep(plan, asking->credentials, asking->count)
                     : exec_endpoints_recall(plan, asking->credentials, asking->count);
    }
    if (status != 0) {
        cli_message(asking->cli, "could not get tokens of the grants: %s", err_str(status));
    }
    return status == 0 ? CLI_OK : CLI_EXEC_FAILED;
}

/* What is in a file, or fetched by the program itself, isn't in the environment, unless --map wants
 * it there. */
static bool is_elsewhere(const struct asking *asking, const struct format_credential *credential,
                         const struct format_field *field)
{
    const struct exec_plan *plan = &asking->exec->plan;
    bool is_found = exec_endpoints_serve(plan, credential);
    size_t i;

    for (i = 0; i < plan->file_count; i++) {
        const struct exec_file *file = &plan->files[i];

        if (exec_file_is_of(file, credential->role) &&
            (file->is_formatted || str_eq_c(file->field, field->name))) {
            is_found = true;
        }
    }
    return is_found && !credential_is_mapped(asking->cli, credential->role, field->name);
}

static int add_fields(const struct asking *asking, const struct format_credential *credential,
                      struct exec_settings *settings, struct err *e)
{
    int status = 0;
    size_t i;

    for (i = 0; status == 0 && i < credential->field_count; i++) {
        const struct format_field *field = &credential->fields[i];
        const struct exec_setting setting = {.variable = field->variable,
                                             .value = secret_view(&field->value),
                                             .role = credential->role,
                                             .what = field->name};

        if (!is_elsewhere(asking, credential, field)) {
            status = exec_settings_add(settings, &setting, e);
        }
    }
    return status;
}

static int add_all(const struct asking *asking, struct exec_settings *settings, struct err *e)
{
    const struct exec_plan *plan = &asking->exec->plan;
    int status = 0;
    size_t i;

    for (i = 0; status == 0 && i < asking->count; i++) {
        status = add_fields(asking, &asking->credentials[i], settings, e);
    }
    for (i = 0; status == 0 && i < plan->file_count; i++) {
        const struct exec_file *file = &plan->files[i];
        const struct exec_setting setting = {.variable = file->variable,
                                             .value = str_of(file->path),
                                             .role = "--file",
                                             .what = file->option};

        status = exec_settings_add(settings, &setting, e);
    }
    return status == 0 ? exec_endpoints_add(plan, asking->credentials, asking->count, settings, e)
                       : status;
}

static int prepare(struct asking *asking, char ***ret_environment)
{
    struct cli *cli = asking->cli;
    struct exec_settings *settings = mem_calloc(1, sizeof(*settings));
    struct err e = {0};
    int status;

    if (settings == NULL) {
        cli_message(cli, "%s", err_str(ERR_NOMEM));
        return CLI_EXEC_FAILED;
    }
    status = add_all(asking, settings, &e);
    if (status == 0) {
        status = exec_environment_new(environ, settings, ret_environment);
    }
    if (status != 0) {
        cli_message(cli, "%s", e.text[0] != '\0' ? e.text : err_str(status));
    }
    mem_free(settings);
    return status == 0 ? CLI_OK : CLI_EXEC_FAILED;
}

/* False: the parent doesn't want us to, or has ended. */
static bool await_go(const struct asking *asking)
{
    char byte;
    ssize_t size;

    do {
        size = read(asking->go_fd, &byte, 1);
    } while (size < 0 && errno == EINTR);
    return size == 1;
}

/* Returns only when the program can't be started. */
static int become(struct cli *cli, char **environment)
{
    char *const *program = cli->options.program;
    int cause;

    (void)prctl(PR_SET_PDEATHSIG, 0);
    process_restore(&cli->process);
    (void)execvpe(program[0], program, environment);
    cause = errno;
    cli_message(cli, "could not run %s: %s", program[0], err_str(-cause));
    return cause == ENOENT ? CLI_EXEC_NOT_FOUND : CLI_EXEC_NOT_RUN;
}

static int ask(struct asking *asking, char ***ret_environment)
{
    struct cli *cli = asking->cli;
    size_t i;
    int exit_code = fetch_all(asking);

    if (exit_code == CLI_OK &&
        credential_apply_maps(cli, asking->credentials, asking->count) != CLI_OK) {
        exit_code = CLI_EXEC_FAILED;
    }
    if (exit_code == CLI_OK) {
        exit_code = get_tokens(asking);
    }
    if (exit_code == CLI_OK) {
        exit_code = exec_files_write(cli, &asking->exec->plan, asking->credentials, asking->count);
    }
    if (exit_code == CLI_OK) {
        exit_code = prepare(asking, ret_environment);
    }
    for (i = 0; i < asking->count; i++) {
        format_credential_fini(&asking->credentials[i]);
    }
    return exit_code;
}

static int child_run(struct asking *asking, pid_t parent)
{
    struct cli *cli = asking->cli;
    char **environment = NULL;
    int exit_code;

    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) {
        return CLI_EXEC_FAILED;
    }
    asking->credentials = mem_calloc(cli->options.arg_count, sizeof(*asking->credentials));
    if (asking->credentials == NULL) {
        cli_message(cli, "%s", err_str(ERR_NOMEM));
        return CLI_EXEC_FAILED;
    }
    exit_code = ask(asking, &environment);
    mem_free(asking->credentials);
    if (exit_code == CLI_OK) {
        tell(asking, "ready", 0, "");
        if (await_go(asking)) {
            exit_code = become(cli, environment);
        }
    }
    exec_environment_free(environment);
    return exit_code;
}

static int open_pipes(struct cli *cli, int ret_tell[2], int ret_go[2])
{
    if (pipe2(ret_tell, O_CLOEXEC) == 0) {
        if (pipe2(ret_go, O_CLOEXEC) == 0) {
            return CLI_OK;
        }
        (void)close(ret_tell[0]);
        (void)close(ret_tell[1]);
    }
    cli_message(cli, "could not make a pipe: %s", err_str(-errno));
    return CLI_EXEC_FAILED;
}

int exec_child_start(struct exec *exec)
{
    struct exec_child *child = &exec->child;
    struct cli *cli = exec->cli;
    pid_t parent = getpid();
    int tell_fds[2];
    int go_fds[2];
    pid_t pid;

    if (exec_files_make_next(cli, &exec->plan) != CLI_OK ||
        open_pipes(cli, tell_fds, go_fds) != CLI_OK) {
        return CLI_EXEC_FAILED;
    }
    pid = fork();
    if (pid == 0) {
        struct asking asking = {
            .cli = cli, .exec = exec, .tell_fd = tell_fds[1], .go_fd = go_fds[0]};

        (void)close(go_fds[1]);
        if (exec->is_first) {
            /* Keys reach it as they would the program. Later ones are for the program alone. */
            (void)sigprocmask(SIG_SETMASK, &cli->process.mask, NULL);
        }
        _exit(child_run(&asking, parent));
    }
    (void)close(tell_fds[1]);
    (void)close(go_fds[0]);
    if (pid < 0) {
        cli_message(cli, "could not start a process: %s", err_str(-errno));
        (void)close(tell_fds[0]);
        (void)close(go_fds[1]);
        return CLI_EXEC_FAILED;
    }
    child->pid = pid;
    child->tell_fd = tell_fds[0];
    child->go_fd = go_fds[1];
    child->is_ready = false;
    buf_reset(&child->told);
    return CLI_OK;
}

void exec_child_go(struct exec *exec)
{
    struct exec_child *child = &exec->child;

    (void)!write(child->go_fd, "g", 1); /* it has ended: that will be heard of */
    (void)close(child->go_fd);
    child->go_fd = -1;
    exec->program = child->pid;
    child->pid = 0;
}

void exec_child_drop(struct exec *exec)
{
    struct exec_child *child = &exec->child;

    if (child->pid > 0) {
        (void)kill(child->pid, SIGKILL);
        child->pid = 0;
    }
    if (child->go_fd >= 0) {
        (void)close(child->go_fd);
        child->go_fd = -1;
    }
    if (child->tell_fd >= 0) {
        (void)close(child->tell_fd);
        child->tell_fd = -1;
    }
}
