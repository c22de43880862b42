/* Names are checked letter by letter: they come from templates, too, and become parts of paths. An
 * empty list is refused, because to GitHub it means everything. */
#include "params.h"

#include "common/config.h"

#include <stdio.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define REPOSITORIES_MAX 500U
#define PERMISSIONS_MAX 100U
#define NAME_MAX_BYTES 100U

static const char *const known_keys[] = {"installation_id", "owner", "repositories",
                                         "repository_ids", "permissions"};

/* --- names ------------------------------------------------------------------------------------ */

static bool is_name(const char *name, size_t len)
{
    static const char allowed[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-";

    for (size_t i = 0; i < len; i++) {
        if (strchr(allowed, name[i]) == NULL) {
            return false;
        }
    }
    return len > 0 && len <= NAME_MAX_BYTES && !(len == 1 && name[0] == '.') &&
           !(len == 2 && memcmp(name, "..", 2) == 0);
}

static bool is_number(const char *text)
{
    size_t len = strlen(text);

    return len > 0 && len < GITHUB_ID_MAX_BYTES && text[0] != '0' &&
           text[strspn(text, "0123456789")] == '\0';
}

/* --- whose ------------------------------------------------------------------------------------ */

static int read_owner(json_t *root, struct github_params *params, struct plugin_text *detail)
{
    const char *slash;
    size_t len;

    if (plugin_config_text(root, "owner", params->owner, sizeof(params->owner), detail) != 0) {
        return -1;
    }
    slash = strchr(params->owner, '/');
    len = slash != NULL ? (size_t)(slash - params->owner) : strlen(params->owner);
    if (params->owner[0] != '\0' && (!is_name(params->owner, len) ||
                                     (slash != NULL && !is_name(slash + 1, strlen(slash + 1))))) {
        plugin_text_set(detail, "owner: the name of an organization or a user is expected, or "
                                "OWNER/REPOSITORY");
        return -1;
    }
    return 0;
}

static int read_installation(json_t *root, struct github_params *params, struct plugin_text *detail)
{
    json_t *value = json_object_get(root, "installation_id");

    if (json_is_integer(value) && json_integer_value(value) > 0) {
        (void)snprintf(params->installation, sizeof(params->installation), "%" JSON_INTEGER_FORMAT,
                       json_integer_value(value));
    } else if (json_is_string(value) && is_number(json_string_value(value))) {
        (void)snprintf(params->installation, sizeof(params->installation), "%s",
                       json_string_value(value));
    } else if (value != NULL) {
        plugin_text_set(detail, "installation_id: a number is expected");
        return -1;
    }
    return 0;
}

static int check_whose(const struct github_params *params, struct plugin_text *detail)
{
    bool has_id = params->installation[0] != '\0';
    bool has_owner = params->owner[0] != '\0';

    if (has_id == has_owner) {
        plugin_text_set(detail, has_id ? "owner: it is not needed beside `installation_id`"
                                       : "one of `owner` and `installation_id` is missing: whose "
                                         "installation of the app the token is for");
        return -1;
    }
    return 0;
}

/* --- of what ---------------------------------------------------------------------------------- */

static int check_repository(const json_t *value, struct plugin_text *detail)
{
    if (json_is_string(value) && strchr(json_string_value(value), '/') != NULL) {
        plugin_text_set(detail, "repositories: names without their owner are expected, who is "
                                "the installation's");
        return -1;
    }
    if (!json_is_string(value) || !is_name(json_string_value(value), json_string_length(value))) {
        plugin_text_set(detail, "repositories: a list of names of repositories is expected");
        return -1;
    }
    return 0;
}

static int check_repository_id(const json_t *value, struct plugin_text *detail)
{
    if (!json_is_integer(value) || json_integer_value(value) <= 0) {
        plugin_text_set(detail, "repository_ids: a list of numbers is expected");
        return -1;
    }
    return 0;
}

static int read_list(json_t *root, const char *key,
                     int (*check)(const json_t *value, struct plugin_text *detail),
                     struct github_params *params, struct plugin_text *detail)
{
    json_t *list = json_object_get(root, key);
    json_t *value;
    size_t index;

    if (list == NULL) {
        return 0;
    }
    if (!json_is_array(list) || json_array_size(list) == 0 ||
        json_array_size(list) > REPOSITORIES_MAX) {
        plugin_text_set(detail,
                        "%s: a list of 1 to %u is expected; without the key the token is "
                        "for all that the installation has",
                        key, REPOSITORIES_MAX);
        return -1;
    }
    json_array_foreach (list, index, value) {
        if (check(value, detail) != 0) {
            return -1;
        }
    }
    return json_object_set(params->scope, key, list);
}

static bool is_permission(const char *name, const json_t *level)
{
    static const char *const levels[] = {"read", "write", "admin"};
    size_t len = strlen(name);

    if (len == 0 || len > NAME_MAX_BYTES ||
        name[strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_")] != '\0') {
        return false;
    }
    for (size_t i = 0; json_is_string(level) && i < COUNT(levels); i++) {
        if (strcmp(json_string_value(level), levels[i]) == 0) {
            return true;
        }
    }
    return false;
}

static int read_permissions(json_t *root, struct github_params *params, struct plugin_text *detail)
{
    json_t *permissions = json_object_get(root, "permissions");
    const char *name;
    json_t *level;

    if (permissions == NULL) {
        return 0;
    }
    if (!json_is_object(permissions) || json_object_size(permissions) == 0 ||
        json_object_size(permissions) > PERMISSIONS_MAX) {
        plugin_text_set(detail, "permissions: names with read, write or admin are expected, as "
                                "{contents: read}; without the key the token has all of the "
                                "installation's");
        return -1;
    }
    json_object_foreach (permissions, name, level) {
        if (!is_permission(name, level)) {
            plugin_text_set(detail,
                            "permissions.%.60s: read, write or admin is expected, for a name as "
                            "GitHub's API has it (contents, pull_requests)",
                            name);
            return -1;
        }
    }
    return json_object_set(params->scope, "permissions", permissions);
}

/* --- all -------------------------------------------------------------------------------------- */

int github_params_parse(struct leased_str json, struct github_params *ret_params,
                        struct plugin_text *ret_detail)
{
    struct github_params params = {.scope = json_object()};
    json_t *root = json_loadb(json.ptr, json.len, JSON_REJECT_DUPLICATES, NULL);
    int rc = -1;

    plugin_text_set(ret_detail, "out of memory");
    if (!json_is_object(root) || params.scope == NULL) {
        plugin_text_set(ret_detail, "the parameters are not a JSON object");
    } else if (plugin_config_check_keys(root, known_keys, COUNT(known_keys), "", ret_detail) == 0 &&
               read_owner(root, &params, ret_detail) == 0 &&
               read_installation(root, &params, ret_detail) == 0 &&
               check_whose(&params, ret_detail) == 0 &&
               read_list(root, "repositories", check_repository, &params, ret_detail) == 0 &&
               read_list(root, "repository_ids", check_repository_id, &params, ret_detail) == 0) {
        rc = read_permissions(root, &params, ret_detail);
    }
    json_decref(root);
    if (rc != 0) {
        json_decref(params.scope);
        return -1;
    }
    *ret_params = params;
    return 0;
}

void github_params_fini(struct github_params *params)
{
    json_decref(params->scope);
    params->scope = NULL;
}
