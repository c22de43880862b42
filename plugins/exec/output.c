/* Strict about what it knows: a form that is almost right would hand out half a credential. */
#include "output.h"

#include "common/when.h"

#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

struct aws_field {
    const char *key;
    const char *name;
    bool is_secret;
    bool is_required;
};

static const struct aws_field aws_fields[] = {
    {"AccessKeyId", "access_key_id", false, true},
    {"SecretAccessKey", "secret_access_key", true, true},
    {"SessionToken", "session_token", true, false},
};

static const char *const own_keys[] = {"fields", "secret", "ttl", "expires_at", "ref"};

static int fail(struct plugin_text *detail, const char *what)
{
    plugin_text_set(detail, "what the program printed can't be used: %s", what);
    return -1;
}

static struct leased_str text_of(const json_t *value)
{
    return (struct leased_str){json_string_value(value), json_string_length(value)};
}

static bool is_one_line(struct leased_str text)
{
    for (size_t i = 0; i < text.len; i++) {
        if ((unsigned char)text.ptr[i] < 0x20 || text.ptr[i] == 0x7f) {
            return false;
        }
    }
    return true;
}

static bool is_listed(const char *name, json_t *list)
{
    json_t *item;
    size_t i;

    json_array_foreach (list, i, item) {
        if (json_is_string(item) && strcmp(json_string_value(item), name) == 0) {
            return true;
        }
    }
    return false;
}

/* ---- the moment of its end ---------------------------------------------------- */

static int take_expiry(json_t *value, struct exec_output *output, struct plugin_text *detail)
{
    output->expires_s = json_is_string(value) ? plugin_when_rfc3339(text_of(value)) : -1;
    return output->expires_s > 0 ? 0
                                 : fail(detail, "its end is no time such as 2026-11-30T17:00:00Z");
}

static int take_ttl(json_t *value, struct exec_output *output, struct plugin_text *detail)
{
    output->ttl_s = json_is_integer(value) ? json_integer_value(value) : -1;
    return output->ttl_s > 0 && output->ttl_s <= EXEC_TTL_MAX_S
               ? 0
               : fail(detail, "\"ttl\" is no number of seconds from 1 to ten years");
}

static int take_life(json_t *root, struct exec_output *output, struct plugin_text *detail)
{
    json_t *ttl = json_object_get(root, "ttl");
    json_t *end = json_object_get(root, "expires_at");

    if ((ttl == NULL) == (end == NULL)) {
        return fail(detail, "one of \"ttl\" and \"expires_at\" is needed: how long it lives");
    }
    return ttl != NULL ? take_ttl(ttl, output, detail) : take_expiry(end, output, detail);
}

/* ---- its own form ------------------------------------------------------------- */

static bool has_unknown_key(json_t *root)
{
    const char *key;
    json_t *value;

    json_object_foreach (root, key, value) {
        bool is_known = false;

        for (size_t i = 0; i < COUNT(own_keys); i++) {
            is_known = is_known || strcmp(key, own_keys[i]) == 0;
        }
        if (!is_known) {
            return true;
        }
    }
    return false;
}

/* Without the list only a field that is named "username" isn't secret. */
static int check_secret(json_t *secret, json_t *fields, struct plugin_text *detail)
{
    json_t *item;
    size_t i;

    if (secret == NULL) {
        return 0;
    }
    if (!json_is_array(secret)) {
        return fail(detail, "\"secret\" is no list of names");
    }
    json_array_foreach (secret, i, item) {
        if (!json_is_string(item) || json_object_get(fields, json_string_value(item)) == NULL) {
            return fail(detail, "\"secret\" names a field that isn't there");
        }
    }
    return 0;
}

static int take_fields(json_t *root, struct exec_output *output, struct plugin_text *detail)
{
    json_t *fields = json_object_get(root, "fields");
    json_t *secret = json_object_get(root, "secret");
    const char *name;
    json_t *value;

    if (!json_is_object(fields) || json_object_size(fields) == 0 ||
        json_object_size(fields) > EXEC_FIELDS_MAX) {
        return fail(detail, "\"fields\" is no object of 1 to 32 fields");
    }
    if (check_secret(secret, fields, detail) != 0) {
        return -1;
    }
    json_object_foreach (fields, name, value) {
        bool is_secret = secret != NULL ? is_listed(name, secret) : strcmp(name, "username") != 0;

        if (!json_is_string(value) || json_string_length(value) == 0) {
            return fail(detail, "a field is no text, or an empty one");
        }
        output->fields[output->field_count++] =
            (struct leased_kv){.key = plugin_str(name),
                               .value = text_of(value),
                               .flags = is_secret ? LEASED_KV_SECRET : 0};
    }
    return 0;
}

static int take_ref(json_t *root, struct exec_output *output, struct plugin_text *detail)
{
    json_t *ref = json_object_get(root, "ref");

    if (ref == NULL) {
        return 0;
    }
    output->ref = text_of(ref);
    return json_is_string(ref) && output->ref.len > 0 && output->ref.len <= EXEC_REF_MAX_BYTES &&
                   is_one_line(output->ref)
               ? 0
               : fail(detail, "\"ref\" is no line of 1 to 1024 bytes");
}

static int take_own(json_t *root, struct exec_output *output, struct plugin_text *detail)
{
    if (has_unknown_key(root)) {
        return fail(detail, "it has another key than fields, secret, ttl, expires_at and ref");
    }
    return take_ref(root, output, detail) == 0 && take_fields(root, output, detail) == 0
               ? take_life(root, output, detail)
               : -1;
}

/* ---- AWS's form --------------------------------------------------------------- */

/* Other keys may be there: newer tools say more than they did. */
static int take_aws(json_t *root, struct exec_output *output, struct plugin_text *detail)
{
    json_t *version = json_object_get(root, "Version");

    if (!json_is_integer(version) || json_integer_value(version) != 1) {
        return fail(detail, "\"Version\" is not 1");
    }
    for (size_t i = 0; i < COUNT(aws_fields); i++) {
        json_t *value = json_object_get(root, aws_fields[i].key);

        if (value == NULL && !aws_fields[i].is_required) {
            continue;
        }
        if (!json_is_string(value) || json_string_length(value) == 0) {
            return fail(detail, "AccessKeyId, SecretAccessKey or SessionToken is no text");
        }
        output->fields[output->field_count++] =
            (struct leased_kv){.key = plugin_str(aws_fields[i].name),
                               .value = text_of(value),
                               .flags = aws_fields[i].is_secret ? LEASED_KV_SECRET : 0};
    }
    if (json_object_get(root, "Expiration") == NULL) {
        return fail(detail, "without \"Expiration\" it is a credential that never ends");
    }
    return take_expiry(json_object_get(root, "Expiration"), output, detail);
}

int exec_output_parse(struct leased_str json, struct exec_output *ret_output,
                      struct plugin_text *ret_detail)
{
    struct exec_output output = {0};
    json_error_t problem;
    int rc;

    output.root =
        json_loadb(json.len > 0 ? json.ptr : "", json.len, JSON_REJECT_DUPLICATES, &problem);
    if (!json_is_object(output.root)) {
        rc = fail(ret_detail, json.len == 0 ? "nothing" : "it is no JSON object");
    } else if (json_object_get(output.root, "Version") != NULL) {
        rc = take_aws(output.root, &output, ret_detail);
    } else {
        rc = take_own(output.root, &output, ret_detail);
    }
    if (rc != 0) {
        exec_output_free(&output);
        return -1;
    }
    *ret_output = output;
    return 0;
}

void exec_output_free(struct exec_output *output)
{
    json_decref(output->root);
    output->root = NULL;
}
