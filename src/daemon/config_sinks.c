/* The audit trail's sinks: a file, stdout, or a plugin by its name, whose keys are then its own. */
#include "daemon/config_internal.h"

#include "base/mem.h"

#include <string.h>

static const struct schema_enum_value kinds[] = {
    {"file", CONFIG_SINK_FILE},           {"stdout", CONFIG_SINK_STDOUT},
    {"syslog", SCHEMA_VALUE_UNSUPPORTED}, {"journald", SCHEMA_VALUE_UNSUPPORTED},
    {"http", SCHEMA_VALUE_UNSUPPORTED},   {"otlp", SCHEMA_VALUE_UNSUPPORTED},
    {"kafka", SCHEMA_VALUE_UNSUPPORTED},  {0},
};

static void path_check(const struct config_sink *sink, struct yaml_errors *errors)
{
    const struct yaml_node *path = yaml_get(sink->node, "path");

    if (sink->kind != CONFIG_SINK_FILE && path != NULL) {
        yaml_error_at_key(errors, path, "%s has no `path`",
                          sink->kind == CONFIG_SINK_STDOUT ? "stdout" : "a plugin's sink");
    } else if (sink->kind == CONFIG_SINK_FILE && path == NULL) {
        yaml_error_at(errors, sink->node, "`path` is missing in a file sink");
    } else if (sink->path != NULL && sink->path[0] != '/') {
        yaml_error_at(errors, path, "expected an absolute path, found `%s`", sink->path);
    }
}

static int sink_check(struct config *config, struct config_sink *sink,
                      const struct backend_registry *registry, struct yaml_errors *errors)
{
    struct config_shared shared = {.document = config->document,
                                   .node = sink->node,
                                   .table = config_table_of("audit"),
                                   .check = backend_check_config,
                                   .errors = errors};

    if (sink->node->type != YAML_MAPPING) {
        return 0;
    }
    config_shared_require(&shared, "sink");
    if (sink->name != NULL) {
        shared.plugin = backend_registry_find_sink(registry, str_of(sink->name));
    }
    if (shared.plugin != NULL) {
        sink->kind = CONFIG_SINK_PLUGIN;
        path_check(sink, errors);
        return config_shared_check(&shared, &sink->config_json);
    }
    schema_refuse_unknown(shared.table, sink->node, errors);
    if (sink->name != NULL &&
        schema_decode_enum(kinds, yaml_get(sink->node, "sink"), &sink->kind, errors) == 0) {
        path_check(sink, errors);
    }
    return 0;
}

static bool is_same_place(const struct config_sink *one, const struct config_sink *other)
{
    return one->path != NULL && other->path != NULL && strcmp(one->path, other->path) == 0;
}

int config_check_sinks(struct config *config, const struct backend_registry *registry,
                       struct yaml_errors *errors)
{
    const struct config_settings *settings = &config->settings;
    struct config_sink *sinks = settings->audit.items;
    size_t i;
    size_t j;
    int r = 0;

    if (settings->audit.count > AUDIT_SINKS_MAX) {
        yaml_error_at_key(errors, yaml_get(settings->node, "audit"), "at most %d audit sinks",
                          AUDIT_SINKS_MAX);
    }
    for (i = 0; r == 0 && i < settings->audit.count; i++) {
        r = sink_check(config, &sinks[i], registry, errors);
        for (j = 0; j < i; j++) {
            if (is_same_place(&sinks[i], &sinks[j])) {
                yaml_error_at(errors, config_place_of(sinks[i].node, "path"),
                              "another sink writes there already");
            }
        }
    }
    return r;
}
