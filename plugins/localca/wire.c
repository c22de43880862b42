#include "wire.h"

#include <openssl/bn.h>

#define MPINT_MAX_BYTES 1026 /* 8192 bits, a zero before them, and one more */

static void put_number(struct plugin_form *out, uint64_t value, size_t size)
{
    char bytes[8];

    for (size_t i = 0; i < size; i++) {
        bytes[i] = (char)(unsigned char)(value >> (8 * (size - 1 - i)));
    }
    plugin_form_add(out, (struct leased_str){bytes, size});
}

void localca_put_u8(struct plugin_form *out, uint8_t value)
{
    put_number(out, value, 1);
}

void localca_put_u32(struct plugin_form *out, uint32_t value)
{
    put_number(out, value, 4);
}

void localca_put_u64(struct plugin_form *out, uint64_t value)
{
    put_number(out, value, 8);
}

void localca_put_string(struct plugin_form *out, struct leased_str value)
{
    localca_put_u32(out, (uint32_t)value.len);
    plugin_form_add(out, value);
}

void localca_put_form(struct plugin_form *out, const struct plugin_form *value)
{
    localca_put_string(out, plugin_form_str(value));
    out->is_failed = out->is_failed || value->is_failed;
}

void localca_put_mpint(struct plugin_form *out, const BIGNUM *value)
{
    unsigned char bytes[MPINT_MAX_BYTES] = {0};
    int size = BN_num_bytes(value);
    /* The highest bit would make it negative. */
    int zero = size > 0 && BN_num_bits(value) % 8 == 0 ? 1 : 0;

    if (size + zero > MPINT_MAX_BYTES || BN_bn2bin(value, bytes + zero) != size) {
        out->is_failed = true;
        return;
    }
    localca_put_string(out, (struct leased_str){(const char *)bytes, (size_t)(size + zero)});
    OPENSSL_cleanse(bytes, sizeof(bytes));
}

struct localca_reader localca_reader_of(struct leased_str bytes)
{
    return (struct localca_reader){.at = bytes.ptr, .left = bytes.len};
}

struct leased_str localca_get_bytes(struct localca_reader *reader, size_t size)
{
    struct leased_str bytes = {reader->at, size};

    if (reader->is_failed || size > reader->left) {
        reader->is_failed = true;
        return (struct leased_str){"", 0};
    }
    reader->at += size;
    reader->left -= size;
    return bytes;
}

static uint64_t get_number(struct localca_reader *reader, size_t size)
{
    struct leased_str bytes = localca_get_bytes(reader, size);
    uint64_t value = 0;

    for (size_t i = 0; i < bytes.len; i++) {
        value = value << 8 | (unsigned char)bytes.ptr[i];
    }
    return value;
}

uint32_t localca_get_u32(struct localca_reader *reader)
{
    return (uint32_t)get_number(reader, 4);
}

uint64_t localca_get_u64(struct localca_reader *reader)
{
    return get_number(reader, 8);
}

struct leased_str localca_get_string(struct localca_reader *reader)
{
    return localca_get_bytes(reader, localca_get_u32(reader));
}

BIGNUM *localca_get_mpint(struct localca_reader *reader)
{
    struct leased_str bytes = localca_get_string(reader);

    if (reader->is_failed || bytes.len > MPINT_MAX_BYTES ||
        (bytes.len > 0 && ((unsigned char)bytes.ptr[0] & 0x80U) != 0)) {
        reader->is_failed = true;
        return NULL;
    }
    return BN_bin2bn((const unsigned char *)bytes.ptr, (int)bytes.len, NULL);
}
