/* Small helpers around the ABI's slices. */
#include "text.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define NAME_MAX_BYTES 32U

struct leased_str plugin_str(const char *text)
{
    return (struct leased_str){text, text != NULL ? strlen(text) : 0};
}

bool plugin_str_eq(struct leased_str a, const char *b)
{
    return a.len == strlen(b) && (a.len == 0 || memcmp(a.ptr, b, a.len) == 0);
}

bool plugin_str_is(struct leased_str a, const char *lower)
{
    return a.len == strlen(lower) && strncasecmp(a.ptr, lower, a.len) == 0;
}

bool plugin_str_has(struct leased_str s, const char *part)
{
    return s.len > 0 && memmem(s.ptr, s.len, part, strlen(part)) != NULL;
}

void plugin_text_set(struct plugin_text *text, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    (void)vsnprintf(text->bytes, sizeof(text->bytes), format, args);
    va_end(args);
}

/* Levenshtein's distance; names longer than NAME_MAX_BYTES count as far. */
static size_t distance(const char *a, const char *b)
{
    size_t a_len = strlen(a);
    size_t b_len = strlen(b);
    size_t row[NAME_MAX_BYTES + 1];

    if (a_len > NAME_MAX_BYTES || b_len > NAME_MAX_BYTES) {
        return NAME_MAX_BYTES;
    }
    for (size_t j = 0; j <= b_len; j++) {
        row[j] = j;
    }
    for (size_t i = 1; i <= a_len; i++) {
        size_t diagonal = row[0];

        row[0] = i;
        for (size_t j = 1; j <= b_len; j++) {
            size_t best = diagonal + (a[i - 1] == b[j - 1] ? 0U : 1U);

            diagonal = row[j];
            best = row[j] + 1 < best ? row[j] + 1 : best;
            best = row[j - 1] + 1 < best ? row[j - 1] + 1 : best;
            row[j] = best;
        }
    }
    return row[b_len];
}

const char *plugin_suggest(const char *name, const char *const *known, size_t known_count)
{
    const char *best = NULL;
    size_t best_distance = 3;

    for (size_t i = 0; i < known_count; i++) {
        size_t d = distance(name, known[i]);

        if (d < best_distance) {
            best_distance = d;
            best = known[i];
        }
    }
    return best;
}

void *plugin_alloc(const struct leased_host *host, size_t size)
{
    void *block = LEASED_HAS(host, alloc) ? host->alloc(size) : host->secret_alloc(size);

    if (block != NULL) {
        memset(block, 0, size);
    }
    return block;
}

char *plugin_secret_dup(const struct leased_host *host, struct leased_str s)
{
    char *copy = host->secret_alloc(s.len + 1);

    if (copy != NULL) {
        memcpy(copy, s.len > 0 ? s.ptr : "", s.len);
        copy[s.len] = '\0';
    }
    return copy;
}

char *plugin_strdup(const struct leased_host *host, struct leased_str s)
{
    char *copy = plugin_alloc(host, s.len + 1);

    if (copy != NULL && s.len > 0) {
        memcpy(copy, s.ptr, s.len);
    }
    return copy;
}

int32_t plugin_refuse(const struct plugin_text *detail, struct leased_str *ret_detail)
{
    *ret_detail = plugin_str(detail->bytes);
    return -LEASED_INVALID;
}
