/* `lease kube-credential` and `lease terraform`: one question, one JSON object. */
#include "cli/adapter.h"

#include "wire/kube_credential.h"
#include "wire/terraform_query.h"

#include <stdlib.h>

/* As an argument or by --role; NULL: neither. */
static const char *role_said(const struct cli *cli)
{
    return cli->options.arg_count > 0 ? cli->options.args[0]
                                      : options_get(&cli->options, OPTION_ROLE);
}

int adapter_run_kube(struct cli *cli)
{
    const char *role = role_said(cli);
    struct format_credential credential = {0};
    const char *version;
    struct err e = {0};
    int exit_code;

    if (role == NULL) {
        return cli_usage_error(cli, "no role: lease kube-credential ROLE");
    }
    if (kube_exec_info_parse(getenv("KUBERNETES_EXEC_INFO"), &version, &e) != 0) {
        return cli_usage_error(cli, "%s", e.text);
    }
    exit_code = adapter_fetch(cli, role, &credential);
    if (exit_code != CLI_OK) {
        return exit_code;
    }
    if (kube_answer_write(&credential, version, &cli->out, &e) != 0) {
        buf_reset(&cli->out);
        cli_message(cli, "%s", e.text);
        exit_code = CLI_FAILED;
    }
    format_credential_fini(&credential);
    return exit_code;
}

int adapter_run_terraform(struct cli *cli)
{
    const char *role = role_said(cli);
    char queried[TERRAFORM_ROLE_MAX_BYTES + 1];
    struct format_credential credential = {0};
    struct err e = {0};
    BUF_AUTO text;
    int exit_code;

    buf_init(&text, TERRAFORM_QUERY_MAX_BYTES);
    exit_code = adapter_read_stdin(cli, &text);
    if (exit_code != CLI_OK) {
        return exit_code;
    }
    if (terraform_query_parse(buf_str(&text), queried, &e) != 0) {
        return cli_usage_error(cli, "%s", e.text);
    }
    if (role != NULL && queried[0] != '\0') {
        return cli_usage_error(cli, "the role stands in the query and on the command line");
    }
    role = role != NULL ? role : queried;
    if (role[0] == '\0') {
        return cli_usage_error(cli, "no role: give it as an argument, or as `role` in the query");
    }
    exit_code = adapter_fetch(cli, role, &credential);
    if (exit_code == CLI_OK) {
        terraform_answer_write(&credential, &cli->out);
        format_credential_fini(&credential);
    }
    return exit_code;
}
