/* What templates fill in must stay what it is: an email one segment of a path, a scope one word. */
#include "params.h"

#include "common/config.h"

#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define EMAIL_CHARS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._@-"
#define WORD_MAX_BYTES 256U
#define AUDIENCE_MAX_BYTES 1024U
#define LIST_MAX 32U

static const char *const keys[] = {"type", "scopes", "audience", "impersonate", "delegates"};

/* An email, or the account's number. */
static bool is_account(const char *text)
{
    return text != NULL && text[0] != '\0' && strlen(text) <= WORD_MAX_BYTES &&
           text[strspn(text, EMAIL_CHARS)] == '\0' && text[0] != '.';
}

static bool is_scope(const char *text)
{
    size_t len = text != NULL ? strlen(text) : 0;

    for (size_t i = 0; i < len; i++) {
        if (text[i] <= ' ' || text[i] >= 0x7f || text[i] == ',') {
            return false;
        }
    }
    return len > 0 && len <= WORD_MAX_BYTES;
}

static int read_list(const json_t *root, const char *key, bool (*is_fine)(const char *text),
                     const json_t **ret_list, struct plugin_text *detail)
{
    const json_t *list = json_object_get(root, key);
    bool is_list =
        json_is_array(list) && json_array_size(list) > 0 && json_array_size(list) <= LIST_MAX;

    for (size_t i = 0; is_list && i < json_array_size(list); i++) {
        is_list = is_fine(json_string_value(json_array_get(list, i)));
    }
    if (list != NULL && !is_list) {
        plugin_text_set(detail, "%s: a list of 1 to %u %s is expected", key, LIST_MAX,
                        is_fine == is_scope ? "scopes without blanks" : "service accounts' emails");
        return -1;
    }
    *ret_list = list;
    return 0;
}

static int read_type(struct gcp_params *params, struct plugin_text *detail)
{
    const json_t *type = json_object_get(params->root, "type");
    const char *name = type != NULL ? json_string_value(type) : "access_token";

    params->is_id = name != NULL && strcmp(name, "id_token") == 0;
    if (name == NULL || (!params->is_id && strcmp(name, "access_token") != 0)) {
        plugin_text_set(detail, "type: one of access_token, id_token is expected");
        return -1;
    }
    return 0;
}

static int read_account(struct gcp_params *params, struct plugin_text *detail)
{
    const json_t *impersonate = json_object_get(params->root, "impersonate");

    params->impersonate = json_string_value(impersonate);
    if (impersonate != NULL && !is_account(params->impersonate)) {
        plugin_text_set(detail, "impersonate: a service account's email is expected");
        return -1;
    }
    if (read_list(params->root, "delegates", is_account, &params->delegates, detail) != 0) {
        return -1;
    }
    if (params->delegates != NULL && impersonate == NULL) {
        plugin_text_set(detail, "delegates: goes with impersonate");
        return -1;
    }
    return 0;
}

/* An access token has scopes, an ID token an audience. */
static int read_purpose(struct gcp_params *params, struct plugin_text *detail)
{
    const json_t *audience = json_object_get(params->root, "audience");
    size_t len = json_string_length(audience);

    if (read_list(params->root, "scopes", is_scope, &params->scopes, detail) != 0) {
        return -1;
    }
    if (params->is_id ? params->scopes != NULL : audience != NULL) {
        plugin_text_set(detail, "%s: goes with type %s", params->is_id ? "scopes" : "audience",
                        params->is_id ? "access_token" : "id_token");
        return -1;
    }
    params->audience = json_string_value(audience);
    if (params->is_id && (len == 0 || len > AUDIENCE_MAX_BYTES)) {
        plugin_text_set(detail,
                        "audience: type id_token needs one, such as https://service.example");
        return -1;
    }
    for (size_t i = 0; i < len; i++) {
        if ((unsigned char)params->audience[i] < 0x20 || params->audience[i] == 0x7f) {
            plugin_text_set(detail, "audience: control characters are not allowed");
            return -1;
        }
    }
    return 0;
}

int gcp_params_parse(struct leased_str json, struct gcp_params *ret_params,
                     struct plugin_text *ret_detail)
{
    struct gcp_params params = {.root =
                                    json_loadb(json.ptr, json.len, JSON_REJECT_DUPLICATES, NULL)};

    if (!json_is_object(params.root)) {
        plugin_text_set(ret_detail, "the parameters are not a JSON object");
    } else if (plugin_config_check_keys(params.root, keys, COUNT(keys), "", ret_detail) == 0 &&
               read_type(&params, ret_detail) == 0 && read_account(&params, ret_detail) == 0 &&
               read_purpose(&params, ret_detail) == 0) {
        *ret_params = params;
        return 0;
    }
    gcp_params_fini(&params);
    return -1;
}

void gcp_params_fini(struct gcp_params *params)
{
    json_decref(params->root);
    *params = (struct gcp_params){0};
}
