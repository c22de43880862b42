/* scope and resource are two ways to say one thing: a client has no other scopes than those that it
 * was given for a resource, which is what /.default means. */
#include "params.h"

#include "common/config.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const char *const keys[] = {"scope", "resource"};

/* A blank would begin another scope. */
static bool is_one(const char *text)
{
    for (; *text != '\0'; text++) {
        if (*text <= ' ' || *text >= 0x7f) {
            return false;
        }
    }
    return true;
}

static int read(json_t *root, struct entra_params *params, struct plugin_text *detail)
{
    size_t len;

    if (plugin_config_text(root, "scope", params->scope, sizeof(params->scope), detail) != 0 ||
        plugin_config_text(root, "resource", params->resource, sizeof(params->resource), detail) !=
            0) {
        return -1;
    }
    if ((params->scope[0] == '\0') == (params->resource[0] == '\0')) {
        plugin_text_set(detail,
                        "scope: exactly one of scope (https://vault.azure.net/.default) and "
                        "resource (https://vault.azure.net) is expected");
        return -1;
    }
    if (params->scope[0] == '\0') {
        (void)snprintf(params->scope, sizeof(params->scope), "%s" ENTRA_DEFAULT, params->resource);
        if (!is_one(params->scope)) {
            plugin_text_set(detail, "resource: one resource without blanks is expected");
            return -1;
        }
        return 0;
    }
    len = strlen(params->scope);
    if (!is_one(params->scope) || len <= strlen(ENTRA_DEFAULT) ||
        strcmp(params->scope + len - strlen(ENTRA_DEFAULT), ENTRA_DEFAULT) != 0) {
        plugin_text_set(detail, "scope: one resource and " ENTRA_DEFAULT
                                " is expected, such as https://vault.azure.net" ENTRA_DEFAULT);
        return -1;
    }
    (void)snprintf(params->resource, sizeof(params->resource), "%.*s",
                   (int)(len - strlen(ENTRA_DEFAULT)), params->scope);
    return 0;
}

int entra_params_parse(struct leased_str json, struct entra_params *ret_params,
                       struct plugin_text *ret_detail)
{
    json_t *root = json_loadb(json.ptr, json.len, JSON_REJECT_DUPLICATES, NULL);
    struct entra_params params = {{0}, {0}};
    int rc = -1;

    if (!json_is_object(root)) {
        plugin_text_set(ret_detail, "the parameters are not a JSON object");
    } else if (plugin_config_check_keys(root, keys, COUNT(keys), "", ret_detail) == 0) {
        rc = read(root, &params, ret_detail);
    }
    json_decref(root);
    if (rc == 0) {
        *ret_params = params;
    }
    return rc;
}
