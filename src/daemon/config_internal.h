/* The steps of reading a configuration, in their order. Only config*.c, main.c (for the schema) and
 * the tests include this. */
#ifndef LEASED_DAEMON_CONFIG_INTERNAL_H
#define LEASED_DAEMON_CONFIG_INTERNAL_H

#include "daemon/config.h"

extern const struct schema_object config_settings_table;
extern const struct schema_object config_file_table;   /* config_delivery_table.c */
extern const struct schema_object config_issuer_table; /* config_issuers.c */

extern const struct schema_object config_notify_table; /* config_notify.c */

/* What each is called; 0 or ERR_NOMEM. */
int config_check_notify(struct config_settings *settings, struct yaml_errors *errors) ATTR_MUST_USE;

extern const struct schema_object config_container_table; /* config_containers.c */

void config_check_containers(const struct config_settings *settings, struct yaml_errors *errors);
/* Fills in config->containers, of settings without mistakes. ERR_NOMEM. */
int config_make_containers(struct config *config) ATTR_MUST_USE;

void config_check_issuers(const struct config_settings *settings, struct yaml_errors *errors);
/* Fills in config->issuers, of settings without mistakes. ERR_NOMEM. */
int config_make_issuers(struct config *config) ATTR_MUST_USE;

/* config_files.c. One tree from a file, or from all *.yaml of a folder but *_test.yaml;
 * ERR_NOT_FOUND, ERR_INVALID or ERR_NOMEM, all but the last reported. */
int config_files_read(const char *path, struct yaml_document **ret_document,
                      struct yaml_errors *errors) ATTR_MUST_USE;

/* One file. What strangers may write is refused; a byte more than YAML_INPUT_MAX_BYTES tells that
 * it is too large. Failures as above. */
#define CONFIG_FILES_MAX 256
#define CONFIG_FILE_MAX_BYTES ((size_t)2 * YAML_INPUT_MAX_BYTES)
int config_file_read(const char *path, struct buf *out, struct yaml_errors *errors) ATTR_MUST_USE;

/* Of a folder's files: editors' and packages' left-overs begin with a dot or end in something else.
 */
bool config_file_is_wanted(struct str name);
/* One that ends in .yml would be left out without a word, and with it a rule that denies, for
 * instance. */
void config_report_yml(const char *folder, const char *name, struct yaml_errors *errors);
/* May strangers write there? 0 or ERR_INVALID, reported. */
struct stat;
int config_check_place(const char *path, const struct stat *facts,
                       struct yaml_errors *errors) ATTR_MUST_USE;
/* "could not be read" with the reason (errno): ERR_NOT_FOUND or ERR_NOMEM. */
int config_report_unread(const char *path, int error, struct yaml_errors *errors);

/* config_policy.c: config->access. Reports mistakes; ERR_NOMEM. */
int config_policies_load(struct config *config, const struct config_options *options,
                         struct yaml_errors *errors) ATTR_MUST_USE;

/* config_policy_files.c: what policies.path says: the *.yaml of a folder and those below it, or one
 * file and what it includes, and the revision of the work tree that they are in. `ret_folder` is
 * theirs, for messages; free it. ERR_NOT_FOUND, ERR_INVALID or ERR_NOMEM, all but the last
 * reported. */
int config_policy_files_read(const struct yaml_node *node, struct policy_bundle *bundle,
                             char **ret_folder, struct yaml_errors *errors) ATTR_MUST_USE;

/* The entry where a value stands, or where it would stand. */
static inline const struct yaml_node *config_place_of(const struct yaml_node *node, const char *key)
{
    const struct yaml_node *child = yaml_get(node, key);

    return child != NULL ? child : node;
}

static inline bool config_is_given(const struct yaml_node *node, const char *key)
{
    return yaml_get(node, key) != NULL;
}

/* config_check.c: what one table entry can't say about another. */
void config_check_settings(const struct config_settings *settings, struct yaml_errors *errors);

/* A rule's ttl on a shared role: its other holders would get the short one, too. `policies` is
 * {rules: […]}. */
void config_check_shared_ttl(const struct config_settings *settings,
                             const struct yaml_node *policies, struct yaml_errors *errors);

/* config_deliveries.c: the same for files. */
void config_check_deliveries(const struct config_settings *settings, struct yaml_errors *errors);

/* config_listeners.c: the same for listeners. */
void config_check_listeners(const struct config_settings *settings, struct yaml_errors *errors);

/* config_verify.c: the role's `verify` for the verifier (verify_json), which says what is wrong
 * with it. 0 or ERR_NOMEM. */
int config_check_verify(struct config_role *role, struct yaml_errors *errors) ATTR_MUST_USE;

/* config_plugins.c: loads the listed plugins (not for a reload), and has each check its own keys of
 * sinks, backends and roles. */
int config_check_plugins(struct config *config, const struct config_options *options,
                         struct yaml_errors *errors) ATTR_MUST_USE;

/* An object whose keys are partly ours and partly a plugin's. */
struct config_shared {
    struct yaml_document *document;
    const struct yaml_node *node;
    const struct schema_object *table;
    const struct leased_plugin *plugin; /* NULL: it isn't known, and nobody checks its keys */
    int (*check)(const struct leased_plugin *plugin, const char *json, struct err *e);
    struct yaml_errors *errors;
};

/* The plugin's keys as JSON through ret_json (mem_free), whatever the plugin says of them, which is
 * reported. 0 or ERR_NOMEM. */
int config_shared_check(const struct config_shared *shared, char **ret_json) ATTR_MUST_USE;

/* One of our keys that must be there: it may stand under another spelling, among the plugin's. */
void config_shared_require(const struct config_shared *shared, const char *key);

/* The table of what stands under this key of the configuration. */
const struct schema_object *config_table_of(const char *key);

/* config_borrows.c: backends that work with what a role gives: the role is there, and isn't one
 * that needs the backend itself; 0 or ERR_NOMEM. */
void config_find_borrows(struct config_backend *backend);
int config_check_borrows(const struct config *config, struct yaml_errors *errors) ATTR_MUST_USE;

/* The node's text must be one of `names`, NULL-ended. `what`: "backend". */
void config_check_reference(const struct yaml_node *node, const char *what,
                            const char *const *names, struct yaml_errors *errors);

/* config_sinks.c: what each sink is, and its keys. 0 or ERR_NOMEM. */
int config_check_sinks(struct config *config, const struct backend_registry *registry,
                       struct yaml_errors *errors) ATTR_MUST_USE;

/* config_places.c: where the secrets and files below `node` are. */
void config_check_places(struct config *config, const struct yaml_node *node,
                         struct yaml_errors *warnings, struct yaml_errors *errors);

/* Is it a key of a file that leased writes, and others read? */
bool config_key_is_written(struct str key);

/* The variables that `…_env` keys name, into config->env_names. 0 or ERR_NOMEM. */
int config_collect_env(struct config *config) ATTR_MUST_USE;

/* A URL that something is fetched from or sent to: https, or http on loopback. NULL is fine. */
void config_check_url(const struct yaml_node *node, const char *url, struct yaml_errors *errors);

/* config_machine.c: what is right but wouldn't work on this machine, of the settings, and of the
 * subjects of {rules: […], admins: […]}. Only for what has no mistake. */
void config_check_machine(const struct config_settings *settings, struct yaml_errors *warnings);
void config_check_subjects(const struct yaml_node *policies, struct yaml_errors *warnings);

/* Names of a list of objects that have one, NULL-ended; mem_free. NULL when out of memory. */
const char **config_names(const struct schema_list *list, size_t item_size);

#endif
