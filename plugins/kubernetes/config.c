/* Each failure names the key and what was expected. */
#include "config.h"

#include <stdio.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define POD_TOKEN "shared-file:/var/run/secrets/kubernetes.io/serviceaccount/token"

static const char *const known_keys[] = {"auth", "token_file", "token_env", "token_credential"};

/* The kubelet writes there, and lets all of the pod read. */
static bool is_kubelets(const char *path)
{
    static const char *const folders[] = {"/var/run/secrets/", "/run/secrets/"};

    for (size_t i = 0; i < COUNT(folders); i++) {
        if (strncmp(path, folders[i], strlen(folders[i])) == 0) {
            return true;
        }
    }
    return false;
}

static int read_method(json_t *root, struct kubernetes_config *config, struct plugin_text *detail)
{
    char method[16] = "token";

    if (plugin_config_text(root, "auth", method, sizeof(method), detail) != 0) {
        return -1;
    }
    config->is_certificate = strcmp(method, "certificate") == 0;
    if (!config->is_certificate && strcmp(method, "token") != 0) {
        plugin_text_set(detail, "auth: token or certificate is expected");
        return -1;
    }
    return 0;
}

static int read_token(json_t *root, struct kubernetes_config *config, struct plugin_text *detail)
{
    const char *path = json_string_value(json_object_get(root, "token_file"));
    const char *kind = path != NULL && is_kubelets(path) ? "shared-file" : "file";

    if (plugin_config_source(root, "token", kind, &config->token, detail) != 0) {
        return -1;
    }
    if (config->is_certificate && config->token.text[0] != '\0') {
        plugin_text_set(detail, "auth: with certificate no token is sent; take it or the token "
                                "out");
        return -1;
    }
    if (config->token.text[0] == '\0') {
        (void)snprintf(config->token.text, sizeof(config->token.text), "%s", POD_TOKEN);
    }
    return 0;
}

static int check_keys(json_t *root, struct plugin_text *detail)
{
    if (json_object_get(root, "kubeconfig_file") != NULL) {
        plugin_text_set(detail, "kubeconfig_file: kubeconfigs aren't read; what is in them goes "
                                "into `address`, `ca_file` and `token_file`, or `cert_file` and "
                                "`key_file` with `auth: certificate`");
        return -1;
    }
    return plugin_config_check_keys(root, known_keys, COUNT(known_keys), "", detail);
}

int kubernetes_config_parse(struct leased_str json, struct kubernetes_config *ret_config,
                            struct plugin_text *ret_detail)
{
    struct kubernetes_config config = {0};
    json_t *root = json_loadb(json.ptr, json.len, JSON_REJECT_DUPLICATES, NULL);
    int rc = -1;

    if (!json_is_object(root)) {
        plugin_text_set(ret_detail, "the configuration is not a JSON object");
    } else if (check_keys(root, ret_detail) == 0 && read_method(root, &config, ret_detail) == 0) {
        rc = read_token(root, &config, ret_detail);
    }
    json_decref(root);
    if (rc == 0) {
        *ret_config = config;
    }
    return rc;
}
