/* JSON text written straight into a buffer. */
#include "wire/json_out.h"

#include "base/units.h"

void json_out_init(struct json_out *json, struct buf *out)
{
    *json = (struct json_out){.out = out};
}

/* Length of the valid UTF-8 sequence at the start of `text`, and its code point; 0 if there is
 * none. */
static size_t utf8_decode(struct str text, uint32_t *ret_code_point)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    unsigned char first = (unsigned char)text.ptr[0];
    size_t len = first < 0x80 ? 1 : first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : first >= 0xc0 ? 2 : 0;
    uint32_t code_point = len == 1 ? first : len == 0 ? 0 : first & (0xffU >> (len + 1));
    size_t i;

    if (len == 0 || len > text.len || first > 0xf4) {
        return 0;
    }
    for (i = 1; i < len; i++) {
        unsigned char byte = (unsigned char)text.ptr[i];

        if ((byte & 0xc0U) != 0x80) {
            return 0;
        }
        code_point = (code_point << 6) | (byte & 0x3fU);
    }
    if (code_point < least[len] || code_point > 0x10ffff ||
        (code_point >= 0xd800 && code_point <= 0xdfff)) {
        return 0;
    }
    *ret_code_point = code_point;
    return len;
}

/* Characters that would let a text forge lines or hide its order when somebody looks at it in a
 * terminal. */
static bool needs_escape(uint32_t code_point)
{
    return code_point < 0x20 || code_point == 0x7f || code_point == '"' || code_point == '\\' ||
           (code_point >= 0x80 && code_point <= 0x9f) || code_point == 0x061c ||
           code_point == 0x200e || code_point == 0x200f ||
           (code_point >= 0x2028 && code_point <= 0x202e) ||
           (code_point >= 0x2066 && code_point <= 0x2069);
}

static void add_escaped(struct buf *out, uint32_t code_point)
{
    switch (code_point) {
    case '"':
        buf_add(out, "\\\"", 2);
        break;
    case '\\':
        buf_add(out, "\\\\", 2);
        break;
    case '\n':
        buf_add(out, "\\n", 2);
        break;
    case '\r':
        buf_add(out, "\\r", 2);
        break;
    case '\t':
        buf_add(out, "\\t", 2);
        break;
    default:
        buf_printf(out, "\\u%04x", (unsigned)code_point);
        break;
    }
}

/* How many bytes at the start of `text` are plain ASCII that stands for itself. */
static size_t plain_length(struct str text)
{
    size_t len = 0;

    while (len < text.len) {
        unsigned char byte = (unsigned char)text.ptr[len];

        if (byte < 0x20 || byte >= 0x7f || byte == '"' || byte == '\\') {
            break;
        }
        len++;
    }
    return len;
}

/* Adds the first character of `text`, escaped if need be; how many bytes it took. */
static size_t add_character(struct buf *out, struct str text)
{
    uint32_t code_point;
    size_t len = utf8_decode(text, &code_point);

    if (len == 0) {
        buf_add(out, "\xef\xbf\xbd", 3);
        return 1;
    }
    if (needs_escape(code_point)) {
        add_escaped(out, code_point);
    } else {
        buf_add(out, text.ptr, len);
    }
    return len;
}

void json_out_add_quoted(struct buf *out, struct str text)
{
    buf_add_char(out, '"');
    while (text.len > 0) {
        size_t len = plain_length(text);

        if (len > 0) {
            buf_add(out, text.ptr, len);
        } else {
            len = add_character(out, text);
        }
        text.ptr += len;
        text.len -= len;
    }
    buf_add_char(out, '"');
}

/* The comma and the key before a value. */
static void value_begin(struct json_out *json, const char *key)
{
    if (json->needs_comma) {
        buf_add_char(json->out, ',');
    }
    json->needs_comma = true;
    if (key != NULL) {
        buf_add_char(json->out, '"');
        buf_add_c(json->out, key);
        buf_add(json->out, "\":", 2);
    }
}

void json_out_object_open(struct json_out *json, const char *key)
{
    value_begin(json, key);
    buf_add_char(json->out, '{');
    json->needs_comma = false;
}

void json_out_object_close(struct json_out *json)
{
    buf_add_char(json->out, '}');
    json->needs_comma = true;
}

void json_out_array_open(struct json_out *json, const char *key)
{
    value_begin(json, key);
    buf_add_char(json->out, '[');
    json->needs_comma = false;
}

void json_out_array_close(struct json_out *json)
{
    buf_add_char(json->out, ']');
    json->needs_comma = true;
}

void json_out_string(struct json_out *json, const char *key, struct str value)
{
    value_begin(json, key);
    json_out_add_quoted(json->out, value);
}

void json_out_string_c(struct json_out *json, const char *key, const char *value)
{
    if (value != NULL) {
        json_out_string(json, key, str_of(value));
    } else {
        value_begin(json, key);
        buf_add(json->out, "null", 4);
    }
}

void json_out_member(struct json_out *json, struct str key, struct str value)
{
    value_begin(json, NULL);
    json_out_add_quoted(json->out, key);
    buf_add_char(json->out, ':');
    json_out_add_quoted(json->out, value);
}

void json_out_u64(struct json_out *json, const char *key, uint64_t value)
{
    char digits[20];
    size_t first = sizeof(digits);

    do {
        digits[--first] = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    value_begin(json, key);
    buf_add(json->out, digits + first, sizeof(digits) - first);
}

void json_out_bool(struct json_out *json, const char *key, bool value)
{
    value_begin(json, key);
    buf_add_c(json->out, value ? "true" : "false");
}

void json_out_time(struct json_out *json, const char *key, int64_t wall_ms)
{
    char text[UNITS_TIME_MAX_BYTES];

    json_out_string_c(json, key, wall_ms != 0 ? units_format_time(wall_ms, text) : NULL);
}
