/* Reads the configuration: files → one tree → decoded by tables → checked as a whole → policies.
 * Every step reports and goes on where it can, so that all mistakes come out in one go; only a
 * syntax error or a missing file ends it. */
#include "daemon/config.h"

#include "base/mem.h"
#include "daemon/config_internal.h"

#include <stdio.h>
#include <string.h>

#define AWS_MIN_REMAINING_MS (16U * 60U * 1000U)

/* ---- what is made from the settings ----------------------------------------- */

/* Listeners without a name are called by their place in the list. Before the checks: two must not
 * have one name, whoever gave it. */
static int listeners_name(struct config_settings *settings)
{
    struct config_listener *listeners = settings->listeners.items;
    size_t i;

    for (i = 0; i < settings->listeners.count; i++) {
        char name[32];

        if (listeners[i].name != NULL) {
            continue;
        }
        (void)snprintf(name, sizeof(name), "listener-%zu", i + 1);
        listeners[i].name = mem_strdup(name);
        if (listeners[i].name == NULL) {
            return ERR_NOMEM;
        }
    }
    return 0;
}

/* The pairs as fields that point into them. NULL when out of memory. */
static struct lease_field *fields_make(const struct schema_pairs *pairs)
{
    struct lease_field *fields = mem_calloc(pairs->count + 1, sizeof(*fields));
    size_t i;

    for (i = 0; fields != NULL && i < pairs->count; i++) {
        fields[i].name = str_of(pairs->items[i].name);
        fields[i].value = str_of(pairs->items[i].value);
    }
    return fields;
}

/* What its issuer's clients need where the configuration doesn't say: AWS's SDKs fetch anew when
 * less than 15 minutes are left. */
static void role_set_defaults(const struct config_settings *settings, struct config_role *role)
{
    const struct config_backend *backends = settings->backends.items;
    size_t i;

    for (i = 0; role->backend != NULL && i < settings->backends.count; i++) {
        if (backends[i].name != NULL && strcmp(backends[i].name, role->backend) == 0 &&
            backends[i].plugin != NULL && strcmp(backends[i].plugin, "aws") == 0 &&
            !config_is_given(role->node, "min_remaining")) {
            role->min_remaining_ms = AWS_MIN_REMAINING_MS;
        }
    }
}

static int roles_finish(struct config_settings *settings, struct yaml_errors *errors)
{
    struct config_role *roles = settings->roles.items;
    size_t i;

    for (i = 0; i < settings->roles.count; i++) {
        role_set_defaults(settings, &roles[i]);
        roles[i].attribute_fields = fields_make(&roles[i].attributes);
        roles[i].env_fields = fields_make(&roles[i].env);
        if (roles[i].attribute_fields == NULL || roles[i].env_fields == NULL) {
            return ERR_NOMEM;
        }
        if (config_check_verify(&roles[i], errors) != 0) {
            return ERR_NOMEM;
        }
    }
    return 0;
}

void config_fill_role(const struct config_role *role, struct lease_issuer *issuer,
                      struct lease_role *ret_role)
{
    *ret_role = (struct lease_role){
        .name = role->name,
        .issuer = issuer,
        .params_json = role->params_json,
        .attributes = role->attribute_fields,
        .attribute_count = role->attributes.count,
        .ttl_ms = role->ttl_ms,
        .max_ttl_ms = role->max_ttl_ms,
        .renew_at_percent = (uint32_t)role->renew_at_percent,
        .min_remaining_ms = role->min_remaining_ms,
        .overlap_ms = role->overlap_ms,
        .share = (enum lease_share)role->share,
        .linger_ms = role->linger_ms,
        .binding = (enum access_binding)role->binding,
        .is_kept_on_stop = role->on_stop == CONFIG_ON_STOP_KEEP,
        .verify_json = role->verify_json,
        .verify_timeout_ms = role->verify.timeout_ms,
        .live_max = (uint32_t)role->budget.live,
        .issue_rate = role->budget.issue,
        .renew_rate = role->budget.renew,
        .revoke_rate = role->budget.revoke,
        .env_names = role->env_fields,
        .env_name_count = role->env.count,
    };
}

/* ---- the way through -------------------------------------------------------- */

static void places_check(struct config *config, struct yaml_errors *warnings,
                         struct yaml_errors *errors)
{
    const struct config_backend *backends = config->settings.backends.items;
    const struct config_listener *listeners = config->settings.listeners.items;
    const struct config_role *roles = config->settings.roles.items;
    const struct config_sink *sinks = config->settings.audit.items;
    const struct config_issuer *issuers = config->settings.issuers.items;
    const struct config_notify *notify = config->settings.notify.items;
    size_t i;

    for (i = 0; i < config->settings.audit.count; i++) {
        config_check_places(config, sinks[i].node, warnings, errors);
    }
    for (i = 0; i < config->settings.backends.count; i++) {
        config_check_places(config, backends[i].node, warnings, errors);
    }
    for (i = 0; i < config->settings.listeners.count; i++) {
        config_check_places(config, listeners[i].node, warnings, errors);
    }
    for (i = 0; i < config->settings.roles.count; i++) {
        if (roles[i].verify.node != NULL) {
            config_check_places(config, roles[i].verify.node, warnings, errors);
        }
    }
    for (i = 0; i < config->settings.issuers.count; i++) {
        config_check_places(config, issuers[i].node, warnings, errors);
    }
    for (i = 0; i < config->settings.notify.count; i++) {
        config_check_places(config, notify[i].node, warnings, errors);
    }
}

static int config_fill(struct config *config, const struct config_options *options,
                       struct yaml_errors *errors)
{
    struct config_settings *settings = &config->settings;
    int r = schema_decode(&config_settings_table, yaml_root(config->document), settings, errors);

    if (r != ERR_NOMEM) {
        r = listeners_name(settings);
    }
    if (r == ERR_NOMEM) {
        return r;
    }
    config_check_settings(settings, errors);
    places_check(config, options->warnings, errors);
    r = config_check_notify(settings, errors);
    if (r == 0) {
        r = config_check_plugins(config, options, errors);
    }
    if (r == 0) {
        r = config_policies_load(config, options, errors);
    }
    if (r == 0) {
        r = roles_finish(settings, errors);
    }
    if (r == 0) {
        r = config_make_issuers(config);
    }
    if (r == 0) {
        r = config_make_containers(config);
    }
    if (r == 0) {
        r = config_collect_env(config);
    }
    if (r == 0 && errors->count == 0 && options->warnings != NULL) {
        config_check_machine(settings, options->warnings);
    }
    return r != 0 || errors->count == 0 ? r : ERR_INVALID;
}

int config_load(const struct config_options *options, struct config **ret_config,
                struct yaml_errors *errors)
{
    struct config *config = mem_calloc(1, sizeof(*config));
    int r;

    if (config == NULL) {
        return ERR_NOMEM;
    }
    r = config_files_read(options->path, &config->document, errors);
    if (r == 0) {
        r = config_fill(config, options, errors);
    }
    if (r != 0) {
        config_free(config);
        return r;
    }
    *ret_config = config;
    return 0;
}

const struct config_backend *config_backend_find(const struct config *config, const char *name)
{
    const struct config_backend *backends = config->settings.backends.items;
    size_t i;

    for (i = 0; i < config->settings.backends.count; i++) {
        if (strcmp(backends[i].name, name) == 0) {
            return &backends[i];
        }
    }
    return NULL;
}

const struct config_role *config_role_find(const struct config *config, const char *name)
{
    const struct config_role *roles = config->settings.roles.items;
    size_t i;

    for (i = 0; i < config->settings.roles.count; i++) {
        if (strcmp(roles[i].name, name) == 0) {
            return &roles[i];
        }
    }
    return NULL;
}

void config_free(struct config *config)
{
    struct config_sink *sinks;
    struct config_backend *backends;
    struct config_role *roles;
    struct config_notify *notify;
    struct config_file *files;
    size_t i;

    if (config == NULL) {
        return;
    }
    sinks = config->settings.audit.items;
    for (i = 0; i < config->settings.audit.count; i++) {
        mem_free(sinks[i].config_json);
    }
    backends = config->settings.backends.items;
    for (i = 0; i < config->settings.backends.count; i++) {
        mem_free(backends[i].config_json);
    }
    roles = config->settings.roles.items;
    for (i = 0; i < config->settings.roles.count; i++) {
        mem_free(roles[i].params_json);
        mem_free(roles[i].verify_json);
        mem_free(roles[i].attribute_fields);
        mem_free(roles[i].env_fields);
    }
    files = config->settings.files.items;
    for (i = 0; i < config->settings.files.count; i++) {
        mem_free(files[i].template_text);
    }
    notify = config->settings.notify.items;
    for (i = 0; i < config->settings.notify.count; i++) {
        mem_free(notify[i].name);
    }
    config_policy_fini(&config->access);
    mem_free(config->issuers);
    mem_free(config->containers);
    schema_fini(&config_settings_table, &config->settings);
    yaml_free(config->document);
    mem_free((void *)config->env_names);
    mem_free(config);
}
