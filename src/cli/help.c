/* Help and version. */
#include "cli/help.h"

#include "cli/cli.h"
#include "wire/json_out.h"

#include <stdio.h>

#define HELP_OPTION_WIDTH 30

void help_overview(struct buf *out)
{
    const struct command *command;

    buf_add_c(out, "usage: lease COMMAND …\n\n"
                   "Short-lived credentials from leased, for as long as you need them.\n\n");
    for (command = commands; command->name != NULL; command++) {
        buf_printf(out, "  %-18s %s\n", command->name, command->summary);
    }
    buf_add_c(
        out,
        "\n`lease COMMAND --help` tells more, `man lease` all.\n\n"
        "exit codes: 0 ok, 1 failed, 2 a plan found changes, 3 denied, 4 not found, "
        "5 leased can't be reached, 6 waits for an approval,\n"
        "7 temporary (--wait 10m tries again), 8 partly done, 64 wrong usage; exec: the "
        "program's own, or\n125 no credentials, 126 can't be executed, 127 not found\n"
        "environment: LEASED_ADDR, LEASED_CACERT, LEASED_CLIENT_CERT, LEASED_CLIENT_KEY, "
        "LEASED_REASON, LEASED_TOKEN, LEASED_TOKEN_FILE, NO_COLOR;\nledger sweep: BAO_ADDR, BAO_TOKEN, BAO_NAMESPACE, BAO_CACERT, "
        "or the same with VAULT_\n");
}

bool help_group(struct buf *out, const char *first)
{
    const struct command *command;
    bool is_one = false;

    for (command = commands; command->name != NULL; command++) {
        struct str second = str_of(command->name);

        if (!str_eq_c(str_cut(&second, ' '), first) || second.ptr == NULL) {
            continue;
        }
        if (!is_one) {
            buf_printf(out, "usage: lease %s COMMAND …\n\n", first);
        }
        is_one = true;
        buf_printf(out, "  %-18s %s\n", command->name, command->summary);
    }
    if (is_one) {
        buf_printf(out, "\n`lease %s COMMAND --help` tells more.\n", first);
    }
    return is_one;
}

static void add_option(struct buf *out, const struct option_spec *spec)
{
    char left[64];

    if (spec->short_name != '\0') {
        (void)snprintf(left, sizeof(left), "-%c, --%s %s", spec->short_name, spec->name,
                       spec->argument != NULL ? spec->argument : "");
    } else {
        (void)snprintf(left, sizeof(left), "    --%s %s", spec->name,
                       spec->argument != NULL ? spec->argument : "");
    }
    buf_printf(out, "  %-*s %s%s\n", HELP_OPTION_WIDTH, left, spec->text,
               spec->repeats ? "; may be repeated" : "");
}

void help_command(struct buf *out, const struct command *command)
{
    size_t id;

    buf_printf(out, "usage: lease %s %s\n\n%s.\n", command->name, command->usage, command->summary);
    if (command->help[0] != '\0') {
        buf_printf(out, "\n%s\n", command->help);
    }
    buf_add_char(out, '\n');
    for (id = 0; id < OPTION_COUNT; id++) {
        if (((command->options | OPTIONS_COMMON) & OPTION_BIT(id)) != 0) {
            add_option(out, &option_specs[id]);
        }
    }
}

void help_version(struct buf *out)
{
    buf_add_c(out, "lease " LEASED_VERSION "\n");
}

int help_run(struct cli *cli)
{
    char first[64];
    char second[64];
    char *words[] = {first, second, NULL};
    const struct command *command;
    size_t ignored;

    if (cli->options.arg_count == 0) {
        help_overview(&cli->out);
        return CLI_OK;
    }
    (void)snprintf(first, sizeof(first), "%s", cli->options.args[0]);
    (void)snprintf(second, sizeof(second), "%s",
                   cli->options.arg_count > 1 ? cli->options.args[1] : "");
    command = options_find_command(words, &ignored);
    if (command == NULL && help_group(&cli->out, first)) {
        return CLI_OK;
    }
    if (command == NULL) {
        return cli_usage_error(cli, "unknown command '%s'", cli->options.args[0]);
    }
    help_command(&cli->out, command);
    return CLI_OK;
}

int help_run_version(struct cli *cli)
{
    struct json_out json;

    if (cli_wants_json(cli)) {
        json_out_init(&json, &cli->out);
        json_out_object_open(&json, NULL);
        json_out_string_c(&json, "version", LEASED_VERSION);
        json_out_object_close(&json);
        buf_add_char(&cli->out, '\n');
    } else {
        help_version(&cli->out);
    }
    return CLI_OK;
}
