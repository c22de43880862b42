/* Reads a role's parameters. The rules for paths keep a template's value or a slip from reaching
 * another path than the role's author meant, and Vault from answering with a redirect to the
 * cleaned path. */
#include "params.h"

#include "common/when.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define REFRESH_MIN_S 1
#define REFRESH_MAX_S (365 * 86400)

static const char *const keys[] = {"path", "method", "params", "refresh", "revoke", "isolate"};

/* NULL, or what is wrong with the path. */
static const char *path_problem(const char *path)
{
    size_t len = strlen(path);

    if (len == 0 || len > VAULT_PATH_MAX_BYTES) {
        return "it must have 1 to 512 bytes";
    }
    for (size_t i = 0; i < len; i++) {
        if (path[i] <= 0x20 || path[i] >= 0x7f || strchr("?#%\\\"<>^`{|}", path[i]) != NULL) {
            return "it holds a character that a path can't have (blanks, control bytes and "
                   "?#%\\\"<>^`{|} are refused)";
        }
    }
    if (path[0] == '/' || strncmp(path, "v1/", 3) == 0) {
        return "it is written without leading \"/\" and \"v1/\", as in database/creds/orders";
    }
    if (strstr(path, "//") != NULL || path[len - 1] == '/') {
        return "it has an empty segment";
    }
    for (const char *at = path; at != NULL; at = strchr(at, '/')) {
        at += *at == '/' ? 1 : 0;
        if (strcspn(at, "/") <= 2 && strspn(at, ".") == strcspn(at, "/")) {
            return "\".\" and \"..\" are no segments of a path";
        }
    }
    return NULL;
}

static int check_keys(json_t *root, struct plugin_text *detail)
{
    const char *key;
    json_t *value;

    json_object_foreach (root, key, value) {
        const char *close;
        bool is_known = false;

        for (size_t i = 0; i < COUNT(keys); i++) {
            is_known = is_known || strcmp(key, keys[i]) == 0;
        }
        if (is_known) {
            continue;
        }
        close = plugin_suggest(key, keys, COUNT(keys));
        plugin_text_set(detail, "%.64s: unknown key%s%s%s", key,
                        close != NULL ? "; did you mean \"" : "", close != NULL ? close : "",
                        close != NULL
                            ? "\"?"
                            : "; there are path, method, params, refresh, revoke and isolate");
        return -1;
    }
    return 0;
}

/* A query can hold plain values only. */
static int check_query(json_t *params, struct plugin_text *detail)
{
    const char *key;
    json_t *value;

    json_object_foreach (params, key, value) {
        if (key[0] == '\0' || json_is_object(value) || json_is_array(value)) {
            plugin_text_set(detail,
                            "params.%.64s: with method get a text, number or boolean is expected",
                            key);
            return -1;
        }
    }
    return 0;
}

/* Without one it is what the path's shape asks for. */
static int read_method(struct vault_params *params, struct plugin_text *detail)
{
    json_t *method = json_object_get(params->root, "method");
    const char *name = json_string_value(method);

    params->is_post = params->shape.is_post;
    if (method == NULL) {
        return 0;
    }
    params->is_post = name != NULL && strcmp(name, "post") == 0;
    if (!params->is_post && (name == NULL || strcmp(name, "get") != 0)) {
        plugin_text_set(detail, "method: one of get, post is expected");
        return -1;
    }
    return 0;
}

/* What becomes of what was issued. */
static int read_life(struct vault_params *params, struct plugin_text *detail)
{
    json_t *refresh = json_object_get(params->root, "refresh");
    json_t *revoke = json_object_get(params->root, "revoke");

    if (json_is_string(refresh)) {
        params->refresh_s = plugin_when_duration(
            (struct leased_str){json_string_value(refresh), json_string_length(refresh)});
    } else if (json_is_integer(refresh)) {
        params->refresh_s = json_integer_value(refresh);
    }
    if (refresh != NULL &&
        (params->refresh_s < REFRESH_MIN_S || params->refresh_s > REFRESH_MAX_S)) {
        plugin_text_set(detail, "refresh: a duration between 1s and 365d is expected, such as 5m");
        return -1;
    }
    if (revoke != NULL && !json_is_boolean(revoke)) {
        plugin_text_set(detail, "revoke: true or false is expected");
        return -1;
    }
    params->is_unrevoked = json_is_false(revoke);
    return 0;
}

static int read_isolate(struct vault_params *params, struct plugin_text *detail)
{
    json_t *isolate = json_object_get(params->root, "isolate");

    if (isolate != NULL && !json_is_boolean(isolate)) {
        plugin_text_set(detail, "isolate: true or false is expected");
        return -1;
    }
    if (isolate != NULL) {
        params->isolate = json_is_true(isolate) ? VAULT_ISOLATE_ALWAYS : VAULT_ISOLATE_NEVER;
    }
    return 0;
}

static int read_fields(struct vault_params *params, struct plugin_text *detail)
{
    const char *problem;

    params->path = json_string_value(json_object_get(params->root, "path"));
    if (params->path == NULL) {
        plugin_text_set(detail, "path: a text is expected, such as database/creds/orders");
        return -1;
    }
    problem = path_problem(params->path);
    if (problem != NULL) {
        plugin_text_set(detail, "path: %s", problem);
        return -1;
    }
    params->params = json_object_get(params->root, "params");
    if (params->params != NULL && !json_is_object(params->params)) {
        plugin_text_set(detail, "params: an object is expected");
        return -1;
    }
    params->shape = vault_shape_of(params->path, params->params);
    if (read_method(params, detail) != 0 || read_life(params, detail) != 0 ||
        read_isolate(params, detail) != 0) {
        return -1;
    }
    return params->is_post ? 0 : check_query(params->params, detail);
}

int vault_params_parse(struct leased_str json, struct vault_params *ret_params,
                       struct plugin_text *ret_detail)
{
    struct vault_params params = {0};
    json_error_t problem;

    params.root = json_loadb(json.ptr, json.len, JSON_REJECT_DUPLICATES, &problem);
    if (!json_is_object(params.root)) {
        plugin_text_set(ret_detail, "the parameters are not a JSON object");
    } else if (check_keys(params.root, ret_detail) == 0 && read_fields(&params, ret_detail) == 0) {
        *ret_params = params;
        return 0;
    }
    vault_params_fini(&params);
    return -1;
}

int vault_params_want_ttl(struct vault_params *params, uint64_t ttl_s)
{
    char text[32];

    if (ttl_s == 0 || !params->shape.takes_ttl || json_object_get(params->params, "ttl") != NULL ||
        json_object_get(params->params, "not_after") != NULL) {
        return 0;
    }
    if (params->params == NULL) {
        params->params = json_object();
        if (json_object_set_new(params->root, "params", params->params) != 0) {
            params->params = NULL;
            return -1;
        }
    }
    (void)snprintf(text, sizeof(text), "%" PRIu64 "s", ttl_s);
    return json_object_set_new(params->params, "ttl", json_string(text));
}

void vault_params_fini(struct vault_params *params)
{
    json_decref(params->root);
    *params = (struct vault_params){0};
}
