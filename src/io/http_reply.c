/* Takes a reply in as curl delivers it: header by header, then the body in pieces. Everything is
 * counted before it is kept; what goes over a limit or isn't plain HTTP ends the transfer, with the
 * reason noted in the exchange.
 *
 * Interim (1xx) responses and trailers count but aren't kept. */
#include "io/http_internal.h"

#include <string.h>

static bool is_token_char(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           (c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

static char to_lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

/* "HTTP/1.1 200 OK" */
static int take_status(struct http_reply *reply, struct str line)
{
    uint64_t status;

    (void)str_cut(&line, ' ');
    if (str_parse_u64(str_cut(&line, ' '), &status) != 0 || status < 100 || status > 999) {
        return ERR_PROTOCOL;
    }
    reply->status = (uint32_t)status;
    reply->count = 0;
    buf_reset(&reply->head);
    return 0;
}

static int check_encoding(struct str name, struct str value)
{
    if (str_eq_c(name, "content-encoding") && !str_eq_c(value, "identity")) {
        return ERR_PROTOCOL;
    }
    if (str_eq_c(name, "transfer-encoding") && !str_eq_c(value, "chunked") &&
        !str_eq_c(value, "identity")) {
        return ERR_PROTOCOL;
    }
    return 0;
}

static int take_header(struct http_reply *reply, struct str line)
{
    struct str value = line;
    struct str name = str_cut(&value, ':');
    struct http_header_place *place;

    if (value.ptr == NULL || name.len == 0) {
        return ERR_PROTOCOL;
    }
    if (reply->count == ENV_HTTP_HEADERS_MAX) {
        return ERR_TOO_LARGE;
    }
    value = str_trim(value);
    for (size_t i = 0; i < value.len; i++) {
        if (((unsigned char)value.ptr[i] < 0x20 && value.ptr[i] != '\t') || value.ptr[i] == 0x7f) {
            return ERR_PROTOCOL;
        }
    }
    place = &reply->places[reply->count];
    place->name_at = reply->head.len;
    place->name_len = name.len;
    for (size_t i = 0; i < name.len; i++) {
        if (!is_token_char(name.ptr[i])) {
            return ERR_PROTOCOL;
        }
        buf_add_char(&reply->head, to_lower(name.ptr[i]));
    }
    place->value_at = reply->head.len;
    place->value_len = value.len;
    buf_add_str(&reply->head, value);
    if (buf_status(&reply->head) != 0) {
        return buf_status(&reply->head);
    }
    reply->count++;
    return check_encoding((struct str){.ptr = reply->head.bytes + place->name_at, .len = name.len},
                          value);
}

static int take_line(struct http_reply *reply, struct str line)
{
    if (reply->is_complete) {
        return 0; /* A trailer. */
    }
    if (line.len == 0) {
        /* 101 would be another protocol from here on. */
        if (reply->status == 101) {
            return ERR_PROTOCOL;
        }
        reply->is_complete = reply->status >= 200;
        return 0;
    }
    return str_starts_with(line, "HTTP/") ? take_status(reply, line) : take_header(reply, line);
}

static void judge(struct exchange *exchange, int rc)
{
    if (rc == ERR_TOO_LARGE) {
        exchange_judge(exchange, rc, "the reply is larger than allowed");
    } else if (rc == ERR_NOMEM) {
        exchange_judge(exchange, ERR_LOST, "out of memory for the reply");
    } else if (rc != 0) {
        exchange_judge(exchange, rc, "the reply is not plain HTTP, or encoded");
    }
}

size_t http_reply_on_header(char *bytes, size_t size, size_t count, void *user)
{
    struct exchange *exchange = OBJ_CAST(user, struct exchange, EXCHANGE_MAGIC);
    struct http_reply *reply = &exchange->reply;
    struct str line = {.ptr = bytes, .len = size * count};
    int rc;

    reply->head_total_bytes += line.len;
    if (reply->head_total_bytes > HTTP_REPLY_HEAD_MAX_BYTES) {
        rc = ERR_TOO_LARGE;
    } else {
        while (line.len > 0 && (line.ptr[line.len - 1] == '\n' || line.ptr[line.len - 1] == '\r')) {
            line.len--;
        }
        rc = take_line(reply, line);
    }
    judge(exchange, rc);
    return rc == 0 ? size * count : 0;
}

size_t http_reply_on_body(char *bytes, size_t size, size_t count, void *user)
{
    struct exchange *exchange = OBJ_CAST(user, struct exchange, EXCHANGE_MAGIC);
    struct buf *body = &exchange->reply.body;

    buf_add(body, bytes, size * count);
    judge(exchange, buf_status(body));
    return buf_status(body) == 0 ? size * count : 0;
}

void http_reply_init(struct http_reply *reply, size_t body_max_bytes)
{
    *reply = (struct http_reply){0};
    buf_init(&reply->head, HTTP_REPLY_HEAD_MAX_BYTES);
    buf_init(&reply->body, body_max_bytes);
}

void http_reply_fini(struct http_reply *reply)
{
    buf_fini(&reply->head);
    buf_fini(&reply->body);
}

void http_reply_view(const struct http_reply *reply, struct env_http_reply *ret_view)
{
    *ret_view = (struct env_http_reply){.status = reply->status,
                                        .header_count = reply->count,
                                        .body = buf_str(&reply->body)};
    for (size_t i = 0; i < reply->count; i++) {
        const struct http_header_place *place = &reply->places[i];
        struct env_http_header *header = &ret_view->headers[i];

        header->name =
            (struct str){.ptr = reply->head.bytes + place->name_at, .len = place->name_len};
        header->value =
            (struct str){.ptr = reply->head.bytes + place->value_at, .len = place->value_len};
    }
}
