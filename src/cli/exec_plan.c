/* The options of `lease exec`. */
#include "cli/exec_plan.h"

#include "cli/credential.h"

#include <signal.h>
#include <string.h>

/* At the last '=': formats have one of their own ("field=password"). */
static bool cut_variable(const char *option, struct str *ret_what, const char **ret_variable)
{
    const char *at = strrchr(option, '=');

    if (at == NULL || at == option || !format_variable_is_valid(str_of(at + 1))) {
        return false;
    }
    *ret_what = (struct str){.ptr = option, .len = (size_t)(at - option)};
    *ret_variable = at + 1;
    return true;
}

static int read_file(struct cli *cli, const char *option, struct exec_file *file)
{
    struct str what;
    struct err e = {0};

    *file = (struct exec_file){.option = option, .fd = -1, .next_fd = -1};
    if (!cut_variable(option, &what, &file->variable)) {
        return cli_usage_error(cli,
                               "--file: '%s' is not FIELD=NAME or :FORMAT=NAME with a NAME that a "
                               "shell takes for a variable",
                               option);
    }
    if (memchr(what.ptr, ':', what.len) != NULL) {
        file->is_formatted = true;
        file->role = str_cut(&what, ':');
        if (format_spec_parse(what, &file->format, &e) != 0) {
            return cli_usage_error(cli, "--file %s: %s", option, e.text);
        }
        if (file->role.len == 0 && cli->options.arg_count > 1 &&
            file->format.kind != FORMAT_TEMPLATE) {
            return cli_usage_error(cli, "--file %s: say of which role, as in ROLE:FORMAT=NAME",
                                   option);
        }
    } else {
        if (memchr(what.ptr, '.', what.len) != NULL) {
            file->role = str_cut(&what, '.');
        }
        file->field = what;
    }
    return CLI_OK;
}

static bool is_asked_for(const struct cli *cli, struct str role)
{
    size_t i;

    for (i = 0; i < cli->options.arg_count; i++) {
        if (str_eq_c(role, cli->options.args[i])) {
            return true;
        }
    }
    return false;
}

static int read_files(struct cli *cli, struct exec_plan *plan)
{
    const struct option_values *options = &cli->options.values[OPTION_FILE];
    int exit_code = CLI_OK;
    size_t i;

    for (i = 0; exit_code == CLI_OK && i < options->count; i++) {
        struct exec_file *file = &plan->files[plan->file_count++];

        exit_code = read_file(cli, options->items[i], file);
        if (exit_code == CLI_OK && file->role.len > 0 && !is_asked_for(cli, file->role)) {
            exit_code = cli_usage_error(cli, "--file %s: %.*s is none of the roles", file->option,
                                        STR_ARG(file->role));
        }
    }
    return exit_code;
}

static int read_signal(struct cli *cli, const char *text, int *ret_signal)
{
    const char *name = strncmp(text, "SIG", 3) == 0 ? text + 3 : text;
    int number;

    for (number = 1; number < SIGRTMIN; number++) {
        const char *known = sigabbrev_np(number);

        if (known != NULL && strcmp(known, name) == 0 && number != SIGKILL && number != SIGSTOP) {
            *ret_signal = number;
            return CLI_OK;
        }
    }
    return cli_usage_error(cli, "--signal: '%s' is no signal that a program can take; write HUP",
                           text);
}

/* A running program's environment can't be changed. Which roles it may fetch by itself isn't known
 * yet. */
static int check_signal(struct cli *cli, const struct exec_plan *plan)
{
    size_t i;
    size_t j;

    for (i = 0; i < cli->options.arg_count; i++) {
        bool has_file = false;

        for (j = 0; j < plan->file_count; j++) {
            has_file = has_file || exec_file_is_of(&plan->files[j], cli->options.args[i]);
        }
        if (!has_file && !exec_plan_wants_tokens(plan)) {
            return cli_usage_error(cli,
                                   "--signal tells the program of new files, but nothing of %s is "
                                   "in one: give it with --file, or leave --signal out",
                                   cli->options.args[i]);
        }
    }
    return CLI_OK;
}

static int check_watch(struct cli *cli)
{
    const struct option_values *binds = &cli->options.values[OPTION_BIND];
    size_t i;

    if (client_is_remote(&cli->client)) {
        return cli_usage_error(cli, "--watch works with a leased on this machine's socket only");
    }
    for (i = 0; i < binds->count; i++) {
        if (strcmp(binds->items[i], "process") == 0 || strcmp(binds->items[i], "none") == 0 ||
            strcmp(binds->items[i], "connection") == 0) {
            return cli_usage_error(
                cli, "--bind %s would lose the credential with a rotation that --watch follows",
                binds->items[i]);
        }
    }
    return CLI_OK;
}

static int read_aws(struct cli *cli, struct exec_plan *plan)
{
    const char *mode = options_get(&cli->options, OPTION_AWS);

    if (mode == NULL || strcmp(mode, "env") == 0) {
        return CLI_OK;
    }
    if (strcmp(mode, "endpoint") == 0) {
        plan->aws = EXEC_AWS_ENDPOINT;
        return CLI_OK;
    }
    if (strcmp(mode, "process") == 0) {
        plan->aws = EXEC_AWS_PROCESS;
        plan->files[plan->file_count++] = (struct exec_file){.option = "--aws process",
                                                             .is_aws_config = true,
                                                             .variable = "AWS_CONFIG_FILE",
                                                             .fd = -1,
                                                             .next_fd = -1};
        return CLI_OK;
    }
    return cli_usage_error(cli, "--aws: '%s' is none of env, endpoint, process", mode);
}

static int check_roles(struct cli *cli)
{
    size_t i;
    size_t j;

    for (i = 0; i < cli->options.arg_count; i++) {
        for (j = 0; j < i; j++) {
            if (strcmp(cli->options.args[i], cli->options.args[j]) == 0) {
                return cli_usage_error(cli, "%s is named twice", cli->options.args[i]);
            }
        }
    }
    return CLI_OK;
}

int exec_plan_read(struct cli *cli, struct exec_plan *ret_plan)
{
    const char *signal = options_get(&cli->options, OPTION_SIGNAL);
    int exit_code = credential_check_options(cli);

    *ret_plan = (struct exec_plan){
        .has_vault = options_get(&cli->options, OPTION_VAULT) != NULL,
        .has_gcp = options_get(&cli->options, OPTION_GCP) != NULL,
        .has_azure = options_get(&cli->options, OPTION_AZURE) != NULL,
        .kept_fd = -1,
        .has_watch = signal != NULL || options_get(&cli->options, OPTION_WATCH) != NULL,
    };
    if (exit_code == CLI_OK) {
        exit_code = read_aws(cli, ret_plan);
    }
    if (exit_code == CLI_OK) {
        exit_code = check_roles(cli);
    }
    if (exit_code == CLI_OK) {
        exit_code = read_files(cli, ret_plan);
    }
    if (exit_code == CLI_OK && signal != NULL) {
        exit_code = read_signal(cli, signal, &ret_plan->signal);
    }
    if (exit_code == CLI_OK && signal != NULL) {
        exit_code = check_signal(cli, ret_plan);
    }
    if (exit_code == CLI_OK && ret_plan->has_watch) {
        exit_code = check_watch(cli);
    }
    return exit_code;
}

const char *exec_plan_bindings(const struct exec_plan *plan)
{
    return plan->has_watch ? "parent" : "process,parent";
}

bool exec_plan_wants_tokens(const struct exec_plan *plan)
{
    return plan->aws != EXEC_AWS_ENV || plan->has_vault || plan->has_gcp || plan->has_azure;
}

bool exec_file_is_of(const struct exec_file *file, const char *role)
{
    return !file->is_aws_config && (file->role.len == 0 || str_eq_c(file->role, role));
}
