/* Reads a template part by part: what stands for itself, and what is filled in. */
#include "wire/format_template.h"

#include "wire/format_internal.h"
#include "wire/json_out.h"

#include <string.h>

#define TEMPLATE_NAME_MAX_BYTES 256U

/* Where reading stands; `line` and `column` (in bytes) count from 1. */
struct template_reader {
    struct str rest;
    size_t line;
    size_t column;
};

/* What comes next: a piece of text, and a name where one follows it. */
struct template_part {
    struct str literal;
    struct str name; /* empty: none */
    struct str filter;
    size_t line; /* of the ${ */
    size_t column;
};

static void template_skip(struct template_reader *reader, size_t len)
{
    size_t i;

    for (i = 0; i < len; i++) {
        reader->column++;
        if (reader->rest.ptr[i] == '\n') {
            reader->line++;
            reader->column = 1;
        }
    }
    reader->rest.ptr += len;
    reader->rest.len -= len;
}

static bool template_is_name(struct str name)
{
    size_t i;

    for (i = 0; i < name.len; i++) {
        unsigned char c = (unsigned char)name.ptr[i];

        if (c <= 0x20 || c == 0x7F || strchr("${}|\"'\\`", c) != NULL) {
            return false;
        }
    }
    return name.len > 0 && name.len <= TEMPLATE_NAME_MAX_BYTES;
}

static int template_error(const struct template_part *part, struct err *e, const char *what)
{
    return err_set(e, ERR_INVALID, "%zu:%zu: %s", part->line, part->column, what);
}

/* `reader` is at a ${. */
static int template_read_name(struct template_reader *reader, struct template_part *part,
                              struct err *e)
{
    const char *end;
    size_t limit = reader->rest.len < 2 * TEMPLATE_NAME_MAX_BYTES ? reader->rest.len
                                                                  : 2 * TEMPLATE_NAME_MAX_BYTES;

    part->line = reader->line;
    part->column = reader->column;
    end = memchr(reader->rest.ptr, '}', limit);
    if (end == NULL) {
        return template_error(part, e, "there is no } behind this ${; write $${ for the text ${");
    }
    part->filter =
        (struct str){.ptr = reader->rest.ptr + 2, .len = (size_t)(end - reader->rest.ptr) - 2};
    part->name = str_cut(&part->filter, '|');
    if (!template_is_name(part->name) || (part->filter.ptr != NULL && part->filter.len == 0)) {
        return template_error(part, e,
                              "this is no ${field}, ${role.field} or ${field|filter}; write $${ "
                              "for the text ${");
    }
    template_skip(reader, (size_t)(end - reader->rest.ptr) + 1);
    return 0;
}

/* The next part; at the end, an empty one. */
static int template_next(struct template_reader *reader, struct template_part *ret_part,
                         struct err *e)
{
    struct template_part part = {.literal = {.ptr = reader->rest.ptr, .len = 0}};
    size_t i;

    for (i = 0; i < reader->rest.len; i++) {
        struct str at = {.ptr = reader->rest.ptr + i, .len = reader->rest.len - i};

        if (str_starts_with(at, "$${")) {
            /* The part ends behind the first $; the second stands for nothing. */
            part.literal.len = i + 1;
            template_skip(reader, i + 2);
            *ret_part = part;
            return 0;
        }
        if (str_starts_with(at, "${")) {
            break;
        }
    }
    part.literal.len = i;
    template_skip(reader, i);
    if (reader->rest.len > 0) {
        int status = template_read_name(reader, &part, e);

        if (status != 0) {
            return status;
        }
    }
    *ret_part = part;
    return 0;
}

/* The field that a name stands for, or NULL. Names of roles and fields may have dots in them, so
 * each dot is tried. */
static const struct format_field *template_find(struct str name,
                                                const struct format_credential *credentials,
                                                size_t count)
{
    const struct format_field *field =
        count > 0 ? format_credential_field(&credentials[0], name) : NULL;
    size_t i;

    for (i = 0; field == NULL && i < count; i++) {
        size_t len = strlen(credentials[i].role);

        if (name.len > len + 1 && name.ptr[len] == '.' &&
            memcmp(name.ptr, credentials[i].role, len) == 0) {
            field =
                format_credential_field(&credentials[i], (struct str){.ptr = name.ptr + len + 1,
                                                                      .len = name.len - len - 1});
        }
    }
    return field;
}

static void template_add_url(struct buf *out, struct str value)
{
    size_t i;

    for (i = 0; i < value.len; i++) {
        char c = value.ptr[i];
        bool is_plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                        (c >= '0' && c <= '9') || (c != '\0' && strchr("-._~", c) != NULL);

        if (is_plain) {
            buf_add_char(out, c);
        } else {
            buf_printf(out, "%%%02X", (unsigned char)c);
        }
    }
}

static const struct {
    const char *name;
    void (*add)(struct buf *out, struct str value);
} template_filters[] = {
    {"json", json_out_add_quoted},    /* with its quotes */
    {"shell", format_add_shell_word}, /* with its quotes */
    {"url", template_add_url},        /* for any part of one */
};

static int template_fill_in(const struct template_part *part, struct str value, struct buf *out,
                            struct err *e)
{
    size_t i;

    if (part->filter.ptr == NULL) {
        buf_add_str(out, value);
        return 0;
    }
    for (i = 0; i < ARRAY_LEN(template_filters); i++) {
        if (str_eq_c(part->filter, template_filters[i].name)) {
            template_filters[i].add(out, value);
            return 0;
        }
    }
    return err_set(e, ERR_INVALID, "%zu:%zu: there is no filter '%.*s'; known: json, shell, url",
                   part->line, part->column, STR_ARG(part->filter));
}

static int template_start(struct str text, struct template_reader *ret_reader, struct err *e)
{
    if (text.len > FORMAT_TEMPLATE_MAX_BYTES) {
        return err_set(e, ERR_TOO_LARGE, "the template has more than %u bytes",
                       FORMAT_TEMPLATE_MAX_BYTES);
    }
    *ret_reader = (struct template_reader){.rest = text, .line = 1, .column = 1};
    return 0;
}

int format_template_render(struct str text, const struct format_credential *credentials,
                           size_t count, struct buf *out, struct err *e)
{
    struct template_reader reader = {.line = 1};
    struct template_part part;
    const struct format_field *field;
    int status = template_start(text, &reader, e);

    while (status == 0 && reader.rest.len > 0) {
        status = template_next(&reader, &part, e);
        if (status != 0) {
            break;
        }
        buf_add_str(out, part.literal);
        if (part.name.len == 0) {
            continue;
        }
        field = template_find(part.name, credentials, count);
        status = field != NULL ? template_fill_in(&part, secret_view(&field->value), out, e)
                               : err_set(e, ERR_INVALID, "%zu:%zu: there is no '%.*s'", part.line,
                                         part.column, STR_ARG(part.name));
    }
    if (status == 0 && buf_status(out) != 0) {
        status = err_set(e, buf_status(out), "%s", err_str(buf_status(out)));
    }
    return status;
}

static bool template_is_leased(struct str role, const struct format_credential *credentials,
                               size_t count)
{
    size_t i;

    for (i = 0; i < count; i++) {
        if (str_eq_c(role, credentials[i].role)) {
            return true;
        }
    }
    return false;
}

int format_template_missing_role(struct str text, const struct format_credential *credentials,
                                 size_t count, struct str *ret_role, struct err *e)
{
    struct template_reader reader = {.line = 1};
    struct template_part part;
    struct str missing = STR("");
    int status = template_start(text, &reader, e);

    while (status == 0 && missing.len == 0 && reader.rest.len > 0) {
        struct str field;
        struct str role;

        status = template_next(&reader, &part, e);
        if (status != 0 || part.name.len == 0 ||
            template_find(part.name, credentials, count) != NULL) {
            continue;
        }
        field = part.name;
        role = str_cut(&field, '.');
        if (field.len > 0 && !template_is_leased(role, credentials, count)) {
            missing = role;
        }
    }
    if (status == 0) {
        *ret_role = missing;
    }
    return status;
}
