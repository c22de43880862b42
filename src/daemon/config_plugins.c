/* The keys of backends and roles that belong to a plugin: they go to it as JSON, and what it
 * complains about is shown at its place.
 *
 * A plugin reports one mistake at a time, and begins with the key that it is about ("auth.method:
 * …"). So the key is taken out and the plugin asked again, until it is content or complains about
 * what was taken out before. */
#include "daemon/config_internal.h"

#include "base/mem.h"

#include <stdio.h>
#include <string.h>

#define PLUGIN_NAME_MAX_BYTES 65
#define JSON_MAX_BYTES ((size_t)8 * YAML_INPUT_MAX_BYTES)
#define ROUNDS_MAX 64

const struct schema_object *config_table_of(const char *key)
{
    const struct schema_field *field;

    for (field = config_settings_table.fields; strcmp(field->key, key) != 0; field++) {
        CHECK(field[1].key != NULL);
    }
    return field->object;
}

/* Our own keys, NULL-ended; mem_free. */
static const char **own_keys(const struct schema_object *table)
{
    const char **keys;
    size_t count = 0;

    while (table->fields[count].key != NULL) {
        count++;
    }
    keys = mem_calloc(count + 1, sizeof(*keys));
    for (count = 0; keys != NULL && table->fields[count].key != NULL; count++) {
        keys[count] = table->fields[count].key;
    }
    return keys;
}

static bool key_is_own(const struct schema_object *table, struct str key)
{
    const struct schema_field *field;

    for (field = table->fields; field->key != NULL; field++) {
        if (str_eq_c(key, field->key)) {
            return true;
        }
    }
    return false;
}

/* ---- keys that must be there ------------------------------------------------ */

void config_shared_require(const struct config_shared *shared, const char *key)
{
    const char *const wanted[] = {key, NULL};
    const struct yaml_node *child;

    if (shared->node->type != YAML_MAPPING || yaml_get(shared->node, key) != NULL) {
        return;
    }
    for (child = shared->node->first; child != NULL; child = child->next) {
        if (!key_is_own(shared->table, child->key) && schema_suggest(child->key, wanted) != NULL) {
            yaml_error_at_key(shared->errors, child, "unknown key `%.*s`: did you mean `%s`?",
                              STR_ARG(child->key), key);
            yaml_refuse(shared->document, child);
            return;
        }
    }
    yaml_error_at_key(shared->errors, shared->node, "`%s` is missing in %s", key,
                      shared->table->name);
}

/* ---- what a plugin says ----------------------------------------------------- */

/* The node under a key with this name, wherever it is below `node`. */
static const struct yaml_node *node_search(const struct yaml_node *node, struct str key)
{
    const struct yaml_node *child;

    for (child = node->first; child != NULL; child = child->next) {
        const struct yaml_node *found = NULL;

        if (child->is_refused) {
            continue;
        }
        found = str_eq(child->key, key) ? child : node_search(child, key);
        if (found != NULL) {
            return found;
        }
    }
    return NULL;
}

/* The node that "auth.method" names, or NULL. Each part is searched below the last one. */
static const struct yaml_node *path_find(const struct yaml_node *node, struct str path)
{
    while (node != NULL && path.len > 0) {
        node = node_search(node, str_cut(&path, '.'));
    }
    return node;
}

/* "auth.method" of "auth.method: one of …"; len 0 when the text doesn't begin like that. */
static struct str path_of(const char *text)
{
    struct str path = {.ptr = text, .len = strcspn(text, ": ")};

    return strncmp(text + path.len, ": ", 2) == 0 ? path : (struct str){.ptr = text, .len = 0};
}

static bool has_refused(const struct yaml_node *node)
{
    const struct yaml_node *child;

    for (child = node->first; child != NULL; child = child->next) {
        if (child->is_refused || has_refused(child)) {
            return true;
        }
    }
    return false;
}

static void complaint_report(const struct config_shared *shared, const struct yaml_node *node,
                             const char *text)
{
    const char **keys = own_keys(shared->table);
    const char *close = NULL;
    bool is_unknown = strstr(text, "unknown key") != NULL;

    /* A plugin doesn't know our keys, so it can't tell that one of them was meant. */
    if (keys != NULL && is_unknown && strstr(text, "did you mean") == NULL) {
        close = schema_suggest(node->key, keys);
    }
    mem_free((void *)keys);
    if (close != NULL) {
        yaml_error_at_key(shared->errors, node, "unknown key `%.*s`: did you mean `%s`?",
                          STR_ARG(node->key), close);
    } else if (is_unknown) {
        yaml_error_at_key(shared->errors, node, "%s", text);
    } else {
        yaml_error_at(shared->errors, node, "%s", text);
    }
}

/* Returns whether it makes sense to ask again. */
static bool complaint_handle(const struct config_shared *shared, const char *text)
{
    struct str path = path_of(text);
    const struct yaml_node *node = path.len > 0 ? path_find(shared->node, path) : NULL;

    if (node == NULL || node == shared->node) {
        /* It misses what was taken out, or something that isn't there. */
        if (!has_refused(shared->node)) {
            yaml_error_at_key(shared->errors, shared->node, "%s", text);
        }
        return false;
    }
    if (has_refused(node)) {
        return false;
    }
    complaint_report(shared, node, text);
    yaml_refuse(shared->document, node);
    return true;
}

int config_shared_check(const struct config_shared *shared, char **ret_json)
{
    const char **keys = own_keys(shared->table);
    char *json = NULL;
    bool goes_on = true;
    int round;
    int r = keys != NULL ? 0 : ERR_NOMEM;

    for (round = 0; r == 0 && goes_on && round < ROUNDS_MAX; round++) {
        struct err e = {0};
        BUF_AUTO text;

        mem_free(json);
        json = NULL;
        buf_init(&text, JSON_MAX_BYTES);
        if (shared->node->type == YAML_MAPPING) {
            r = yaml_to_json(shared->node, keys, &text);
        } else {
            buf_add_c(&text, "{}");
        }
        if (r == 0) {
            json = buf_steal(&text);
            r = json != NULL ? 0 : ERR_NOMEM;
        }
        goes_on = r == 0 && shared->plugin != NULL &&
                  shared->check(shared->plugin, json, &e) != 0 && complaint_handle(shared, e.text);
    }
    mem_free((void *)keys);
    *ret_json = json;
    return r;
}

/* ---- the plugins ------------------------------------------------------------ */

static void plugin_load(const struct config_plugins *plugins, const struct yaml_node *node,
                        struct backend_registry *registry, struct yaml_errors *errors)
{
    struct err e = {0};

    /* What is no text was reported when it was decoded. */
    if (node->type == YAML_SCALAR &&
        backend_registry_load(registry, plugins->path, node->text, &e) != 0) {
        yaml_error_at(errors, node, "%s", e.text);
    }
}

static void plugins_load(const struct config_plugins *plugins, struct backend_registry *registry,
                         struct yaml_errors *errors)
{
    const struct yaml_node *node = plugins->node != NULL ? yaml_get(plugins->node, "load") : NULL;
    const struct yaml_node *child;

    if (node == NULL || plugins->path == NULL) {
        return;
    }
    plugin_load(plugins, node, registry, errors);
    for (child = node->first; child != NULL; child = child->next) {
        plugin_load(plugins, child, registry, errors);
    }
}

static void unknown_plugin_report(const struct config_backend *backend,
                                  const struct backend_registry *registry,
                                  struct yaml_errors *errors)
{
    const struct yaml_node *node = yaml_get(backend->node, "plugin");
    const struct leased_plugin *plugin;
    const char *between = "";
    size_t i;
    BUF_AUTO known;

    buf_init(&known, 1024);
    for (i = 0; (plugin = backend_registry_at(registry, i)) != NULL; i++) {
        char name[PLUGIN_NAME_MAX_BYTES];
        const char *const names[] = {name, NULL};

        (void)snprintf(name, sizeof(name), "%.*s", (int)plugin->name.len, plugin->name.ptr);
        if (schema_suggest(str_of(backend->plugin), names) != NULL) {
            yaml_error_at(errors, node, "there is no plugin `%s`: did you mean `%s`?",
                          backend->plugin, name);
            return;
        }
    }
    for (i = 0; (plugin = backend_registry_at(registry, i)) != NULL; i++) {
        if (plugin->kind == LEASED_KIND_BACKEND) {
            buf_printf(&known, "%s%.*s", between, (int)plugin->name.len, plugin->name.ptr);
            between = ", ";
        }
    }
    yaml_error_at(errors, node, "there is no plugin `%s`; known: %s", backend->plugin,
                  buf_str(&known).ptr);
}

/* Only the plugin can tell that its login hangs on the certificate that the host presents. */
static void needs_check(const struct config_backend *backend, const struct leased_plugin *plugin,
                        struct yaml_errors *errors)
{
    uint32_t needs = backend_needs(plugin, backend->config_json);

    if ((needs & LEASED_NEEDS_CLIENT_CERTIFICATE) != 0 && backend->cert_file == NULL &&
        backend->key_file == NULL) {
        yaml_error_at_key(errors, backend->node,
                          "`cert_file` and `key_file` are missing: the login presents them");
    }
}

static int backend_check(struct config *config, struct config_backend *backend,
                         const struct backend_registry *registry, struct yaml_errors *errors)
{
    struct config_shared shared = {.document = config->document,
                                   .node = backend->node,
                                   .table = config_table_of("backends"),
                                   .check = backend_check_config,
                                   .errors = errors};
    int r;

    config_shared_require(&shared, "plugin");
    if (backend->plugin != NULL) {
        shared.plugin = backend_registry_find(registry, str_of(backend->plugin));
        if (shared.plugin == NULL) {
            unknown_plugin_report(backend, registry, errors);
        } else {
            backend->runs_programs = backend_runs_programs(shared.plugin);
            backend->needs_restart = !backend_can_reload(shared.plugin);
            if (backend_can_borrow(shared.plugin)) {
                config_find_borrows(backend);
            }
        }
    }
    if (shared.plugin == NULL || backend_needs_address(shared.plugin)) {
        config_shared_require(&shared, "address");
    }
    r = config_shared_check(&shared, &backend->config_json);
    if (r == 0 && shared.plugin != NULL) {
        needs_check(backend, shared.plugin, errors);
    }
    return r;
}

static const struct leased_plugin *plugin_of_role(const struct config_settings *settings,
                                                  const struct config_role *role,
                                                  const struct backend_registry *registry)
{
    const struct config_backend *backends = settings->backends.items;
    size_t i;

    for (i = 0; role->backend != NULL && i < settings->backends.count; i++) {
        if (strcmp(backends[i].name, role->backend) == 0 && backends[i].plugin != NULL) {
            return backend_registry_find(registry, str_of(backends[i].plugin));
        }
    }
    return NULL;
}

static int role_check(struct config *config, struct config_role *role,
                      const struct backend_registry *registry, struct yaml_errors *errors)
{
    struct config_shared shared = {.document = config->document,
                                   .node = role->node,
                                   .table = config_table_of("roles"),
                                   .plugin = plugin_of_role(&config->settings, role, registry),
                                   .check = backend_check_params,
                                   .errors = errors};

    config_shared_require(&shared, "backend");
    return config_shared_check(&shared, &role->params_json);
}

int config_check_plugins(struct config *config, const struct config_options *options,
                         struct yaml_errors *errors)
{
    struct backend_registry *registry = options->registry;
    struct config_backend *backends = config->settings.backends.items;
    struct config_role *roles = config->settings.roles.items;
    size_t i;
    int r = 0;

    if (!options->is_reload) {
        plugins_load(&config->settings.plugins, registry, errors);
    }
    r = config_check_sinks(config, registry, errors);
    for (i = 0; r == 0 && i < config->settings.backends.count; i++) {
        r = backend_check(config, &backends[i], registry, errors);
    }
    for (i = 0; r == 0 && i < config->settings.roles.count; i++) {
        r = role_check(config, &roles[i], registry, errors);
    }
    return r == 0 ? config_check_borrows(config, errors) : r;
}
