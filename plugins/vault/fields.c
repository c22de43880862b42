/* Values that aren't texts are written out into secret memory; the rest is borrowed from the reply.
 */
#include "fields.h"

#include "common/dump.h"

#include <string.h>

#define VERSION "metadata.version"

static int write_out(struct vault_fields *fields, const json_t *value, struct leased_str *ret_text)
{
    size_t size = 0;
    char *text = plugin_dump(fields->host, value, &size);

    if (text == NULL) {
        return -1;
    }
    fields->texts[fields->count] = text;
    *ret_text = (struct leased_str){text, size};
    return 0;
}

static int32_t add(struct vault_fields *fields, const char *name, const json_t *value,
                   struct plugin_text *detail)
{
    struct leased_kv *item;

    if (json_is_null(value)) {
        return LEASED_OK;
    }
    if (fields->count == VAULT_FIELDS_MAX) {
        plugin_text_set(detail, "the credential has more than %u fields", VAULT_FIELDS_MAX);
        return LEASED_INVALID;
    }
    item = &fields->items[fields->count];
    *item = (struct leased_kv){.key = plugin_str(name)};
    item->flags =
        strcmp(name, "username") == 0 || strcmp(name, VERSION) == 0 ? 0 : LEASED_KV_SECRET;
    if (json_is_string(value)) {
        item->value = (struct leased_str){json_string_value(value), json_string_length(value)};
    } else if (write_out(fields, value, &item->value) != 0) {
        plugin_text_set(detail, "out of memory");
        return LEASED_RETRY;
    }
    fields->count++;
    return LEASED_OK;
}

/* A line's end is part of a file, not of a value. */
static void trim_key(struct vault_fields *fields)
{
    for (size_t i = 0; i < fields->count; i++) {
        struct leased_str *value = &fields->items[i].value;

        while (plugin_str_eq(fields->items[i].key, "signed_key") && value->len > 0 &&
               value->ptr[value->len - 1] == '\n') {
            value->len--;
        }
    }
}

/* Older versions call an STS session's token only by its old name, which no SDK reads. */
static int32_t add_session_token(struct vault_fields *fields, json_t *data,
                                 struct plugin_text *detail)
{
    json_t *token = json_object_get(data, "security_token");

    if (!json_is_string(token) || json_object_get(data, "access_key") == NULL ||
        json_object_get(data, "session_token") != NULL) {
        return LEASED_OK;
    }
    return add(fields, "session_token", token, detail);
}

int32_t vault_fields_read(const struct leased_host *host, json_t *data, json_t *metadata,
                          struct vault_fields *fields, struct plugin_text *ret_detail)
{
    const char *key;
    json_t *value;
    int32_t status = LEASED_OK;

    *fields = (struct vault_fields){.host = host};
    json_object_foreach (data, key, value) {
        if (status == LEASED_OK) {
            status = add(fields, key, value, ret_detail);
        }
    }
    if (status == LEASED_OK && fields->count == 0) {
        plugin_text_set(ret_detail, "the answer has no data");
        status = LEASED_INVALID;
    }
    if (status == LEASED_OK) {
        trim_key(fields);
        status = add_session_token(fields, data, ret_detail);
    }
    value = json_object_get(metadata, "version");
    if (status == LEASED_OK && value != NULL && json_object_get(data, VERSION) == NULL) {
        status = add(fields, VERSION, value, ret_detail);
    }
    return status;
}

void vault_fields_fini(struct vault_fields *fields)
{
    for (size_t i = 0; i < VAULT_FIELDS_MAX; i++) {
        fields->host->secret_free(fields->texts[i]);
        fields->texts[i] = NULL;
    }
}
