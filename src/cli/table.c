/* Tables: cells are collected first, because the widest decides. */
#include "cli/table.h"

#include "base/err.h"
#include "base/mem.h"
#include "wire/format.h"

#include <string.h>

#define TABLE_TEXT_MAX_BYTES (16U * 1024U * 1024U)
#define TABLE_COLUMNS_MAX 16

void table_init(struct table *table, size_t column_count, const char *const *headers,
                bool has_color)
{
    size_t i;

    CHECK(column_count > 0);
    CHECK(column_count <= TABLE_COLUMNS_MAX);
    *table = (struct table){.column_count = column_count, .has_color = has_color};
    buf_init(&table->text, TABLE_TEXT_MAX_BYTES);
    for (i = 0; headers != NULL && i < column_count; i++) {
        table_add(table, headers[i], TABLE_PLAIN);
    }
}

void table_fini(struct table *table)
{
    buf_fini(&table->text);
    mem_free(table->cells);
    *table = (struct table){0};
}

/* UTF-8 continuation bytes take no column. */
static size_t count_characters(struct str text)
{
    size_t count = 0;
    size_t i;

    for (i = 0; i < text.len; i++) {
        count += ((unsigned char)text.ptr[i] & 0xC0) != 0x80 ? 1 : 0;
    }
    return count;
}

static bool reserve_cell(struct table *table)
{
    size_t cap = table->cell_cap > 0 ? table->cell_cap * 2 : 64;
    struct table_cell *cells;

    if (table->cell_count < table->cell_cap) {
        return true;
    }
    cells = mem_realloc(table->cells, cap * sizeof(*cells));
    if (cells == NULL) {
        table->status = ERR_NOMEM;
        return false;
    }
    table->cells = cells;
    table->cell_cap = cap;
    return true;
}

void table_add(struct table *table, const char *text, enum table_color color)
{
    size_t offset = table->text.len;
    struct str added;

    if (table->status != 0 || !reserve_cell(table)) {
        return;
    }
    format_add_visible(&table->text, str_of(text));
    added = buf_str(&table->text);
    added.ptr += offset;
    added.len -= offset;
    table->cells[table->cell_count++] = (struct table_cell){
        .offset = offset, .len = added.len, .width = count_characters(added), .color = color};
    table->status = buf_status(&table->text);
}

static void print_cell(const struct table *table, const struct table_cell *cell, size_t padding,
                       struct buf *out)
{
    static const char *const starts[] = {[TABLE_PLAIN] = "",
                                         [TABLE_GREEN] = "\033[32m",
                                         [TABLE_YELLOW] = "\033[33m",
                                         [TABLE_RED] = "\033[31m"};
    bool is_colored = table->has_color && cell->color != TABLE_PLAIN;

    buf_add_c(out, is_colored ? starts[cell->color] : "");
    buf_add(out, buf_str(&table->text).ptr + cell->offset, cell->len);
    buf_add_c(out, is_colored ? "\033[0m" : "");
    while (padding-- > 0) {
        buf_add_char(out, ' ');
    }
}

int table_print(const struct table *table, struct buf *out)
{
    size_t widths[TABLE_COLUMNS_MAX] = {0};
    size_t i;

    if (table->status != 0) {
        return table->status;
    }
    CHECK(table->cell_count % table->column_count == 0);
    for (i = 0; i < table->cell_count; i++) {
        size_t *width = &widths[i % table->column_count];

        *width = table->cells[i].width > *width ? table->cells[i].width : *width;
    }
    for (i = 0; i < table->cell_count; i++) {
        size_t column = i % table->column_count;
        bool is_last = column + 1 == table->column_count;

        print_cell(table, &table->cells[i],
                   is_last ? 0 : widths[column] - table->cells[i].width + 2, out);
        if (is_last) {
            buf_add_char(out, '\n');
        }
    }
    return buf_status(out);
}
