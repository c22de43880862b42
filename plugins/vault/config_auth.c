/* The `auth` object: one table of methods, with the keys of each. */
#include "config.h"

#include <stdio.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define PLACES(name) name "_file", name "_env", name "_credential"
#define SERVICE_ACCOUNT_TOKEN "/var/run/secrets/kubernetes.io/serviceaccount/token"

static const char *const token_keys[] = {"method", PLACES("token")};
static const char *const approle_keys[] = {"method",
                                           "mount",
                                           "role_id",
                                           PLACES("role_id"),
                                           PLACES("secret_id"),
                                           PLACES("secret_id_wrapping_token"),
                                           "secret_id_wrapping_path"};
static const char *const jwt_keys[] = {"method", "mount", "role", PLACES("jwt")};
static const char *const cert_keys[] = {"method", "mount", "name"};
static const char *const user_keys[] = {"method", "mount", "username", PLACES("password")};

struct method {
    const char *name; /* and its usual mount */
    enum vault_auth auth;
    const char *const *keys;
    size_t key_count;
    const char *name_key; /* what vault_config.name is called; NULL: there is none */
    bool is_name_needed;
    const char *credential; /* what VAULT_SOURCE_CREDENTIAL is called; NULL: there is none */
    bool is_credential_needed;
    const char *file_kind; /* of `…_file`, for secret_read */
};

static const struct method methods[] = {
    {"token", VAULT_AUTH_TOKEN, token_keys, COUNT(token_keys), NULL, false, "token", true, "file"},
    {"approle", VAULT_AUTH_APPROLE, approle_keys, COUNT(approle_keys), NULL, false, "secret_id",
     false, "file"},
    {"jwt", VAULT_AUTH_JWT, jwt_keys, COUNT(jwt_keys), "role", false, "jwt", true, "file"},
    /* The kubelet writes it, readable by all of its pod. */
    {"kubernetes", VAULT_AUTH_KUBERNETES, jwt_keys, COUNT(jwt_keys), "role", true, "jwt", false,
     "shared-file"},
    {"cert", VAULT_AUTH_CERT, cert_keys, COUNT(cert_keys), "name", false, NULL, false, "file"},
    {"userpass", VAULT_AUTH_USERPASS, user_keys, COUNT(user_keys), "username", true, "password",
     true, "file"},
    {"ldap", VAULT_AUTH_LDAP, user_keys, COUNT(user_keys), "username", true, "password", true,
     "file"},
};

/* A name becomes a segment of a path, or a text in a body. */
static int read_name(json_t *auth, const struct method *method, struct vault_config *config,
                     struct plugin_text *detail)
{
    if (method->name_key == NULL) {
        return 0;
    }
    if (plugin_config_text(auth, method->name_key, config->name, sizeof(config->name), detail) !=
        0) {
        return -1;
    }
    if (config->name[0] == '\0' && method->is_name_needed) {
        plugin_text_set(detail, "auth: method %s needs %s", method->name, method->name_key);
        return -1;
    }
    for (const char *at = config->name; *at != '\0'; at++) {
        if ((unsigned char)*at < 0x20 || *at == 0x7f) {
            plugin_text_set(detail, "auth.%s: control characters are not allowed",
                            method->name_key);
            return -1;
        }
    }
    if (strcmp(config->name, ".") == 0 || strcmp(config->name, "..") == 0) {
        plugin_text_set(detail, "auth.%s: \"%s\" is not a name", method->name_key, config->name);
        return -1;
    }
    return 0;
}

static int read_credential(json_t *auth, const struct method *method, struct vault_config *config,
                           struct plugin_text *detail)
{
    struct plugin_source *source = &config->sources[VAULT_SOURCE_CREDENTIAL];

    if (method->credential == NULL) {
        return 0;
    }
    if (plugin_config_source(auth, method->credential, method->file_kind, source, detail) != 0) {
        return -1;
    }
    if (source->text[0] == '\0' && method->is_credential_needed) {
        plugin_text_set(detail, "auth: method %s needs %s_file, %s_env or %s_credential",
                        method->name, method->credential, method->credential, method->credential);
        return -1;
    }
    if (source->text[0] == '\0' && method->auth == VAULT_AUTH_KUBERNETES) {
        (void)snprintf(source->text, sizeof(source->text), "%s:%s", method->file_kind,
                       SERVICE_ACCOUNT_TOKEN);
    }
    return 0;
}

/* The path of an AppRole's secret-id endpoint, where "*" may stand for the role. */
static int check_wrapping_path(const char *path, struct plugin_text *detail)
{
    static const char suffix[] = "/secret-id";
    char plain[sizeof(((struct vault_config *)NULL)->wrapping_path)];
    size_t len = strlen(path);

    memcpy(plain, path, len + 1);
    for (char *at = strstr(plain, "/*/"); at != NULL; at = strstr(plain, "/*/")) {
        at[1] = '-';
    }
    if (len <= strlen(suffix) || strcmp(path + len - strlen(suffix), suffix) != 0 ||
        vault_config_path(plain, "auth.secret_id_wrapping_path", detail) != 0) {
        plugin_text_set(detail, "auth.secret_id_wrapping_path: a path such as "
                                "auth/approle/role/NAME/secret-id is expected");
        return -1;
    }
    return 0;
}

static int read_wrapping(json_t *auth, struct vault_config *config, struct plugin_text *detail)
{
    static const char path_key[] = "secret_id_wrapping_path";
    struct plugin_source *source = &config->sources[VAULT_SOURCE_WRAPPING];

    if (plugin_config_source(auth, "secret_id_wrapping_token", "file", source, detail) != 0) {
        return -1;
    }
    if (source->text[0] == '\0' && json_object_get(auth, path_key) == NULL) {
        return 0;
    }
    if (source->text[0] == '\0') {
        plugin_text_set(detail,
                        "auth.%s: goes with secret_id_wrapping_token_file, "
                        "secret_id_wrapping_token_env or secret_id_wrapping_token_credential",
                        path_key);
        return -1;
    }
    if (vault_config_has(config, VAULT_SOURCE_CREDENTIAL)) {
        plugin_text_set(detail, "auth: secret_id and secret_id_wrapping_token exclude each other");
        return -1;
    }
    (void)snprintf(config->wrapping_path, sizeof(config->wrapping_path), "auth/%s/role/*/secret-id",
                   config->mount);
    if (plugin_config_text(auth, path_key, config->wrapping_path, sizeof(config->wrapping_path),
                           detail) != 0) {
        return -1;
    }
    return check_wrapping_path(config->wrapping_path, detail);
}

static int read_approle(json_t *auth, struct vault_config *config, struct plugin_text *detail)
{
    if (plugin_config_text(auth, "role_id", config->role_id, sizeof(config->role_id), detail) !=
            0 ||
        plugin_config_source(auth, "role_id", "file", &config->sources[VAULT_SOURCE_ROLE_ID],
                             detail) != 0) {
        return -1;
    }
    if ((config->role_id[0] != '\0') == vault_config_has(config, VAULT_SOURCE_ROLE_ID)) {
        plugin_text_set(detail, "auth: method approle needs exactly one of role_id, role_id_file, "
                                "role_id_env and role_id_credential");
        return -1;
    }
    return read_wrapping(auth, config, detail);
}

static int read_method(json_t *auth, const struct method *method, struct vault_config *config,
                       struct plugin_text *detail)
{
    config->method = method->auth;
    config->method_name = method->name;
    (void)snprintf(config->mount, sizeof(config->mount), "%s", method->name);
    if (plugin_config_check_keys(auth, method->keys, method->key_count, "auth.", detail) != 0 ||
        plugin_config_text(auth, "mount", config->mount, sizeof(config->mount), detail) != 0 ||
        vault_config_path(config->mount, "auth.mount", detail) != 0 ||
        read_name(auth, method, config, detail) != 0 ||
        read_credential(auth, method, config, detail) != 0) {
        return -1;
    }
    if (config->mount[0] == '\0') {
        plugin_text_set(detail, "auth.mount: a path is expected, such as %s", method->name);
        return -1;
    }
    return method->auth == VAULT_AUTH_APPROLE ? read_approle(auth, config, detail) : 0;
}

int vault_config_auth(json_t *auth, struct vault_config *config, struct plugin_text *detail)
{
    const char *name = json_string_value(json_object_get(auth, "method"));
    char known[128] = "";

    if (!json_is_object(auth)) {
        plugin_text_set(detail, "auth: an object is expected, such as {method: approle, "
                                "role_id_file: …, secret_id_file: …}");
        return -1;
    }
    for (size_t i = 0; i < COUNT(methods); i++) {
        size_t used = strlen(known);

        if (name != NULL && strcmp(name, methods[i].name) == 0) {
            return read_method(auth, &methods[i], config, detail);
        }
        (void)snprintf(known + used, sizeof(known) - used, "%s%s", i > 0 ? ", " : "",
                       methods[i].name);
    }
    plugin_text_set(detail, "auth.method: one of %s is expected", known);
    return -1;
}
