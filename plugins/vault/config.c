/* Reads the configuration. Each failure names the key and what was expected; unknown keys are
 * errors, with a suggestion where one is close. */
#include "config.h"

#include <stdio.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const char *const top_keys[] = {"auth", "namespace", "token_role"};

bool vault_config_has(const struct vault_config *config, enum vault_source_id id)
{
    return config->sources[id].text[0] != '\0';
}

bool vault_config_makes_tokens(const struct vault_config *config)
{
    return config->method != VAULT_AUTH_TOKEN;
}

int vault_config_path(char *path, const char *key, struct plugin_text *detail)
{
    static const char allowed[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-/";
    size_t len = strlen(path);

    while (len > 0 && path[len - 1] == '/') {
        path[--len] = '\0';
    }
    if (path[strspn(path, allowed)] != '\0' || path[0] == '/' || strstr(path, "..") != NULL ||
        strstr(path, "//") != NULL) {
        plugin_text_set(detail, "%s: a path without leading \"/\", \"..\" and \"//\" is expected",
                        key);
        return -1;
    }
    return 0;
}

/* A name of one segment; empty: none is given. */
static int read_token_role(json_t *root, struct vault_config *config, struct plugin_text *detail)
{
    if (plugin_config_text(root, "token_role", config->token_role, sizeof(config->token_role),
                           detail) != 0 ||
        vault_config_path(config->token_role, "token_role", detail) != 0) {
        return -1;
    }
    if (strchr(config->token_role, '/') != NULL) {
        plugin_text_set(detail, "token_role: the name of a token role is expected, as it stands "
                                "behind auth/token/roles/");
        return -1;
    }
    return 0;
}

int vault_config_parse(struct leased_str json, struct vault_config *ret_config,
                       struct plugin_text *ret_detail)
{
    struct vault_config config = {0};
    json_error_t problem;
    json_t *root = json_loadb(json.ptr, json.len, JSON_REJECT_DUPLICATES, &problem);
    int rc = -1;

    if (!json_is_object(root)) {
        plugin_text_set(ret_detail, "the configuration is not a JSON object");
    } else if (plugin_config_check_keys(root, top_keys, COUNT(top_keys), "", ret_detail) == 0 &&
               plugin_config_text(root, "namespace", config.namespace_path,
                                  sizeof(config.namespace_path), ret_detail) == 0 &&
               read_token_role(root, &config, ret_detail) == 0 &&
               vault_config_auth(json_object_get(root, "auth"), &config, ret_detail) == 0) {
        rc = vault_config_path(config.namespace_path, "namespace", ret_detail);
    }
    json_decref(root);
    if (rc == 0) {
        *ret_config = config;
    }
    return rc;
}
