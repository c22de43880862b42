/* The list of mistakes that reading a configuration found: one line each, in the order found,
 * bounded in number and length. Bytes that could move a terminal's cursor don't get through. */
#include "wire/yaml.h"

#include <stdio.h>
#include <string.h>

#define LINE_MAX_BYTES 640
#define KEY_MAX_BYTES 64
#define TEXT_MAX_BYTES ((size_t)YAML_ERRORS_MAX * (LINE_MAX_BYTES + 1))

void yaml_errors_init(struct yaml_errors *errors)
{
    errors->count = 0;
    buf_init(&errors->text, TEXT_MAX_BYTES);
}

void yaml_errors_fini(struct yaml_errors *errors)
{
    buf_fini(&errors->text);
    errors->count = 0;
}

/* Escapes in quoted scalars can make any character, also the controls of U+0080 to U+009F (two
 * bytes here). */
static void line_clean(char *line)
{
    for (; *line != '\0'; line++) {
        unsigned char c = (unsigned char)line[0];
        unsigned char following = (unsigned char)line[1];

        if (c < 0x20 || c == 0x7f) {
            line[0] = '?';
        } else if (c == 0xc2 && following >= 0x80 && following < 0xa0) {
            line[0] = '?';
            line[1] = '?';
        }
    }
}

struct place {
    const char *file;
    uint32_t line; /* 0: unknown */
    uint32_t column;
    struct str key; /* stands before the text; may be empty */
};

static struct place place_of(const struct yaml_node *node)
{
    return (struct place){.file = node->file, .line = node->line, .column = node->column};
}

static void error_add(struct yaml_errors *errors, struct place place, const char *format,
                      va_list args)
{
    char text[LINE_MAX_BYTES];
    int used;

    errors->count++;
    if (errors->count > YAML_ERRORS_MAX) {
        return;
    }
    used = place.line == 0 ? snprintf(text, sizeof(text), "%.200s: ", place.file)
                           : snprintf(text, sizeof(text), "%.200s:%u:%u: ", place.file, place.line,
                                      place.column);
    CHECK(used >= 0 && (size_t)used < sizeof(text));
    if (place.key.len > 0) {
        used +=
            snprintf(text + used, sizeof(text) - (size_t)used,
                     "%.*s: ", (int)(place.key.len < KEY_MAX_BYTES ? place.key.len : KEY_MAX_BYTES),
                     place.key.ptr);
        CHECK((size_t)used < sizeof(text));
    }
    (void)vsnprintf(text + used, sizeof(text) - (size_t)used, format, args);
    line_clean(text);
    buf_add_c(&errors->text, text);
    buf_add_char(&errors->text, '\n');
}

void yaml_error_in(struct yaml_errors *errors, const char *file, uint32_t line, uint32_t column,
                   const char *format, ...)
{
    va_list args;

    va_start(args, format);
    error_add(errors, (struct place){.file = file, .line = line, .column = column}, format, args);
    va_end(args);
}

void yaml_error_at(struct yaml_errors *errors, const struct yaml_node *node, const char *format,
                   ...)
{
    va_list args;

    va_start(args, format);
    error_add(errors, place_of(node), format, args);
    va_end(args);
}

void yaml_error_at_value(struct yaml_errors *errors, const struct yaml_node *node,
                         const char *format, ...)
{
    struct place place = place_of(node);
    va_list args;

    place.key = node->key;
    va_start(args, format);
    error_add(errors, place, format, args);
    va_end(args);
}

void yaml_error_at_key(struct yaml_errors *errors, const struct yaml_node *node, const char *format,
                       ...)
{
    struct place place = place_of(node);
    va_list args;

    if (node->key_line != 0) {
        place.line = node->key_line;
        place.column = node->key_column;
    }
    va_start(args, format);
    error_add(errors, place, format, args);
    va_end(args);
}
