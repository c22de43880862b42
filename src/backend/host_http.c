/* HTTP for plugins: copies a request, puts the backend's address before its path, adds the
 * backend's TLS and proxy, and hands the reply over in the ABI's words.
 *
 * Happy path: host_http_start → env → http_done → the plugin's fn, once.
 * Failures: a request that breaks the rules below isn't started (NULL); an address that couldn't be
 * reached, or that can't serve now (503: a sealed node of a cluster), makes the next request use
 * the next address; after host_end replies are dropped. */
#include "backend/host.h"

#include "base/buf.h"
#include "base/mem.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#define HTTP_MAGIC 0x68687470U
#define URL_MAX_BYTES (16U * 1024U)
#define METHOD_MAX_BYTES 8U
#define HTTP_UNAVAILABLE 503U

struct host_http {
    uint32_t magic;
    struct leased_host_context *context;
    void *handle;
    struct env_http http;
    struct env_http_header headers[ENV_HTTP_HEADERS_MAX];
    size_t address_index;
    char method[METHOD_MAX_BYTES];
    char *url;         /* owned */
    char *unix_socket; /* owned, or NULL */
    struct buf bytes;  /* headers and body, one after the other */
    leased_http_fn fn;
    void *user;
};

static void http_free(struct host_http *exchange)
{
    handles_remove(&exchange->context->https, exchange->handle);
    mem_free(exchange->url);
    mem_free(exchange->unix_socket);
    buf_fini(&exchange->bytes);
    mem_free(exchange);
}

/* --- the request ------------------------------------------------------------------------------ */

/* What HTTP itself needs is the host's alone. */
static bool is_header_name(struct str name)
{
    static const char *const reserved[] = {"host",       "content-length", "transfer-encoding",
                                           "connection", "expect",         "upgrade",
                                           "te",         "trailer",        "proxy-authorization"};

    if (name.len == 0 || name.len > 64) {
        return false;
    }
    for (size_t i = 0; i < name.len; i++) {
        char c = name.ptr[i];

        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
              c == '-')) {
            return false;
        }
    }
    for (size_t i = 0; i < ARRAY_LEN(reserved); i++) {
        if (strlen(reserved[i]) == name.len && strncasecmp(reserved[i], name.ptr, name.len) == 0) {
            return false;
        }
    }
    return true;
}

static bool is_header_value(struct str value)
{
    for (size_t i = 0; i < value.len; i++) {
        unsigned char c = (unsigned char)value.ptr[i];

        if (c < 0x20 || c >= 0x7f) {
            return false;
        }
    }
    return true;
}

bool host_is_header(const struct leased_http_header *header)
{
    return is_header_name(host_str(header->name)) && is_header_value(host_str(header->value));
}

/* Origin form: printable ASCII, no fragment. */
static bool is_path(struct str path)
{
    if (path.len == 0 || path.ptr[0] != '/') {
        return false;
    }
    for (size_t i = 0; i < path.len; i++) {
        if (path.ptr[i] <= 0x20 || path.ptr[i] >= 0x7f || path.ptr[i] == '#') {
            return false;
        }
    }
    return true;
}

static int copy_headers(struct host_http *exchange, const struct leased_http_request *request)
{
    if (request->header_count > ARRAY_LEN(exchange->headers)) {
        return ERR_LIMIT;
    }
    for (size_t i = 0; i < request->header_count; i++) {
        if (!host_is_header(&request->headers[i])) {
            return ERR_INVALID;
        }
        buf_add_str(&exchange->bytes, host_str(request->headers[i].name));
        buf_add_str(&exchange->bytes, host_str(request->headers[i].value));
    }
    buf_add_str(&exchange->bytes, host_str(request->body));
    return buf_status(&exchange->bytes);
}

/* The slices into `bytes`, once it doesn't move any more. */
static void point_to_copies(struct host_http *exchange, const struct leased_http_request *request)
{
    const char *at = buf_str(&exchange->bytes).ptr;

    for (size_t i = 0; i < request->header_count; i++) {
        struct env_http_header *header = &exchange->headers[i];

        header->name = (struct str){at, request->headers[i].name.len};
        at += header->name.len;
        header->value = (struct str){at, request->headers[i].value.len};
        at += header->value.len;
    }
    exchange->http.headers = exchange->headers;
    exchange->http.header_count = request->header_count;
    exchange->http.body = (struct str){at, request->body.len};
}

static int copy_url(struct host_http *exchange, const char *address, struct str path)
{
    struct str base = str_of(address);
    BUF_AUTO url;

    if (str_starts_with(base, "unix://")) {
        exchange->unix_socket = mem_strdup(address + strlen("unix://"));
        if (exchange->unix_socket == NULL) {
            return ERR_NOMEM;
        }
        base = STR("http://localhost");
    }
    while (str_ends_with(base, "/")) {
        base.len--;
    }
    buf_init(&url, URL_MAX_BYTES);
    buf_add_str(&url, base);
    buf_add_str(&url, path);
    exchange->url = buf_steal(&url);
    return exchange->url != NULL ? 0 : ERR_NOMEM;
}

static int copy_request(struct host_http *exchange, const struct leased_http_request *request)
{
    struct leased_host_context *context = exchange->context;
    struct str method = host_str(request->method);
    int rc;

    if (context->address_count == 0 || method.len == 0 || method.len >= METHOD_MAX_BYTES ||
        !is_path(host_str(request->path))) {
        return ERR_INVALID;
    }
    memcpy(exchange->method, method.ptr, method.len);
    exchange->address_index = context->address_index;
    rc = copy_url(exchange, context->addresses[context->address_index], host_str(request->path));
    if (rc == 0) {
        rc = copy_headers(exchange, request);
    }
    if (rc == 0) {
        point_to_copies(exchange, request);
    }
    return rc;
}

/* --- the reply -------------------------------------------------------------------------------- */

static uint32_t transport_of(int status)
{
    switch (status) {
    case 0:
        return LEASED_HTTP_OK;
    case ERR_CONNECT:
    case ERR_TLS:
    case ERR_TIMEOUT:
        return LEASED_HTTP_NOT_SENT;
    case ERR_CANCELED:
        return LEASED_HTTP_CANCELED;
    default:
        /* Whatever doesn't prove that nothing was sent. */
        return LEASED_HTTP_LOST;
    }
}

static void note_outcome(struct host_http *exchange, int status, const struct env_http_reply *reply,
                         const char *detail)
{
    struct leased_host_context *context = exchange->context;
    char text[64];

    if (status == 0 && reply->status < 500) {
        /* It serves; whether it refuses is told by how the operation ends. */
        context->is_serving = true;
    } else if (status == 0) {
        (void)snprintf(text, sizeof(text), "the issuer answered with HTTP status %u",
                       reply->status);
        host_note_outage(context, text);
    } else if (status != ERR_CANCELED) {
        host_note_outage(context, detail != NULL && detail[0] != '\0' ? detail : err_str(status));
    }
    if ((transport_of(status) == LEASED_HTTP_NOT_SENT ||
         (status == 0 && reply->status == HTTP_UNAVAILABLE)) &&
        context->address_index == exchange->address_index) {
        context->address_index = (context->address_index + 1U) % context->address_count;
    }
}

static void http_done(struct env_http *http, int status, const struct env_http_reply *reply,
                      const char *detail)
{
    struct host_http *exchange = OBJ_CAST(http->user, struct host_http, HTTP_MAGIC);
    struct leased_host_context *context = exchange->context;
    struct leased_http_header headers[ENV_HTTP_HEADERS_MAX];
    struct leased_http_reply handed = {.size = sizeof(handed), .transport = transport_of(status)};
    leased_http_fn fn = exchange->fn;
    void *user = exchange->user;

    note_outcome(exchange, status, reply, detail);
    http_free(exchange);
    if (context->is_ended) {
        host_http_ended(context);
        return;
    }
    handed.detail = host_leased_str(str_of(detail != NULL ? detail : ""));
    if (status == 0) {
        for (size_t i = 0; i < reply->header_count; i++) {
            headers[i].name = host_leased_str(reply->headers[i].name);
            headers[i].value = host_leased_str(reply->headers[i].value);
        }
        handed.status = reply->status;
        handed.headers = headers;
        handed.header_count = reply->header_count;
        handed.body = host_leased_str(reply->body);
    } else if (handed.detail.len == 0) {
        handed.detail = host_leased_str(str_of(err_str(status)));
    }
    host_enter(context);
    fn(user, &handed);
    host_leave(context, "http");
}

/* --- the table's functions -------------------------------------------------------------------- */

leased_http *host_http_start(leased_host_context *context,
                             const struct leased_http_request *request, leased_http_fn fn,
                             void *user)
{
    struct host_http *exchange;
    struct err e = {0};
    int rc;

    if (context->is_ended || !LEASED_HAS(request, timeout_ms)) {
        return NULL;
    }
    exchange = mem_calloc(1, sizeof(*exchange));
    if (exchange == NULL) {
        return NULL;
    }
    exchange->magic = HTTP_MAGIC;
    exchange->context = context;
    exchange->fn = fn;
    exchange->user = user;
    buf_init(&exchange->bytes, ENV_HTTP_REPLY_MAX_BYTES);
    rc = handles_add(&context->https, exchange, &exchange->handle);
    if (rc == 0) {
        rc = copy_request(exchange, request);
    }
    if (rc == 0) {
        exchange->http.method = exchange->method;
        exchange->http.url = exchange->url;
        exchange->http.unix_socket = exchange->unix_socket;
        exchange->http.proxy = exchange->unix_socket == NULL ? context->proxy : NULL;
        exchange->http.tls = &context->tls;
        exchange->http.timeout_ms =
            request->timeout_ms != 0 ? request->timeout_ms : context->timeout_ms;
        exchange->http.flags =
            (request->flags & LEASED_HTTP_CREATES) != 0 ? (uint32_t)ENV_HTTP_CREATES : 0;
        exchange->http.fn = http_done;
        exchange->http.user = exchange;
        rc = env_http_start(context->env, &exchange->http, &e);
    }
    if (rc != 0) {
        host_note_error(context, e.text[0] != '\0' ? e.text : err_str(rc));
        http_free(exchange);
        return NULL;
    }
    return (leased_http *)exchange->handle;
}

void host_http_cancel(leased_host_context *context, leased_http *handle)
{
    struct host_http *exchange = handles_get(&context->https, handle);

    if (exchange != NULL) {
        env_http_cancel(context->env, &exchange->http);
    }
}

void host_http_cancel_all(struct leased_host_context *context)
{
    struct host_http *exchange;
    size_t index = 0;

    while ((exchange = handles_next(&context->https, &index)) != NULL) {
        env_http_cancel(context->env, &exchange->http);
    }
}

int host_check_address(const char *address, struct err *e)
{
    struct str s = str_of(address);
    size_t scheme = 0;

    if (str_starts_with(s, "https://")) {
        scheme = strlen("https://");
    } else if (str_starts_with(s, "http://")) {
        scheme = strlen("http://");
    } else if (str_starts_with(s, "unix:///")) {
        scheme = strlen("unix:///");
    }
    if (scheme == 0 || s.len == scheme) {
        return err_set(e, ERR_INVALID,
                       "address must begin with https://, http:// (loopback only) or unix:///");
    }
    for (size_t i = 0; i < s.len; i++) {
        /* A query or a user name in an address would end up in every request. */
        if (s.ptr[i] <= 0x20 || s.ptr[i] >= 0x7f || strchr("?#@\\", s.ptr[i]) != NULL) {
            return err_set(e, ERR_INVALID, "address holds a character that an address can't have");
        }
    }
    return 0;
}
