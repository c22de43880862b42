/* The environment of a program that `exec` starts. The strings are secrets: mem_free wipes them. */
#include "cli/exec.h"

#include "base/mem.h"

#include <string.h>

static size_t name_len(const char *entry)
{
    return strcspn(entry, "=");
}

/* The role that claimed this variable before, or NULL. */
static const char *claimed_by(const struct format_credential *credentials, size_t role,
                              size_t field)
{
    const char *variable = credentials[role].fields[field].variable;
    size_t i;
    size_t j;

    for (i = 0; i <= role; i++) {
        size_t end = i < role ? credentials[i].field_count : field;

        for (j = 0; j < end; j++) {
            if (strcmp(credentials[i].fields[j].variable, variable) == 0) {
                return credentials[i].role;
            }
        }
    }
    return NULL;
}

static int check_variable(const struct format_credential *credentials, size_t role, size_t field,
                          struct err *e)
{
    const struct format_field *it = &credentials[role].fields[field];
    const char *other = claimed_by(credentials, role, field);

    if (!format_variable_is_valid(str_of(it->variable))) {
        return err_set(e, ERR_INVALID,
                       "'%s' is no name for a variable; choose one for field '%s' of %s with --map",
                       it->variable, it->name, credentials[role].role);
    }
    if (other != NULL) {
        return err_set(e, ERR_INVALID,
                       "%s and %s both claim the variable %s; choose another with --map "
                       "%s.%s=NAME",
                       other, credentials[role].role, it->variable, credentials[role].role,
                       it->name);
    }
    return 0;
}

static bool is_set(struct str name, const struct format_credential *credentials, size_t count)
{
    size_t i;
    size_t j;

    for (i = 0; i < count; i++) {
        for (j = 0; j < credentials[i].field_count; j++) {
            if (str_eq_c(name, credentials[i].fields[j].variable)) {
                return true;
            }
        }
    }
    return false;
}

/* What would have AWS's programs take other credentials than these, or mix them. */
static bool is_aws_conflict(struct str name)
{
    static const char *const names[] = {"AWS_PROFILE",
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
                                        "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"};
    size_t i;

    for (i = 0; i < ARRAY_LEN(names); i++) {
        if (str_eq_c(name, names[i])) {
            return true;
        }
    }
    return false;
}

static bool is_replaced(const char *entry, const struct format_credential *credentials,
                        size_t count)
{
    struct str name = {.ptr = entry, .len = name_len(entry)};

    return is_set(name, credentials, count) ||
           (is_aws_conflict(name) && is_set(STR("AWS_ACCESS_KEY_ID"), credentials, count));
}

static char *make_entry(const struct format_field *field)
{
    struct str value = secret_view(&field->value);
    size_t len = strlen(field->variable);
    char *entry = mem_alloc(len + value.len + 2);

    if (entry != NULL) {
        memcpy(entry, field->variable, len);
        entry[len] = '=';
        memcpy(entry + len + 1, value.ptr, value.len);
        entry[len + 1 + value.len] = '\0';
    }
    return entry;
}

static int add_credential(const struct format_credential *credentials, size_t role, char **at,
                          struct err *e)
{
    size_t i;

    for (i = 0; i < credentials[role].field_count; i++) {
        int status = check_variable(credentials, role, i, e);

        if (status != 0) {
            return status;
        }
        at[i] = make_entry(&credentials[role].fields[i]);
        if (at[i] == NULL) {
            return err_set(e, ERR_NOMEM, "%s", err_str(ERR_NOMEM));
        }
    }
    return 0;
}

int exec_environment_new(char *const *base, const struct format_credential *credentials,
                         size_t count, char ***ret_environment, struct err *e)
{
    size_t base_count = 0;
    size_t at = 0;
    size_t i;
    char **environment;
    int status = 0;

    while (base[base_count] != NULL) {
        base_count++;
    }
    environment = mem_calloc(base_count + count * FORMAT_FIELDS_MAX + 1, sizeof(*environment));
    if (environment == NULL) {
        return err_set(e, ERR_NOMEM, "%s", err_str(ERR_NOMEM));
    }
    for (i = 0; status == 0 && i < base_count; i++) {
        if (!is_replaced(base[i], credentials, count)) {
            environment[at] = mem_strdup(base[i]);
            status =
                environment[at++] != NULL ? 0 : err_set(e, ERR_NOMEM, "%s", err_str(ERR_NOMEM));
        }
    }
    for (i = 0; status == 0 && i < count; i++) {
        status = add_credential(credentials, i, environment + at, e);
        at += credentials[i].field_count;
    }
    if (status != 0) {
        exec_environment_free(environment);
        return status;
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
