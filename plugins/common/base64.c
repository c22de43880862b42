/* OpenSSL encodes; what is read may be of either alphabet, so that is done here. */
#include "base64.h"

#include <openssl/evp.h>
#include <string.h>

size_t plugin_base64(const void *bytes, size_t size, char *out)
{
    return (size_t)EVP_EncodeBlock((unsigned char *)out, bytes, (int)size);
}

size_t plugin_base64url(const void *bytes, size_t size, char *out)
{
    size_t len = plugin_base64(bytes, size, out);

    while (len > 0 && out[len - 1] == '=') {
        out[--len] = '\0';
    }
    for (size_t i = 0; i < len; i++) {
        out[i] = (char)(out[i] == '+' ? '-' : out[i] == '/' ? '_' : out[i]);
    }
    return len;
}

/* -1: no digit of base64. */
static int digit_of(char c)
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
    return c == '+' || c == '-' ? 62 : c == '/' || c == '_' ? 63 : -1;
}

int64_t plugin_base64_decode(struct leased_str text, void *out, size_t out_size)
{
    unsigned char *bytes = out;
    uint32_t bits = 0;
    size_t bit_count = 0;
    size_t digit_count = 0;
    size_t size = 0;
    size_t len = text.len;

    while (len > 0 && (text.ptr[len - 1] == '=' || text.ptr[len - 1] == '\n')) {
        len--;
    }
    for (size_t i = 0; i < len; i++) {
        int digit = digit_of(text.ptr[i]);

        if (text.ptr[i] == '\n' || text.ptr[i] == '\r') {
            continue;
        }
        if (digit < 0) {
            return -1;
        }
        bits = (bits << 6 | (uint32_t)digit) & 0xffffffU;
        bit_count += 6;
        digit_count++;
        if (bit_count >= 8) {
            bit_count -= 8;
            if (size >= out_size) {
                return -1;
            }
            bytes[size++] = (unsigned char)(bits >> bit_count & 0xffU);
        }
    }
    return digit_count % 4 == 1 ? -1 : (int64_t)size;
}
