/* The query string of a URL. */
#include "wire/query.h"

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    if (c >= 'a' && c <= 'f') {
        return c - 'a' + 10;
    }
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

int query_decode(struct str text, bool plus_is_space, struct buf *out)
{
    size_t i;

    for (i = 0; i < text.len; i++) {
        int byte = (unsigned char)text.ptr[i];

        if (byte == '%') {
            int high = text.len - i > 2 ? hex_digit(text.ptr[i + 1]) : -1;
            int low = text.len - i > 2 ? hex_digit(text.ptr[i + 2]) : -1;

            if (high < 0 || low < 0) {
                return ERR_INVALID;
            }
            byte = high * 16 + low;
            i += 2;
        } else if (byte == '+' && plus_is_space) {
            byte = ' ';
        }
        if (byte < 0x20 || byte == 0x7f) {
            return ERR_RANGE;
        }
        buf_add_char(out, (char)byte);
    }
    return buf_status(out);
}

bool query_next(struct str *rest, struct str *ret_key, struct str *ret_value)
{
    while (rest->len > 0) {
        struct str pair = str_cut(rest, '&');

        if (pair.len > 0) {
            *ret_key = str_cut(&pair, '=');
            *ret_value = pair;
            return true;
        }
    }
    return false;
}
