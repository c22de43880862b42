/* What may stand in a configuration at all: UTF-8 without control characters. The library is
 * lenient where YAML isn't. */
#include "wire/yaml_internal.h"

/* The length of the UTF-8 character at the start of `s`, which isn't empty; 0 if there is none. */
static size_t character_length(struct str s)
{
    static const struct {
        unsigned char mask, lead;
        uint32_t least;
    } forms[] = {{0x80, 0x00, 0}, {0xe0, 0xc0, 0x80}, {0xf0, 0xe0, 0x800}, {0xf8, 0xf0, 0x10000}};
    size_t extra;
    size_t i;

    for (extra = 0; extra < ARRAY_LEN(forms); extra++) {
        unsigned char first = (unsigned char)s.ptr[0];
        uint32_t code = first & (unsigned char)~forms[extra].mask;

        if ((first & forms[extra].mask) != forms[extra].lead || s.len <= extra) {
            continue;
        }
        for (i = 1; i <= extra; i++) {
            if (((unsigned char)s.ptr[i] & 0xc0U) != 0x80U) {
                return 0;
            }
            code = (code << 6) | ((unsigned char)s.ptr[i] & 0x3fU);
        }
        return code >= forms[extra].least && code <= 0x10ffff && (code < 0xd800 || code > 0xdfff)
                   ? extra + 1
                   : 0;
    }
    return 0;
}

int yaml_text_check(const char *file, struct str text, struct yaml_errors *errors)
{
    uint32_t line = 1;
    uint32_t column = 1;
    size_t length;

    for (; text.len > 0; text.ptr += length, text.len -= length) {
        char c = text.ptr[0];
        bool is_control =
            ((unsigned char)c < 0x20 && c != '\t' && c != '\n' && c != '\r') || c == 0x7f;

        length = character_length(text);
        if (length == 0 || is_control) {
            yaml_error_in(errors, file, line, column,
                          is_control ? "control characters are not allowed" : "not valid UTF-8");
            return ERR_INVALID;
        }
        column++;
        if (c == '\n') {
            line++;
            column = 1;
        }
    }
    return 0;
}
