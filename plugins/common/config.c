/* Each failure names the key and what was expected; unknown keys are errors, with a suggestion
 * where one is close. */
#include "config.h"

#include <stdio.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static bool is_known(const char *key, const char *const *known, size_t known_count)
{
    for (size_t i = 0; i < known_count; i++) {
        if (strcmp(key, known[i]) == 0) {
            return true;
        }
    }
    return false;
}

int plugin_config_check_keys(json_t *object, const char *const *known, size_t known_count,
                             const char *where, struct plugin_text *detail)
{
    const char *key;
    json_t *value;

    json_object_foreach (object, key, value) {
        char in_file[80];
        const char *close;

        if (is_known(key, known, known_count)) {
            continue;
        }
        (void)snprintf(in_file, sizeof(in_file), "%.64s_file", key);
        if (is_known(in_file, known, known_count)) {
            plugin_text_set(detail,
                            "%s%s: a secret is never written in the configuration; use %s_file, "
                            "%s_env or %s_credential",
                            where, key, key, key, key);
            return -1;
        }
        close = plugin_suggest(key, known, known_count);
        plugin_text_set(detail, "%s%.64s: unknown key%s%s%s", where, key,
                        close != NULL ? "; did you mean \"" : "", close != NULL ? close : "",
                        close != NULL ? "\"?" : "");
        return -1;
    }
    return 0;
}

int plugin_config_text(json_t *object, const char *key, char *out, size_t out_size,
                       struct plugin_text *detail)
{
    json_t *value = json_object_get(object, key);

    if (value == NULL) {
        return 0;
    }
    if (!json_is_string(value) || json_string_length(value) == 0 ||
        json_string_length(value) >= out_size) {
        plugin_text_set(detail, "%s: a text of 1 to %zu bytes is expected", key, out_size - 1);
        return -1;
    }
    memcpy(out, json_string_value(value), json_string_length(value) + 1);
    return 0;
}

int plugin_config_source(json_t *object, const char *name, const char *file_kind,
                         struct plugin_source *source, struct plugin_text *detail)
{
    const char *const places[] = {"file", "env", "credential"};
    const char *const kinds[] = {file_kind, "env", "credential"};
    bool is_found = false;

    for (size_t i = 0; i < COUNT(places); i++) {
        char key[64];
        char value[PLUGIN_SOURCE_MAX_BYTES - 16] = "";

        (void)snprintf(key, sizeof(key), "%s_%s", name, places[i]);
        if (plugin_config_text(object, key, value, sizeof(value), detail) != 0) {
            return -1;
        }
        if (value[0] == '\0') {
            continue;
        }
        if (is_found) {
            plugin_text_set(detail,
                            "%s: only one of %s_file, %s_env and %s_credential may be given", key,
                            name, name, name);
            return -1;
        }
        is_found = true;
        (void)snprintf(source->text, sizeof(source->text), "%s:%s", kinds[i], value);
    }
    return 0;
}

int plugin_config_inside(const char *where, struct plugin_text *detail)
{
    const struct plugin_text reason = *detail;

    plugin_text_set(detail, "%s%.350s", where, reason.bytes);
    return -1;
}
