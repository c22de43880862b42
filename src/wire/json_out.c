/* JSON text written straight into a buffer. */
#include "wire/json_out.h"

#include "base/units.h"
#include "wire/utf8.h"

void json_out_init(struct json_out *json, struct buf *out)
{
    *json = (struct json_out){.out = out};
}

static bool needs_escape(uint32_t code_point)
{
    return code_point == '"' || code_point == '\\' || utf8_misleads(code_point);
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

#define ONES UINT64_C(0x0101010101010101)
#define HIGHS (ONES * 0x80U)

/* Does one of eight bytes need a closer look? The classic test for a zero byte, x - 1 & ~x & 0x80,
 * may also mark the byte above a real hit, but never a block without one. Bytes from 0x7f on are
 * marked by the carry of x + 1, and by their own high bit. */
static bool block_is_plain(const char *bytes)
{
    uint64_t x;
    uint64_t quote;
    uint64_t backslash;

    memcpy(&x, bytes, sizeof(x));
    quote = x ^ (ONES * '"');
    backslash = x ^ (ONES * '\\');
    return (((x - ONES * 0x20U) | (x + ONES) | x | ((quote - ONES) & ~quote) |
             ((backslash - ONES) & ~backslash)) &
            HIGHS) == 0;
}

static bool byte_is_plain(char c)
{
    unsigned char byte = (unsigned char)c;

    return byte >= 0x20 && byte < 0x7f && byte != '"' && byte != '\\';
}

/* How many bytes at the start of `text` are plain ASCII that stands for itself. */
static size_t plain_length(struct str text)
{
    size_t len = 0;

    while (len < text.len && byte_is_plain(text.ptr[len])) {
        len++;
    }
    return len;
}

/* Is all of it so? The last block may overlap the one before. */
static bool is_plain(struct str text)
{
    size_t at;

    if (text.len < sizeof(uint64_t)) {
        return plain_length(text) == text.len;
    }
    for (at = 0; at + sizeof(uint64_t) < text.len; at += sizeof(uint64_t)) {
        if (!block_is_plain(text.ptr + at)) {
            return false;
        }
    }
    return block_is_plain(text.ptr + text.len - sizeof(uint64_t));
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

/* The comma and the key before a value, and room for `more` bytes after them: where they go, or
 * NULL. What is written there counts once value_end has run. */
static char *value_begin(struct json_out *json, struct str key, size_t more)
{
    struct buf *out = json->out;
    size_t key_size = key.ptr != NULL ? key.len + strlen("\"\":") : 0;
    char *at;

    if (!buf_reserve(out, (json->needs_comma ? 1 : 0) + key_size + more)) {
        return NULL;
    }
    at = out->bytes + out->len;
    if (json->needs_comma) {
        *at++ = ',';
    }
    json->needs_comma = true;
    if (key.ptr != NULL) {
        *at++ = '"';
        at = str_put(at, key);
        *at++ = '"';
        *at++ = ':';
    }
    return at;
}

static void value_end(struct json_out *json, char *end)
{
    *end = '\0';
    json->out->len = (size_t)(end - json->out->bytes);
}

void json_out_text_at(struct json_out *json, struct str key, struct str text)
{
    char *at = value_begin(json, key, text.len);

    if (at != NULL) {
        value_end(json, str_put(at, text));
    }
}

void json_out_open_at(struct json_out *json, struct str key, char bracket)
{
    json_out_text_at(json, key, (struct str){.ptr = &bracket, .len = 1});
    json->needs_comma = false;
}

void json_out_close(struct json_out *json, char bracket)
{
    buf_add_char(json->out, bracket);
    json->needs_comma = true;
}

void json_out_string_at(struct json_out *json, struct str key, struct str value)
{
    char *at;

    if (!is_plain(value)) {
        json_out_text_at(json, key, STR(""));
        json_out_add_quoted(json->out, value);
        return;
    }
    at = value_begin(json, key, value.len + 2);
    if (at != NULL) {
        *at++ = '"';
        at = str_put(at, value);
        *at++ = '"';
        value_end(json, at);
    }
}

void json_out_member(struct json_out *json, struct str key, struct str value)
{
    if (key.ptr != NULL && is_plain(key)) {
        json_out_string_at(json, key, value);
        return;
    }
    json_out_text_at(json, (struct str){.ptr = NULL, .len = 0}, STR(""));
    json_out_add_quoted(json->out, key);
    buf_add_char(json->out, ':');
    json_out_add_quoted(json->out, value);
}

void json_out_u64_at(struct json_out *json, struct str key, uint64_t value)
{
    char digits[STR_U64_MAX_BYTES];
    char *end = str_put_u64(digits, value);

    json_out_text_at(json, key, (struct str){.ptr = digits, .len = (size_t)(end - digits)});
}

void json_out_i64_at(struct json_out *json, struct str key, int64_t value)
{
    char digits[STR_U64_MAX_BYTES + 1];
    char *at = digits;

    if (value < 0) {
        *at++ = '-';
    }
    at = str_put_u64(at, value < 0 ? 0 - (uint64_t)value : (uint64_t)value);
    json_out_text_at(json, key, (struct str){.ptr = digits, .len = (size_t)(at - digits)});
}

void json_out_time_at(struct json_out *json, struct str key, int64_t wall_ms)
{
    char text[UNITS_TIME_MAX_BYTES];

    if (wall_ms != 0) {
        json_out_string_at(json, key, str_of(units_format_time(wall_ms, text)));
    } else {
        json_out_text_at(json, key, STR("null"));
    }
}
