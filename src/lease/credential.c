/* Packs credentials: the issuer's reference, a byte with the count of fields, then for each field a
 * byte that is 1 for a secret, its name and its value. Reference and value stand behind a u16 with
 * their length, a name behind a byte. Only this file reads or writes the form, and it never leaves
 * the machine (sealed it is in the ledger), so integers are in the machine's order.
 *
 * Packed bytes are plain, so they are in secret memory; what a lease keeps is sealed. */
#include "lease/credential.h"

#include "base/err.h"
#include "base/mem.h"

#include <string.h>

struct credential_block {
    uint32_t size;
    char sealed[];
};

static void pack(char **at, const void *bytes, size_t size)
{
    if (size > 0) {
        memcpy(*at, bytes, size);
    }
    *at += size;
}

static void pack_byte(char **at, size_t value)
{
    unsigned char byte = (unsigned char)value;

    pack(at, &byte, 1);
}

static void pack_str(char **at, struct str s)
{
    uint16_t len = (uint16_t)s.len;

    pack(at, &len, sizeof(len));
    pack(at, s.ptr, s.len);
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

/* The length that stands before a text. */
static size_t str_size(struct str rest)
{
    uint16_t len;

    memcpy(&len, rest.ptr, sizeof(len));
    return len;
}

/* ERR_TOO_LARGE, or the size that the result has when it is packed. */
static int packed_size(const struct lease_result *result, size_t *ret_size)
{
    size_t size = sizeof(uint16_t) + result->issuer_ref.len + 1;
    size_t i;

    if (result->field_count > LEASE_FIELDS_MAX ||
        result->issuer_ref.len > LEASE_ISSUER_REF_MAX_BYTES) {
        return ERR_TOO_LARGE;
    }
    for (i = 0; i < result->field_count; i++) {
        size_t name_len = result->fields[i].name.len;
        size_t value_len = result->fields[i].value.len;

        if (name_len > UINT8_MAX || value_len > UINT16_MAX) {
            return ERR_TOO_LARGE;
        }
        size += 2 + name_len + sizeof(uint16_t) + value_len;
    }
    if (size > CREDENTIAL_MAX_BYTES) {
        return ERR_TOO_LARGE;
    }
    *ret_size = size;
    return 0;
}

int credential_pack(const struct lease_result *result, struct secret *ret_packed)
{
    size_t size = 0;
    char *at;
    size_t i;
    int r = packed_size(result, &size);

    if (r == 0) {
        r = secret_make(ret_packed, size, &at);
    }
    if (r != 0) {
        return r;
    }
    pack_str(&at, result->issuer_ref);
    pack_byte(&at, result->field_count);
    for (i = 0; i < result->field_count; i++) {
        pack_byte(&at, result->fields[i].is_secret ? 1 : 0);
        pack_byte(&at, result->fields[i].name.len);
        pack(&at, result->fields[i].name.ptr, result->fields[i].name.len);
        pack_str(&at, result->fields[i].value);
    }
    return 0;
}

int credential_seal(struct env *env, struct str owner, const struct secret *packed,
                    struct credential *ret_credential)
{
    struct str plain = secret_view(packed);
    size_t size = plain.len + ENV_SEAL_BYTES;
    struct credential_block *block = mem_alloc(sizeof(*block) + size);
    int r;

    CHECK(size <= UINT32_MAX); /* it came out of secret memory, which is a few MiB */
    if (block == NULL) {
        return ERR_NOMEM;
    }
    block->size = (uint32_t)size;
    r = env_seal(env, owner, plain, block->sealed);
    if (r != 0) {
        mem_free(block);
        return r;
    }
    ret_credential->block = block;
    return 0;
}

struct str credential_sealed(const struct credential *credential)
{
    const struct credential_block *block = credential->block;

    return block != NULL ? (struct str){.ptr = block->sealed, .len = block->size}
                         : (struct str){.ptr = NULL};
}

int credential_open(struct env *env, struct str owner, const struct credential *credential,
                    struct secret *ret_packed)
{
    struct str sealed = credential_sealed(credential);
    struct secret packed;
    char *plain;
    int r;

    secret_init(&packed);
    if (sealed.len > 0) {
        CHECK(sealed.len >= ENV_SEAL_BYTES);
        r = secret_make(&packed, sealed.len - ENV_SEAL_BYTES, &plain);
        if (r == 0) {
            r = env_unseal(env, owner, sealed, plain);
        }
        if (r != 0) {
            secret_fini(&packed);
            return r;
        }
    }
    secret_fini(ret_packed);
    *ret_packed = packed;
    return 0;
}

void credential_fini(struct credential *credential)
{
    mem_free(credential->block);
    credential->block = NULL;
}

static bool skip(struct str *rest, size_t size)
{
    if (size > rest->len) {
        return false;
    }
    (void)unpack(rest, size);
    return true;
}

static bool skip_str(struct str *rest)
{
    return rest->len >= sizeof(uint16_t) && rest->len - sizeof(uint16_t) >= str_size(*rest) &&
           skip(rest, sizeof(uint16_t) + str_size(*rest));
}

bool credential_is_packed(const struct secret *packed)
{
    struct str rest = secret_view(packed);
    bool is_whole = skip_str(&rest) && rest.len > 0;
    size_t count = is_whole ? unpack_byte(&rest) : 0;
    size_t i;

    for (i = 0; is_whole && i < count; i++) {
        is_whole =
            skip(&rest, 1) && rest.len > 0 && skip(&rest, unpack_byte(&rest)) && skip_str(&rest);
    }
    return is_whole && count <= LEASE_FIELDS_MAX && rest.len == 0;
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
