/* Requests as RFC 9112 has them: sections 3 (request line), 5 (headers) and 6 (body), without what
 * is obsolete, and without transfer codings. */
#include "fuzz/strict_http.h"

#include <string.h>
#include <strings.h>

/* Cuts off what ends in CRLF; or in a bare LF before a colon and CRLF (see cut_colon_line). */
static bool cut_line(struct str *rest, struct str *ret_line)
{
    const char *end = rest->len > 0 ? memchr(rest->ptr, '\n', rest->len) : NULL;
    struct str next;
    size_t len;

    if (end == NULL) {
        return false;
    }
    len = (size_t)(end - rest->ptr);
    next = (struct str){end + 1, rest->len - len - 1};
    if (len > 0 && end[-1] == '\r') {
        len--;
    } else if (!str_starts_with(next, ":\r\n")) {
        return false;
    }
    *ret_line = (struct str){rest->ptr, len};
    *rest = next;
    return true;
}

static bool is_token(struct str s)
{
    size_t i;

    for (i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];

        if (c <= 0x20 || c >= 0x7f || strchr("\"(),/:;<=>?@[\\]{}", c) != NULL) {
            return false;
        }
    }
    return s.len > 0;
}

static bool is_target(struct str s)
{
    size_t i;

    for (i = 0; i < s.len; i++) {
        if ((unsigned char)s.ptr[i] <= 0x20 || (unsigned char)s.ptr[i] >= 0x7f) {
            return false;
        }
    }
    return s.len > 0 && s.ptr[0] == '/';
}

static bool is_value(struct str s)
{
    size_t i;

    for (i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];

        if ((c < 0x20 && c != '\t') || c == 0x7f) {
            return false;
        }
    }
    return true;
}

static bool take_request_line(struct str line, struct strict_request *request, bool *ret_is_1_1)
{
    struct str target;

    request->method = str_cut(&line, ' ');
    target = str_cut(&line, ' ');
    *ret_is_1_1 = str_eq_c(line, "HTTP/1.1");
    if (!is_token(request->method) || !is_target(target) ||
        (!*ret_is_1_1 && !str_eq_c(line, "HTTP/1.0"))) {
        return false;
    }
    request->path = str_cut(&target, '?');
    request->query = target;
    return true;
}

static struct str trim(struct str s)
{
    while (s.len > 0 && (s.ptr[0] == ' ' || s.ptr[0] == '\t')) {
        s.ptr++;
        s.len--;
    }
    while (s.len > 0 && (s.ptr[s.len - 1] == ' ' || s.ptr[s.len - 1] == '\t')) {
        s.len--;
    }
    return s;
}

static bool take_header(struct str line, struct strict_request *request)
{
    size_t at = request->header_count;
    const char *colon = memchr(line.ptr, ':', line.len);

    if (colon == NULL || at == STRICT_HEADERS_MAX) {
        return false;
    }
    request->names[at] = (struct str){line.ptr, (size_t)(colon - line.ptr)};
    request->values[at] = trim((struct str){colon + 1, line.len - request->names[at].len - 1});
    request->header_count++;
    return is_token(request->names[at]) && is_value(request->values[at]);
}

/* The one known exception: libmicrohttpd ends a head at a line that is only a colon, too, and
 * overwrites it and its line end. In the place of CRLF CRLF then stands the same as after CRLF,
 * colon, LF, or LF, colon, CRLF. */
static bool cut_colon_line(struct str *rest)
{
    size_t size = str_starts_with(*rest, ":\r\n") ? 3 : 2;

    if (size == 2 && !str_starts_with(*rest, ":\n")) {
        return false;
    }
    *rest = (struct str){rest->ptr + size, rest->len - size};
    return true;
}

/* How many headers have this name; the last one's value. */
static size_t find(const struct strict_request *request, const char *name, struct str *ret_value)
{
    size_t count = 0;
    size_t i;

    for (i = 0; i < request->header_count; i++) {
        if (request->names[i].len == strlen(name) &&
            strncasecmp(request->names[i].ptr, name, request->names[i].len) == 0) {
            *ret_value = request->values[i];
            count++;
        }
    }
    return count;
}

static bool take_body(struct str *rest, struct strict_request *request)
{
    struct str value = {0};
    uint64_t length = 0;
    size_t count = find(request, "content-length", &value);

    if (count > 1 || find(request, "transfer-encoding", &(struct str){0}) > 0 ||
        (count == 1 && str_parse_u64(value, &length) != 0) || length > rest->len) {
        return false;
    }
    request->body = (struct str){rest->ptr, (size_t)length};
    rest->ptr += length;
    rest->len -= (size_t)length;
    return true;
}

/* Empty lines before a request may be passed over (section 2.2); libmicrohttpd does so with a bare
 * LF, too. */
static void skip_empty_lines(struct str *rest)
{
    while (rest->len > 0) {
        size_t size = rest->ptr[0] == '\n' ? 1 : 2;

        if (size == 2 && !str_starts_with(*rest, "\r\n")) {
            return;
        }
        *rest = (struct str){rest->ptr + size, rest->len - size};
    }
}

bool strict_http_next(struct str *rest, struct strict_request *ret_request)
{
    struct strict_request *request = ret_request;
    struct str line = {0};
    bool is_1_1 = false;

    request->header_count = 0;
    skip_empty_lines(rest);
    if (!cut_line(rest, &line) || !take_request_line(line, request, &is_1_1)) {
        return false;
    }
    while (!cut_colon_line(rest)) {
        if (!cut_line(rest, &line)) {
            return false;
        }
        if (line.len == 0) {
            break;
        }
        if (!take_header(line, request)) {
            return false;
        }
    }
    if (find(request, "host", &line) != 1 && is_1_1) {
        return false;
    }
    return take_body(rest, request);
}
