/* Values that aren't texts are written out into secret memory; the rest is borrowed from the reply.
 */
#include "fields.h"

#include <string.h>

static int write_out(struct vault_fields *fields, const json_t *value, struct leased_str *ret_text)
{
    size_t size = json_dumpb(value, NULL, 0, JSON_COMPACT | JSON_ENCODE_ANY);
    char *text = size > 0 ? vault_alloc(fields->host, size + 1) : NULL;

    if (text == NULL) {
        return -1;
    }
    fields->texts[fields->count] = text;
    (void)json_dumpb(value, text, size, JSON_COMPACT | JSON_ENCODE_ANY);
    *ret_text = (struct leased_str){text, size};
    return 0;
}

int32_t vault_fields_read(const struct leased_host *host, json_t *data, struct vault_fields *fields,
                          struct vault_text *ret_detail)
{
    const char *key;
    json_t *value;

    *fields = (struct vault_fields){.host = host};
    json_object_foreach (data, key, value) {
        struct leased_kv *item;

        if (json_is_null(value)) {
            continue;
        }
        if (fields->count == VAULT_FIELDS_MAX) {
            vault_text_set(ret_detail, "the credential has more than %u fields", VAULT_FIELDS_MAX);
            return LEASED_INVALID;
        }
        item = &fields->items[fields->count];
        *item = (struct leased_kv){.key = vault_str(key)};
        item->flags = strcmp(key, "username") == 0 ? 0 : LEASED_KV_SECRET;
        if (json_is_string(value)) {
            item->value = (struct leased_str){json_string_value(value), json_string_length(value)};
        } else if (write_out(fields, value, &item->value) != 0) {
            vault_text_set(ret_detail, "out of memory");
            return LEASED_RETRY;
        }
        fields->count++;
    }
    if (fields->count == 0) {
        vault_text_set(ret_detail, "the answer has no data");
        return LEASED_INVALID;
    }
    return LEASED_OK;
}

void vault_fields_fini(struct vault_fields *fields)
{
    for (size_t i = 0; i < VAULT_FIELDS_MAX; i++) {
        fields->host->secret_free(fields->texts[i]);
        fields->texts[i] = NULL;
    }
}
