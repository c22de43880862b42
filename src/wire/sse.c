/* Server-sent events (HTML standard, 9.2.6): lines end with CR, LF or CRLF, an empty one ends an
 * event. Fields that aren't known and comments are passed over; an id with a NUL and a retry that
 * is no number count for nothing. */
#include "wire/sse.h"

#include <string.h>

void sse_init(struct sse_parser *parser,
              void (*event)(void *user, const char *name, struct str data), void *user)
{
    *parser = (struct sse_parser){.event = event, .user = user};
    buf_init(&parser->line, SSE_LINE_MAX_BYTES);
    buf_init(&parser->data, SSE_DATA_MAX_BYTES);
}

void sse_fini(struct sse_parser *parser)
{
    buf_fini(&parser->line);
    buf_fini(&parser->data);
}

static void forget_event(struct sse_parser *parser)
{
    buf_reset(&parser->data);
    parser->has_data = false;
    parser->name[0] = '\0';
}

void sse_reset(struct sse_parser *parser)
{
    forget_event(parser);
    buf_reset(&parser->line);
    memcpy(parser->next_id, parser->id, sizeof(parser->id));
    parser->is_after_cr = false;
    parser->is_begun = false;
}

/* Too long counts as not given. */
static void take_text(char *out, size_t size, struct str value)
{
    if (value.len < size && memchr(value.len > 0 ? value.ptr : "x", '\0', value.len) == NULL) {
        memcpy(out, value.len > 0 ? value.ptr : "", value.len);
        out[value.len] = '\0';
    }
}

static void take_retry(struct sse_parser *parser, struct str value)
{
    uint64_t ms;

    if (str_parse_u64(value, &ms) == 0 && ms <= SSE_RETRY_MAX_MS) {
        parser->retry_ms = ms;
    }
}

static void take_field(struct sse_parser *parser, struct str line)
{
    struct str value = line;
    struct str field = str_cut(&value, ':');

    if (value.ptr == NULL) {
        value = STR("");
    } else if (str_starts_with(value, " ")) {
        value.ptr++;
        value.len--;
    }
    if (str_eq_c(field, "data")) {
        if (parser->has_data) {
            buf_add_char(&parser->data, '\n');
        }
        parser->has_data = true;
        buf_add_str(&parser->data, value);
    } else if (str_eq_c(field, "event")) {
        take_text(parser->name, sizeof(parser->name), value);
    } else if (str_eq_c(field, "id")) {
        take_text(parser->next_id, sizeof(parser->next_id), value);
    } else if (str_eq_c(field, "retry")) {
        take_retry(parser, value);
    }
}

static void end_event(struct sse_parser *parser)
{
    memcpy(parser->id, parser->next_id, sizeof(parser->id));
    if (parser->has_data && buf_status(&parser->data) == 0) {
        parser->event(parser->user, parser->name[0] != '\0' ? parser->name : "message",
                      buf_str(&parser->data));
    }
}

static int end_line(struct sse_parser *parser)
{
    struct str line = buf_str(&parser->line);
    int r = buf_status(&parser->line);

    if (!parser->is_begun && str_starts_with(line, "\xEF\xBB\xBF")) {
        line.ptr += 3;
        line.len -= 3;
    }
    parser->is_begun = true;
    if (r == 0 && line.len > 0) {
        take_field(parser, line);
        r = buf_status(&parser->data);
    } else if (r == 0) {
        end_event(parser);
        forget_event(parser);
    }
    buf_reset(&parser->line);
    return r;
}

int sse_read(struct sse_parser *parser, struct str bytes)
{
    int r = 0;
    size_t i;

    for (i = 0; r == 0 && i < bytes.len; i++) {
        char c = bytes.ptr[i];

        if (c == '\r' || (c == '\n' && !parser->is_after_cr)) {
            r = end_line(parser);
        } else if (c != '\n') {
            buf_add_char(&parser->line, c);
            r = buf_status(&parser->line);
        }
        parser->is_after_cr = c == '\r';
    }
    return r;
}
