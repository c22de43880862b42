/* Slices. */
#include "base/str.h"

#include "base/err.h"

#include <string.h>

#define STR_DISTANCE_MAX_BYTES 64

bool str_starts_with(struct str s, const char *prefix)
{
    size_t len = strlen(prefix);

    return s.len >= len && (len == 0 || memcmp(s.ptr, prefix, len) == 0);
}

bool str_ends_with(struct str s, const char *suffix)
{
    size_t len = strlen(suffix);

    return s.len >= len && (len == 0 || memcmp(s.ptr + s.len - len, suffix, len) == 0);
}

struct str str_cut(struct str *rest, char separator)
{
    struct str head = *rest;
    const char *at = rest->len > 0 ? memchr(rest->ptr, separator, rest->len) : NULL;

    if (at == NULL) {
        *rest = (struct str){.ptr = NULL, .len = 0};
        return head;
    }
    head.len = (size_t)(at - head.ptr);
    rest->len -= head.len + 1;
    rest->ptr = at + 1;
    return head;
}

char *str_put(char *at, struct str s)
{
    if (s.len > 0) {
        memcpy(at, s.ptr, s.len);
    }
    return at + s.len;
}

size_t str_packed_bytes(const char *text)
{
    return text != NULL ? strlen(text) + 1 : 0;
}

const char *str_pack(char **at, const char *text)
{
    size_t size = str_packed_bytes(text);
    char *copy = *at;

    if (text == NULL) {
        return NULL;
    }
    memcpy(copy, text, size);
    *at += size;
    return copy;
}

bool str_same(const char *a, const char *b)
{
    return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

char *str_put_u64(char *at, uint64_t value)
{
    char digits[STR_U64_MAX_BYTES];
    size_t first = sizeof(digits);

    do {
        digits[--first] = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    memcpy(at, digits + first, sizeof(digits) - first);
    return at + (sizeof(digits) - first);
}

static bool str_is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

struct str str_shorten(struct str s, size_t max_bytes)
{
    if (s.len <= max_bytes) {
        return s;
    }
    s.len = max_bytes;
    while (s.len > 0 && ((unsigned char)s.ptr[s.len] & 0xc0U) == 0x80U) {
        s.len--;
    }
    return s;
}

struct str str_trim(struct str s)
{
    while (s.len > 0 && str_is_space(s.ptr[0])) {
        s.ptr++;
        s.len--;
    }
    while (s.len > 0 && str_is_space(s.ptr[s.len - 1])) {
        s.len--;
    }
    return s;
}

int str_parse_u64(struct str s, uint64_t *ret_value)
{
    uint64_t value = 0;
    size_t i;

    if (s.len == 0) {
        return ERR_INVALID;
    }
    for (i = 0; i < s.len; i++) {
        if (s.ptr[i] < '0' || s.ptr[i] > '9') {
            return ERR_INVALID;
        }
        if (__builtin_mul_overflow(value, (uint64_t)10, &value) ||
            __builtin_add_overflow(value, (uint64_t)(s.ptr[i] - '0'), &value)) {
            return ERR_RANGE;
        }
    }
    *ret_value = value;
    return 0;
}

bool str_glob(struct str pattern, struct str text)
{
    size_t p = 0;
    size_t t = 0;
    size_t star = SIZE_MAX;
    size_t star_text = 0;

    while (t < text.len) {
        if (p < pattern.len && pattern.ptr[p] == '*') {
            star = p++;
            star_text = t;
        } else if (p < pattern.len && pattern.ptr[p] == text.ptr[t]) {
            p++;
            t++;
        } else if (star != SIZE_MAX) {
            p = star + 1;
            t = ++star_text;
        } else {
            return false;
        }
    }
    while (p < pattern.len && pattern.ptr[p] == '*') {
        p++;
    }
    return p == pattern.len;
}

static size_t str_min3(size_t a, size_t b, size_t c)
{
    size_t least = a < b ? a : b;

    return least < c ? least : c;
}

size_t str_distance(struct str a, struct str b, size_t limit)
{
    size_t row[STR_DISTANCE_MAX_BYTES + 1];
    size_t i;
    size_t j;

    if (a.len > STR_DISTANCE_MAX_BYTES || b.len > STR_DISTANCE_MAX_BYTES) {
        return limit + 1;
    }
    for (j = 0; j <= b.len; j++) {
        row[j] = j;
    }
    for (i = 1; i <= a.len; i++) {
        size_t diagonal = row[0];

        row[0] = i;
        for (j = 1; j <= b.len; j++) {
            size_t above = row[j];

            row[j] = str_min3(above + 1, row[j - 1] + 1,
                              diagonal + (a.ptr[i - 1] == b.ptr[j - 1] ? 0 : 1));
            diagonal = above;
        }
    }
    return row[b.len] <= limit ? row[b.len] : limit + 1;
}
