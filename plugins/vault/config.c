/* Reads the configuration. Each failure names the key and what was expected; unknown keys are
 * errors, with a suggestion where one is close. */
#include "config.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const char *const top_keys[] = {"auth", "namespace"};
static const char *const token_keys[] = {"method", "token_file", "token_env", "token_credential"};
static const char *const approle_keys[] = {
    "method",         "mount",         "role_id",
    "role_id_file",   "role_id_env",   "role_id_credential",
    "secret_id_file", "secret_id_env", "secret_id_credential"};

static int check_keys(json_t *object, const char *const *known, size_t known_count,
                      const char *where, struct vault_text *detail)
{
    const char *key;
    json_t *value;

    json_object_foreach (object, key, value) {
        bool is_known = false;
        const char *close;

        for (size_t i = 0; i < known_count && !is_known; i++) {
            is_known = strcmp(key, known[i]) == 0;
        }
        if (is_known) {
            continue;
        }
        if (strcmp(key, "token") == 0 || strcmp(key, "secret_id") == 0) {
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

/* A short string into `out`; absent leaves it as it is. */
static int get_text(json_t *object, const char *key, char *out, size_t out_size,
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

/* One of NAME_file, NAME_env, NAME_credential. */
static int get_source(json_t *auth, const char *name, struct vault_source *ret_source,
                      struct vault_text *detail)
{
    static const char *const places[] = {"file", "env", "credential"};
    bool is_found = false;

    for (size_t i = 0; i < COUNT(places); i++) {
        char key[64];
        char value[VAULT_SOURCE_MAX_BYTES - 16] = "";

        (void)snprintf(key, sizeof(key), "%s_%s", name, places[i]);
        if (get_text(auth, key, value, sizeof(value), detail) != 0) {
            return -1;
        }
        if (value[0] == '\0') {
            continue;
        }
        if (is_found) {
            vault_text_set(detail,
                           "auth: only one of %s_file, %s_env and %s_credential may be given", name,
                           name, name);
            return -1;
        }
        is_found = true;
        (void)snprintf(ret_source->text, sizeof(ret_source->text), "%s:%s", places[i], value);
    }
    return 0;
}

/* A path of plain segments, as mounts and namespaces are. */
static int check_segments(const char *path, const char *key, struct vault_text *detail)
{
    static const char allowed[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-/";

    if (path[strspn(path, allowed)] != '\0' || path[0] == '/' || strstr(path, "..") != NULL ||
        strstr(path, "//") != NULL) {
        vault_text_set(detail, "%s: a path without leading \"/\", \"..\" and \"//\" is expected",
                       key);
        return -1;
    }
    return 0;
}

static void cut_trailing_slashes(char *path)
{
    size_t len = strlen(path);

    while (len > 0 && path[len - 1] == '/') {
        path[--len] = '\0';
    }
}

static int read_token_auth(json_t *auth, struct vault_config *config, struct vault_text *detail)
{
    config->method = VAULT_AUTH_TOKEN;
    if (check_keys(auth, token_keys, COUNT(token_keys), "auth.", detail) != 0 ||
        get_source(auth, "token", &config->token_source, detail) != 0) {
        return -1;
    }
    if (config->token_source.text[0] == '\0') {
        vault_text_set(detail,
                       "auth: method token needs token_file, token_env or token_credential");
        return -1;
    }
    return 0;
}

static int read_approle_auth(json_t *auth, struct vault_config *config, struct vault_text *detail)
{
    config->method = VAULT_AUTH_APPROLE;
    memcpy(config->mount, "approle", sizeof("approle"));
    if (check_keys(auth, approle_keys, COUNT(approle_keys), "auth.", detail) != 0 ||
        get_text(auth, "mount", config->mount, sizeof(config->mount), detail) != 0 ||
        get_text(auth, "role_id", config->role_id, sizeof(config->role_id), detail) != 0 ||
        get_source(auth, "role_id", &config->role_id_source, detail) != 0 ||
        get_source(auth, "secret_id", &config->secret_id_source, detail) != 0) {
        return -1;
    }
    if ((config->role_id[0] == '\0') == (config->role_id_source.text[0] == '\0')) {
        vault_text_set(detail, "auth: method approle needs exactly one of role_id, role_id_file, "
                               "role_id_env and role_id_credential");
        return -1;
    }
    cut_trailing_slashes(config->mount);
    return check_segments(config->mount, "auth.mount", detail);
}

static int read_auth(json_t *root, struct vault_config *config, struct vault_text *detail)
{
    json_t *auth = json_object_get(root, "auth");
    const char *method = json_string_value(json_object_get(auth, "method"));

    if (!json_is_object(auth)) {
        vault_text_set(detail, "auth: an object is expected, such as {method: approle, "
                               "role_id_file: …, secret_id_file: …}");
        return -1;
    }
    if (method != NULL && strcmp(method, "token") == 0) {
        return read_token_auth(auth, config, detail);
    }
    if (method != NULL && strcmp(method, "approle") == 0) {
        return read_approle_auth(auth, config, detail);
    }
    vault_text_set(detail, "auth.method: one of token, approle is expected");
    return -1;
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
    } else if (check_keys(root, top_keys, COUNT(top_keys), "", ret_detail) == 0 &&
               get_text(root, "namespace", config.namespace_path, sizeof(config.namespace_path),
                        ret_detail) == 0 &&
               read_auth(root, &config, ret_detail) == 0) {
        cut_trailing_slashes(config.namespace_path);
        rc = check_segments(config.namespace_path, "namespace", ret_detail);
    }
    json_decref(root);
    if (rc == 0) {
        *ret_config = config;
    }
    return rc;
}
