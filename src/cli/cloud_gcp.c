/* `lease gcp-credentials`: what an executable of external-account credentials prints, version 1.
 *
 * Google's libraries say in the environment which kind of token they want. They merge stderr into
 * stdout, and read a failure out of the answer only when we exit with 0: so while one of them runs
 * us, what would be a message becomes a part of the answer. A person sees both, and gets the exit
 * code.
 *
 * With an output_file they look there before they run us, and use what is in it until it expires:
 * a good answer is put there whole, readable by the user alone; a failure never is. */
#include "cli/cli.h"
#include "cli/cloud.h"
#include "cli/credential.h"
#include "cli/expiry.h"
#include "wire/json_out.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define VARIABLE "GOOGLE_EXTERNAL_ACCOUNT_"
#define TOKEN_TYPE "urn:ietf:params:oauth:token-type:"
#define MESSAGE_MAX_BYTES 2048U

/* A kind of token: what it is called, where it stands in the answer, and in the credential. */
struct kind {
    const char *type;
    const char *member;
    const char *fields[3];
};

static const struct kind kinds[] = {
    {TOKEN_TYPE "jwt", "id_token", {"id_token", "token", NULL}},
    {TOKEN_TYPE "id_token", "id_token", {"id_token", "token", NULL}},
    {TOKEN_TYPE "saml2", "saml_response", {"saml_response", NULL, NULL}},
};

static const char *variable(const char *name)
{
    const char *value = getenv(name);

    return value != NULL && value[0] != '\0' ? value : NULL;
}

/* NULL after a message. */
static const struct kind *kind_of(struct cli *cli)
{
    const char *type = variable(VARIABLE "TOKEN_TYPE");
    size_t i;

    if (type == NULL) {
        return &kinds[0];
    }
    for (i = 0; i < ARRAY_LEN(kinds); i++) {
        if (strcmp(kinds[i].type, type) == 0) {
            return &kinds[i];
        }
    }
    cli_message(cli, "subject_token_type %s isn't one that a program can give", type);
    return NULL;
}

static const struct format_field *token_of(const struct format_credential *credential,
                                           const struct kind *kind)
{
    const struct format_field *field = NULL;
    size_t i;

    for (i = 0; field == NULL && kind->fields[i] != NULL; i++) {
        field = format_credential_field(credential, str_of(kind->fields[i]));
    }
    return field;
}

static int print(struct cli *cli, const struct format_credential *credential,
                 const struct kind *kind)
{
    const struct format_field *token = token_of(credential, kind);
    struct json_out json;
    int64_t seconds;

    if (token == NULL || secret_is_empty(&token->value)) {
        cli_message(cli,
                    "role %s gives no %s: access tokens are for the metadata service's paths "
                    "(GCE_METADATA_HOST)",
                    credential->role, kind->fields[0]);
        return CLI_FAILED;
    }
    json_out_init(&json, &cli->out);
    json_out_object_open(&json, NULL);
    json_out_u64(&json, "version", 1);
    json_out_bool(&json, "success", true);
    json_out_string_c(&json, "token_type", kind->type);
    json_out_string(&json, kind->member, secret_view(&token->value));
    if (expiry_seconds(credential, &seconds) == 0) {
        json_out_i64(&json, "expiration_time", seconds);
    }
    json_out_object_close(&json);
    buf_add_char(&cli->out, '\n');
    return CLI_OK;
}

static int fetch(struct cli *cli)
{
    const struct kind *kind = kind_of(cli);
    struct format_credential credential;
    const char *revoke = variable(VARIABLE "REVOKE");
    int exit_code = kind != NULL ? credential_check_options(cli) : CLI_FAILED;

    if (exit_code == CLI_OK && revoke != NULL && strcmp(revoke, "1") == 0) {
        cli_message(cli, "there is nothing to revoke: a grant ends with the program that has it");
        exit_code = CLI_FAILED;
    }
    if (exit_code == CLI_OK) {
        exit_code = credential_fetch_held(cli, cli->options.args[0], "parent", &credential);
    }
    if (exit_code == CLI_OK) {
        exit_code = print(cli, &credential, kind);
        format_credential_fini(&credential);
    }
    return exit_code;
}

/* --- the cache -------------------------------------------------------------------------------- */

static int write_whole(int fd, struct str text)
{
    while (text.len > 0) {
        ssize_t done = write(fd, text.ptr, text.len);

        if (done < 0 && errno != EINTR) {
            return -errno;
        }
        if (done > 0) {
            text.ptr += done;
            text.len -= (size_t)done;
        }
    }
    return 0;
}

/* Beside it, and then in its place, so that nobody ever reads a part. */
static int cache_write(const char *path, struct str text)
{
    char beside[4096];
    int len = snprintf(beside, sizeof(beside), "%s.%ld", path, (long)getpid());
    int fd;
    int r;

    if (len < 0 || (size_t)len >= sizeof(beside)) {
        return -ENAMETOOLONG;
    }
    fd = open(beside, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0) {
        return -errno;
    }
    r = write_whole(fd, text);
    r = close(fd) != 0 && r == 0 ? -errno : r;
    if (r == 0 && rename(beside, path) != 0) {
        r = -errno;
    }
    if (r != 0) {
        (void)unlink(beside);
    }
    return r;
}

/* Without it the next call asks leased again, so a failure is none of the answer. */
static void cache_put(struct cli *cli)
{
    const char *path = variable(VARIABLE "OUTPUT_FILE");
    int r = path != NULL ? cache_write(path, buf_str(&cli->out)) : 0;

    if (r != 0) {
        cli_message(cli, "could not write %s: %s", path, err_str(r));
    }
}

/* --- messages as a part of the answer --------------------------------------------------------- */

/* The first line that was said, without the program's name. */
static struct str message_read(int fd, char text[MESSAGE_MAX_BYTES])
{
    ssize_t size = pread(fd, text, MESSAGE_MAX_BYTES, 0);
    struct str rest = {.ptr = text, .len = size > 0 ? (size_t)size : 0};
    struct str line = str_cut(&rest, '\n');

    if (str_starts_with(line, "lease: ")) {
        line = (struct str){.ptr = line.ptr + 7, .len = line.len - 7};
    }
    return line;
}

/* The exit code as a word. */
static const char *code_of(int exit_code)
{
    static const struct {
        int exit_code;
        const char *code;
    } codes[] = {
        {CLI_DENIED, "denied"},   {CLI_NOT_FOUND, "not_found"}, {CLI_UNREACHABLE, "unreachable"},
        {CLI_PENDING, "pending"}, {CLI_TEMPORARY, "temporary"}, {CLI_USAGE, "usage"},
    };
    size_t i;

    for (i = 0; i < ARRAY_LEN(codes); i++) {
        if (codes[i].exit_code == exit_code) {
            return codes[i].code;
        }
    }
    return "failed";
}

static void failure_write(struct cli *cli, int exit_code, struct str message)
{
    struct json_out json;

    buf_reset(&cli->out);
    json_out_init(&json, &cli->out);
    json_out_object_open(&json, NULL);
    json_out_u64(&json, "version", 1);
    json_out_bool(&json, "success", false);
    json_out_string_c(&json, "code", code_of(exit_code));
    json_out_string(&json, "message", message);
    json_out_object_close(&json);
    buf_add_char(&cli->out, '\n');
}

int cloud_run_gcp(struct cli *cli)
{
    bool is_run_by_library = variable(VARIABLE "TOKEN_TYPE") != NULL;
    int terminal_fd = cli->err_fd;
    int message_fd = memfd_create("lease", MFD_CLOEXEC);
    char text[MESSAGE_MAX_BYTES];
    struct str message;
    int exit_code;

    if (message_fd < 0) {
        cli_message(cli, "could not begin: %s", err_str(-errno));
        return CLI_FAILED;
    }
    cli->err_fd = message_fd;
    exit_code = fetch(cli);
    if (exit_code == CLI_OK) {
        cache_put(cli);
    }
    cli->err_fd = terminal_fd;
    message = message_read(message_fd, text);
    (void)close(message_fd);
    if (exit_code != CLI_OK) {
        failure_write(cli, exit_code, message);
    }
    if (!is_run_by_library && message.len > 0) {
        cli_message(cli, "%.*s", STR_ARG(message));
    }
    return is_run_by_library ? CLI_OK : exit_code;
}
