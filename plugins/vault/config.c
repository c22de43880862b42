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

static bool is_known(const char *key, const char *const *known, size_t known_count)
{
    for (size_t i = 0; i < known_count; i++) {
        if (strcmp(key, known[i]) == 0) {
            return true;
        }
    }
    return false;
}

int vault_config_check_keys(json_t *object, const char *const *known, size_t known_count,
                            const char *where, struct vault_text *detail)
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
            vault_text_set(detail,
                           "%s%s: a secret is never written in the configuration; use %s_file, "
                           "%s_env or %s_credential",
                           where, key, key, key, key);
            return -1;
        }
        close = vault_suggest(key, known, known_count);
        vault_text_set(detail, "%s%.64s: unknown key%s%s%s", where, key,
                       close != NULL ? "; did you mean \"" : "", close != NULL ? close : "",
                       close != NULL ? "\"?" : "");
        return -1;
    }
    return 0;
}

int vault_config_text(json_t *object, const char *key, char *out, size_t out_size,
                      struct vault_text *detail)
{
    json_t *value = json_object_get(object, key);

    if (value == NULL) {
        return 0;
    }
    if (!json_is_string(value) || json_string_length(value) == 0 ||
        json_string_length(value) >= out_size) {
        vault_text_set(detail, "%s: a text of 1 to %zu bytes is expected", key, out_size - 1);
        return -1;
    }
    memcpy(out, json_string_value(value), json_string_length(value) + 1);
    return 0;
}

int vault_config_path(char *path, const char *key, struct vault_text *detail)
{
    static const char allowed[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-/";
    size_t len = strlen(path);

    while (len > 0 && path[len - 1] == '/') {
        path[--len] = '\0';
    }
    if (path[strspn(path, allowed)] != '\0' || path[0] == '/' || strstr(path, "..") != NULL ||
        strstr(path, "//") != NULL) {
        vault_text_set(detail, "%s: a path without leading \"/\", \"..\" and \"//\" is expected",
                       key);
        return -1;
    }
    return 0;
}

/* A name of one segment; empty: none is given. */
static int read_token_role(json_t *root, struct vault_config *config, struct vault_text *detail)
{
    if (vault_config_text(root, "token_role", config->token_role, sizeof(config->token_role),
                          detail) != 0 ||
        vault_config_path(config->token_role, "token_role", detail) != 0) {
        return -1;
    }
    if (strchr(config->token_role, '/') != NULL) {
        vault_text_set(detail, "token_role: the name of a token role is expected, as it stands "
                               "behind auth/token/roles/");
        return -1;
    }
    return 0;
}

int vault_config_parse(struct leased_str json, struct vault_config *ret_config,
                       struct vault_text *ret_detail)
{
    struct vault_config config = {0};
    json_error_t problem;
    json_t *root = json_loadb(json.ptr, json.len, JSON_REJECT_DUPLICATES, &problem);
    int rc = -1;

    if (!json_is_object(root)) {
        vault_text_set(ret_detail, "the configuration is not a JSON object");
    } else if (vault_config_check_keys(root, top_keys, COUNT(top_keys), "", ret_detail) == 0 &&
               vault_config_text(root, "namespace", config.namespace_path,
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
