/* What a reload has changed, by name: for the answer of `lease reload`, and as numbers for log and
 * trail. */
#include "daemon/daemon_internal.h"

#include "wire/json_out.h"

#include <string.h>

/* One kind of part: where it stands, and how two of a name are compared. */
struct kind {
    const char *key;
    size_t offset; /* of its list in the settings */
    size_t item_size;
    bool (*is_same)(const struct reload_report *report, const void *before, const void *after);
};

/* Items of lists whose objects have their name right behind their node. */
static const char *name_of(const void *item)
{
    const char *name;

    memcpy(&name, (const char *)item + sizeof(struct yaml_node *), sizeof(name));
    return name;
}

static const void *item_find(const struct schema_list *list, size_t size, const char *name)
{
    size_t i;

    for (i = 0; i < list->count; i++) {
        const void *item = (const char *)list->items + i * size;

        if (strcmp(name_of(item), name) == 0) {
            return item;
        }
    }
    return NULL;
}

static bool backend_is_same(const struct reload_report *report, const void *before,
                            const void *after)
{
    (void)report;
    return config_compare_backends(before, after) == CONFIG_SAME;
}

static bool role_is_same(const struct reload_report *report, const void *before, const void *after)
{
    (void)report;
    return config_role_is_same(before, after);
}

static bool listener_is_same(const struct reload_report *report, const void *before,
                             const void *after)
{
    const struct config_listener *first = report->after->settings.listeners.items;
    const struct config_listener *listener = after;

    return !report->has_new_tls[listener - first] &&
           config_listener_is_same(report->before, before, report->after, after);
}

static const struct kind kinds[] = {
    {"roles", offsetof(struct config_settings, roles), sizeof(struct config_role), role_is_same},
    {"backends", offsetof(struct config_settings, backends), sizeof(struct config_backend),
     backend_is_same},
    {"listeners", offsetof(struct config_settings, listeners), sizeof(struct config_listener),
     listener_is_same},
};

static const struct schema_list *list_of(const struct config *config, const struct kind *kind)
{
    const char *settings = (const char *)&config->settings;

    return (const struct schema_list *)(const void *)(settings + kind->offset);
}

/* The names of `list` that `other` lacks. */
static size_t lacking_write(struct json_out *json, const char *key, const struct kind *kind,
                            const struct schema_list *list, const struct schema_list *other)
{
    size_t count = 0;
    size_t i;

    json_out_array_open(json, key);
    for (i = 0; i < list->count; i++) {
        const char *name = name_of((const char *)list->items + i * kind->item_size);

        if (item_find(other, kind->item_size, name) == NULL) {
            json_out_string_c(json, NULL, name);
            count++;
        }
    }
    json_out_array_close(json);
    return count;
}

static size_t changed_write(struct json_out *json, const struct reload_report *report,
                            const struct kind *kind, const struct schema_list *before,
                            const struct schema_list *after)
{
    size_t count = 0;
    size_t i;

    json_out_array_open(json, "changed");
    for (i = 0; i < after->count; i++) {
        const void *item = (const char *)after->items + i * kind->item_size;
        const void *old = item_find(before, kind->item_size, name_of(item));

        if (old != NULL && !kind->is_same(report, old, item)) {
            json_out_string_c(json, NULL, name_of(item));
            count++;
        }
    }
    json_out_array_close(json);
    return count;
}

static void kind_write(struct json_out *json, const struct reload_report *report,
                       const struct kind *kind, struct reload_counts *ret_counts)
{
    const struct schema_list *before = list_of(report->before, kind);
    const struct schema_list *after = list_of(report->after, kind);

    json_out_object_open(json, kind->key);
    ret_counts->added = lacking_write(json, "added", kind, after, before);
    ret_counts->removed = lacking_write(json, "removed", kind, before, after);
    ret_counts->changed = changed_write(json, report, kind, before, after);
    json_out_object_close(json);
}

void reload_report_write(struct reload_report *report, struct buf *out)
{
    const char *digest = access_policy_digest(report->after->access.policy);
    struct json_out json;

    json_out_init(&json, out);
    json_out_object_open(&json, NULL);
    json_out_string_c(&json, "config", report->digest);
    json_out_object_open(&json, "policy");
    json_out_string_c(&json, "digest", digest);
    json_out_bool(&json, "changed",
                  strcmp(digest, access_policy_digest(report->before->access.policy)) != 0);
    json_out_object_close(&json);
    kind_write(&json, report, &kinds[0], &report->roles);
    kind_write(&json, report, &kinds[1], &report->backends);
    kind_write(&json, report, &kinds[2], &report->listeners);
    json_out_bool(&json, "limits_changed", !config_limits_are_same(report->before, report->after));
    json_out_bool(&json, "clients_changed",
                  !config_clients_are_same(report->before, report->after));
    json_out_bool(&json, "log_changed", !config_log_is_same(report->before, report->after));
    json_out_u64(&json, "grants_ended", report->grants_ended);
    json_out_object_close(&json);
}
