/* `lease docker-credential get|list|store|erase|version`. docker reads errors from stdout, so every
 * message goes there, and knows one text: there is no credential for this server. */
#include "cli/adapter.h"

#include "wire/docker_credential.h"
#include "wire/json_out.h"

#include <jansson.h>
#include <string.h>

static int not_found(struct cli *cli)
{
    buf_add_c(&cli->out, DOCKER_NOT_FOUND "\n");
    return CLI_FAILED;
}

static int fail(struct cli *cli, const struct err *e)
{
    cli_message(cli, "%s", e->text);
    return CLI_FAILED;
}

static int answer(struct cli *cli, const struct docker_server *server, const char *role)
{
    struct format_credential credential = {0};
    struct login login;
    struct err e = {0};
    int exit_code = adapter_fetch(cli, role, &credential);

    if (exit_code != CLI_OK) {
        return exit_code;
    }
    if (login_of(&credential, &login, &e) == 0) {
        docker_answer_write(&cli->out, server->url, &login);
    } else {
        exit_code = fail(cli, &e);
    }
    format_credential_fini(&credential);
    return exit_code;
}

static int get(struct cli *cli, struct str input)
{
    struct docker_server server;
    struct err e = {0};
    BUF_AUTO role;
    int exit_code;

    buf_init(&role, CLIENT_TARGET_MAX_BYTES);
    if (docker_server_parse(input, &server, &e) != 0) {
        return fail(cli, &e);
    }
    exit_code = adapter_find_role(cli, "docker", server.target, &role);
    if (exit_code != CLI_OK) {
        return exit_code;
    }
    return role.len > 0 ? answer(cli, &server, buf_str(&role).ptr) : not_found(cli);
}

/* Servers that stand for themselves, and what docker takes for their users; it asks for each. */
static int list(struct cli *cli, struct str input)
{
    json_t *document = NULL;
    const json_t *item;
    struct json_out json;
    int exit_code = adapter_list_roles(cli, "docker", &document);
    size_t i;

    (void)input;
    if (exit_code != CLI_OK) {
        return exit_code;
    }
    json_out_init(&json, &cli->out);
    json_out_object_open(&json, NULL);
    json_array_foreach (json_object_get(document, "items"), i, item) {
        const char *server = json_string_value(json_object_get(item, "match"));
        const char *role = json_string_value(json_object_get(item, "role"));

        if (server != NULL && role != NULL && strchr(server, '*') == NULL) {
            json_out_member(&json, str_of(server), str_of(role));
        }
    }
    json_out_object_close(&json);
    buf_add_char(&cli->out, '\n');
    json_decref(document);
    return CLI_OK;
}

/* `docker login` stores what it has just been given by `get`: that needs no keeping. Anything else
 * can't be kept, and saying so is better than a login that is gone. */
static int store(struct cli *cli, struct str input)
{
    struct docker_server server;
    struct err e = {0};
    BUF_AUTO url;
    BUF_AUTO role;
    int exit_code;

    buf_init(&url, DOCKER_INPUT_MAX_BYTES);
    buf_init(&role, CLIENT_TARGET_MAX_BYTES);
    if (docker_store_parse(input, &url, &e) != 0 ||
        docker_server_parse(buf_str(&url), &server, &e) != 0) {
        return fail(cli, &e);
    }
    exit_code = adapter_find_role(cli, "docker", server.target, &role);
    if (exit_code == CLI_OK && role.len == 0) {
        cli_message(cli, "leased keeps no passwords: no role is configured for %s", server.target);
        exit_code = CLI_FAILED;
    }
    return exit_code;
}

/* What docker has goes with docker's process. */
static int erase(struct cli *cli, struct str input)
{
    (void)cli;
    (void)input;
    return CLI_OK;
}

static int version(struct cli *cli, struct str input)
{
    (void)input;
    buf_add_c(&cli->out, "docker-credential-leased " LEASED_VERSION "\n");
    return CLI_OK;
}

int adapter_run_docker(struct cli *cli)
{
    static const struct {
        const char *name;
        bool takes_input;
        int (*run)(struct cli *cli, struct str input);
    } operations[] = {
        {"get", true, get},     {"list", false, list},       {"store", true, store},
        {"erase", true, erase}, {"version", false, version},
    };
    BUF_AUTO text;
    size_t i;

    buf_init(&text, DOCKER_INPUT_MAX_BYTES);
    cli->err_fd = cli->out_fd;
    for (i = 0; i < ARRAY_LEN(operations); i++) {
        int exit_code = CLI_OK;

        if (strcmp(cli->options.args[0], operations[i].name) != 0) {
            continue;
        }
        if (operations[i].takes_input) {
            exit_code = adapter_read_stdin(cli, &text);
        }
        return exit_code == CLI_OK ? operations[i].run(cli, buf_str(&text)) : exit_code;
    }
    return cli_usage_error(cli, "unknown operation '%s'; known: get, list, store, erase, version",
                           cli->options.args[0]);
}
