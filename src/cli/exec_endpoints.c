/* What stands in the environment in place of a credential. */
#include "cli/exec_endpoints.h"

#include "base/mem.h"
#include "cli/credential.h"

#include <errno.h>
#include <jansson.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#define KEPT_MAX_BYTES (EXEC_ROLES_MAX * 4096U)

/* --- kinds of credentials --- */

static bool has_field(const struct format_credential *credential, const char *const *names)
{
    for (; *names != NULL; names++) {
        if (format_credential_field(credential, str_of(*names)) != NULL) {
            return true;
        }
    }
    return false;
}

static bool is_aws(const struct format_credential *credential)
{
    static const char *const ids[] = {"access_key_id", "access_key", NULL};
    static const char *const keys[] = {"secret_access_key", "secret_key", NULL};

    return has_field(credential, ids) && has_field(credential, keys);
}

static bool is_token(const struct format_credential *credential)
{
    static const char *const tokens[] = {"access_token", "id_token", NULL};

    return has_field(credential, tokens);
}

static bool is_any(const struct format_credential *credential)
{
    (void)credential;
    return true;
}

bool exec_endpoints_serve(const struct exec_plan *plan, const struct format_credential *credential)
{
    return (plan->aws != EXEC_AWS_ENV && is_aws(credential)) ||
           ((plan->has_gcp || plan->has_azure) && is_token(credential));
}

/* --- one kind of client each --- */

struct adding {
    struct exec_settings *settings;
    const struct format_credential *credential;
    const char *option; /* for messages */
    struct str endpoint;
    struct str token;
};

static int add(const struct adding *adding, const char *variable, struct str value, struct err *e)
{
    const struct exec_setting setting = {.variable = variable,
                                         .value = value,
                                         .role = adding->credential->role,
                                         .what = adding->option};

    return exec_settings_add(adding->settings, &setting, e);
}

static int add_aws(const struct adding *adding, struct err *e)
{
    int status = add(adding, "AWS_CONTAINER_CREDENTIALS_FULL_URI", adding->endpoint, e);

    if (status == 0) {
        status = add(adding, "AWS_CONTAINER_AUTHORIZATION_TOKEN", adding->token, e);
    }
    /* SDKs look there before they ask. */
    return status == 0 ? add(adding, "AWS_SHARED_CREDENTIALS_FILE", STR("/dev/null"), e) : status;
}

/* `lease aws-credentials` answers with this grant's credential, by its token. */
static int add_process(const struct adding *adding, struct err *e)
{
    int status = add(adding, CREDENTIAL_GRANT_VARIABLE, adding->token, e);

    return status == 0 ? add(adding, "AWS_SHARED_CREDENTIALS_FILE", STR("/dev/null"), e) : status;
}

static int add_vault(const struct adding *adding, struct err *e)
{
    static const char *const addresses[] = {"VAULT_ADDR", "BAO_ADDR"};
    static const char *const tokens[] = {"VAULT_TOKEN", "BAO_TOKEN"};
    int status = 0;
    size_t i;

    for (i = 0; status == 0 && i < ARRAY_LEN(addresses); i++) {
        status = add(adding, addresses[i], adding->endpoint, e);
        if (status == 0) {
            status = add(adding, tokens[i], adding->token, e);
        }
    }
    return status;
}

/* The metadata service knows no secret: leased knows its callers by their user. */
static int add_gcp(const struct adding *adding, struct err *e)
{
    struct str place = adding->endpoint;
    int status;

    if (str_starts_with(place, "http://")) {
        place = (struct str){.ptr = place.ptr + 7, .len = place.len - 7};
    }
    status = add(adding, "GCE_METADATA_HOST", place, e);
    return status == 0 ? add(adding, "GCE_METADATA_IP", place, e) : status;
}

static int add_azure(const struct adding *adding, struct err *e)
{
    int status = add(adding, "IDENTITY_ENDPOINT", adding->endpoint, e);

    return status == 0 ? add(adding, "IDENTITY_HEADER", adding->token, e) : status;
}

struct kind {
    const char *option;
    const char *api; /* in `endpoints` and in a listener's `serve`; NULL: lease itself answers */
    bool (*fits)(const struct format_credential *credential);
    int (*add)(const struct adding *adding, struct err *e);
};

/* Of the first credential that fits. */
static int add_kind(const struct kind *kind, const struct format_credential *credentials,
                    size_t count, struct exec_settings *settings, struct err *e)
{
    struct adding adding = {.settings = settings, .option = kind->option};
    const json_t *document;
    size_t i = 0;

    while (i < count && !kind->fits(&credentials[i])) {
        i++;
    }
    if (i == count) {
        return err_set(e, ERR_NOT_FOUND, "%s: no role here has a credential of that kind",
                       kind->option);
    }
    adding.credential = &credentials[i];
    document = credentials[i].document;
    adding.endpoint = str_of(
        json_string_value(json_object_get(json_object_get(document, "endpoints"), kind->api)));
    adding.token = str_of(json_string_value(json_object_get(document, "token")));
    if (kind->api != NULL && adding.endpoint.len == 0) {
        return err_set(e, ERR_NOT_FOUND,
                       "%s: leased answers so nowhere on this machine: a listener on loopback TCP "
                       "with serve: [%s] is missing in its configuration",
                       kind->option, kind->api);
    }
    return kind->add(&adding, e);
}

int exec_endpoints_add(const struct exec_plan *plan, const struct format_credential *credentials,
                       size_t count, struct exec_settings *settings, struct err *e)
{
    const struct {
        bool is_wanted;
        struct kind kind;
    } kinds[] = {
        {plan->aws == EXEC_AWS_ENDPOINT, {"--aws endpoint", "aws", is_aws, add_aws}},
        {plan->aws == EXEC_AWS_PROCESS, {"--aws process", NULL, is_aws, add_process}},
        {plan->has_vault, {"--vault", "vault", is_any, add_vault}},
        {plan->has_gcp, {"--gcp", "gcp", is_token, add_gcp}},
        {plan->has_azure, {"--azure", "azure", is_token, add_azure}},
    };
    int status = 0;
    size_t i;

    for (i = 0; status == 0 && i < ARRAY_LEN(kinds); i++) {
        if (kinds[i].is_wanted) {
            status = add_kind(&kinds[i].kind, credentials, count, settings, e);
        }
    }
    return status;
}

/* --- the configuration for AWS's SDKs --- */

/* Some SDKs split the line by themselves, others have a shell do it: in double quotes both read the
 * same, if there is nothing else in it that means something to either. */
static int add_quoted(struct buf *out, const char *word, struct err *e)
{
    if (word[strcspn(word, "\"$`\\\n")] != '\0') {
        return err_set(e, ERR_INVALID, "%s can't stand in AWS's configuration", word);
    }
    buf_printf(out, " \"%s\"", word);
    return 0;
}

static int add_command(const struct cli *cli, const char *role, struct buf *out, struct err *e)
{
    bool has_socket = cli->client.socket_path[0] != '\0';
    char self[PATH_MAX];
    ssize_t len = readlink("/proc/self/exe", self, sizeof(self) - 1);
    int status;

    if (len <= 0) {
        return err_set(e, -errno, "could not find lease itself: %s", err_str(-errno));
    }
    self[len] = '\0';
    buf_add_c(out, "[default]\ncredential_process =");
    status = add_quoted(out, self, e);
    if (status == 0) {
        buf_printf(out, " aws-credentials %s %s", role, has_socket ? "--socket" : "--addr");
        status = add_quoted(out, has_socket ? cli->client.socket_path : cli->client.origin, e);
    }
    buf_add_char(out, '\n');
    return status;
}

int exec_endpoints_write_config(const struct cli *cli, const struct format_credential *credentials,
                                size_t count, struct buf *out, struct err *e)
{
    size_t i;

    for (i = 0; i < count; i++) {
        if (is_aws(&credentials[i])) {
            return add_command(cli, credentials[i].role, out, e);
        }
    }
    return err_set(e, ERR_NOT_FOUND, "no role here has a credential of that kind");
}

/* --- tokens, over rotations --- */

/* An array with what each credential's answer has beside it. */
int exec_endpoints_keep(const struct exec_plan *plan, const struct format_credential *credentials,
                        size_t count)
{
    json_t *kept = json_array();
    BUF_AUTO text;
    int status = kept != NULL ? 0 : ERR_NOMEM;
    size_t i;

    buf_init(&text, KEPT_MAX_BYTES);
    for (i = 0; status == 0 && i < count; i++) {
        const json_t *document = credentials[i].document;
        json_t *one = json_pack("{s:O, s:O}", "token", json_object_get(document, "token"),
                                "endpoints", json_object_get(document, "endpoints"));

        status = one != NULL && json_array_append_new(kept, one) == 0 ? 0 : ERR_PROTOCOL;
    }
    if (status == 0) {
        status = format_add_json(&text, kept, JSON_COMPACT);
    }
    json_decref(kept);
    if (status == 0 &&
        pwrite(plan->kept_fd, buf_str(&text).ptr, buf_str(&text).len, 0) != (ssize_t)text.len) {
        status = errno != 0 ? -errno : ERR_IO;
    }
    return status;
}

int exec_endpoints_recall(const struct exec_plan *plan, const struct format_credential *credentials,
                          size_t count)
{
    char *bytes = mem_alloc(KEPT_MAX_BYTES);
    ssize_t size = bytes != NULL ? pread(plan->kept_fd, bytes, KEPT_MAX_BYTES, 0) : 0;
    json_t *kept = size > 0 ? json_loadb(bytes, (size_t)size, 0, NULL) : NULL;
    int status = bytes == NULL ? ERR_NOMEM : kept == NULL ? ERR_CORRUPT : 0;
    size_t i;

    for (i = 0; status == 0 && i < count; i++) {
        if (json_object_update(credentials[i].document, json_array_get(kept, i)) != 0) {
            status = ERR_CORRUPT;
        }
    }
    json_decref(kept);
    mem_free(bytes);
    return status;
}
