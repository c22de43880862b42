/* Variables: who claims which, and what is inherited. */
#include "cli/exec_environment.h"

#include "base/mem.h"
#include "wire/format.h"

#include <string.h>

static const struct exec_setting *find(const struct exec_settings *settings, struct str variable)
{
    size_t i;

    for (i = 0; i < settings->count; i++) {
        if (str_eq_c(variable, settings->items[i].variable)) {
            return &settings->items[i];
        }
    }
    return NULL;
}

int exec_settings_add(struct exec_settings *settings, const struct exec_setting *setting,
                      struct err *e)
{
    const struct exec_setting *other = find(settings, str_of(setting->variable));

    if (!format_variable_is_valid(str_of(setting->variable))) {
        return err_set(e, ERR_INVALID,
                       "'%s' is no name for a variable; choose one for field '%s' of %s with --map",
                       setting->variable, setting->what, setting->role);
    }
    if (other != NULL) {
        return err_set(e, ERR_INVALID,
                       "%s and %s both claim the variable %s; give one of them another with --map "
                       "ROLE.FIELD=NAME",
                       other->role, setting->role, setting->variable);
    }
    if (settings->count == EXEC_SETTINGS_MAX) {
        return err_set(e, ERR_LIMIT, "more than %d variables", EXEC_SETTINGS_MAX);
    }
    settings->items[settings->count++] = *setting;
    return 0;
}

/* --- what would have programs take other credentials than these, or mix them --- */

static const char *const aws_conflicts[] = {"AWS_ACCESS_KEY_ID",
                                            "AWS_SECRET_ACCESS_KEY",
                                            "AWS_PROFILE",
                                            "AWS_DEFAULT_PROFILE",
                                            "AWS_SESSION_TOKEN",
                                            "AWS_SECURITY_TOKEN",
                                            "AWS_CREDENTIAL_EXPIRATION",
                                            "AWS_ROLE_ARN",
                                            "AWS_ROLE_SESSION_NAME",
                                            "AWS_WEB_IDENTITY_TOKEN_FILE",
                                            "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
                                            "AWS_CONTAINER_CREDENTIALS_FULL_URI",
                                            "AWS_CONTAINER_AUTHORIZATION_TOKEN",
                                            "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
                                            NULL};
static const char *const vault_conflicts[] = {"VAULT_AGENT_ADDR", "BAO_AGENT_ADDR",
                                              "VAULT_PROXY_ADDR", "BAO_PROXY_ADDR", NULL};
static const char *const gcp_conflicts[] = {"GOOGLE_APPLICATION_CREDENTIALS",
                                            "GOOGLE_CREDENTIALS",
                                            "GOOGLE_OAUTH_ACCESS_TOKEN",
                                            "CLOUDSDK_AUTH_ACCESS_TOKEN",
                                            "CLOUDSDK_AUTH_ACCESS_TOKEN_FILE",
                                            "CLOUDSDK_AUTH_CREDENTIAL_FILE_OVERRIDE",
                                            "GCE_METADATA_ROOT",
                                            NULL};
static const char *const azure_conflicts[] = {"AZURE_CLIENT_ID",
                                              "AZURE_CLIENT_SECRET",
                                              "AZURE_CLIENT_CERTIFICATE_PATH",
                                              "AZURE_USERNAME",
                                              "AZURE_PASSWORD",
                                              "AZURE_FEDERATED_TOKEN_FILE",
                                              "IDENTITY_SERVER_THUMBPRINT",
                                              "IMDS_ENDPOINT",
                                              "MSI_ENDPOINT",
                                              "MSI_SECRET",
                                              NULL};

/* With the variable set, inherited ones of these names go. */
static const struct {
    const char *variable;
    const char *const *conflicts; /* ended by NULL */
} families[] = {
    {"AWS_ACCESS_KEY_ID", aws_conflicts}, {"AWS_CONTAINER_CREDENTIALS_FULL_URI", aws_conflicts},
    {"AWS_CONFIG_FILE", aws_conflicts},   {"VAULT_ADDR", vault_conflicts},
    {"GCE_METADATA_HOST", gcp_conflicts}, {"IDENTITY_ENDPOINT", azure_conflicts},
};

static bool is_conflict(struct str name, const struct exec_settings *settings)
{
    size_t i;
    size_t j;

    for (i = 0; i < ARRAY_LEN(families); i++) {
        if (find(settings, str_of(families[i].variable)) == NULL) {
            continue;
        }
        for (j = 0; families[i].conflicts[j] != NULL; j++) {
            if (str_eq_c(name, families[i].conflicts[j])) {
                return true;
            }
        }
    }
    return false;
}

static bool is_replaced(const char *entry, const struct exec_settings *settings)
{
    struct str name = {.ptr = entry, .len = strcspn(entry, "=")};

    return find(settings, name) != NULL || is_conflict(name, settings);
}

static char *make_entry(const struct exec_setting *setting)
{
    size_t len = strlen(setting->variable);
    char *entry = mem_alloc(len + setting->value.len + 2);

    if (entry != NULL) {
        memcpy(entry, setting->variable, len);
        entry[len] = '=';
        if (setting->value.len > 0) {
            memcpy(entry + len + 1, setting->value.ptr, setting->value.len);
        }
        entry[len + 1 + setting->value.len] = '\0';
    }
    return entry;
}

int exec_environment_new(char *const *base, const struct exec_settings *settings,
                         char ***ret_environment)
{
    size_t base_count = 0;
    size_t at = 0;
    size_t i;
    bool is_whole = true;
    char **environment;

    while (base[base_count] != NULL) {
        base_count++;
    }
    environment = mem_calloc(base_count + settings->count + 1, sizeof(*environment));
    if (environment == NULL) {
        return ERR_NOMEM;
    }
    for (i = 0; is_whole && i < base_count; i++) {
        if (!is_replaced(base[i], settings)) {
            environment[at] = mem_strdup(base[i]);
            is_whole = environment[at++] != NULL;
        }
    }
    for (i = 0; is_whole && i < settings->count; i++) {
        environment[at] = make_entry(&settings->items[i]);
        is_whole = environment[at++] != NULL;
    }
    if (!is_whole) {
        exec_environment_free(environment);
        return ERR_NOMEM;
    }
    *ret_environment = environment;
    return 0;
}

void exec_environment_free(char **environment)
{
    size_t i;

    for (i = 0; environment != NULL && environment[i] != NULL; i++) {
        mem_free(environment[i]);
    }
    mem_free(environment);
}
