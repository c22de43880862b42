/* Names are checked letter by letter: they come from templates, too, and become parts of paths. */
#include "params.h"

#include "common/config.h"

#include <stdio.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define AUDIENCES_MAX 32U
#define AUDIENCE_MAX_BYTES 512U
#define UID_MAX_BYTES 64

static const char *const known_keys[] = {"namespace", "service_account", "audiences",
                                         "bound_object", "revoke"};
static const char *const bound_keys[] = {"kind", "name", "uid"};

bool kubernetes_is_name(struct leased_str name, size_t most_bytes)
{
    for (size_t i = 0; i < name.len; i++) {
        char c = name.ptr[i];
        bool is_letter = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
        bool is_end = i == 0 || i + 1 == name.len;

        if (!is_letter && (is_end || (c != '-' && c != '.'))) {
            return false;
        }
    }
    return name.len > 0 && name.len <= most_bytes;
}

static int read_name(json_t *root, const char *key, char *out, size_t out_size,
                     struct plugin_text *detail)
{
    if (json_object_get(root, key) == NULL) {
        plugin_text_set(detail, "`%s` is missing", key);
        return -1;
    }
    if (plugin_config_text(root, key, out, out_size, detail) != 0) {
        return -1;
    }
    if (!kubernetes_is_name(plugin_str(out), out_size - 1)) {
        plugin_text_set(detail,
                        "%s: a name as Kubernetes has them is expected: small letters, digits, "
                        "\"-\" and \".\"",
                        key);
        return -1;
    }
    return 0;
}

static int read_audiences(json_t *root, struct kubernetes_params *params,
                          struct plugin_text *detail)
{
    json_t *list = json_object_get(root, "audiences");
    json_t *value;
    size_t index;

    if (list == NULL) {
        params->audiences = json_array();
        return params->audiences != NULL ? 0 : -1;
    }
    if (!json_is_array(list) || json_array_size(list) == 0 ||
        json_array_size(list) > AUDIENCES_MAX) {
        plugin_text_set(detail,
                        "audiences: a list of 1 to %u texts is expected; without the key "
                        "the token is for the API server itself",
                        AUDIENCES_MAX);
        return -1;
    }
    json_array_foreach (list, index, value) {
        if (!json_is_string(value) || json_string_length(value) == 0 ||
            json_string_length(value) > AUDIENCE_MAX_BYTES) {
            plugin_text_set(detail, "audiences: texts of 1 to %u bytes are expected",
                            AUDIENCE_MAX_BYTES);
            return -1;
        }
    }
    params->audiences = json_incref(list);
    return 0;
}

/* --- what it is bound to ---------------------------------------------------------------------- */

static bool is_kind(const char *kind)
{
    static const char *const kinds[] = {"Pod", "Secret", "Node"};

    for (size_t i = 0; i < COUNT(kinds); i++) {
        if (strcmp(kind, kinds[i]) == 0) {
            return true;
        }
    }
    return false;
}

static int read_bound(json_t *root, struct kubernetes_params *params, struct plugin_text *detail)
{
    json_t *object = json_object_get(root, "bound_object");
    char kind[16] = "";
    char name[KUBERNETES_NAME_MAX_BYTES] = "";
    char uid[UID_MAX_BYTES] = "";

    if (object == NULL) {
        return 0;
    }
    if (json_is_object(object) && plugin_config_check_keys(object, bound_keys, COUNT(bound_keys),
                                                           "bound_object.", detail) != 0) {
        return -1;
    }
    if (!json_is_object(object) ||
        plugin_config_text(object, "kind", kind, sizeof(kind), detail) != 0 ||
        plugin_config_text(object, "name", name, sizeof(name), detail) != 0 ||
        plugin_config_text(object, "uid", uid, sizeof(uid), detail) != 0 || !is_kind(kind) ||
        !kubernetes_is_name(plugin_str(name), sizeof(name) - 1)) {
        plugin_text_set(detail, "bound_object: kind (Pod, Secret or Node) and name are expected, "
                                "and where it is known the uid");
        return -1;
    }
    params->bound = json_pack("{s:s, s:s, s:s}", "kind", kind, "apiVersion", "v1", "name", name);
    if (params->bound == NULL) {
        return -1;
    }
    return uid[0] == '\0' ? 0 : json_object_set_new(params->bound, "uid", json_string(uid));
}

static int read_revoke(json_t *root, struct kubernetes_params *params, struct plugin_text *detail)
{
    char how[16] = "";

    if (plugin_config_text(root, "revoke", how, sizeof(how), detail) != 0) {
        return -1;
    }
    params->is_bound_to_secret = strcmp(how, "bound-secret") == 0;
    if (how[0] != '\0' && !params->is_bound_to_secret) {
        plugin_text_set(detail, "revoke: bound-secret is expected; without the key a token lives "
                                "to its end");
        return -1;
    }
    if (params->is_bound_to_secret && params->bound != NULL) {
        plugin_text_set(detail, "revoke: bound-secret binds the token to a Secret of its own, so "
                                "`bound_object` must not be given");
        return -1;
    }
    return 0;
}

/* --- all -------------------------------------------------------------------------------------- */

int kubernetes_params_parse(struct leased_str json, struct kubernetes_params *ret_params,
                            struct plugin_text *ret_detail)
{
    struct kubernetes_params params = {0};
    json_t *root = json_loadb(json.ptr, json.len, JSON_REJECT_DUPLICATES, NULL);
    int rc = -1;

    plugin_text_set(ret_detail, "out of memory");
    if (!json_is_object(root)) {
        plugin_text_set(ret_detail, "the parameters are not a JSON object");
    } else if (plugin_config_check_keys(root, known_keys, COUNT(known_keys), "", ret_detail) == 0 &&
               read_name(root, "namespace", params.namespace_name, sizeof(params.namespace_name),
                         ret_detail) == 0 &&
               read_name(root, "service_account", params.account, sizeof(params.account),
                         ret_detail) == 0 &&
               read_audiences(root, &params, ret_detail) == 0 &&
               read_bound(root, &params, ret_detail) == 0) {
        rc = read_revoke(root, &params, ret_detail);
    }
    json_decref(root);
    if (rc != 0) {
        kubernetes_params_fini(&params);
        return -1;
    }
    *ret_params = params;
    return 0;
}

void kubernetes_params_fini(struct kubernetes_params *params)
{
    json_decref(params->audiences);
    json_decref(params->bound);
    params->audiences = params->bound = NULL;
}
