/* Builds what is sent. Everything that may hold a secret is in the host's secret memory. */
#include "request.h"

#include "common/dump.h"
#include "instance.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define QUERY_MAX_BYTES 4096U

int vault_request_init(const struct leased_host *host, const char *path, json_t *body,
                       struct vault_request *ret_request)
{
    struct vault_request request = {.method = PLUGIN_STR("GET")};
    size_t size = strlen("/v1/") + strlen(path) + 1;

    request.path = plugin_alloc(host, size);
    if (request.path != NULL) {
        (void)snprintf(request.path, size, "/v1/%s", path);
    }
    if (body != NULL) {
        request.method = PLUGIN_STR("POST");
        request.body = plugin_dump(host, body, &request.body_len);
        json_decref(body);
        if (request.body == NULL) {
            vault_request_fini(host, &request);
            return -1;
        }
    }
    if (request.path == NULL) {
        vault_request_fini(host, &request);
        return -1;
    }
    *ret_request = request;
    return 0;
}

void vault_request_fini(const struct leased_host *host, struct vault_request *request)
{
    host->secret_free(request->path);
    host->secret_free(request->body);
    for (size_t i = 0; i < request->passed_count; i++) {
        host->secret_free((char *)(uintptr_t)request->passed[i].value.ptr);
    }
    *request = (struct vault_request){0};
}

/* --- query ------------------------------------------------------------------------------------ */

struct query {
    char text[QUERY_MAX_BYTES];
    size_t len;
    bool is_too_long;
};

static void query_add(struct query *query, char c)
{
    if (query->len + 1 < sizeof(query->text)) {
        query->text[query->len++] = c;
        query->text[query->len] = '\0';
    } else {
        query->is_too_long = true;
    }
}

static void query_add_encoded(struct query *query, const char *text)
{
    static const char hex[] = "0123456789ABCDEF";

    for (; *text != '\0'; text++) {
        unsigned char c = (unsigned char)*text;

        if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
            c == '-' || c == '_' || c == '.' || c == '~') {
            query_add(query, (char)c);
        } else {
            query_add(query, '%');
            query_add(query, hex[c >> 4]);
            query_add(query, hex[c & 15U]);
        }
    }
}

/* 0, or -1 when out of memory. */
static int query_add_value(const struct leased_host *host, struct query *query, const json_t *value)
{
    size_t len;
    char *text;

    if (json_is_string(value)) {
        query_add_encoded(query, json_string_value(value));
        return 0;
    }
    text = plugin_dump(host, value, &len);
    if (text == NULL) {
        return -1;
    }
    query_add_encoded(query, text);
    host->secret_free(text);
    return 0;
}

static int init_get(const struct leased_host *host, const struct vault_params *params,
                    struct vault_request *ret_request)
{
    struct query *query = plugin_alloc(host, sizeof(*query));
    const char *key;
    json_t *value;
    int rc = 0;

    if (query == NULL) {
        return -1;
    }
    for (const char *at = params->path; *at != '\0'; at++) {
        query_add(query, *at);
    }
    json_object_foreach (params->params, key, value) {
        query_add(query, strchr(query->text, '?') == NULL ? '?' : '&');
        query_add_encoded(query, key);
        query_add(query, '=');
        rc = rc == 0 ? query_add_value(host, query, value) : rc;
    }
    if (query->is_too_long) {
        rc = -1;
    } else if (rc == 0) {
        rc = vault_request_init(host, query->text, NULL, ret_request);
    }
    host->secret_free(query);
    return rc;
}

int vault_request_init_about(const struct leased_host *host, const char *path, const char *accessor,
                             int64_t increment_s, struct vault_request *ret_request)
{
    json_t *body = json_pack("{s:s}", "accessor", accessor);

    if (body == NULL ||
        (increment_s > 0 &&
         json_object_set_new(body, "increment", json_integer((json_int_t)increment_s)) != 0)) {
        json_decref(body);
        return -1;
    }
    return vault_request_init(host, path, body, ret_request);
}

int vault_request_init_params(const struct leased_host *host, const struct vault_params *params,
                              struct vault_request *ret_request)
{
    json_t *body;
    int rc;

    if (!params->is_post) {
        rc = init_get(host, params, ret_request);
    } else {
        body = params->params != NULL ? json_incref(params->params) : json_object();
        rc = body != NULL ? vault_request_init(host, params->path, body, ret_request) : -1;
    }
    if (rc == 0) {
        ret_request->creates = true;
    }
    return rc;
}

/* --- a client's ------------------------------------------------------------------------------- */

struct leased_str vault_request_method(struct leased_str method)
{
    static const char *const methods[] = {"GET", "LIST", "SCAN", "POST", "PUT", "PATCH", "DELETE"};

    for (size_t i = 0; i < COUNT(methods); i++) {
        if (plugin_str_eq(method, methods[i])) {
            return plugin_str(methods[i]);
        }
    }
    return (struct leased_str){0};
}

static int copy_header(const struct leased_host *host, const struct leased_http_header *header,
                       struct vault_request *request)
{
    static const char *const names[] = {"content-type", "x-vault-wrap-ttl", "x-vault-index",
                                        "x-vault-inconsistent"};
    char *value;

    static_assert(COUNT(names) == VAULT_PASSED_HEADERS_MAX, "there is room for each, once");
    for (size_t i = 0; i < COUNT(names); i++) {
        if (!plugin_str_is(header->name, names[i]) ||
            request->passed_count == VAULT_PASSED_HEADERS_MAX) {
            continue;
        }
        value = plugin_strdup(host, header->value);
        if (value == NULL) {
            return -1;
        }
        request->passed[request->passed_count++] =
            (struct leased_http_header){plugin_str(names[i]), {value, header->value.len}};
    }
    return 0;
}

int vault_request_init_pass(const struct leased_host *host, const struct leased_call *call,
                            struct vault_request *ret_request)
{
    struct vault_request request = {.method = vault_request_method(call->method),
                                    .creates = (call->flags & LEASED_CALL_REPEATABLE) == 0};
    int rc = 0;

    request.path = plugin_strdup(host, call->path);
    if (call->body.len > 0) {
        request.body = plugin_strdup(host, call->body);
        request.body_len = call->body.len;
    }
    for (size_t i = 0; i < call->header_count && rc == 0; i++) {
        rc = copy_header(host, &call->headers[i], &request);
    }
    if (rc != 0 || request.path == NULL || (call->body.len > 0 && request.body == NULL)) {
        vault_request_fini(host, &request);
        return -1;
    }
    *ret_request = request;
    return 0;
}

/* --- sending ---------------------------------------------------------------------------------- */

/* A standby that fails to forward a request answers with a redirect, though the active node may
 * have executed it. Where it isn't to forward at all, a redirect says that nothing was done. */
bool vault_request_is_movable(const struct leased_instance *vault,
                              const struct vault_request *request)
{
    return request->creates && !vault->needs_forwarding;
}

leased_http *vault_request_send(struct leased_instance *vault, const struct vault_request *request,
                                const char *token, leased_http_fn fn, void *user)
{
    struct leased_http_header headers[5 + VAULT_PASSED_HEADERS_MAX];
    bool has_type = request->body == NULL;
    struct leased_http_request http = {.size = sizeof(http)};
    size_t count = 0;

    headers[count++] =
        (struct leased_http_header){PLUGIN_STR("X-Vault-Request"), PLUGIN_STR("true")};
    if (token != NULL) {
        headers[count++] =
            (struct leased_http_header){PLUGIN_STR("X-Vault-Token"), plugin_str(token)};
    }
    if (vault->config.namespace_path[0] != '\0' && !request->is_root) {
        headers[count++] = (struct leased_http_header){PLUGIN_STR("X-Vault-Namespace"),
                                                       plugin_str(vault->config.namespace_path)};
    }
    if (vault_request_is_movable(vault, request)) {
        headers[count++] = (struct leased_http_header){PLUGIN_STR("X-Vault-No-Request-Forwarding"),
                                                       PLUGIN_STR("true")};
    }
    for (size_t i = 0; i < request->passed_count; i++) {
        has_type = has_type || plugin_str_eq(request->passed[i].name, "content-type");
        headers[count++] = request->passed[i];
    }
    if (!has_type) {
        headers[count++] =
            (struct leased_http_header){PLUGIN_STR("Content-Type"), PLUGIN_STR("application/json")};
    }
    http.timeout_ms = request->timeout_ms;
    http.flags = request->creates ? LEASED_HTTP_CREATES : 0;
    http.flags |= request->is_repeatable ? LEASED_HTTP_REPEATABLE : 0;
    http.flags |= vault_request_is_movable(vault, request) ? LEASED_HTTP_MOVABLE : 0;
    http.method = request->method;
    http.path = plugin_str(request->path);
    http.headers = headers;
    http.header_count = count;
    http.body = (struct leased_str){request->body, request->body_len};
    /* The host has copied the request when it returns. */
    /* cppcheck-suppress returnDanglingLifetime */
    return vault->host->http_start(vault->context, &http, fn, user);
}
