/* The plugins that this process knows: built in, or loaded from the one configured directory at
 * start. Nothing is ever unloaded. */
#ifndef LEASED_BACKEND_REGISTRY_H
#define LEASED_BACKEND_REGISTRY_H

#include "base/err.h"
#include "base/str.h"
#include "leased/plugin.h"

#define BACKEND_PLUGINS_MAX 32
#define BACKEND_PLUGIN_NAME_MAX_BYTES 32

struct backend_registry;

/* 0 or ERR_NOMEM. */
int backend_registry_new(struct backend_registry **ret_registry) ATTR_MUST_USE;

/* After the backends that use its plugins are closed. NULL is fine. */
void backend_registry_free(struct backend_registry *registry);

/* Registers a plugin that is linked in. ERR_INVALID (ABI, name, table), ERR_EXISTS, ERR_LIMIT. */
int backend_registry_add_builtin(struct backend_registry *registry, leased_plugin_entry_fn entry,
                                 struct err *e) ATTR_MUST_USE;

/* Loads directory/name.so and registers it; `name` is [a-z0-9-]{1,32} and must be the plugin's own.
 * The file is a regular file, not a symlink; file and directory belong to root or to the daemon's
 * user and nobody else may write them. Blocks; for the start only. ERR_NOT_FOUND, ERR_DENIED
 * (owner, mode), ERR_INVALID, ERR_EXISTS, ERR_LIMIT. */
int backend_registry_load(struct backend_registry *registry, const char *directory, struct str name,
                          struct err *e) ATTR_MUST_USE;

/* The plugin of that kind, or NULL. Lives as long as the process. */
const struct leased_plugin *backend_registry_find(const struct backend_registry *registry,
                                                  struct str name);
const struct leased_plugin *backend_registry_find_sink(const struct backend_registry *registry,
                                                       struct str name);

/* Plugins of every kind in the order of their registration, for messages ("known plugins: …"); NULL
 * at the end. */
const struct leased_plugin *backend_registry_at(const struct backend_registry *registry,
                                                size_t index);

/* Is this a valid `config` (JSON object of the plugin's own keys) or `params` (of a role, templates
 * not filled in)? Need neither an instance nor a network: `leased --check`. 0, or ERR_INVALID /
 * ERR_NOMEM with a text. */
int backend_check_config(const struct leased_plugin *plugin, const char *config_json,
                         struct err *e) ATTR_MUST_USE;
int backend_check_params(const struct leased_plugin *plugin, const char *params_json,
                         struct err *e) ATTR_MUST_USE;

/* LEASED_NEEDS_*: which of the host's own keys a valid `config` can't work without. */
uint32_t backend_needs(const struct leased_plugin *plugin, const char *config_json);

/* Or does it know where its issuer is? */
bool backend_needs_address(const struct leased_plugin *plugin);

/* Does the configuration of its backends name programs that are run? */
bool backend_runs_programs(const struct leased_plugin *plugin);

/* May its backends work with what another role gives, as their `source` says? */
bool backend_can_borrow(const struct leased_plugin *plugin);

/* May a reload add its backends, or put another in the place of one that runs? */
bool backend_can_reload(const struct leased_plugin *plugin);

#endif
