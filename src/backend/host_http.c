/* HTTP for plugins: copies a request, puts an address before its path, adds the backend's TLS and
 * proxy, and starts it. What becomes of it is in host_reply.c.
 *
 * Failures: a request that breaks the rules below isn't started (NULL). */
#include "backend/host_http.h"

#include "base/mem.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#define URL_MAX_BYTES (16U * 1024U)
#define HEALTH_TIMEOUT_MS 5000U /* an issuer that takes longer to say that it serves doesn't */
#define TRY_LEAST_MS 100U       /* less isn't worth another try */

void http_free(struct host_http *exchange)
{
    handles_remove(&exchange->context->https, exchange->handle);
    mem_free(exchange->path);
    mem_free(exchange->url);
    mem_free(exchange->elsewhere);
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

/* scheme://host[:port], nothing behind it: the rest is the path's. Who may be spoken to in the
 * clear is env/http.h's to say. */
static bool is_address(struct str address)
{
    size_t scheme = str_starts_with(address, "https://")  ? strlen("https://")
                    : str_starts_with(address, "http://") ? strlen("http://")
                                                          : 0;

    for (size_t i = scheme; i < address.len; i++) {
        char c = address.ptr[i];

        if (c <= ' ' || c >= 0x7f || strchr("/?#@\\\"", c) != NULL) {
            return false;
        }
    }
    return scheme > 0 && address.len > scheme && address.len < URL_MAX_BYTES;
}

/* Where it goes instead of to the backend's addresses; empty: there. */
static struct str address_of(const struct leased_host_context *context,
                             const struct leased_http_request *request)
{
    bool is_default = (request->flags & LEASED_HTTP_DEFAULT) != 0;

    return LEASED_HAS(request, address) && !(is_default && context->address_count > 0)
               ? host_str(request->address)
               : STR("");
}

static int copy_target(struct host_http *exchange, const struct leased_http_request *request)
{
    struct str address = address_of(exchange->context, request);
    struct str path = host_str(request->path);

    if (!is_path(path) || (address.len > 0 && !is_address(address))) {
        return ERR_INVALID;
    }
    exchange->path = mem_strndup(path.ptr, path.len);
    if (address.len > 0) {
        exchange->elsewhere = mem_strndup(address.ptr, address.len);
    }
    return exchange->path != NULL && (address.len == 0 || exchange->elsewhere != NULL) ? 0
                                                                                       : ERR_NOMEM;
}

static int copy_request(struct host_http *exchange, const struct leased_http_request *request)
{
    struct str method = host_str(request->method);
    int rc;

    if (method.len == 0 || method.len >= sizeof(exchange->method)) {
        return ERR_INVALID;
    }
    memcpy(exchange->method, method.ptr, method.len);
    rc = copy_target(exchange, request);
    if (rc != 0) {
        return rc;
    }
    rc = copy_headers(exchange, request);
    if (rc == 0) {
        point_to_copies(exchange, request);
    }
    return rc;
}

/* --- one try ---------------------------------------------------------------------------------- */

/* The URL at one address. */
static int set_url(struct host_http *exchange, const char *address)
{
    struct str base = str_of(address);
    BUF_AUTO url;

    buf_init(&url, URL_MAX_BYTES);
    mem_free(exchange->url);
    mem_free(exchange->unix_socket);
    exchange->url = NULL;
    exchange->unix_socket = NULL;
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
    buf_add_str(&url, base);
    buf_add_str(&url, str_of(exchange->path));
    exchange->url = buf_steal(&url);
    return exchange->url != NULL ? 0 : ERR_NOMEM;
}

/* Addresses that this exchange may still go to. */
static uint64_t untried_count(const struct host_http *exchange)
{
    uint64_t count = 0;

    if (exchange->elsewhere != NULL) {
        return 0;
    }
    for (size_t i = 0; i < exchange->context->guard.addresses.count; i++) {
        count += (exchange->tried >> i & 1U) == 0;
    }
    return exchange->is_pinned ? 0 : count;
}

/* An address that swallows everything leaves time for those that come after it. */
static uint64_t connect_timeout_ms(const struct host_http *exchange, uint64_t left_ms)
{
    uint64_t share_ms = left_ms / (untried_count(exchange) + 1);

    return share_ms < exchange->context->connect_timeout_ms ? share_ms
                                                            : exchange->context->connect_timeout_ms;
}

int http_try(struct host_http *exchange, size_t address, struct err *e)
{
    struct leased_host_context *context = exchange->context;
    struct env_http *http = &exchange->http;
    uint64_t now_ms = env_now_ms(context->env);
    uint64_t left_ms = exchange->deadline_ms > now_ms ? exchange->deadline_ms - now_ms : 0;
    int rc;

    if (left_ms < TRY_LEAST_MS) {
        return ERR_TIMEOUT;
    }
    rc = set_url(exchange,
                 exchange->elsewhere != NULL ? exchange->elsewhere : context->addresses[address]);
    if (rc != 0) {
        return rc;
    }
    exchange->address_index = address;
    exchange->tried |= address != ADDRESS_NONE ? 1U << address : 0;
    http->url = exchange->url;
    http->unix_socket = exchange->unix_socket;
    http->proxy = str_starts_with(str_of(exchange->url), "https://") ? context->proxy : NULL;
    http->timeout_ms = left_ms;
    http->connect_timeout_ms = connect_timeout_ms(exchange, left_ms);
    http->impl = NULL;
    return env_http_start(context->env, http, e);
}

/* --- the table's functions -------------------------------------------------------------------- */

static uint64_t timeout_of(const struct leased_host_context *context,
                           const struct leased_http_request *request)
{
    uint64_t timeout_ms = request->timeout_ms != 0 ? request->timeout_ms : context->timeout_ms;

    if (timeout_ms < TRY_LEAST_MS) {
        timeout_ms = TRY_LEAST_MS;
    }
    return context->is_health && timeout_ms > HEALTH_TIMEOUT_MS ? HEALTH_TIMEOUT_MS : timeout_ms;
}

static struct host_http *http_new(leased_host_context *context,
                                  const struct leased_http_request *request)
{
    struct host_http *exchange = mem_calloc(1, sizeof(*exchange));

    if (exchange == NULL) {
        return NULL;
    }
    exchange->magic = HTTP_MAGIC;
    exchange->context = context;
    exchange->is_pinned = context->is_health && context->probed != ADDRESS_NONE;
    exchange->deadline_ms = env_now_ms(context->env) + timeout_of(context, request);
    exchange->http.method = exchange->method;
    exchange->http.tls = &context->tls;
    exchange->http.flags =
        (request->flags & LEASED_HTTP_CREATES) != 0 ? (uint32_t)ENV_HTTP_CREATES : 0;
    exchange->http.flags |=
        (request->flags & LEASED_HTTP_REPEATABLE) != 0 ? (uint32_t)ENV_HTTP_REPEATABLE : 0;
    exchange->http.flags |=
        (request->flags & LEASED_HTTP_METADATA) != 0 ? (uint32_t)ENV_HTTP_METADATA : 0;
    exchange->http.reply_max_bytes = context->answer_max_bytes;
    exchange->is_movable = (request->flags & LEASED_HTTP_MOVABLE) != 0;
    exchange->http.fn = http_done;
    exchange->http.user = exchange;
    buf_init(&exchange->bytes, ENV_HTTP_REPLY_MAX_BYTES);
    return exchange;
}

static size_t first_address(const struct host_http *exchange)
{
    const struct leased_host_context *context = exchange->context;

    if (exchange->elsewhere != NULL) {
        return ADDRESS_NONE;
    }
    return exchange->is_pinned
               ? context->probed
               : addresses_pick(&context->guard.addresses, 0, env_now_ms(context->env));
}

leased_http *host_http_start(leased_host_context *context,
                             const struct leased_http_request *request, leased_http_fn fn,
                             void *user)
{
    struct host_http *exchange;
    struct err e = {0};
    int rc;

    if (context->is_ended || !LEASED_HAS(request, timeout_ms) ||
        (context->address_count == 0 && address_of(context, request).len == 0)) {
        return NULL;
    }
    exchange = http_new(context, request);
    if (exchange == NULL) {
        return NULL;
    }
    exchange->fn = fn;
    exchange->user = user;
    rc = handles_add(&context->https, exchange, &exchange->handle);
    if (rc == 0) {
        rc = copy_request(exchange, request);
    }
    if (rc == 0) {
        rc = http_try(exchange, first_address(exchange), &e);
    }
    if (rc != 0) {
        guard_note_error(&context->guard, e.text[0] != '\0' ? e.text : err_str(rc));
        http_free(exchange);
        return NULL;
    }
    return (leased_http *)exchange->handle;
}

static void cancel(struct host_http *exchange)
{
    exchange->is_canceled = true;
    env_http_cancel(exchange->context->env, &exchange->http);
}

void host_http_cancel(leased_host_context *context, leased_http *handle)
{
    struct host_http *exchange = handles_get(&context->https, handle);

    if (exchange != NULL) {
        cancel(exchange);
    }
}

void host_http_cancel_all(struct leased_host_context *context)
{
    struct host_http *exchange;
    size_t index = 0;

    while ((exchange = handles_next(&context->https, &index)) != NULL) {
        cancel(exchange);
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
