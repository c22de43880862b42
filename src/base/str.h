/* Slices: a pointer and a length, borrowed from whoever owns the bytes. Not NUL-terminated. */
#ifndef LEASED_BASE_STR_H
#define LEASED_BASE_STR_H

#include "base/check.h"

#include <stdbool.h>

struct str {
    const char *ptr;
    size_t len;
};

/* A slice of a string literal. */
#define STR(literal) ((struct str){.ptr = (literal), .len = sizeof(literal) - 1})

/* For "%.*s": printf("%.*s", STR_ARG(s)). */
#define STR_ARG(s) (int)(s).len, (s).ptr != NULL ? (s).ptr : ""

/* A slice over a NUL-terminated text; NULL gives the empty slice. */
struct str str_of(const char *text);

bool str_eq(struct str a, struct str b);
bool str_eq_c(struct str a, const char *text);
bool str_starts_with(struct str s, const char *prefix);
bool str_ends_with(struct str s, const char *suffix);

/* Cuts off what stands before the first `separator` and returns it; `rest` keeps what follows it.
 * Without a separator the whole slice is returned and `rest` becomes empty with ptr NULL. */
struct str str_cut(struct str *rest, char separator);

/* Without leading and trailing blanks, tabs, CR and LF. */
struct str str_trim(struct str s);

/* Decimal digits only, all of `s`. 0, or ERR_INVALID / ERR_RANGE. */
int str_parse_u64(struct str s, uint64_t *ret_value) ATTR_MUST_USE;

/* A glob with `*` (any run, also empty); everything else stands for itself. Linear time. */
bool str_glob(struct str pattern, struct str text);

/* Levenshtein distance, at most `limit` + 1, for "did you mean". Texts over 64 bytes count as too
 * far. */
size_t str_distance(struct str a, struct str b, size_t limit);

#endif
