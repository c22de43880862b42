/* Aligned columns, the same on a terminal and in a pipe; colours on request. */
#ifndef LEASED_CLI_TABLE_H
#define LEASED_CLI_TABLE_H

#include "base/buf.h"

enum table_color {
    TABLE_PLAIN,
    TABLE_GREEN,
    TABLE_YELLOW,
    TABLE_RED,
};

struct table_cell {
    size_t offset; /* in text */
    size_t len;
    size_t width; /* in characters */
    enum table_color color;
};

struct table {
    size_t column_count;
    bool has_color;
    struct buf text;
    struct table_cell *cells;
    size_t cell_count;
    size_t cell_cap;
    int status; /* 0, or the first failure; told by table_print */
};

/* `headers` become the first row; NULL: no headings. */
void table_init(struct table *table, size_t column_count, const char *const *headers,
                bool has_color);
void table_fini(struct table *table);

/* The next cell, left to right, row by row. Copied; control characters made visible. */
void table_add(struct table *table, const char *text, enum table_color color);

/* Appends the rows to `out`. 0 or ERR_NOMEM. The cells' count must be a multiple of the columns'.
 */
int table_print(const struct table *table, struct buf *out) ATTR_MUST_USE;

#endif
