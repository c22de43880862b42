/* What a request's head must be like: whatever two HTTP implementations could read in two ways is
 * refused.
 *
 * libmicrohttpd lets through bare LF, folded lines, NUL bytes, extra blanks, repeated headers and
 * both ways to give a body's length, and overwrites the line ends with NULs. But its strings point
 * into the buffer that was received, so each part must begin exactly where the one before it and
 * its CRLF stop, the last one must stop at the end of the head, and nothing but two NULs may stand
 * in the place of a line end.
 *
 * Two things can't be told from a line end: NULs, and a line of nothing but a colon, at which
 * libmicrohttpd ends a head. Who sends them splits his own connection and nobody else's. */
#include "io/server_internal.h"

#include <string.h>
#include <strings.h>

/* Headers that mean something once and nothing twice. */
static const struct str single_headers[] = {
    {.ptr = "host", .len = 4},
    {.ptr = "content-length", .len = 14},
    {.ptr = "x-leased-request", .len = 16},
    {.ptr = "origin", .len = 6},
    {.ptr = "authorization", .len = 13},
    {.ptr = "content-type", .len = 12},
    {.ptr = "x-vault-token", .len = 13},
    {.ptr = "x-vault-request", .len = 15},
    {.ptr = "x-vault-namespace", .len = 17},
    {.ptr = "x-vault-wrap-ttl", .len = 16},
    {.ptr = "idempotency-key", .len = 15},
};
static_assert(ARRAY_LEN(single_headers) <= 32, "`seen` has 32 bits");
#define SINGLE_HOST 0U
#define SINGLE_CONTENT_LENGTH 1U

/* The head while it is being judged. */
struct head {
    struct env_connection *conn;
    const char *next;    /* where the next part must begin */
    uint32_t seen;       /* bits by single_headers */
    unsigned int status; /* 0, or the refusal */
    const char *detail;
};

static enum MHD_Result head_refuse(struct head *head, unsigned int status, const char *detail)
{
    head->status = status;
    head->detail = detail;
    return MHD_NO; /* ends the walk over the headers */
}

static bool is_token_char(unsigned char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

static bool is_token(struct str s)
{
    size_t i;

    for (i = 0; i < s.len; i++) {
        if (!is_token_char((unsigned char)s.ptr[i])) {
            return false;
        }
    }
    return s.len > 0;
}

static bool is_field_value(struct str s)
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

static bool is_origin_form(struct str target)
{
    size_t i;

    for (i = 0; i < target.len; i++) {
        unsigned char c = (unsigned char)target.ptr[i];

        if (c <= 0x20 || c >= 0x7f || c == '#') {
            return false;
        }
    }
    return target.len > 0 && target.ptr[0] == '/';
}

static bool is_name(struct str name, struct str lower)
{
    return name.len == lower.len && strncasecmp(name.ptr, lower.ptr, name.len) == 0;
}

/* Marks a header of the table as seen; false at the second time. */
static bool note_single(struct head *head, struct str name, size_t *ret_index)
{
    size_t i;

    *ret_index = ARRAY_LEN(single_headers);
    for (i = 0; i < ARRAY_LEN(single_headers); i++) {
        if (is_name(name, single_headers[i])) {
            uint32_t bit = 1U << i;
            bool is_first = (head->seen & bit) == 0;

            head->seen |= bit;
            *ret_index = i;
            return is_first;
        }
    }
    return true;
}

/* What this request may have; the request line has been judged. */
static size_t body_max_bytes(const struct env_connection *conn)
{
    const struct io_listener_limits *limits = &conn->listener->limits;
    struct str target = {.ptr = conn->target, .len = conn->target_len};

    return limits->large_path != NULL && str_starts_with(target, limits->large_path)
               ? limits->large_body_max_bytes
               : limits->body_max_bytes;
}

static enum MHD_Result judge_content_length(struct head *head, struct str value)
{
    struct env_connection *conn = head->conn;
    uint64_t length;
    int rc = str_parse_u64(value, &length);

    if (rc == ERR_RANGE || (rc == 0 && length > body_max_bytes(conn))) {
        return head_refuse(head, MHD_HTTP_CONTENT_TOO_LARGE, "the body is too large");
    }
    if (rc != 0) {
        return head_refuse(head, MHD_HTTP_BAD_REQUEST, "Content-Length is not a number");
    }
    conn->content_length = (size_t)length;
    return MHD_YES;
}

static enum MHD_Result judge_header(struct head *head, struct str name, struct str value)
{
    size_t single;

    if (!is_token(name) || !is_field_value(value)) {
        return head_refuse(head, MHD_HTTP_BAD_REQUEST, "a header is malformed");
    }
    if (!note_single(head, name, &single)) {
        return head_refuse(head, MHD_HTTP_BAD_REQUEST, "a header stands twice that may stand once");
    }
    if (single == SINGLE_HOST && host_is_foreign(head->conn->listener, str_trim(value))) {
        return head_refuse(head, MHD_HTTP_FORBIDDEN, "the Host header names another machine");
    }
    if (single == SINGLE_CONTENT_LENGTH) {
        return judge_content_length(head, value);
    }
    if (is_name(name, STR("transfer-encoding"))) {
        return head_refuse(head, MHD_HTTP_NOT_IMPLEMENTED,
                           "transfer codings are not taken; send Content-Length");
    }
    if (is_name(name, STR("expect"))) {
        return head_refuse(head, MHD_HTTP_EXPECTATION_FAILED, "Expect is not supported");
    }
    return MHD_YES;
}

/* CR and LF have both been overwritten. */
static bool is_line_end(const char *at)
{
    return at[0] == '\0' && at[1] == '\0';
}

/* Name and value stand where they were received, with a colon and blanks between them. */
static bool is_in_place(const struct head *head, struct str name, struct str value)
{
    const char *colon = name.ptr + name.len;
    size_t gap;

    if (name.ptr != head->next || value.ptr == NULL || value.ptr <= colon) {
        return false;
    }
    for (gap = 1; colon + gap < value.ptr; gap++) {
        if (colon[gap] != ' ' && colon[gap] != '\t') {
            return false;
        }
    }
    return true;
}

/* style-ok: params: libmicrohttpd's signature */
static enum MHD_Result take_header(void *user, enum MHD_ValueKind kind, const char *name,
                                   size_t name_len, const char *value, size_t value_len)
{
    struct head *head = user;
    struct env_request *request = &head->conn->request;
    struct str name_str = {.ptr = name, .len = name_len};
    struct str value_str = {.ptr = value, .len = value_len};

    (void)kind;
    if (request->header_count >= head->conn->listener->limits.headers_max) {
        return head_refuse(head, MHD_HTTP_REQUEST_HEADER_FIELDS_TOO_LARGE, "too many headers");
    }
    if (!is_in_place(head, name_str, value_str) || !is_line_end(value + value_len)) {
        return head_refuse(head, MHD_HTTP_BAD_REQUEST, "a header is malformed");
    }
    head->next = value + value_len + strlen("\r\n");
    request->headers[request->header_count].name = name_str;
    request->headers[request->header_count].value = str_trim(value_str);
    request->header_count++;
    return judge_header(head, name_str, value_str);
}

static void judge_request_line(struct head *head, const char *version)
{
    struct env_connection *conn = head->conn;
    const struct env_request *request = &conn->request;
    struct str target = {.ptr = conn->target, .len = conn->target_len};

    if (conn->target_len > conn->target_max_bytes) {
        (void)head_refuse(head, MHD_HTTP_URI_TOO_LONG, "the target is too long");
    } else if (strcmp(version, "HTTP/1.1") != 0 && strcmp(version, "HTTP/1.0") != 0) {
        (void)head_refuse(head, MHD_HTTP_HTTP_VERSION_NOT_SUPPORTED, "HTTP/1.1 is spoken here");
    } else if (!is_token(request->method) || str_eq_c(request->method, "CONNECT")) {
        (void)head_refuse(head, MHD_HTTP_BAD_REQUEST, "this method is not taken");
    } else if (!is_origin_form(target)) {
        (void)head_refuse(head, MHD_HTTP_BAD_REQUEST,
                          "the target must be a path, without blanks or fragment");
    }
}

static void split_target(struct env_connection *conn)
{
    struct str rest = {.ptr = conn->target, .len = conn->target_len};

    conn->request.path = str_cut(&rest, '?');
    conn->request.query = rest;
}

/* All of the head is here. Judges it, the request line first. */
static void judge(struct head *head, const char *method, const char *version)
{
    struct env_connection *conn = head->conn;
    size_t size =
        MHD_get_connection_info(conn->mhd, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE)->header_size;

    judge_request_line(head, version);
    if (head->status == 0 && size > conn->listener->limits.head_max_bytes) {
        (void)head_refuse(head, MHD_HTTP_REQUEST_HEADER_FIELDS_TOO_LARGE, "the head is too large");
    }
    if (head->status == 0 && (conn->target_at != method + strlen(method) + 1 ||
                              version != conn->target_at + conn->target_len + 1 ||
                              !is_line_end(version + strlen(version)))) {
        (void)head_refuse(head, MHD_HTTP_BAD_REQUEST, "the request line is malformed");
    }
    if (head->status == 0) {
        head->next = version + strlen(version) + strlen("\r\n");
        (void)MHD_get_connection_values_n(conn->mhd, MHD_HEADER_KIND, take_header, head);
    }
    if (head->status == 0 &&
        (head->next + strlen("\r\n") != method + size || !is_line_end(head->next))) {
        (void)head_refuse(head, MHD_HTTP_BAD_REQUEST, "the head is malformed");
    }
    /* HTTP/1.0 may leave it out, where it isn't what tells a page from a client of ours. */
    if (head->status == 0 && (head->seen & (1U << SINGLE_HOST)) == 0 &&
        (!conn->is_http_1_0 || host_is_judged(conn->listener))) {
        (void)head_refuse(head, MHD_HTTP_BAD_REQUEST, "the Host header is missing");
    }
}

unsigned int head_judge(struct env_connection *conn, const char *method, const char *version,
                        const char **ret_detail)
{
    struct head head = {.conn = conn};

    conn->request.method = str_of(method);
    conn->is_http_1_0 = strcmp(version, "HTTP/1.0") == 0;
    judge(&head, method, version);
    if (head.status == 0) {
        split_target(conn);
    } else {
        *ret_detail = head.detail;
    }
    return head.status;
}
