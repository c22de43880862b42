/* Packs credentials: the issuer's reference, a byte with the count of fields, then for each field a
 * byte that is 1 for a secret, its name and its value. Reference and value stand behind a u16 with
 * their length, a name behind a byte. Only this file reads or writes the form, and it never leaves
 * the process, so integers are in the machine's order. */
#include "lease/credential.h"

#include "base/buf.h"
#include "base/err.h"

#include <string.h>

static void pack_byte(struct buf *buf, size_t value)
{
    buf_add_char(buf, (char)(unsigned char)value);
}

static void pack_str(struct buf *buf, struct str s)
{
    uint16_t len = (uint16_t)s.len;

    buf_add(buf, &len, sizeof(len));
    buf_add_str(buf, s);
}

static struct str unpack(struct str *rest, size_t size)
{
    struct str part = {.ptr = rest->ptr, .len = size};

    CHECK(size <= rest->len);
    rest->ptr += size;
    rest->len -= size;
    return part;
}

static size_t unpack_byte(struct str *rest)
{
    return (unsigned char)unpack(rest, 1).ptr[0];
}

static struct str unpack_str(struct str *rest)
{
    uint16_t len;

    memcpy(&len, unpack(rest, sizeof(len)).ptr, sizeof(len));
    return unpack(rest, len);
}

static bool fits(const struct lease_result *result)
{
    size_t i;

    for (i = 0; i < result->field_count; i++) {
        if (result->fields[i].name.len > UINT8_MAX || result->fields[i].value.len > UINT16_MAX) {
            return false;
        }
    }
    return true;
}

int credential_pack(const struct lease_result *result, struct secret *ret_packed)
{
    BUF_AUTO buf;
    size_t i;
    int r;

    buf_init(&buf, CREDENTIAL_MAX_BYTES);
    if (result->field_count > LEASE_FIELDS_MAX ||
        result->issuer_ref.len > LEASE_ISSUER_REF_MAX_BYTES || !fits(result)) {
        return ERR_TOO_LARGE;
    }
    pack_str(&buf, result->issuer_ref);
    pack_byte(&buf, result->field_count);
    for (i = 0; i < result->field_count; i++) {
        pack_byte(&buf, result->fields[i].is_secret ? 1 : 0);
        pack_byte(&buf, result->fields[i].name.len);
        buf_add_str(&buf, result->fields[i].name);
        pack_str(&buf, result->fields[i].value);
    }
    r = buf_status(&buf);
    return r != 0 ? r : secret_set(ret_packed, buf_str(&buf));
}

struct str credential_ref(const struct secret *packed)
{
    struct str rest = secret_view(packed);

    return rest.len > 0 ? unpack_str(&rest) : rest;
}

size_t credential_fields(const struct secret *packed,
                         struct lease_field ret_fields[LEASE_FIELDS_MAX])
{
    struct str rest = secret_view(packed);
    size_t count;
    size_t i;

    if (rest.len == 0) {
        return 0;
    }
    (void)unpack_str(&rest);
    count = unpack_byte(&rest);
    CHECK(count <= LEASE_FIELDS_MAX);
    for (i = 0; i < count; i++) {
        ret_fields[i].is_secret = unpack_byte(&rest) != 0;
        ret_fields[i].name = unpack(&rest, unpack_byte(&rest));
        ret_fields[i].value = unpack_str(&rest);
    }
    return count;
}

struct str credential_identifier(const struct lease_field *fields, size_t field_count)
{
    static const char *const names[] = {"username",  "access_key",    "access_key_id", "key_id",
                                        "client_id", "serial_number", "user"};
    size_t n;
    size_t i;

    for (n = 0; n < ARRAY_LEN(names); n++) {
        for (i = 0; i < field_count; i++) {
            if (str_eq_c(fields[i].name, names[n])) {
                return fields[i].value;
            }
        }
    }
    return (struct str){.ptr = NULL};
}
