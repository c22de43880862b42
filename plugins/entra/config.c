/* A table of methods with the keys of each; what a method can't use is refused. */
#include "config.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define PLACES(name) name "_file", name "_env", name "_credential"
#define IMDS_ADDRESS "http://169.254.169.254"
#define NAME_CHARS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_"

static const char *const keys[] = {"tenant", "client_id", "auth", "cloud", "authority"};

static const char *const secret_keys[] = {"method", PLACES("client_secret")};
static const char *const certificate_keys[] = {"method", PLACES("key"), PLACES("certificate")};
static const char *const federated_keys[] = {"method", PLACES("token")};
static const char *const managed_keys[] = {"method",        "service",  "object_id",
                                           "resource_id",   "endpoint", PLACES("endpoint"),
                                           PLACES("header")};

static const struct method {
    const char *name;
    enum entra_method method;
    const char *const *keys;
    size_t key_count;
    const char *proof;     /* what ENTRA_SOURCE_PROOF is called; NULL: there is none */
    const char *file_kind; /* of its file */
} methods[] = {
    {"secret", ENTRA_SECRET, secret_keys, COUNT(secret_keys), "client_secret", "file"},
    {"certificate", ENTRA_CERTIFICATE, certificate_keys, COUNT(certificate_keys), "key", "file"},
    /* The kubelet writes it, readable by all of its pod. */
    {"federated", ENTRA_FEDERATED, federated_keys, COUNT(federated_keys), "token", "shared-file"},
    {"managed_identity", ENTRA_IMDS, managed_keys, COUNT(managed_keys), NULL, NULL},
};

static const struct {
    const char *name;
    const char *authority;
} clouds[] = {
    {"public", "https://login.microsoftonline.com"},
    {"usgov", "https://login.microsoftonline.us"},
    {"china", "https://login.partner.microsoftonline.cn"},
};

/* It becomes a segment of a path, or names us in an assertion. */
static int read_name(json_t *root, const char *key, char out[ENTRA_NAME_MAX_BYTES],
                     struct plugin_text *detail)
{
    if (plugin_config_text(root, key, out, ENTRA_NAME_MAX_BYTES, detail) != 0) {
        return -1;
    }
    if (out[strspn(out, NAME_CHARS)] != '\0' || strcmp(out, ".") == 0 || strcmp(out, "..") == 0) {
        plugin_text_set(detail, "%s: letters, digits, \".\", \"-\" and \"_\" are expected", key);
        return -1;
    }
    return 0;
}

static int need_source(const struct plugin_source *source, const char *method, const char *name,
                       struct plugin_text *detail)
{
    if (source->text[0] != '\0') {
        return 0;
    }
    plugin_text_set(detail, "auth: method %s needs %s_file, %s_env or %s_credential", method, name,
                    name, name);
    return -1;
}

static int read_sources(json_t *auth, const struct method *method, struct entra_config *config,
                        struct plugin_text *detail)
{
    struct plugin_source *proof = &config->sources[ENTRA_SOURCE_PROOF];
    struct plugin_source *certificate = &config->sources[ENTRA_SOURCE_CERTIFICATE];

    if (method->proof == NULL) {
        return 0;
    }
    if (plugin_config_source(auth, method->proof, method->file_kind, proof, detail) != 0) {
        return plugin_config_inside("auth.", detail);
    }
    if (need_source(proof, method->name, method->proof, detail) != 0 ||
        method->method != ENTRA_CERTIFICATE) {
        return proof->text[0] != '\0' ? 0 : -1;
    }
    /* A certificate is no secret: its file may be readable by all. */
    if (plugin_config_source(auth, "certificate", "shared-file", certificate, detail) != 0) {
        return plugin_config_inside("auth.", detail);
    }
    return need_source(certificate, method->name, "certificate", detail);
}

static int read_endpoint(const char *url, const char *key, unsigned flags,
                         struct entra_config *config, struct plugin_text *detail)
{
    const char *problem = plugin_endpoint_parse(plugin_str(url), flags, &config->authority);

    if (problem == NULL && strcmp(config->authority.path, "/") != 0 &&
        config->authority.path[0] != '\0') {
        problem = "an address without a path is expected";
    }
    if (problem != NULL) {
        plugin_text_set(detail, "%s: %s", key, problem);
        return -1;
    }
    config->authority.path[0] = '\0';
    return 0;
}

/* The platform says where, and which header keeps other programs' requests out. */
static int read_app_service(json_t *auth, const struct entra_config *config,
                            struct plugin_text *detail)
{
    if (json_object_get(auth, "endpoint") != NULL) {
        plugin_text_set(detail, "auth.endpoint: goes with service imds; App Service's is in "
                                "endpoint_env");
        return -1;
    }
    if (config->sources[ENTRA_SOURCE_ENDPOINT].text[0] == '\0' ||
        config->sources[ENTRA_SOURCE_PROOF].text[0] == '\0') {
        plugin_text_set(detail, "auth: service app_service needs endpoint_env: IDENTITY_ENDPOINT "
                                "and header_env: IDENTITY_HEADER");
        return -1;
    }
    return 0;
}

/* Which of the machine's identities, and who is asked for it. */
static int read_managed(json_t *auth, struct entra_config *config, struct plugin_text *detail)
{
    char service[16] = "imds";
    char endpoint[PLUGIN_ENDPOINT_MAX_BYTES] = IMDS_ADDRESS;
    size_t count;

    if (plugin_config_text(auth, "service", service, sizeof(service), detail) != 0 ||
        plugin_config_text(auth, "endpoint", endpoint, sizeof(endpoint), detail) != 0 ||
        plugin_config_source(auth, "endpoint", "file", &config->sources[ENTRA_SOURCE_ENDPOINT],
                             detail) != 0 ||
        plugin_config_source(auth, "header", "file", &config->sources[ENTRA_SOURCE_PROOF],
                             detail) != 0 ||
        read_name(auth, "object_id", config->object_id, detail) != 0 ||
        plugin_config_text(auth, "resource_id", config->resource_id, sizeof(config->resource_id),
                           detail) != 0) {
        return plugin_config_inside("auth.", detail);
    }
    count = (size_t)(config->client_id[0] != '\0') + (size_t)(config->object_id[0] != '\0') +
            (size_t)(config->resource_id[0] != '\0');
    if (count > 1) {
        plugin_text_set(detail, "auth: only one of client_id, auth.object_id and auth.resource_id "
                                "names an identity");
        return -1;
    }
    if (strcmp(service, "app_service") == 0) {
        config->method = ENTRA_APP_SERVICE;
    } else if (strcmp(service, "imds") != 0) {
        plugin_text_set(detail, "auth.service: one of imds, app_service is expected");
        return -1;
    }
    if (config->method == ENTRA_APP_SERVICE) {
        return read_app_service(auth, config, detail);
    }
    if (config->sources[ENTRA_SOURCE_ENDPOINT].text[0] != '\0' ||
        config->sources[ENTRA_SOURCE_PROOF].text[0] != '\0') {
        plugin_text_set(detail, "auth.service: endpoint_env and header_env go with app_service");
        return -1;
    }
    return read_endpoint(endpoint, "auth.endpoint", PLUGIN_ENDPOINT_METADATA, config, detail);
}

static int read_auth(json_t *auth, struct entra_config *config, struct plugin_text *detail)
{
    const char *name = json_string_value(json_object_get(auth, "method"));

    if (!json_is_object(auth)) {
        plugin_text_set(detail, "auth: an object is expected, such as {method: secret, "
                                "client_secret_file: …}");
        return -1;
    }
    for (size_t i = 0; i < COUNT(methods); i++) {
        const struct method *method = &methods[i];

        if (name == NULL || strcmp(name, method->name) != 0) {
            continue;
        }
        config->method = method->method;
        if (plugin_config_check_keys(auth, method->keys, method->key_count, "auth.", detail) != 0) {
            return -1;
        }
        return method->method == ENTRA_IMDS ? read_managed(auth, config, detail)
                                            : read_sources(auth, method, config, detail);
    }
    plugin_text_set(detail, "auth.method: one of secret, certificate, federated, managed_identity "
                            "is expected");
    return -1;
}

static int read_authority(json_t *root, struct entra_config *config, struct plugin_text *detail)
{
    char cloud[16] = "public";
    char authority[PLUGIN_ENDPOINT_MAX_BYTES] = "";

    if (plugin_config_text(root, "cloud", cloud, sizeof(cloud), detail) != 0 ||
        plugin_config_text(root, "authority", authority, sizeof(authority), detail) != 0) {
        return -1;
    }
    if (authority[0] != '\0' && json_object_get(root, "cloud") != NULL) {
        plugin_text_set(detail, "authority: stands instead of cloud");
        return -1;
    }
    for (size_t i = 0; authority[0] == '\0' && i < COUNT(clouds); i++) {
        if (strcmp(cloud, clouds[i].name) == 0) {
            return read_endpoint(clouds[i].authority, "cloud", 0, config, detail);
        }
    }
    if (authority[0] == '\0') {
        plugin_text_set(detail, "cloud: one of public, usgov, china is expected");
        return -1;
    }
    return read_endpoint(authority, "authority", 0, config, detail);
}

/* What says where, and who: a managed identity knows both by itself. */
static int read_place(json_t *root, struct entra_config *config, struct plugin_text *detail)
{
    static const char *const elsewhere[] = {"tenant", "cloud", "authority"};

    if (config->method == ENTRA_IMDS || config->method == ENTRA_APP_SERVICE) {
        for (size_t i = 0; i < COUNT(elsewhere); i++) {
            if (json_object_get(root, elsewhere[i]) != NULL) {
                plugin_text_set(detail, "%s: a managed identity belongs to its machine's tenant",
                                elsewhere[i]);
                return -1;
            }
        }
        return 0;
    }
    if (read_name(root, "tenant", config->tenant, detail) != 0) {
        return -1;
    }
    if (config->tenant[0] == '\0' || config->client_id[0] == '\0') {
        plugin_text_set(detail, "%s",
                        config->tenant[0] == '\0' ? "tenant: the directory's id or domain is needed"
                                                  : "client_id: the application's id is needed");
        return -1;
    }
    return read_authority(root, config, detail);
}

int entra_config_parse(struct leased_str json, struct entra_config *ret_config,
                       struct plugin_text *ret_detail)
{
    json_t *root = json_loadb(json.ptr, json.len, JSON_REJECT_DUPLICATES, NULL);
    struct entra_config config = {0};
    int rc = -1;

    if (!json_is_object(root)) {
        plugin_text_set(ret_detail, "the configuration is not a JSON object");
    } else if (plugin_config_check_keys(root, keys, COUNT(keys), "", ret_detail) == 0 &&
               read_name(root, "client_id", config.client_id, ret_detail) == 0 &&
               read_auth(json_object_get(root, "auth"), &config, ret_detail) == 0) {
        rc = read_place(root, &config, ret_detail);
    }
    json_decref(root);
    if (rc == 0) {
        *ret_config = config;
    }
    return rc;
}
