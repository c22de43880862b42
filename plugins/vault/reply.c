/* Happy path: scan the bytes for depth and width, parse, check every type that is used.
 *
 * Refused: compressed bodies, more levels or values than the host allows (a bomb would cost more
 * than the body), duplicate keys, wrong types, numbers that aren't whole or are out of range.
 * Unknown keys are fine. */
#include "reply.h"

#include <string.h>

#define AGE_DIGITS_MAX 9U

int64_t vault_header_age_s(const struct leased_http_reply *http)
{
    struct leased_str age = plugin_header(http, "age");
    int64_t seconds = 0;

    for (size_t i = 0; i < age.len; i++) {
        if (age.ptr[i] < '0' || age.ptr[i] > '9' || age.len > AGE_DIGITS_MAX) {
            return 0;
        }
        seconds = seconds * 10 + (age.ptr[i] - '0');
    }
    return seconds;
}

int64_t vault_aged_s(int64_t life_s, int64_t age_s)
{
    return life_s > age_s ? life_s - age_s : 0;
}

struct leased_str vault_reply_text(json_t *object, const char *key)
{
    json_t *value = json_object_get(object, key);

    return json_is_string(value)
               ? (struct leased_str){json_string_value(value), json_string_length(value)}
               : (struct leased_str){0};
}

int vault_reply_seconds(json_t *object, const char *key, int64_t *ret_value)
{
    json_t *value = json_object_get(object, key);

    if (value == NULL || json_is_null(value)) {
        return 0;
    }
    if (!json_is_integer(value) || json_integer_value(value) < 0 ||
        json_integer_value(value) > VAULT_SECONDS_MAX) {
        return -1;
    }
    *ret_value = json_integer_value(value);
    return 1;
}

/* NULL, or what is wrong. */
static const char *read_lease(struct vault_reply *reply)
{
    json_t *lease_id = json_object_get(reply->root, "lease_id");
    json_t *renewable = json_object_get(reply->root, "renewable");

    if (lease_id != NULL && !json_is_null(lease_id)) {
        if (!json_is_string(lease_id)) {
            return "lease_id is not a text";
        }
        reply->lease_id =
            (struct leased_str){json_string_value(lease_id), json_string_length(lease_id)};
    }
    if (renewable != NULL && !json_is_null(renewable)) {
        if (!json_is_boolean(renewable)) {
            return "renewable is not a boolean";
        }
        reply->is_renewable = json_is_true(renewable);
    }
    if (vault_reply_seconds(reply->root, "lease_duration", &reply->lease_duration_s) < 0) {
        return "lease_duration is not a number of seconds";
    }
    return NULL;
}

/* The object under `key`; NULL if absent or null. */
static const char *read_object(struct vault_reply *reply, const char *key, json_t **ret_object,
                               const char *problem)
{
    json_t *value = json_object_get(reply->root, key);

    if (value == NULL || json_is_null(value)) {
        return NULL;
    }
    if (!json_is_object(value)) {
        return problem;
    }
    *ret_object = value;
    return NULL;
}

static const char *read_warnings(struct vault_reply *reply)
{
    json_t *warnings = json_object_get(reply->root, "warnings");
    json_t *warning;
    size_t index;

    if (warnings == NULL || json_is_null(warnings)) {
        return NULL;
    }
    if (!json_is_array(warnings)) {
        return "warnings is not a list";
    }
    json_array_foreach (warnings, index, warning) {
        if (!json_is_string(warning)) {
            return "a warning is not a text";
        }
    }
    reply->warnings = warnings;
    return NULL;
}

int vault_reply_parse(const struct leased_http_reply *http, struct vault_reply *ret_reply,
                      struct plugin_text *ret_detail)
{
    struct vault_reply reply = {0};
    const char *problem = NULL;

    if (http->body.len > 0) {
        reply.root = plugin_reply_json(http, 0, &problem);
    }
    if (problem == NULL && reply.root != NULL) {
        problem = read_lease(&reply);
        if (problem == NULL) {
            problem = read_object(&reply, "data", &reply.data, "data is not an object");
        }
        if (problem == NULL) {
            problem = read_object(&reply, "auth", &reply.auth, "auth is not an object");
        }
        if (problem == NULL) {
            problem = read_warnings(&reply);
        }
    }
    if (problem != NULL) {
        plugin_text_set(ret_detail, "the answer can't be used: %s", problem);
        json_decref(reply.root);
        return -1;
    }
    *ret_reply = reply;
    return 0;
}

/* Such ids are nobody's: they are made of paths. */
static bool is_plain(struct leased_str lease_id)
{
    for (size_t i = 0; i < lease_id.len; i++) {
        if (lease_id.ptr[i] <= ' ' || lease_id.ptr[i] >= 0x7f) {
            return false;
        }
    }
    return lease_id.len > 0;
}

int vault_reply_salvage(const struct leased_http_reply *http, struct vault_reply *ret_reply)
{
    const char *problem = NULL;
    json_t *root = plugin_reply_json(http, JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL, &problem);
    struct leased_str lease_id = vault_reply_text(root, "lease_id");

    if (!is_plain(lease_id)) {
        json_decref(root);
        return -1;
    }
    *ret_reply = (struct vault_reply){.root = root, .lease_id = lease_id};
    return 0;
}

void vault_reply_fini(struct vault_reply *reply)
{
    json_decref(reply->root);
    *reply = (struct vault_reply){0};
}

bool vault_reply_is_envelope(const struct vault_reply *reply)
{
    return json_is_string(json_object_get(reply->root, "request_id"));
}

bool vault_reply_is_capped(const struct vault_reply *reply)
{
    json_t *warning;
    size_t index;

    json_array_foreach (reply->warnings, index, warning) {
        struct leased_str text = plugin_str(json_string_value(warning));

        if (plugin_str_has(text, "capped") || plugin_str_has(text, "exceeded")) {
            return true;
        }
    }
    return false;
}

static void add_message(struct vault_errors *errors, const char *message)
{
    size_t used = strlen(errors->text);
    size_t room = sizeof(errors->text) - used - 1;
    size_t len = strlen(message);

    if (used > 0 && room > 2) {
        memcpy(errors->text + used, "; ", 3);
        used += 2;
        room -= 2;
    }
    len = len < room ? len : room;
    memcpy(errors->text + used, message, len);
    errors->text[used + len] = '\0';
}

void vault_errors_parse(const struct leased_http_reply *http, struct vault_errors *ret_errors)
{
    const char *problem = NULL;
    json_t *root = http->body.len > 0 ? plugin_reply_json(http, 0, &problem) : NULL;
    json_t *list = json_object_get(root, "errors");
    json_t *item;
    size_t index;

    *ret_errors = (struct vault_errors){
        /* What isn't there may be told in a success's envelope. */
        .is_vault = json_is_array(list) ||
                    (http->status == 404 && (json_is_object(json_object_get(root, "data")) ||
                                             json_is_array(json_object_get(root, "warnings"))))};
    json_array_foreach (list, index, item) {
        if (json_is_string(item)) {
            add_message(ret_errors, json_string_value(item));
        }
    }
    ret_errors->is_plain_denial =
        json_array_size(list) == 1 && strcmp(ret_errors->text, "permission denied") == 0;
    json_decref(root);
}
