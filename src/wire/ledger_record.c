/* The codec of the ledger's records. The object ends where the bytes behind it begin, so they need
 * no length of their own. */
#include "wire/ledger_record.h"

#include "base/str.h"

/* --- writing ---------------------------------------------------------------------------------- */

static json_t *value_of(const void *record, const struct ledger_field *field)
{
    const void *at = (const char *)record + field->offset;
    const struct str *bytes = at;

    switch (field->type) {
    case LEDGER_TEXT:
        return json_string(*(const char *const *)at);
    case LEDGER_BYTES:
        return json_stringn(bytes->len > 0 ? bytes->ptr : "", bytes->len);
    case LEDGER_BOOL:
        return json_boolean(*(const bool *)at);
    case LEDGER_TIME:
        return json_integer(*(const int64_t *)at);
    case LEDGER_U32:
        return json_integer(*(const uint32_t *)at);
    case LEDGER_U64:
        break;
    }
    return json_integer((json_int_t) * (const uint64_t *)at);
}

static int put(const char *bytes, size_t size, void *user)
{
    struct buf *out = user;

    buf_add(out, bytes, size);
    return 0;
}

int ledger_record_write(const struct ledger_table *table, const void *record, struct str sealed,
                        struct buf *out)
{
    json_t *root = json_object();
    int r = root == NULL || json_object_set_new(root, "version", json_integer(table->version)) != 0
                ? ERR_NOMEM
                : 0;
    size_t i;

    for (i = 0; r == 0 && i < table->field_count; i++) {
        if (json_object_set_new(root, table->fields[i].name, value_of(record, &table->fields[i])) !=
            0) {
            r = ERR_INVALID;
        }
    }
    if (r == 0 && json_dump_callback(root, put, out, JSON_COMPACT) != 0) {
        r = ERR_NOMEM;
    }
    json_decref(root);
    buf_add_str(out, sealed);
    return r != 0 ? r : buf_status(out);
}

/* --- reading ---------------------------------------------------------------------------------- */

static bool read_number(const json_t *value, enum ledger_field_type type, void *at)
{
    json_int_t number = json_integer_value(value);

    switch (type) {
    case LEDGER_TIME:
        *(int64_t *)at = number;
        return json_is_integer(value) && number >= 0;
    case LEDGER_U32:
        *(uint32_t *)at = (uint32_t)number;
        return json_is_integer(value) && number >= 0 && number <= UINT32_MAX;
    default:
        *(uint64_t *)at = (uint64_t)number;
        return json_is_integer(value);
    }
}

static bool read_field(const json_t *value, enum ledger_field_type type, void *at)
{
    switch (type) {
    case LEDGER_TEXT:
        *(const char **)at = json_string_value(value);
        return json_is_string(value);
    case LEDGER_BYTES:
        *(struct str *)at =
            (struct str){.ptr = json_string_value(value), .len = json_string_length(value)};
        return json_is_string(value);
    case LEDGER_BOOL:
        *(bool *)at = json_is_true(value);
        return json_is_boolean(value);
    default:
        return read_number(value, type, at);
    }
}

static int read_fields(json_t *root, const struct ledger_table *table, void *record, struct err *e)
{
    size_t i;

    if (json_integer_value(json_object_get(root, "version")) != table->version) {
        return err_set(e, ERR_INVALID, "it is of another version");
    }
    for (i = 0; i < table->field_count; i++) {
        const struct ledger_field *field = &table->fields[i];

        if (!read_field(json_object_get(root, field->name), field->type,
                        (char *)record + field->offset)) {
            return err_set(e, ERR_INVALID, "`%s` is missing or wrong", field->name);
        }
    }
    if (json_object_size(root) != table->field_count + 1) {
        return err_set(e, ERR_INVALID, "it has something that isn't known");
    }
    return 0;
}

int ledger_record_read(struct str body, struct ledger_reading *reading, struct err *e)
{
    json_error_t problem = {.position = 0};
    json_t *root = json_loadb(body.len > 0 ? body.ptr : "", body.len,
                              JSON_REJECT_DUPLICATES | JSON_DISABLE_EOF_CHECK, &problem);
    int r = root == NULL ? err_set(e, ERR_INVALID, "it is no JSON: %s", problem.text)
                         : read_fields(root, reading->table, reading->record, e);

    if (r != 0) {
        json_decref(root);
        return r;
    }
    CHECK(problem.position >= 0 && (size_t)problem.position <= body.len);
    reading->owner = root;
    reading->sealed = (struct str){.ptr = body.ptr + problem.position,
                                   .len = body.len - (size_t)problem.position};
    return 0;
}
