/* Bytes beyond ASCII are never allowed. */
#include "charset.h"

#include <string.h>

static bool is_allowed(char c, const char *allowed)
{
    return c != '\0' && strchr(allowed, c) != NULL;
}

bool aws_text_is_of(struct leased_str text, const char *allowed)
{
    for (size_t i = 0; i < text.len; i++) {
        if (!is_allowed(text.ptr[i], allowed)) {
            return false;
        }
    }
    return true;
}

bool aws_text_fits(struct leased_str text, const char *allowed, size_t min, size_t max)
{
    return text.len >= min && text.len <= max && aws_text_is_of(text, allowed);
}

size_t aws_text_clean(struct leased_str text, const char *allowed, size_t max, char *out)
{
    size_t len = 0;

    for (size_t i = 0; i < text.len && len < max; i++) {
        bool is_continued = ((unsigned char)text.ptr[i] & 0xc0U) == 0x80;

        if (!is_continued) {
            out[len++] = is_allowed(text.ptr[i], allowed) ? text.ptr[i] : '-';
        }
    }
    out[len] = '\0';
    return len;
}

void aws_text_line(struct leased_str text, char *out, size_t out_size)
{
    size_t len = 0;

    while (len < text.len && len + 1 < out_size) {
        unsigned char c = (unsigned char)text.ptr[len];

        if (c < 0x20 || c >= 0x7f) {
            break;
        }
        out[len++] = (char)c;
    }
    out[len] = '\0';
}
