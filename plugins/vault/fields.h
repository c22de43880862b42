/* A reply's `data` as the fields of a credential. */
#ifndef VAULT_FIELDS_H
#define VAULT_FIELDS_H

#include "common/text.h"

#include <jansson.h>

#define VAULT_FIELDS_MAX 32U

struct vault_fields {
    const struct leased_host *host;
    struct leased_kv items[VAULT_FIELDS_MAX];
    char *texts[VAULT_FIELDS_MAX]; /* owned; values that had to be written out */
    size_t count;
};

/* Texts as they are, numbers and booleans as text, objects and lists as JSON, null left out; a
 * signed_key without its line's end; keys of STS under both names of their token. All but
 * `username` and, from `metadata` (may be NULL), `metadata.version` is secret. Both are borrowed
 * until vault_fields_fini. LEASED_OK, or a class with the reason; call vault_fields_fini in either
 * case. */
int32_t vault_fields_read(const struct leased_host *host, json_t *data, json_t *metadata,
                          struct vault_fields *fields, struct plugin_text *ret_detail);
void vault_fields_fini(struct vault_fields *fields);

#endif
