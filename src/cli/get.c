/* `lease get`: a credential in the format that its reader wants.
 *
 * A template may need several: those of the roles on the command line and those that it names
 * itself, leased one after the other. What can't be printed whole isn't printed at all. */
#include "cli/get.h"

#include "base/mem.h"
#include "cli/cli.h"
#include "cli/credential.h"
#include "cli/template.h"
#include "wire/format_template.h"

/* What is asked for, and what has come. */
struct get {
    struct cli *cli;
    struct format_spec spec;
    struct buf text; /* the template's */
    struct format_credential *credentials;
    size_t count;
};

/* Bound to the parent, so that it outlives this process and dies with the script that asked. */
static int get_fetch(struct get *get, const char *role)
{
    int exit_code;

    if (get->count == GET_ROLES_MAX) {
        cli_message(get->cli, "more than %u roles", GET_ROLES_MAX);
        return CLI_FAILED;
    }
    exit_code = credential_fetch_held(get->cli, role, "parent", &get->credentials[get->count]);
    get->count += exit_code == CLI_OK ? 1 : 0;
    return exit_code;
}

static int get_read_template(struct get *get)
{
    int exit_code = template_read(get->cli, get->spec.argument, &get->text);

    get->spec.text = buf_str(&get->text);
    return exit_code;
}

static int get_fetch_named(struct get *get)
{
    const char *path = get->spec.argument.ptr;
    struct err e = {0};

    for (;;) {
        struct str role;
        char *name;
        int exit_code;

        if (format_template_missing_role(get->spec.text, get->credentials, get->count, &role, &e) !=
            0) {
            cli_message(get->cli, "%s:%s", path, e.text);
            return CLI_FAILED;
        }
        if (role.len == 0) {
            return CLI_OK;
        }
        name = mem_strndup(role.ptr, role.len);
        exit_code = name != NULL ? get_fetch(get, name) : CLI_FAILED;
        mem_free(name);
        if (exit_code != CLI_OK) {
            return exit_code;
        }
    }
}

static int get_fetch_all(struct get *get)
{
    const struct options *options = &get->cli->options;
    int exit_code = CLI_OK;
    size_t i;

    for (i = 0; exit_code == CLI_OK && i < options->arg_count; i++) {
        exit_code = get_fetch(get, options->args[i]);
    }
    if (exit_code == CLI_OK && get->spec.kind == FORMAT_TEMPLATE) {
        exit_code = get_fetch_named(get);
    }
    return exit_code;
}

static int get_print(struct get *get)
{
    struct cli *cli = get->cli;
    bool is_template = get->spec.kind == FORMAT_TEMPLATE;
    struct err e = {0};
    int status;

    if (credential_apply_maps(cli, get->credentials, get->count) != CLI_OK) {
        return CLI_FAILED;
    }
    status = is_template ? format_template_render(get->spec.text, get->credentials, get->count,
                                                  &cli->out, &e)
                         : format_render(&get->credentials[0], &get->spec, &cli->out, &e);
    if (status != 0) {
        /* Half a credential on stdout would be worse than none. */
        buf_reset(&cli->out);
        if (is_template) {
            cli_message(cli, "%s:%s", get->spec.argument.ptr, e.text);
        } else {
            cli_message(cli, "could not print %s: %s", get->credentials[0].role, e.text);
        }
        return status == ERR_NOT_FOUND ? CLI_NOT_FOUND : CLI_FAILED;
    }
    if (format_is_bare(get->spec.kind) && cli->out_is_terminal) {
        buf_add_char(&cli->out, '\n');
    }
    return CLI_OK;
}

static int get_checked(struct get *get)
{
    int exit_code = credential_check_options(get->cli);

    if (exit_code == CLI_OK && get->spec.kind == FORMAT_TEMPLATE) {
        exit_code = get_read_template(get);
    }
    if (exit_code == CLI_OK) {
        exit_code = get_fetch_all(get);
    }
    return exit_code == CLI_OK ? get_print(get) : exit_code;
}

int get_run(struct cli *cli)
{
    const char *format = options_get(&cli->options, OPTION_OUTPUT);
    struct get get = {.cli = cli};
    struct err e = {0};
    int exit_code;
    size_t i;

    if (format_spec_parse(str_of(format != NULL ? format : "table"), &get.spec, &e) != 0) {
        return cli_usage_error(cli, "%s", e.text);
    }
    if (cli->options.arg_count > 1 && get.spec.kind != FORMAT_TEMPLATE) {
        return cli_usage_error(cli, "several roles go into one text only with -o template=FILE");
    }
    get.credentials = mem_calloc(GET_ROLES_MAX, sizeof(*get.credentials));
    if (get.credentials == NULL) {
        cli_message(cli, "%s", err_str(ERR_NOMEM));
        return CLI_FAILED;
    }
    buf_init(&get.text, FORMAT_TEMPLATE_MAX_BYTES);
    exit_code = get_checked(&get);
    for (i = 0; i < get.count; i++) {
        format_credential_fini(&get.credentials[i]);
    }
    mem_free(get.credentials);
    buf_fini(&get.text);
    return exit_code;
}
