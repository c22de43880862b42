/* A list of plugins by name. Each one passes the same checks of the ABI, built in or loaded. */
#include "backend/registry.h"

#include "backend/host.h"
#include "backend/load.h"
#include "backend/template.h"
#include "base/mem.h"

#include <string.h>

struct backend_registry {
    const struct leased_plugin *plugins[BACKEND_PLUGINS_MAX];
    size_t count;
};

int backend_registry_new(struct backend_registry **ret_registry)
{
    struct backend_registry *registry = mem_calloc(1, sizeof(*registry));

    if (registry == NULL) {
        return ERR_NOMEM;
    }
    *ret_registry = registry;
    return 0;
}

void backend_registry_free(struct backend_registry *registry)
{
    mem_free(registry);
}

static bool is_name(struct str name)
{
    if (name.len == 0 || name.len > BACKEND_PLUGIN_NAME_MAX_BYTES) {
        return false;
    }
    for (size_t i = 0; i < name.len; i++) {
        char c = name.ptr[i];

        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-')) {
            return false;
        }
    }
    return true;
}

/* The functions without which a backend is none. */
static int check_backend(const struct leased_backend_ops *ops, struct err *e)
{
    return ops != NULL && LEASED_HAS(ops, issue) && ops->open != NULL && ops->close != NULL &&
                   ops->issue != NULL
               ? 0
               : err_set(e, ERR_INVALID, "the plugin lacks open, close or issue");
}

static int check_sink(const struct leased_sink_ops *ops, struct err *e)
{
    return ops != NULL && LEASED_HAS(ops, write) && ops->open != NULL && ops->close != NULL &&
                   ops->write != NULL
               ? 0
               : err_set(e, ERR_INVALID, "the plugin lacks open, close or write");
}

static int check_plugin(const struct leased_plugin *plugin, struct err *e)
{
    if (plugin == NULL || !LEASED_HAS(plugin, ops)) {
        return err_set(e, ERR_INVALID, "the plugin gives no table");
    }
    if (plugin->abi_major != LEASED_ABI_MAJOR) {
        return err_set(e, ERR_INVALID,
                       "the plugin was built for major version %u of the interface, leased has %d",
                       plugin->abi_major, LEASED_ABI_MAJOR);
    }
    if (plugin->kind != LEASED_KIND_BACKEND && plugin->kind != LEASED_KIND_SINK) {
        return err_set(e, ERR_UNSUPPORTED, "the plugin is of kind %u, which leased doesn't know",
                       plugin->kind);
    }
    if (!is_name(host_str(plugin->name))) {
        return err_set(e, ERR_INVALID, "the plugin's name is not [a-z0-9-]{1,32}");
    }
    return plugin->kind == LEASED_KIND_SINK ? check_sink(plugin->ops, e)
                                            : check_backend(plugin->ops, e);
}

static const struct leased_plugin *find(const struct backend_registry *registry, struct str name)
{
    for (size_t i = 0; i < registry->count; i++) {
        if (str_eq(host_str(registry->plugins[i]->name), name)) {
            return registry->plugins[i];
        }
    }
    return NULL;
}

/* `wanted`: the name that the plugin must have; empty: any. */
static int add(struct backend_registry *registry, leased_plugin_entry_fn entry, struct str wanted,
               struct err *e)
{
    const struct leased_plugin *plugin = NULL;
    int rc;

    if (registry->count == BACKEND_PLUGINS_MAX) {
        return err_set(e, ERR_LIMIT, "more than %d plugins", BACKEND_PLUGINS_MAX);
    }
    if (entry(&host_table, &plugin) < 0) {
        return err_set(e, ERR_INVALID, "the plugin refuses to work with this version of leased");
    }
    rc = check_plugin(plugin, e);
    if (rc != 0) {
        return rc;
    }
    if (wanted.len > 0 && !str_eq(wanted, host_str(plugin->name))) {
        return err_set(e, ERR_INVALID, "the plugin calls itself \"%.*s\"",
                       STR_ARG(host_str(plugin->name)));
    }
    if (find(registry, host_str(plugin->name)) != NULL) {
        return err_set(e, ERR_EXISTS, "there is a plugin \"%.*s\" already",
                       STR_ARG(host_str(plugin->name)));
    }
    registry->plugins[registry->count++] = plugin;
    return 0;
}

int backend_registry_add_builtin(struct backend_registry *registry, leased_plugin_entry_fn entry,
                                 struct err *e)
{
    return add(registry, entry, (struct str){0}, e);
}

int backend_registry_load(struct backend_registry *registry, const char *directory, struct str name,
                          struct err *e)
{
    leased_plugin_entry_fn entry;
    int rc;

    if (!is_name(name)) {
        return err_set(e, ERR_INVALID, "a plugin's name is [a-z0-9-]{1,32}");
    }
    rc = load_plugin(directory, name, &entry, e);
    if (rc == 0) {
        rc = add(registry, entry, name, e);
    }
    return rc == 0 ? 0 : err_wrap(e, rc, "plugin %.*s", STR_ARG(name));
}

static const struct leased_plugin *find_kind(const struct backend_registry *registry,
                                             struct str name, uint16_t kind)
{
    const struct leased_plugin *plugin = find(registry, name);

    return plugin != NULL && plugin->kind == kind ? plugin : NULL;
}

const struct leased_plugin *backend_registry_find(const struct backend_registry *registry,
                                                  struct str name)
{
    return find_kind(registry, name, LEASED_KIND_BACKEND);
}

const struct leased_plugin *backend_registry_find_sink(const struct backend_registry *registry,
                                                       struct str name)
{
    return find_kind(registry, name, LEASED_KIND_SINK);
}

const struct leased_plugin *backend_registry_at(const struct backend_registry *registry,
                                                size_t index)
{
    return index < registry->count ? registry->plugins[index] : NULL;
}

typedef int32_t (*check_fn)(struct leased_str json, struct leased_str *ret_detail);

static int check(check_fn fn, const char *json, struct err *e)
{
    struct leased_str detail = {0};
    char text[BACKEND_ERROR_MAX_BYTES];

    if (fn == NULL || fn(host_leased_str(str_of(json)), &detail) >= 0) {
        return 0;
    }
    return err_set(e, ERR_INVALID, "%s",
                   detail.len > 0 ? host_line(detail, text, sizeof(text))
                                  : "the plugin refuses this");
}

static check_fn config_check_of(const struct leased_plugin *plugin)
{
    const struct leased_backend_ops *backend = plugin->ops;
    const struct leased_sink_ops *sink = plugin->ops;

    if (plugin->kind == LEASED_KIND_SINK) {
        return sink->check_config; /* before what a sink can't be without */
    }
    return LEASED_HAS(backend, check_config) ? backend->check_config : NULL;
}

int backend_check_config(const struct leased_plugin *plugin, const char *config_json, struct err *e)
{
    return check(config_check_of(plugin), config_json, e);
}

bool backend_needs_address(const struct leased_plugin *plugin)
{
    return !LEASED_HAS(plugin, flags) || (plugin->flags & LEASED_PLUGIN_NO_ADDRESS) == 0;
}

bool backend_runs_programs(const struct leased_plugin *plugin)
{
    return LEASED_HAS(plugin, flags) && (plugin->flags & LEASED_PLUGIN_RUNS) != 0;
}

bool backend_can_borrow(const struct leased_plugin *plugin)
{
    return LEASED_HAS(plugin, flags) && (plugin->flags & LEASED_PLUGIN_BORROWS) != 0;
}

bool backend_can_reload(const struct leased_plugin *plugin)
{
    return !LEASED_HAS(plugin, flags) || (plugin->flags & LEASED_PLUGIN_NO_RELOAD) == 0;
}

uint32_t backend_needs(const struct leased_plugin *plugin, const char *config_json)
{
    const struct leased_backend_ops *ops = plugin->ops;
    struct leased_str detail = {0};
    int32_t flags = 0;

    if (LEASED_HAS(ops, check_config) && ops->check_config != NULL) {
        flags = ops->check_config(host_leased_str(str_of(config_json)), &detail);
    }
    return flags > 0 ? (uint32_t)flags : 0;
}

int backend_check_params(const struct leased_plugin *plugin, const char *params_json, struct err *e)
{
    const struct leased_backend_ops *ops = plugin->ops;
    char *filled;
    int rc = template_fill_example(str_of(params_json), &filled, e);

    if (rc != 0) {
        return rc;
    }
    rc = check(LEASED_HAS(ops, check_params) ? ops->check_params : NULL, filled, e);
    mem_free(filled);
    return rc;
}
