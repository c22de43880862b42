/* `lease git-credential get|store|erase`.
 *
 * get: the role that answers this URL → its credential; none → nothing, and git goes on with its
 * next helper, or asks. Denied → `quit`, so that no job hangs at a prompt that nobody sees.
 * erase: git says that the server refused a password. If it is the one that we have given, leased
 * is told to replace it; otherwise it is an old one, and the new one shall stay. store: nothing;
 * the daemon has it. */
#include "cli/adapter.h"

#include "base/host.h"
#include "base/units.h"
#include "cli/api.h"
#include "wire/git_credential.h"

#include <stdio.h>
#include <string.h>

/* Passwords go over TLS, or stay on this machine. */
static bool is_safe(struct cli *cli, const struct git_question *question, const char *target)
{
    struct str rest = str_of(target);
    struct str host;
    uint16_t port;

    if (str_eq_c(question->protocol, "https") ||
        (str_eq_c(question->protocol, "http") &&
         host_parse(str_cut(&rest, '/'), &host, &port) == 0 && host_is_loopback(host))) {
        return true;
    }
    if (str_eq_c(question->protocol, "http")) {
        cli_message(cli, "no credential goes to %s over plain http", target);
    }
    return false;
}

static int64_t expires_s(const struct format_credential *credential)
{
    int64_t wall_ms = 0;

    return units_parse_time(str_of(credential->expires_at), &wall_ms) == 0 ? wall_ms / 1000 : 0;
}

/* What git asked for a certain user isn't answered with another one's password. */
static bool is_for(struct cli *cli, const struct git_question *question, const struct login *login)
{
    if (question->user.len == 0 || str_eq(question->user, login->user)) {
        return true;
    }
    cli_message(cli, "the URL asks for user %.*s, but the role is for %.*s",
                STR_ARG(question->user), STR_ARG(login->user));
    return false;
}

static int get(struct cli *cli, const struct git_question *question, const char *role)
{
    struct format_credential credential = {0};
    struct login login;
    struct err e = {0};
    int exit_code = adapter_fetch(cli, role, &credential);

    if (exit_code == CLI_DENIED || exit_code == CLI_PENDING) {
        buf_add_c(&cli->out, "quit=1\n");
    }
    if (exit_code != CLI_OK) {
        return exit_code;
    }
    if (login_of(&credential, &login, &e) != 0) {
        cli_message(cli, "%s", e.text);
        exit_code = CLI_FAILED;
    } else if (is_for(cli, question, &login)) {
        git_answer_write(&cli->out, &login, expires_s(&credential));
    }
    format_credential_fini(&credential);
    return exit_code;
}

static int replace(struct cli *cli, const char *lease)
{
    struct api_request request = {.method = "POST", .action = "replace what git was refused"};
    struct api_reply reply;
    char path[256];
    int exit_code;

    (void)snprintf(path, sizeof(path), API_ROOT "/leases/%s/rotate?wait=0", lease);
    request.path = path;
    api_reply_init(&reply);
    exit_code = api_call(cli, &request, &reply);
    api_reply_fini(&reply);
    return exit_code;
}

static int erase(struct cli *cli, const struct git_question *question, const char *role)
{
    struct format_credential credential = {0};
    struct login login;
    int exit_code;

    if (question->password.len == 0) {
        return CLI_OK;
    }
    exit_code = adapter_fetch(cli, role, &credential);
    if (exit_code != CLI_OK) {
        return exit_code;
    }
    if (login_of(&credential, &login, NULL) == 0 && str_eq(login.password, question->password)) {
        exit_code = replace(cli, credential.lease);
    }
    format_credential_fini(&credential);
    return exit_code;
}

static int act(struct cli *cli, const struct git_question *question)
{
    bool is_get = strcmp(cli->options.args[0], "get") == 0;
    char target[CLIENT_TARGET_MAX_BYTES + 1];
    BUF_AUTO role;
    int exit_code;

    buf_init(&role, CLIENT_TARGET_MAX_BYTES);
    if (!git_question_target(question, target) || !is_safe(cli, question, target)) {
        return CLI_OK;
    }
    exit_code = adapter_find_role(cli, "git", target, &role);
    if (exit_code != CLI_OK || role.len == 0) {
        return exit_code;
    }
    return is_get ? get(cli, question, buf_str(&role).ptr)
                  : erase(cli, question, buf_str(&role).ptr);
}

int adapter_run_git(struct cli *cli)
{
    const char *operation = cli->options.args[0];
    struct git_question question;
    struct err e = {0};
    BUF_AUTO text;
    int exit_code;

    buf_init(&text, GIT_QUESTION_MAX_BYTES);
    /* git may learn operations that this version doesn't know; its helpers pass over them. */
    if (strcmp(operation, "get") != 0 && strcmp(operation, "erase") != 0) {
        return CLI_OK;
    }
    exit_code = adapter_read_stdin(cli, &text);
    if (exit_code != CLI_OK) {
        return exit_code;
    }
    if (git_question_parse(buf_str(&text), &question, &e) != 0) {
        return cli_usage_error(cli, "%s", e.text);
    }
    return act(cli, &question);
}
