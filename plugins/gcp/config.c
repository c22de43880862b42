/* A table of methods with the keys of each; what a method can't use is refused. */
#include "config.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define PLACES(name) name "_file", name "_env", name "_credential"
#define PROVIDER_PREFIX "//iam.googleapis.com/"

static const char *const keys[] = {"auth", "endpoints"};
static const char *const federated_keys[] = {"method", "audience", "token_type", "user_project",
                                             PLACES("token")};
static const char *const key_keys[] = {"method", "subject", PLACES("key")};
static const char *const metadata_keys[] = {"method", "service_account"};
static const char *const endpoint_keys[GCP_ENDPOINT_COUNT] = {"sts", "iamcredentials", "token",
                                                              "metadata"};
static const char *const usual[GCP_ENDPOINT_COUNT] = {"https://sts.googleapis.com",
                                                      "https://iamcredentials.googleapis.com", "",
                                                      "http://metadata.google.internal"};

static const struct method {
    const char *name;
    enum gcp_method method;
    const char *const *keys;
    size_t key_count;
    const char *source;    /* what `source` is called; NULL: there is none */
    const char *file_kind; /* of its file */
} methods[] = {
    /* The kubelet writes it, readable by all of its pod. */
    {"federated", GCP_FEDERATED, federated_keys, COUNT(federated_keys), "token", "shared-file"},
    {"service_account_key", GCP_KEY, key_keys, COUNT(key_keys), "key", "file"},
    {"metadata", GCP_METADATA, metadata_keys, COUNT(metadata_keys), NULL, NULL},
};

static bool is_printable(const char *text)
{
    for (; *text != '\0'; text++) {
        if (*text <= ' ' || *text >= 0x7f) {
            return false;
        }
    }
    return true;
}

/* A text without blanks. */
static int read_word(json_t *auth, const char *key, char *out, size_t out_size,
                     struct plugin_text *detail)
{
    if (plugin_config_text(auth, key, out, out_size, detail) != 0) {
        return plugin_config_inside("auth.", detail);
    }
    if (!is_printable(out)) {
        plugin_text_set(detail, "auth.%s: blanks and control characters are not allowed", key);
        return -1;
    }
    return 0;
}

static int read_federated(json_t *auth, struct gcp_config *config, struct plugin_text *detail)
{
    static const char *const types[] = {"jwt", "id_token", "saml2"};

    (void)snprintf(config->token_type, sizeof(config->token_type), "jwt");
    if (read_word(auth, "audience", config->audience, sizeof(config->audience), detail) != 0 ||
        read_word(auth, "token_type", config->token_type, sizeof(config->token_type), detail) !=
            0 ||
        read_word(auth, "user_project", config->user_project, sizeof(config->user_project),
                  detail) != 0) {
        return -1;
    }
    if (strncmp(config->audience, PROVIDER_PREFIX, strlen(PROVIDER_PREFIX)) != 0) {
        plugin_text_set(detail,
                        "auth.audience: the provider's full name is expected: " PROVIDER_PREFIX
                        "projects/NUMBER/locations/global/workloadIdentityPools/POOL/"
                        "providers/PROVIDER");
        return -1;
    }
    for (size_t i = 0; i < COUNT(types); i++) {
        if (strcmp(config->token_type, types[i]) == 0) {
            return 0;
        }
    }
    plugin_text_set(detail, "auth.token_type: one of jwt, id_token, saml2 is expected");
    return -1;
}

/* It becomes a segment of a path. */
static int read_metadata(json_t *auth, struct gcp_config *config, struct plugin_text *detail)
{
    (void)snprintf(config->account, sizeof(config->account), "default");
    if (read_word(auth, "service_account", config->account, sizeof(config->account), detail) != 0) {
        return -1;
    }
    if (strpbrk(config->account, "/?#%\\") != NULL || strstr(config->account, "..") != NULL) {
        plugin_text_set(detail, "auth.service_account: an email or \"default\" is expected");
        return -1;
    }
    return 0;
}

static int read_source(json_t *auth, const struct method *method, struct gcp_config *config,
                       struct plugin_text *detail)
{
    if (method->source == NULL) {
        return 0;
    }
    if (plugin_config_source(auth, method->source, method->file_kind, &config->source, detail) !=
        0) {
        return plugin_config_inside("auth.", detail);
    }
    if (config->source.text[0] == '\0') {
        plugin_text_set(detail, "auth: method %s needs %s_file, %s_env or %s_credential",
                        method->name, method->source, method->source, method->source);
        return -1;
    }
    return 0;
}

static int read_method(json_t *auth, const struct method *method, struct gcp_config *config,
                       struct plugin_text *detail)
{
    config->method = method->method;
    if (plugin_config_check_keys(auth, method->keys, method->key_count, "auth.", detail) != 0 ||
        read_source(auth, method, config, detail) != 0) {
        return -1;
    }
    switch (method->method) {
    case GCP_FEDERATED:
        return read_federated(auth, config, detail);
    case GCP_METADATA:
        return read_metadata(auth, config, detail);
    case GCP_KEY:
    default:
        return read_word(auth, "subject", config->subject, sizeof(config->subject), detail);
    }
}

static int read_auth(json_t *auth, struct gcp_config *config, struct plugin_text *detail)
{
    const char *name = json_string_value(json_object_get(auth, "method"));

    if (!json_is_object(auth)) {
        plugin_text_set(detail, "auth: an object is expected, such as {method: "
                                "service_account_key, key_file: …}");
        return -1;
    }
    for (size_t i = 0; i < COUNT(methods); i++) {
        if (name != NULL && strcmp(name, methods[i].name) == 0) {
            return read_method(auth, &methods[i], config, detail);
        }
    }
    plugin_text_set(detail,
                    "auth.method: one of federated, service_account_key, metadata is expected");
    return -1;
}

static int read_endpoint(json_t *endpoints, size_t i, struct gcp_config *config,
                         struct plugin_text *detail)
{
    char url[PLUGIN_ENDPOINT_MAX_BYTES] = "";
    unsigned flags = i == GCP_ENDPOINT_METADATA ? (unsigned)PLUGIN_ENDPOINT_METADATA : 0;
    const char *problem;

    (void)snprintf(url, sizeof(url), "%s", usual[i]);
    if (plugin_config_text(endpoints, endpoint_keys[i], url, sizeof(url), detail) != 0) {
        return plugin_config_inside("endpoints.", detail);
    }
    if (url[0] == '\0') {
        return 0;
    }
    problem = plugin_endpoint_parse(plugin_str(url), flags, &config->endpoints[i]);
    if (problem == NULL && config->endpoints[i].path[0] != '\0' &&
        strcmp(config->endpoints[i].path, "/") != 0) {
        problem = "an address without a path is expected";
    }
    if (problem != NULL) {
        plugin_text_set(detail, "endpoints.%s: %s", endpoint_keys[i], problem);
        return -1;
    }
    config->endpoints[i].path[0] = '\0';
    return 0;
}

static int read_endpoints(json_t *endpoints, struct gcp_config *config, struct plugin_text *detail)
{
    if (endpoints != NULL && !json_is_object(endpoints)) {
        plugin_text_set(detail, "endpoints: an object is expected, such as {sts: https://…}");
        return -1;
    }
    if (plugin_config_check_keys(endpoints, endpoint_keys, COUNT(endpoint_keys), "endpoints.",
                                 detail) != 0) {
        return -1;
    }
    for (size_t i = 0; i < GCP_ENDPOINT_COUNT; i++) {
        if (read_endpoint(endpoints, i, config, detail) != 0) {
            return -1;
        }
    }
    return 0;
}

int gcp_config_parse(struct leased_str json, struct gcp_config *ret_config,
                     struct plugin_text *ret_detail)
{
    json_t *root = json_loadb(json.ptr, json.len, JSON_REJECT_DUPLICATES, NULL);
    struct gcp_config config = {0};
    int rc = -1;

    if (!json_is_object(root)) {
        plugin_text_set(ret_detail, "the configuration is not a JSON object");
    } else if (plugin_config_check_keys(root, keys, COUNT(keys), "", ret_detail) == 0 &&
               read_auth(json_object_get(root, "auth"), &config, ret_detail) == 0) {
        rc = read_endpoints(json_object_get(root, "endpoints"), &config, ret_detail);
    }
    json_decref(root);
    if (rc == 0) {
        *ret_config = config;
    }
    return rc;
}
