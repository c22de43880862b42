/* One text has one meaning: what would decode to the same bytes as another is refused. */
#include "access/base64url.h"

#include "base/err.h"

static int digit(char c)
{
    if (c >= 'A' && c <= 'Z') {
        return c - 'A';
    }
    if (c >= 'a' && c <= 'z') {
        return c - 'a' + 26;
    }
    if (c >= '0' && c <= '9') {
        return c - '0' + 52;
    }
    if (c == '-') {
        return 62;
    }
    return c == '_' ? 63 : -1;
}

int base64url_decode(struct str text, unsigned char *out, size_t size, size_t *ret_len)
{
    uint32_t bits = 0;
    unsigned bit_count = 0;
    size_t len = 0;
    size_t i;

    for (i = 0; i < text.len; i++) {
        int value = digit(text.ptr[i]);

        if (value < 0) {
            return ERR_INVALID;
        }
        bits = (bits << 6 | (uint32_t)value) & 0xffffU;
        bit_count += 6;
        if (bit_count >= 8) {
            if (len == size) {
                return ERR_TOO_LARGE;
            }
            bit_count -= 8;
            out[len++] = (unsigned char)(bits >> bit_count & 0xffU);
        }
    }
    if (bit_count >= 6 || (bits & ((1U << bit_count) - 1)) != 0) {
        return ERR_INVALID;
    }
    *ret_len = len;
    return 0;
}
