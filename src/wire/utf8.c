/* UTF-8, strictly: no overlong forms, no surrogates. */
#include "wire/utf8.h"

size_t utf8_decode(struct str text, uint32_t *ret_code_point)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    unsigned char first = (unsigned char)text.ptr[0];
    size_t len = first < 0x80 ? 1 : first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : first >= 0xc0 ? 2 : 0;
    uint32_t code_point = len == 1 ? first : len == 0 ? 0 : first & (0xffU >> (len + 1));
    size_t i;

    if (len == 0 || len > text.len || first > 0xf4) {
        return 0;
    }
    for (i = 1; i < len; i++) {
        unsigned char byte = (unsigned char)text.ptr[i];

        if ((byte & 0xc0U) != 0x80) {
            return 0;
        }
        code_point = (code_point << 6) | (byte & 0x3fU);
    }
    if (code_point < least[len] || code_point > 0x10ffff ||
        (code_point >= 0xd800 && code_point <= 0xdfff)) {
        return 0;
    }
    *ret_code_point = code_point;
    return len;
}

bool utf8_misleads(uint32_t code_point)
{
    return code_point < 0x20 || (code_point >= 0x7f && code_point <= 0x9f) ||
           code_point == 0x061c || code_point == 0x200e || code_point == 0x200f ||
           (code_point >= 0x2028 && code_point <= 0x202e) ||
           (code_point >= 0x2066 && code_point <= 0x2069);
}
