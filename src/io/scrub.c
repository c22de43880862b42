/* An inherited environment is input: http_proxy, SSLKEYLOGFILE, OPENSSL_CONF, RES_OPTIONS and their
 * like change what libraries do, and tokens in it can be read from /proc/PID/environ. So the
 * environment is reduced to an allow-list. The remaining variables are copied first, since the
 * bytes that they stand in are wiped too. */
#include "io/scrub.h"

#include "base/err.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

/* Names that stay: what leased itself or libc reads. No prefixes: whatever begins like one of ours
 * may be somebody's secret, such as LEASED_TOKEN. */
static const char *const allowed_names[] = {"PATH", "HOME", "LANG", "LC_ALL", "LC_CTYPE",
                                            "LC_MESSAGES", "TZ",
                                            /* From the service manager. */
                                            "NOTIFY_SOCKET", "LISTEN_PID", "LISTEN_FDS",
                                            "LISTEN_FDNAMES", "WATCHDOG_PID", "WATCHDOG_USEC",
                                            "CREDENTIALS_DIRECTORY",
                                            /* Ours. */
                                            "LEASED_CONFIG"};

struct variable {
    char *name; /* owned */
    struct secret value;
};

struct io_environment {
    struct variable *variables;
    size_t count;
};

static bool is_allowed(struct str name)
{
    for (size_t i = 0; i < ARRAY_LEN(allowed_names); i++) {
        if (str_eq_c(name, allowed_names[i])) {
            return true;
        }
    }
    return false;
}

static int keep_variable(struct io_environment *environment, struct str name, struct str value)
{
    struct variable *variable = &environment->variables[environment->count];

    secret_init(&variable->value);
    variable->name = mem_strndup(name.ptr, name.len);
    if (variable->name == NULL) {
        return ERR_NOMEM;
    }
    if (secret_set_on_heap(&variable->value, value) != 0) { /* secret memory comes later */
        mem_free(variable->name);
        return ERR_NOMEM;
    }
    environment->count++;
    return 0;
}

/* Splits the environment: texts of the allowed variables go to `stay` (owned, NULL-terminated), the
 * others into `environment`. */
static int sort_out(char **envp, char **stay, struct io_environment *environment)
{
    size_t stay_count = 0;

    for (size_t i = 0; envp[i] != NULL; i++) {
        struct str value = str_of(envp[i]);
        struct str name = str_cut(&value, '=');

        if (value.ptr == NULL || name.len == 0) {
            continue; /* Not NAME=VALUE: nobody can mean it. */
        }
        if (!is_allowed(name)) {
            if (keep_variable(environment, name, value) != 0) {
                return ERR_NOMEM;
            }
            continue;
        }
        stay[stay_count] = mem_strdup(envp[i]);
        if (stay[stay_count] == NULL) {
            return ERR_NOMEM;
        }
        stay_count++;
    }
    return 0;
}

static void wipe(char **envp)
{
    for (size_t i = 0; envp[i] != NULL; i++) {
        mem_wipe(envp[i], strlen(envp[i]));
    }
}

/* libc copies name and value. */
static int set_again(char **stay)
{
    for (size_t i = 0; stay[i] != NULL; i++) {
        char *equals = strchr(stay[i], '=');

        CHECK(equals != NULL);
        *equals = '\0';
        if (setenv(stay[i], equals + 1, 1) != 0) {
            return ERR_NOMEM;
        }
    }
    return 0;
}

static void free_texts(char **texts)
{
    for (size_t i = 0; texts != NULL && texts[i] != NULL; i++) {
        mem_free(texts[i]);
    }
    mem_free(texts);
}

int io_scrub_environment(char **envp, struct io_environment **ret_environment)
{
    struct io_environment *environment = mem_calloc(1, sizeof(*environment));
    char **stay = NULL;
    size_t count = 0;
    int rc = ERR_NOMEM;

    while (envp[count] != NULL) {
        count++;
    }
    stay = mem_calloc(count + 1, sizeof(*stay));
    if (environment != NULL) {
        environment->variables = mem_calloc(count + 1, sizeof(*environment->variables));
    }
    if (stay != NULL && environment != NULL && environment->variables != NULL) {
        rc = sort_out(envp, stay, environment);
    }
    wipe(envp);
    if (clearenv() != 0 && rc == 0) {
        rc = ERR_NOMEM;
    }
    if (rc == 0) {
        rc = set_again(stay);
    }
    free_texts(stay);
    if (rc != 0) {
        io_environment_free(environment);
        return rc;
    }
    *ret_environment = environment;
    return 0;
}

static void variable_fini(struct variable *variable)
{
    mem_free(variable->name);
    variable->name = NULL;
    secret_fini(&variable->value);
}

int io_environment_keep(struct io_environment *environment, const char *const *names, size_t count)
{
    size_t kept = 0;
    int rc = 0;

    for (size_t i = 0; i < environment->count; i++) {
        struct variable *variable = &environment->variables[i];
        bool is_wanted = false;

        for (size_t j = 0; j < count && !is_wanted; j++) {
            is_wanted = strcmp(variable->name, names[j]) == 0;
        }
        if (is_wanted && rc == 0) {
            rc = secret_set(&variable->value, secret_view(&variable->value));
            environment->variables[kept++] = *variable;
        } else {
            variable_fini(variable);
        }
    }
    environment->count = kept;
    return rc;
}

const struct secret *io_environment_find(const struct io_environment *environment, struct str name)
{
    for (size_t i = 0; i < environment->count; i++) {
        if (str_eq_c(name, environment->variables[i].name)) {
            return &environment->variables[i].value;
        }
    }
    return NULL;
}

void io_environment_free(struct io_environment *environment)
{
    if (environment == NULL) {
        return;
    }
    for (size_t i = 0; i < environment->count; i++) {
        variable_fini(&environment->variables[i]);
    }
    mem_free(environment->variables);
    mem_free(environment);
}
