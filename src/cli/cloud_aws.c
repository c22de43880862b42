/* `lease aws-credentials`: what credential_process prints, version 1.
 *
 * The grant is bound to the program whose SDK has run us. On any failure nothing is on stdout, and
 * the SDK shows what is on stderr. */
#include "cli/cli.h"
#include "cli/cloud.h"
#include "cli/credential.h"
#include "cli/expiry.h"
#include "wire/json_out.h"

#include <string.h>

/* The value of the first of these fields that there is; NULL: none, or it is empty. */
static const struct format_field *field_of(const struct format_credential *credential,
                                           const char *const *names)
{
    const struct format_field *field = NULL;

    for (; *names != NULL && field == NULL; names++) {
        field = format_credential_field(credential, str_of(*names));
    }
    return field != NULL && !secret_is_empty(&field->value) ? field : NULL;
}

static void field_write(struct json_out *json, const char *name, const struct format_field *field)
{
    if (field != NULL) {
        json_out_string(json, name, secret_view(&field->value));
    }
}

/* Fields of the aws plugin, then of Vault's aws engine. Whole seconds: not every SDK reads
 * fractions. */
static int print(struct cli *cli, const struct format_credential *credential)
{
    static const char *const ids[] = {"access_key_id", "access_key", NULL};
    static const char *const keys[] = {"secret_access_key", "secret_key", NULL};
    static const char *const tokens[] = {"session_token", "security_token", NULL};
    const struct format_field *id = field_of(credential, ids);
    const struct format_field *key = field_of(credential, keys);
    char expiration[EXPIRY_TEXT_BYTES];
    struct json_out json;

    if (id == NULL || key == NULL) {
        cli_message(cli, "role %s gives no AWS credentials", credential->role);
        return CLI_FAILED;
    }
    json_out_init(&json, &cli->out);
    json_out_object_open(&json, NULL);
    json_out_u64(&json, "Version", 1);
    field_write(&json, "AccessKeyId", id);
    field_write(&json, "SecretAccessKey", key);
    field_write(&json, "SessionToken", field_of(credential, tokens));
    if (expiry_text(credential, expiration) == 0) {
        json_out_string_c(&json, "Expiration", expiration);
    }
    json_out_object_close(&json);
    buf_add_char(&cli->out, '\n');
    return CLI_OK;
}

int cloud_run_aws(struct cli *cli)
{
    struct format_credential credential;
    int exit_code = credential_check_options(cli);

    if (exit_code == CLI_OK) {
        exit_code = credential_fetch_held(cli, cli->options.args[0], "parent", &credential);
    }
    if (exit_code == CLI_OK) {
        exit_code = print(cli, &credential);
        format_credential_fini(&credential);
    }
    return exit_code;
}
