/* Slices: a pointer and a length, borrowed from whoever owns the bytes. Not NUL-terminated. */
#ifndef LEASED_BASE_STR_H
#define LEASED_BASE_STR_H

#include "base/check.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

struct str {
    const char *ptr;
    size_t len;
};

/* A slice of a string literal. */
#define STR(literal) ((struct str){.ptr = (literal), .len = sizeof(literal) - 1})

/* For "%.*s": printf("%.*s", STR_ARG(s)). */
#define STR_ARG(s) (int)(s).len, (s).ptr != NULL ? (s).ptr : ""

/* A slice over a NUL-terminated text; NULL gives the empty slice. Inline, like the two below, so
 * that a literal's length is known when it is compiled. */
static inline struct str str_of(const char *text)
{
    return (struct str){.ptr = text, .len = text != NULL ? strlen(text) : 0};
}

/* NULL for the empty text, too, where NULL means that something is left out. */
static inline const char *str_or_null(const char *text)
{
    return text != NULL && text[0] != '\0' ? text : NULL;
}

static inline bool str_eq(struct str a, struct str b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

static inline bool str_eq_c(struct str a, const char *text)
{
    return str_eq(a, str_of(text));
}

bool str_starts_with(struct str s, const char *prefix);
bool str_ends_with(struct str s, const char *suffix);

/* Cuts off what stands before the first `separator` and returns it; `rest` keeps what follows it.
 * Without a separator the whole slice is returned and `rest` becomes empty with ptr NULL. */
struct str str_cut(struct str *rest, char separator);

/* What of it is no longer than that, in whole UTF-8 characters. */
struct str str_shorten(struct str s, size_t max_bytes);

/* Without leading and trailing blanks, tabs, CR and LF. */
struct str str_trim(struct str s);

/* Writing short texts piece by piece where printf would cost more than the rest of the work. Each
 * copies to `at` and returns the end; the caller has made sure that it fits, and ends the text with
 * a NUL. */
#define STR_U64_MAX_BYTES 20
char *str_put(char *at, struct str s);
char *str_put_u64(char *at, uint64_t value);

/* Texts one behind the other in a block that the caller has made: what a text takes there, and its
 * copy at *at, which moves behind it. NULL takes nothing and stays NULL. */
size_t str_packed_bytes(const char *text);
const char *str_pack(char **at, const char *text);

/* The same text, or no text both? */
bool str_same(const char *a, const char *b);

/* Decimal digits only, all of `s`. 0, or ERR_INVALID / ERR_RANGE. */
int str_parse_u64(struct str s, uint64_t *ret_value) ATTR_MUST_USE;

/* A glob with `*` (any run, also empty); everything else stands for itself. Linear time. */
bool str_glob(struct str pattern, struct str text);

/* Levenshtein distance, at most `limit` + 1, for "did you mean". Texts over 64 bytes count as too
 * far. */
size_t str_distance(struct str a, struct str b, size_t limit);

#endif
