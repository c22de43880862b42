/* The codec of the ledger's records: the version, a byte; the table's fields in its order; then
 * what is sealed. A text is its length, its bytes and a NUL, so that it can be used where it
 * stands. Numbers are little-endian, whatever the machine: a ledger may be moved. */
#include "wire/ledger_record.h"

#include "wire/utf8.h"

#include <endian.h>
#include <string.h>

#define LENGTH_BYTES 4U

/* --- texts ------------------------------------------------------------------------------------ */

static bool is_ascii(struct str text)
{
    uint64_t all = 0;
    uint64_t part = 0;

    for (; text.len >= sizeof(part); text.ptr += sizeof(part), text.len -= sizeof(part)) {
        memcpy(&part, text.ptr, sizeof(part));
        all |= part;
    }
    part = 0;
    if (text.len > 0) {
        memcpy(&part, text.ptr, text.len);
    }
    return ((all | part) & 0x8080808080808080U) == 0;
}

static bool is_utf8(struct str text)
{
    uint32_t code_point;

    if (is_ascii(text)) {
        return true;
    }
    while (text.len > 0) {
        size_t len = utf8_decode(text, &code_point);

        if (len == 0) {
            return false;
        }
        text.ptr += len;
        text.len -= len;
    }
    return true;
}

/* --- writing ---------------------------------------------------------------------------------- */

static void put_number(struct buf *out, uint64_t number, size_t size)
{
    number = htole64(number); /* the low ones come first, so a part of it is a smaller number */
    buf_add(out, &number, size);
}

static int put_text(struct buf *out, struct str text)
{
    if (!is_utf8(text)) {
        return ERR_INVALID;
    }
    if (text.len > UINT32_MAX) {
        return ERR_TOO_LARGE;
    }
    put_number(out, text.len, LENGTH_BYTES);
    buf_add_str(out, text);
    buf_add_char(out, '\0');
    return 0;
}

static int put_field(struct buf *out, enum ledger_field_type type, const void *at)
{
    switch (type) {
    case LEDGER_TEXT:
        return put_text(out, str_of(*(const char *const *)at));
    case LEDGER_BYTES:
        return put_text(out, *(const struct str *)at);
    case LEDGER_BOOL:
        put_number(out, *(const bool *)at ? 1 : 0, 1);
        return 0;
    case LEDGER_TIME:
        put_number(out, (uint64_t) * (const int64_t *)at, sizeof(int64_t));
        return 0;
    case LEDGER_U32:
        put_number(out, *(const uint32_t *)at, sizeof(uint32_t));
        return 0;
    case LEDGER_U64:
        break;
    }
    put_number(out, *(const uint64_t *)at, sizeof(uint64_t));
    return 0;
}

int ledger_record_write(const struct ledger_table *table, const void *record, struct str sealed,
                        struct buf *out)
{
    int r = 0;
    size_t i;

    put_number(out, table->version, 1);
    for (i = 0; r == 0 && i < table->field_count; i++) {
        r = put_field(out, table->fields[i].type, (const char *)record + table->fields[i].offset);
    }
    buf_add_str(out, sealed);
    return r != 0 ? r : buf_status(out);
}

/* --- reading ---------------------------------------------------------------------------------- */

static bool take_number(struct str *rest, size_t size, uint64_t *ret_number)
{
    uint64_t number = 0;

    if (rest->len < size) {
        return false;
    }
    memcpy(&number, rest->ptr, size);
    rest->ptr += size;
    rest->len -= size;
    *ret_number = le64toh(number);
    return true;
}

static bool take_text(struct str *rest, struct str *ret_text)
{
    struct str text;
    uint64_t len;

    if (!take_number(rest, LENGTH_BYTES, &len) || len >= rest->len || rest->ptr[len] != '\0') {
        return false;
    }
    text = (struct str){.ptr = rest->ptr, .len = (size_t)len};
    rest->ptr += text.len + 1;
    rest->len -= text.len + 1;
    *ret_text = text;
    return is_utf8(text);
}

static bool take_string(struct str *rest, const char **ret_string)
{
    struct str text;

    if (!take_text(rest, &text) || memchr(text.ptr, '\0', text.len) != NULL) {
        return false;
    }
    *ret_string = text.ptr;
    return true;
}

static bool take_field(struct str *rest, enum ledger_field_type type, void *at)
{
    uint64_t number;

    switch (type) {
    case LEDGER_TEXT:
        return take_string(rest, at);
    case LEDGER_BYTES:
        return take_text(rest, at);
    case LEDGER_BOOL:
        if (!take_number(rest, 1, &number) || number > 1) {
            return false;
        }
        *(bool *)at = number == 1;
        return true;
    case LEDGER_TIME:
        if (!take_number(rest, sizeof(int64_t), &number) || number > INT64_MAX) {
            return false;
        }
        *(int64_t *)at = (int64_t)number;
        return true;
    case LEDGER_U32:
        if (!take_number(rest, sizeof(uint32_t), &number)) {
            return false;
        }
        *(uint32_t *)at = (uint32_t)number;
        return true;
    case LEDGER_U64:
        break;
    }
    return take_number(rest, sizeof(uint64_t), at);
}

int ledger_record_read(const struct ledger_table *table, struct str body, void *record,
                       struct str *ret_sealed, struct err *e)
{
    uint64_t version;
    size_t i;

    if (!take_number(&body, 1, &version)) {
        return err_set(e, ERR_INVALID, "it is empty");
    }
    if (version != table->version) {
        return err_set(e, ERR_INVALID, "it is of another version");
    }
    for (i = 0; i < table->field_count; i++) {
        const struct ledger_field *field = &table->fields[i];

        if (!take_field(&body, field->type, (char *)record + field->offset)) {
            return err_set(e, ERR_INVALID, "`%s` is missing or wrong", field->name);
        }
    }
    *ret_sealed = body;
    return 0;
}
