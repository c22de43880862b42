/* Happy path: method, path and headers are checked → sent with our token → what Vault answers, its
 * own errors included, goes back with the headers that may reach a client.
 *
 * Refused before anything is sent: paths that something on the way could read in another way than
 * our policy did ("..", "//", whatever is encoded without need), and those that would show or end
 * our own token; headers that would speak for another login. No answer of Vault's: a redirect (to
 * an address that nobody configured), a compressed body, half an answer. */
#include "pass.h"

#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define REPLY_HEADERS_MAX 16U
#define STATUS_FINAL_MIN 200U
#define STATUS_MAX 599U

/* They answer with the token itself, or end it. `lookup` does where the body names none. */
static const char *const own_paths[] = {"auth/token/lookup", "auth/token/lookup-self",
                                        "auth/token/renew-self", "auth/token/revoke-self"};

/* --- what is refused -------------------------------------------------------------------------- */

static int hex_of(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The next byte that a server would see; -1: badly encoded, or encoded though it has a meaning. */
static int next_byte(struct leased_str path, size_t *at)
{
    unsigned char c = (unsigned char)path.ptr[(*at)++];
    int high;
    int low;

    if (c != '%') {
        return c;
    }
    high = *at + 2 <= path.len ? hex_of(path.ptr[*at]) : -1;
    low = *at + 2 <= path.len ? hex_of(path.ptr[*at + 1]) : -1;
    if (high < 0 || low < 0) {
        return -1;
    }
    *at += 2;
    c = (unsigned char)(high << 4 | low);
    return c < 0x20 || c == 0x7f || strchr("./\\%", c) != NULL ? -1 : c;
}

/* Does `path` end with one of the paths about the own token, at a segment's beginning? */
static bool is_own_path(const char *path, size_t len)
{
    while (len > 0 && path[len - 1] == '/') {
        len--;
    }
    for (size_t i = 0; i < COUNT(own_paths); i++) {
        size_t own_len = strlen(own_paths[i]);

        if (len > own_len && path[len - own_len - 1] == '/' &&
            memcmp(path + len - own_len, own_paths[i], own_len) == 0) {
            return true;
        }
    }
    return false;
}

static const char *segment_problem(const char *path, size_t len)
{
    size_t start = 0;

    for (size_t i = 0; i <= len; i++) {
        if (i < len && path[i] != '/') {
            continue;
        }
        if (i == start && i > 0 && i < len) {
            return "the path has an empty segment";
        }
        if (i - start <= 2 && i > start && strspn(path + start, ".") >= i - start) {
            return "\".\" and \"..\" are no segments of a path";
        }
        start = i + 1;
    }
    return NULL;
}

const char *vault_pass_path_problem(struct leased_str path)
{
    char plain[VAULT_PASS_PATH_MAX_BYTES + 1];
    size_t len = 0;
    size_t at = 0;
    const char *problem;

    if (path.len > VAULT_PASS_PATH_MAX_BYTES) {
        return "the path is too long";
    }
    for (size_t i = 0; i < path.len; i++) {
        if (path.ptr[i] <= 0x20 || path.ptr[i] >= 0x7f || strchr("\\#", path.ptr[i]) != NULL) {
            return "the path holds a character that a path can't have";
        }
    }
    while (at < path.len && path.ptr[at] != '?') {
        int byte = next_byte(path, &at);

        if (byte < 0) {
            return "the path is badly encoded, or encodes one of . / \\ % or a control byte";
        }
        plain[len++] = (char)byte;
    }
    plain[len] = '\0';
    if (len <= strlen("/v1/") || memcmp(plain, "/v1/", strlen("/v1/")) != 0) {
        return "the path doesn't begin with /v1/";
    }
    problem = segment_problem(plain, len);
    if (problem == NULL && is_own_path(plain, len)) {
        problem = "the path is about the token of leased itself";
    }
    return problem;
}

static const char *request_problem(const struct leased_call *request)
{
    if (!LEASED_HAS(request, body)) {
        return "the request is incomplete";
    }
    if (vault_request_method(request->method).len == 0) {
        return "the method is none of GET, LIST, SCAN, POST, PUT, PATCH, DELETE";
    }
    if (request->body.len > VAULT_PASS_BODY_MAX_BYTES) {
        return "the body is too large";
    }
    for (size_t i = 0; i < request->header_count; i++) {
        if (plugin_str_is(request->headers[i].name, "x-vault-token") ||
            plugin_str_is(request->headers[i].name, "x-vault-namespace") ||
            plugin_str_is(request->headers[i].name, "authorization")) {
            return "a token or namespace of the client's isn't passed on";
        }
    }
    return vault_pass_path_problem(request->path);
}

/* --- sending ---------------------------------------------------------------------------------- */

int32_t vault_pass(struct leased_instance *vault, const struct leased_call *request,
                   leased_op *handle)
{
    struct vault_op *op = vault_op_new(vault, handle, VAULT_CALL_PASS);
    const char *problem = request_problem(request);
    struct vault_failure failure = {.status = LEASED_INVALID};

    if (op == NULL) {
        return -LEASED_RETRY;
    }
    if (problem != NULL) {
        plugin_text_set(&failure.detail, "%s", problem);
        return vault_op_end_soon(op, &failure);
    }
    if (vault_request_init_pass(vault->host, request, &op->request) != 0) {
        vault_op_free(op);
        return -LEASED_RETRY;
    }
    return vault_op_begin(op);
}

/* --- the answer ------------------------------------------------------------------------------- */

static bool may_reach_clients(struct leased_str name)
{
    return plugin_str_is(name, "content-type") || plugin_str_is(name, "retry-after") ||
           (name.len > strlen("x-vault-") &&
            memcmp(name.ptr, "x-vault-", strlen("x-vault-")) == 0 &&
            !plugin_str_is(name, "x-vault-token"));
}

static void hand_over(struct vault_op *op, const struct leased_call_reply *reply)
{
    op->vault->host->call_done(op->vault->context, op->handle, reply);
    vault_op_free(op);
}

static void pass_back(struct vault_op *op, const struct leased_http_reply *http)
{
    struct leased_http_header headers[REPLY_HEADERS_MAX];
    struct leased_call_reply reply = {
        .size = sizeof(reply), .status = http->status, .headers = headers, .body = http->body};

    for (size_t i = 0; i < http->header_count && reply.header_count < REPLY_HEADERS_MAX; i++) {
        if (may_reach_clients(http->headers[i].name)) {
            headers[reply.header_count++] = http->headers[i];
        }
    }
    hand_over(op, &reply);
}

/* Until it is known whether the token or its policy is meant. */
static bool keep_denial(struct vault_op *op, const struct leased_http_reply *http)
{
    op->kept_body = plugin_strdup(op->vault->host, http->body);
    op->kept_body_len = http->body.len;
    return op->kept_body != NULL;
}

void vault_pass_denied(struct vault_op *op)
{
    const struct leased_http_header type = {PLUGIN_STR("content-type"),
                                            PLUGIN_STR("application/json")};
    const struct leased_call_reply reply = {
        .size = sizeof(reply),
        .status = 403,
        .headers = &type,
        .header_count = 1,
        .body = {op->kept_body, op->kept_body_len},
    };

    hand_over(op, &reply);
}

bool vault_pass_answered(struct vault_op *op, const struct leased_http_reply *http)
{
    struct leased_str encoding = plugin_header(http, "content-encoding");
    struct vault_failure failure;

    vault_op_classify(op, http, &failure);
    if (http->transport != LEASED_HTTP_OK || http->status < STATUS_FINAL_MIN ||
        http->status > STATUS_MAX || (http->status >= 300 && http->status < 400)) {
        op->failure = failure;
        vault_op_fail(op, failure.status, failure.detail.bytes);
    } else if (encoding.len > 0 && !plugin_str_eq(encoding, "identity")) {
        vault_op_fail(op, LEASED_LOST, "the answer is compressed, which was not asked for");
    } else if (http->status == 403 && failure.status == VAULT_STATUS_CHECK_TOKEN) {
        if (keep_denial(op, http)) {
            return false;
        }
        vault_op_fail(op, LEASED_RETRY, "out of memory");
    } else {
        pass_back(op, http);
    }
    return true;
}
