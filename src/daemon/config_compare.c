/* What differs between two configurations: what a reload has to do, and what it can't. */
#include "daemon/config_internal.h"

#include "io/scrub.h"
#include "wire/schema_compare.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

#define DIGEST_INPUT_MAX_BYTES (16U * YAML_INPUT_MAX_BYTES)

static const struct schema_field *field_of(const struct schema_object *table, const char *key)
{
    const struct schema_field *field = table->fields;

    while (strcmp(field->key, key) != 0) {
        field++;
        CHECK(field->key != NULL);
    }
    return field;
}

static const struct schema_object *table_of(const char *key)
{
    return field_of(&config_settings_table, key)->object;
}

static bool text_is_equal(const char *a, const char *b)
{
    return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

/* ---- parts ------------------------------------------------------------------ */

enum config_change config_compare_backends(const struct config_backend *before,
                                           const struct config_backend *after)
{
    const struct schema_object *table = table_of("backends");
    const struct schema_field *field;
    enum config_change change = CONFIG_SAME;

    /* An open backend has room for as many calls as it was opened for. */
    if (!text_is_equal(before->config_json, after->config_json) ||
        after->limits.in_flight > before->limits.in_flight) {
        return CONFIG_OTHER;
    }
    for (field = table->fields; field->key != NULL; field++) {
        if (schema_field_is_equal(field, before, after)) {
            continue;
        }
        if (strcmp(field->key, "limits") != 0 && strcmp(field->key, "health_interval") != 0) {
            return CONFIG_OTHER;
        }
        change = CONFIG_LIMITS;
    }
    return change;
}

bool config_role_is_same(const struct config_role *before, const struct config_role *after)
{
    return text_is_equal(before->params_json, after->params_json) &&
           schema_is_equal(table_of("roles"), before, after);
}

bool config_limits_are_same(const struct config *before, const struct config *after)
{
    return schema_field_is_equal(field_of(&config_settings_table, "limits"), &before->settings,
                                 &after->settings);
}

bool config_clients_are_same(const struct config *before, const struct config *after)
{
    return schema_field_is_equal(field_of(&config_settings_table, "clients"), &before->settings,
                                 &after->settings);
}

bool config_log_is_same(const struct config *before, const struct config *after)
{
    return schema_field_is_equal(field_of(&config_settings_table, "log"), &before->settings,
                                 &after->settings);
}

bool config_listener_is_at_same_place(const struct config_listener *one,
                                      const struct config_listener *other)
{
    return text_is_equal(one->unix_path, other->unix_path) && text_is_equal(one->tcp, other->tcp);
}

bool config_listener_is_same(const struct config *before, const struct config_listener *one,
                             const struct config *after, const struct config_listener *other)
{
    return schema_is_equal(table_of("listeners"), one, other) &&
           config_limits_are_same(before, after);
}

/* ---- what needs a restart --------------------------------------------------- */

/* A socket's file has its owner and mode from the moment that it is bound; changing them later
 * would let in for a moment who shouldn't be. */
static void access_check(const struct config_listener *before, const struct config_listener *after,
                         struct yaml_errors *errors)
{
    static const char *const keys[] = {"mode", "user", "group"};
    const struct schema_object *table = table_of("listeners");
    size_t i;

    for (i = 0; i < ARRAY_LEN(keys); i++) {
        const struct yaml_node *node = yaml_get(after->node, keys[i]);

        if (!schema_field_is_equal(field_of(table, keys[i]), before, after)) {
            yaml_error_at_key(errors, node != NULL ? node : after->node,
                              "`%s` of a socket that is open can't be changed without a restart",
                              keys[i]);
        }
    }
}

static void listeners_check(const struct config *before, const struct config *after,
                            struct yaml_errors *errors)
{
    const struct config_listener *ones = before->settings.listeners.items;
    const struct config_listener *others = after->settings.listeners.items;
    size_t i;
    size_t k;

    for (i = 0; i < before->settings.listeners.count; i++) {
        for (k = 0; k < after->settings.listeners.count; k++) {
            if (config_listener_is_at_same_place(&ones[i], &others[k])) {
                access_check(&ones[i], &others[k], errors);
            }
        }
    }
}

/* What stands in the table was compared with it. */
static void sinks_check(const struct config *before, const struct config *after,
                        struct yaml_errors *errors)
{
    const struct config_sink *ones = before->settings.audit.items;
    const struct config_sink *others = after->settings.audit.items;
    size_t i;

    for (i = 0; i < before->settings.audit.count && i < after->settings.audit.count; i++) {
        if (!text_is_equal(ones[i].config_json, others[i].config_json)) {
            yaml_error_at_key(errors, others[i].node,
                              "a sink's keys can't be changed without a restart");
        }
    }
}

static bool variable_was_kept(const struct config *before, const char *name,
                              const struct io_environment *environment)
{
    size_t i;

    for (i = 0; i < before->env_name_count; i++) {
        if (strcmp(before->env_names[i], name) == 0) {
            return true;
        }
    }
    return environment != NULL && io_environment_find(environment, str_of(name)) != NULL;
}

/* What the configuration didn't name at the start was wiped then. */
static void variables_check(const struct config *before, const struct config *after,
                            const struct io_environment *environment, struct yaml_errors *errors)
{
    size_t i;

    for (i = 0; i < after->env_name_count; i++) {
        if (!variable_was_kept(before, after->env_names[i], environment)) {
            yaml_error_at_key(errors, yaml_get(after->settings.node, "backends"),
                              "the variable %s was wiped when leased started, because nothing "
                              "named it: this needs a restart",
                              after->env_names[i]);
        }
    }
}

/* The same for those that try credentials out. */
static void verifiers_check(const struct config *before, const struct config *after,
                            struct yaml_errors *errors)
{
    const struct config_role *roles = after->settings.roles.items;
    size_t i;

    for (i = 0; i < after->settings.roles.count; i++) {
        const struct config_role *known = config_role_find(before, roles[i].name);

        if (roles[i].verify.exec.count > 0 &&
            (known == NULL || !text_is_equal(known->verify_json, roles[i].verify_json))) {
            yaml_error_at_key(errors, roles[i].verify.node,
                              "a program that tries credentials out can't be added or changed "
                              "without a restart");
        }
    }
}

/* … and those that are told of events. */
static void hooks_check(const struct config *before, const struct config *after,
                        struct yaml_errors *errors)
{
    const struct config_notify *notify = after->settings.notify.items;
    size_t i;

    for (i = 0; i < after->settings.notify.count; i++) {
        if (notify[i].exec.count > 0 && !config_notify_has(before, notify[i].name)) {
            yaml_error_at_key(errors, notify[i].node,
                              "a program that is told of events can't be added or changed "
                              "without a restart");
        }
    }
}

/* The helper process runs what was named at the start and nothing else. */
static void programs_check(const struct config *before, const struct config *after,
                           struct yaml_errors *errors)
{
    const struct config_backend *backends = after->settings.backends.items;
    size_t i;

    for (i = 0; i < after->settings.backends.count; i++) {
        const struct config_backend *known = config_backend_find(before, backends[i].name);

        if (!backends[i].runs_programs) {
            continue;
        }
        if (known == NULL || !known->runs_programs) {
            yaml_error_at_key(errors, backends[i].node,
                              "a backend that runs programs can't be added without a restart");
        } else if (!text_is_equal(known->config_json, backends[i].config_json)) {
            yaml_error_at_key(errors, backends[i].node,
                              "programs, and what they run with, can't be changed without a "
                              "restart");
        }
    }
}

/* The same for files that it writes: it knows of none that a reload brings. */
static void files_check(const struct config *before, const struct config *after,
                        struct yaml_errors *errors)
{
    const struct config_file *files = after->settings.files.items;
    size_t i;

    for (i = 0; i < after->settings.files.count; i++) {
        const struct config_file *known = config_file_find(before, files[i].path);

        if (known == NULL || !config_file_is_same(known, &files[i])) {
            yaml_error_at_key(errors, files[i].node,
                              "a file can't be added, nor its owner, mode or on_change changed, "
                              "without a restart");
        }
    }
}

/* A new instance would know nothing of what the one before has done, and both would say it to the
 * world: a CA's list of what was revoked would begin empty. */
static void stateful_check(const struct config *before, const struct config *after,
                           struct yaml_errors *errors)
{
    const struct config_backend *backends = after->settings.backends.items;
    size_t i;

    for (i = 0; i < after->settings.backends.count; i++) {
        const struct config_backend *known = config_backend_find(before, backends[i].name);

        if (backends[i].needs_restart &&
            (known == NULL || config_compare_backends(known, &backends[i]) == CONFIG_OTHER)) {
            yaml_error_at_key(errors, backends[i].node,
                              "a backend of the plugin %s can't be %s without a restart: what it "
                              "has revoked would be forgotten",
                              backends[i].plugin, known == NULL ? "added" : "changed");
        }
    }
}

void config_check_restart(const struct config *before, const struct config *after,
                          const struct io_environment *environment, struct yaml_errors *errors)
{
    schema_report_restart(&config_settings_table, &before->settings, &after->settings, errors);
    listeners_check(before, after, errors);
    sinks_check(before, after, errors);
    variables_check(before, after, environment, errors);
    programs_check(before, after, errors);
    files_check(before, after, errors);
    stateful_check(before, after, errors);
    hooks_check(before, after, errors);
    verifiers_check(before, after, errors);
}

/* ---- digest ----------------------------------------------------------------- */

int config_digest(const struct config *config, char ret_digest[CONFIG_DIGEST_BYTES + 1])
{
    unsigned char digest[EVP_MAX_MD_SIZE] = {0};
    BUF_AUTO text;
    size_t i;
    int r;

    buf_init(&text, DIGEST_INPUT_MAX_BYTES);
    r = yaml_to_json(yaml_root(config->document), NULL, &text);
    if (r == 0) {
        buf_add_char(&text, '\n');
        buf_add_c(&text, access_policy_digest(config->access.policy));
        r = buf_status(&text);
    }
    if (r != 0) {
        return r;
    }
    if (EVP_Digest(buf_str(&text).ptr, text.len, digest, NULL, EVP_sha256(), NULL) != 1) {
        return ERR_NOMEM;
    }
    for (i = 0; i < CONFIG_DIGEST_BYTES / 2; i++) {
        (void)snprintf(ret_digest + 2 * i, 3, "%02x", digest[i]);
    }
    return 0;
}
