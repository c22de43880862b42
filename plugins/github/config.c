/* Each failure names the key and what was expected. */
#include "config.h"

#include <stdio.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const char *const known_keys[] = {"app_id", "private_key_file", "private_key_env",
                                         "private_key_credential"};

/* A number, or a text: client ids have letters and dots. */
static int read_app(json_t *root, struct github_config *config, struct plugin_text *detail)
{
    static const char allowed[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-";
    json_t *value = json_object_get(root, "app_id");

    if (value == NULL) {
        plugin_text_set(detail, "`app_id` is missing: the app's id or client id, as its settings "
                                "at GitHub show it");
        return -1;
    }
    if (json_is_integer(value) && json_integer_value(value) > 0) {
        (void)snprintf(config->app, sizeof(config->app), "%" JSON_INTEGER_FORMAT,
                       json_integer_value(value));
        return 0;
    }
    if (!json_is_string(value) || json_string_length(value) == 0 ||
        json_string_length(value) >= sizeof(config->app) ||
        json_string_value(value)[strspn(json_string_value(value), allowed)] != '\0') {
        plugin_text_set(detail, "app_id: the app's id (a number) or its client id is expected");
        return -1;
    }
    (void)snprintf(config->app, sizeof(config->app), "%s", json_string_value(value));
    return 0;
}

static int read_key(json_t *root, struct github_config *config, struct plugin_text *detail)
{
    if (plugin_config_source(root, "private_key", "file", &config->key, detail) != 0) {
        return -1;
    }
    if (config->key.text[0] == '\0') {
        plugin_text_set(detail, "one of `private_key_file`, `private_key_env` and "
                                "`private_key_credential` is missing: where the app's private key "
                                "is");
        return -1;
    }
    return 0;
}

int github_config_parse(struct leased_str json, struct github_config *ret_config,
                        struct plugin_text *ret_detail)
{
    struct github_config config = {0};
    json_t *root = json_loadb(json.ptr, json.len, JSON_REJECT_DUPLICATES, NULL);
    int rc = -1;

    if (!json_is_object(root)) {
        plugin_text_set(ret_detail, "the configuration is not a JSON object");
    } else if (plugin_config_check_keys(root, known_keys, COUNT(known_keys), "", ret_detail) == 0 &&
               read_app(root, &config, ret_detail) == 0) {
        rc = read_key(root, &config, ret_detail);
    }
    json_decref(root);
    if (rc == 0) {
        *ret_config = config;
    }
    return rc;
}
