/* Stdin, roles and credentials for the adapters. */
#include "cli/adapter.h"

#include "cli/api.h"
#include "cli/credential.h"

#include <errno.h>
#include <jansson.h>
#include <string.h>
#include <unistd.h>

int adapter_read_stdin(struct cli *cli, struct buf *text)
{
    char piece[4096];
    ssize_t size = 0;
    int cause;

    while (buf_status(text) == 0) {
        size = read(STDIN_FILENO, piece, sizeof(piece));
        if (size > 0) {
            buf_add(text, piece, (size_t)size);
        } else if (size == 0 || errno != EINTR) {
            break;
        }
    }
    cause = size < 0 ? -errno : buf_status(text);
    explicit_bzero(piece, sizeof(piece)); /* erase and store come with a password */
    if (cause != 0) {
        cli_message(cli, "could not read stdin: %s", err_str(cause));
        return CLI_FAILED;
    }
    return CLI_OK;
}

static int ask(struct cli *cli, const char *client, const char *target, json_t **ret_document)
{
    struct api_request request = {.method = "GET",
                                  .action = "find the role",
                                  .is_quiet_if_gone = true};
    BUF_AUTO path;

    buf_init(&path, CREDENTIAL_QUESTION_MAX_BYTES);
    buf_add_c(&path, API_ROOT "/clients");
    api_add_segment(&path, client);
    api_add_parameter(&path, "target", target);
    if (buf_status(&path) != 0) {
        cli_message(cli, "%s", err_str(buf_status(&path)));
        return CLI_FAILED;
    }
    request.path = buf_str(&path).ptr;
    return api_call_json(cli, &request, NULL, ret_document);
}

int adapter_find_role(struct cli *cli, const char *client, const char *target, struct buf *role)
{
    const char *said = options_get(&cli->options, OPTION_ROLE);
    json_t *document = NULL;
    int exit_code = CLI_OK;

    if (said != NULL) {
        buf_add_c(role, said);
        return CLI_OK;
    }
    exit_code = ask(cli, client, target, &document);
    if (exit_code == CLI_OK) {
        const char *found = json_string_value(json_object_get(document, "role"));

        buf_add_c(role, found != NULL ? found : "");
    }
    json_decref(document);
    return exit_code == CLI_NOT_FOUND ? CLI_OK : exit_code;
}

int adapter_list_roles(struct cli *cli, const char *client, json_t **ret_document)
{
    return ask(cli, client, NULL, ret_document);
}

int adapter_fetch(struct cli *cli, const char *role, struct format_credential *ret_credential)
{
    int exit_code = credential_check_options(cli);

    return exit_code == CLI_OK ? credential_fetch_held(cli, role, "parent", ret_credential)
                               : exit_code;
}

const char *adapter_command(const char *program)
{
    static const struct {
        const char *program;
        const char *command;
    } known[] = {
        {"git-credential-leased", "git-credential"},
        {"docker-credential-leased", "docker-credential"},
    };
    const char *slash = program != NULL ? strrchr(program, '/') : NULL;
    const char *name = slash != NULL ? slash + 1 : program;
    size_t i;

    for (i = 0; name != NULL && i < ARRAY_LEN(known); i++) {
        if (strcmp(name, known[i].program) == 0) {
            return known[i].command;
        }
    }
    return NULL;
}
