/* Checks what a caller wants to send and brings it into curl's form. Whatever could make curl do
 * something else than the caller meant (a second header hidden in a value, a name and password in
 * the URL, a framing header) is refused here, before anything starts. The URL is parsed once, by
 * curl, and handed over parsed: there are no two opinions about which host it names. */
#include "io/http_internal.h"

#include "base/mem.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/un.h>

#define METHOD_MAX_BYTES 16U

/* curl writes these itself; two opinions about where a message ends are how requests get smuggled.
 */
static const char *const framing_headers[] = {
    "content-length", "transfer-encoding", "connection", "upgrade", "te", "trailer", "expect",
};

static bool is_token(struct str text)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        bool is_alnum = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');

        if (!is_alnum && (c == '\0' || strchr("!#$%&'*+-.^_`|~", c) == NULL)) {
            return false;
        }
    }
    return text.len > 0;
}

static bool has_control_bytes(struct str text)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];

        if (c < 0x20 || c == 0x7f) {
            return true;
        }
    }
    return false;
}

static bool is_host_name(struct str name)
{
    for (size_t i = 0; i < name.len; i++) {
        char c = name.ptr[i];
        bool is_alnum = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');

        if (!is_alnum && c != '.' && c != '-' && c != '_') {
            return false;
        }
    }
    return name.len > 0 && name.len < HTTP_HOST_MAX_BYTES;
}

static bool is_loopback(const struct http_host *host)
{
    struct in_addr v4;
    struct in6_addr v6;

    if (strcmp(host->name, "localhost") == 0) {
        return true; /* curl answers this one itself, with the loopback addresses. */
    }
    if (host->is_ipv6) {
        return inet_pton(AF_INET6, host->name, &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6);
    }
    return inet_pton(AF_INET, host->name, &v4) == 1 && (ntohl(v4.s_addr) >> 24) == 127;
}

/* Where clouds have their machines ask who they are. */
static bool is_metadata(const struct http_host *host)
{
    struct in_addr v4;

    if (inet_pton(AF_INET, host->name, &v4) == 1) {
        return ntohl(v4.s_addr) >> 16 == 0xa9feU;
    }
    return strcmp(host->name, "metadata.google.internal") == 0 ||
           strcmp(host->name, "fd00:ec2::254") == 0;
}

static bool may_be_plain(const struct http_request *request, const struct env_http *http)
{
    return is_loopback(&request->target) || (http->flags & ENV_HTTP_CONNECT_ONLY) != 0 ||
           ((http->flags & ENV_HTTP_METADATA) != 0 && is_metadata(&request->target));
}

/* One part of the URL; the empty text if it has none. */
static int get_part(CURLU *url, CURLUPart part, unsigned flags, char *out, size_t size)
{
    char *text = NULL;
    CURLUcode code = curl_url_get(url, part, &text, flags);
    size_t len;

    if (code == CURLUE_OUT_OF_MEMORY) {
        return ERR_NOMEM;
    }
    len = code == CURLUE_OK ? strlen(text) : 0;
    if (len >= size) {
        curl_free(text);
        return ERR_INVALID;
    }
    memcpy(out, len > 0 ? text : "", len);
    out[len] = '\0';
    curl_free(text);
    return 0;
}

static int get_host(CURLU *url, bool has_default_port, struct http_host *ret_host)
{
    char name[HTTP_HOST_MAX_BYTES];
    struct in6_addr v6;
    struct in_addr v4;
    size_t len;
    int rc = get_part(url, CURLUPART_HOST, 0, name, sizeof(name));

    if (rc == 0) {
        rc = get_part(url, CURLUPART_PORT, has_default_port ? CURLU_DEFAULT_PORT : 0,
                      ret_host->port, sizeof(ret_host->port));
    }
    if (rc != 0) {
        return rc;
    }
    len = strlen(name);
    if (len > 2 && name[0] == '[' && name[len - 1] == ']') {
        memmove(name, name + 1, len - 2);
        name[len - 2] = '\0';
        ret_host->is_ipv6 = true;
        ret_host->is_literal = true;
        if (inet_pton(AF_INET6, name, &v6) != 1) {
            return ERR_INVALID;
        }
    } else {
        if (!is_host_name(str_of(name))) {
            return ERR_INVALID;
        }
        ret_host->is_literal = strcmp(name, "localhost") == 0 || inet_pton(AF_INET, name, &v4) == 1;
    }
    for (size_t i = 0; name[i] != '\0'; i++) {
        name[i] = name[i] >= 'A' && name[i] <= 'Z' ? (char)(name[i] + ('a' - 'A')) : name[i];
    }
    memcpy(ret_host->name, name, sizeof(name));
    return ret_host->port[0] != '\0' ? 0 : ERR_INVALID;
}

/* "SCHEME://HOST…". curl would take one to three slashes, and so https:///path for a host called
 * path. */
static bool has_authority(const char *text)
{
    const char *slashes = strstr(text, "://");

    return slashes != NULL && slashes[3] != '/' && slashes[3] != '\0' &&
           strcspn(text, "/") == (size_t)(slashes + 1 - text);
}

/* 0 and whether it is https, or ERR_INVALID / ERR_NOMEM. */
static int parse_url(CURLU *url, const char *text, bool *ret_is_tls)
{
    char scheme[8];
    CURLUcode code;
    int rc;

    if (strlen(text) > HTTP_URL_MAX_BYTES || has_control_bytes(str_of(text)) ||
        !has_authority(text)) {
        return ERR_INVALID;
    }
    code = curl_url_set(url, CURLUPART_URL, text, CURLU_PATH_AS_IS | CURLU_DISALLOW_USER);
    if (code != CURLUE_OK) {
        return code == CURLUE_OUT_OF_MEMORY ? ERR_NOMEM : ERR_INVALID;
    }
    rc = get_part(url, CURLUPART_SCHEME, 0, scheme, sizeof(scheme));
    if (rc != 0) {
        return rc;
    }
    *ret_is_tls = strcmp(scheme, "https") == 0;
    return *ret_is_tls || strcmp(scheme, "http") == 0 ? 0 : ERR_INVALID;
}

static int check_target(struct http_request *request, const struct env_http *http, struct err *e)
{
    struct sockaddr_un address;
    int rc = parse_url(request->url, http->url, &request->is_tls);

    if (rc == 0) {
        rc = get_host(request->url, true, &request->target);
    }
    if (rc != 0) {
        return err_set(e, rc, "not a usable http or https address");
    }
    if (http->unix_socket != NULL) {
        if (strlen(http->unix_socket) >= sizeof(address.sun_path) || http->unix_socket[0] != '/') {
            return err_set(e, ERR_INVALID, "%s is not an absolute path of at most %zu bytes",
                           http->unix_socket, sizeof(address.sun_path) - 1);
        }
        return 0;
    }
    if (!request->is_tls && !may_be_plain(request, http)) {
        return err_set(e, ERR_INVALID,
                       "plain http to %s is refused: use https, or a loopback address",
                       request->target.name);
    }
    return 0;
}

static int check_proxy(struct http_request *request, const struct env_http *http, struct err *e)
{
    CURLU *url;
    bool is_tls;
    int rc;

    if (http->proxy == NULL) {
        return 0;
    }
    if (!request->is_tls || http->unix_socket != NULL) {
        return err_set(e, ERR_INVALID, "only https goes through a proxy");
    }
    url = curl_url();
    if (url == NULL) {
        return err_set(e, ERR_NOMEM, "out of memory");
    }
    rc = parse_url(url, http->proxy, &is_tls);
    if (rc == 0) {
        rc = get_host(url, false, &request->proxy);
    }
    curl_url_cleanup(url);
    if (rc != 0) {
        return err_set(e, rc, "the proxy must be http://HOST:PORT or https://HOST:PORT");
    }
    return 0;
}

static bool is_framing(struct str name)
{
    for (size_t i = 0; i < ARRAY_LEN(framing_headers); i++) {
        if (name.len == strlen(framing_headers[i]) &&
            strncasecmp(name.ptr, framing_headers[i], name.len) == 0) {
            return true;
        }
    }
    return false;
}

static int add_line(struct curl_slist **list, const char *line)
{
    struct curl_slist *longer = curl_slist_append(*list, line);

    if (longer == NULL) {
        return ERR_NOMEM;
    }
    *list = longer;
    return 0;
}

static int add_header(struct http_request *request, const struct env_http_header *header,
                      struct err *e)
{
    struct buf line;
    int rc;

    if (!is_token(header->name) || is_framing(header->name)) {
        return err_set(e, ERR_INVALID, "header \"%.*s\" can't be sent",
                       (int)(header->name.len < 64 ? header->name.len : 64), header->name.ptr);
    }
    if (has_control_bytes(header->value)) {
        return err_set(e, ERR_INVALID, "the value of header %.*s contains control bytes",
                       STR_ARG(header->name));
    }
    buf_init(&line, HTTP_REPLY_HEAD_MAX_BYTES);
    buf_add_str(&line, header->name);
    /* "Name;" is curl's way to write an empty header; "Name:" would remove one. */
    buf_add_c(&line, header->value.len > 0 ? ": " : ";");
    buf_add_str(&line, header->value);
    rc = buf_status(&line);
    if (rc == 0) {
        rc = add_line(&request->headers, line.bytes);
    }
    buf_fini(&line);
    return rc == 0 ? 0 : err_set(e, rc, "header %.*s: %s", STR_ARG(header->name), err_str(rc));
}

static bool has_header(const struct env_http *http, const char *name)
{
    for (size_t i = 0; i < http->header_count; i++) {
        if (http->headers[i].name.len == strlen(name) &&
            strncasecmp(http->headers[i].name.ptr, name, strlen(name)) == 0) {
            return true;
        }
    }
    return false;
}

static int add_headers(struct http_request *request, const struct env_http *http, struct err *e)
{
    int rc = 0;

    if (http->header_count > HTTP_REQUEST_HEADERS_MAX) {
        return err_set(e, ERR_INVALID, "more than %u headers", HTTP_REQUEST_HEADERS_MAX);
    }
    for (size_t i = 0; rc == 0 && i < http->header_count; i++) {
        rc = add_header(request, &http->headers[i], e);
    }
    if (rc != 0) {
        return rc;
    }
    /* What curl would add by itself. */
    rc = add_line(&request->headers, "Expect:");
    if (rc == 0 && !has_header(http, "content-type")) {
        rc = add_line(&request->headers, "Content-Type:");
    }
    return rc == 0 ? 0 : err_set(e, rc, "out of memory");
}

/* Another name than the URL's for TLS: curl takes it for the host, and is told to connect to the
 * URL's. */
static int use_server_name(struct http_request *request, const struct env_http *http, struct err *e)
{
    const char *name = http->tls != NULL ? http->tls->server_name : NULL;
    const struct http_host *target = &request->target;
    char line[3 * HTTP_HOST_MAX_BYTES];
    bool is_default_port = strcmp(target->port, "443") == 0;
    int rc;

    if (name == NULL || name[0] == '\0' || !request->is_tls) {
        return 0;
    }
    if (!is_host_name(str_of(name))) {
        return err_set(e, ERR_INVALID, "the TLS server name \"%s\" is not a host name", name);
    }
    (void)snprintf(line, sizeof(line), target->is_ipv6 ? "%s:%s:[%s]:%s" : "%s:%s:%s:%s", name,
                   target->port, target->name, target->port);
    rc = add_line(&request->connect_to, line);
    if (rc == 0 && !has_header(http, "host")) {
        (void)snprintf(line, sizeof(line), target->is_ipv6 ? "Host: [%s]%s%s" : "Host: %s%s%s",
                       target->name, is_default_port ? "" : ":",
                       is_default_port ? "" : target->port);
        rc = add_line(&request->headers, line);
    }
    if (rc == 0 && curl_url_set(request->url, CURLUPART_HOST, name, 0) != CURLUE_OK) {
        rc = ERR_NOMEM;
    }
    return rc == 0 ? 0 : err_set(e, rc, "out of memory");
}

static int check_method(const char *method, struct err *e)
{
    size_t len = method != NULL ? strlen(method) : 0;

    if (len == 0 || len > METHOD_MAX_BYTES || strspn(method, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != len) {
        return err_set(e, ERR_INVALID, "not an HTTP method");
    }
    return 0;
}

int http_request_init(struct http_request *request, const struct env_http *http, struct err *e)
{
    int rc;

    *request = (struct http_request){.url = curl_url()};
    if (request->url == NULL) {
        return err_set(e, ERR_NOMEM, "out of memory");
    }
    rc = check_method(http->method, e);
    if (rc == 0) {
        rc = check_target(request, http, e);
    }
    if (rc == 0) {
        rc = check_proxy(request, http, e);
    }
    if (rc == 0) {
        rc = add_headers(request, http, e);
    }
    if (rc == 0) {
        rc = use_server_name(request, http, e);
    }
    if (rc != 0) {
        http_request_fini(request);
    }
    return rc;
}

void http_request_fini(struct http_request *request)
{
    curl_url_cleanup(request->url);
    curl_slist_free_all(request->headers);
    curl_slist_free_all(request->connect_to);
    curl_slist_free_all(request->resolve);
    *request = (struct http_request){0};
}

const struct http_host *http_request_unresolved(const struct http_request *request,
                                                const struct env_http *http)
{
    const struct http_host *host = http->proxy != NULL ? &request->proxy : &request->target;

    return http->unix_socket != NULL || host->is_literal ? NULL : host;
}

int http_request_resolved(struct http_request *request, const struct http_host *host,
                          const char *addresses)
{
    struct buf line;
    int rc;

    buf_init(&line, HTTP_REPLY_HEAD_MAX_BYTES);
    buf_printf(&line, "%s:%s:%s", host->name, host->port, addresses);
    rc = buf_status(&line);
    if (rc == 0) {
        rc = add_line(&request->resolve, line.bytes);
    }
    buf_fini(&line);
    return rc;
}
