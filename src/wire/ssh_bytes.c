/* Reads and writes ssh's numbers and strings. */
#include "wire/ssh_bytes.h"

struct str ssh_get_bytes(struct ssh_reader *reader, size_t size)
{
    struct str bytes = {.ptr = reader->rest.ptr, .len = size};

    if (reader->is_failed || size > reader->rest.len) {
        reader->is_failed = true;
        return STR("");
    }
    reader->rest.ptr += size;
    reader->rest.len -= size;
    return bytes;
}

static uint64_t ssh_get_number(struct ssh_reader *reader, size_t size)
{
    struct str bytes = ssh_get_bytes(reader, size);
    uint64_t value = 0;
    size_t i;

    for (i = 0; i < bytes.len; i++) {
        value = (value << 8) | (unsigned char)bytes.ptr[i];
    }
    return value;
}

uint8_t ssh_get_u8(struct ssh_reader *reader)
{
    return (uint8_t)ssh_get_number(reader, 1);
}

uint32_t ssh_get_u32(struct ssh_reader *reader)
{
    return (uint32_t)ssh_get_number(reader, 4);
}

uint64_t ssh_get_u64(struct ssh_reader *reader)
{
    return ssh_get_number(reader, 8);
}

struct str ssh_get_string(struct ssh_reader *reader)
{
    return ssh_get_bytes(reader, ssh_get_u32(reader));
}

void ssh_put_u8(struct buf *out, uint8_t value)
{
    buf_add_char(out, (char)value);
}

void ssh_put_u32(struct buf *out, uint32_t value)
{
    int shift;

    for (shift = 24; shift >= 0; shift -= 8) {
        ssh_put_u8(out, (uint8_t)(value >> shift));
    }
}

void ssh_put_string(struct buf *out, struct str value)
{
    ssh_put_u32(out, (uint32_t)value.len);
    buf_add_str(out, value);
}

void ssh_put_number(struct buf *out, struct str bytes)
{
    bool needs_zero;

    while (bytes.len > 0 && bytes.ptr[0] == 0) {
        bytes.ptr++;
        bytes.len--;
    }
    needs_zero = bytes.len > 0 && ((unsigned char)bytes.ptr[0] & 0x80) != 0;
    ssh_put_u32(out, (uint32_t)(bytes.len + (needs_zero ? 1 : 0)));
    if (needs_zero) {
        ssh_put_u8(out, 0);
    }
    buf_add_str(out, bytes);
}
