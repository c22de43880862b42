/* Which capability a request needs is decided as Vault decides it: by its method, by `list` in its
 * query, and by whether its path is one of those that want sudo. */
#include "serve/vault_pass.h"

#include "access/jwt.h"
#include "access/paths.h"
#include "base/mem.h"
#include "lease/token.h"
#include "wire/query.h"

#include <stdio.h>
#include <string.h>

#define WRAPPED_BODY_MAX_BYTES 1024U

static const struct {
    const char *method;
    uint32_t needs;
} methods[] = {
    {"GET", ACCESS_CAN_READ},      {"LIST", ACCESS_CAN_LIST},  {"SCAN", ACCESS_CAN_SCAN},
    {"POST", ACCESS_CAN_UPDATE},   {"PUT", ACCESS_CAN_UPDATE}, {"PATCH", ACCESS_CAN_PATCH},
    {"DELETE", ACCESS_CAN_DELETE},
};

/* Vault's own list: what a policy there has to say `sudo` for. */
static const char *const sudo_paths[] = {
    "auth/token/accessors",
    "auth/token/accessors/",
    "auth/token/revoke-orphan",
    "sys/audit",
    "sys/audit/*",
    "sys/auth/*",
    "sys/config/*",
    "sys/internal/inspect/*",
    "sys/leases",
    "sys/leases/lookup/*",
    "sys/leases/revoke-force/*",
    "sys/leases/revoke-prefix/*",
    "sys/leases/count",
    "sys/plugins/catalog/*",
    "sys/raw",
    "sys/raw/*",
    "sys/remount",
    "sys/replication/*",
    "sys/revoke-force/*",
    "sys/revoke-prefix/*",
    "sys/rotate",
    "sys/rotate/*",
    "sys/seal",
    "sys/step-down",
    "sys/storage/*",
    "sys/namespaces/api-lock/*",
    "+/root",
    "+/root/sign-self-issued",
};

/* Tokens that are children of ours. */
static const char *const token_paths[] = {"auth/token/create", "auth/token/create-orphan",
                                          "auth/token/create/*"};

static bool is_among(const char *const *patterns, size_t count, struct str path)
{
    size_t i;

    for (i = 0; i < count; i++) {
        if (access_path_matches(str_of(patterns[i]), path)) {
            return true;
        }
    }
    return false;
}

/* --- method and query --------------------------------------------------------------------------
 */

static int method_find(struct str method, struct vault_pass_request *request, struct err *e)
{
    size_t i;

    for (i = 0; i < ARRAY_LEN(methods); i++) {
        if (str_eq_c(method, methods[i].method)) {
            request->method = methods[i].method;
            request->needs = methods[i].needs;
            return 0;
        }
    }
    return err_set(e, ERR_UNSUPPORTED, "unsupported operation");
}

/* `?list=true` makes a GET a list, `?scan=true` a scan. What Vault could read in another way, such
 * as 1 for true, a key twice or an encoded key, is refused. */
static int query_read(struct str query, struct vault_pass_request *request, struct err *e)
{
    bool is_seen = false;
    struct str key;
    struct str value;

    while (query_next(&query, &key, &value)) {
        bool is_list = str_eq_c(key, "list");

        if (memchr(key.ptr, '%', key.len) != NULL || memchr(key.ptr, '+', key.len) != NULL) {
            return err_set(e, ERR_INVALID, "names in the query aren't encoded");
        }
        if (!is_list && !str_eq_c(key, "scan")) {
            continue;
        }
        if (is_seen || (!str_eq_c(value, "true") && !str_eq_c(value, "false"))) {
            return err_set(e, ERR_INVALID, "`list` and `scan` are true or false, and said once");
        }
        is_seen = true;
        if (str_eq_c(value, "true") && request->needs == ACCESS_CAN_READ) {
            request->needs = is_list ? ACCESS_CAN_LIST : ACCESS_CAN_SCAN;
        }
    }
    return 0;
}

static void verb_write(struct vault_pass_request *request)
{
    (void)snprintf(request->verb, sizeof(request->verb), "%s%s",
                   access_capability_word(request->needs & ~(uint32_t)ACCESS_CAN_SUDO),
                   (request->needs & ACCESS_CAN_SUDO) != 0 ? " and sudo" : "");
}

/* --- what no rule opens ------------------------------------------------------------------------
 */

/* MOUNT/creds/NAME is how engines name what they lease. Asking would create it before it could be
 * refused; what other paths bring is found in the answer. */
static bool is_leased_path(struct str path, uint32_t needs)
{
    static const char *const patterns[] = {"+/creds/+", "+/static-account/+/key"};

    return (needs & (ACCESS_CAN_READ | ACCESS_CAN_UPDATE)) != 0 &&
           is_among(patterns, ARRAY_LEN(patterns), path);
}

static int path_check(struct str path, const struct vault_pass_request *request, struct err *e)
{
    if (is_leased_path(path, request->needs)) {
        return err_set(e, ERR_DENIED, "a path that creates credentials isn't passed on");
    }
    if ((request->needs & ACCESS_CAN_UPDATE) != 0 &&
        is_among(token_paths, ARRAY_LEN(token_paths), path)) {
        return err_set(e, ERR_DENIED, "a token under that of leased isn't made for anybody");
    }
    return 0;
}

/* --- wrapping ----------------------------------------------------------------------------------
 */

/* Writes whose answer is worth wrapping and can't be a lease. */
static int wrap_check(struct str path, const struct vault_pass_request *request, struct err *e)
{
    static const char *const patterns[] = {"sys/wrapping/wrap", "sys/wrapping/rewrap",
                                           "auth/+/role/+/secret-id"};

    if (!request->wraps || request->is_read || is_among(patterns, ARRAY_LEN(patterns), path)) {
        return 0;
    }
    return err_set(e, ERR_INVALID,
                   "the answer to this can't be wrapped, because it may hide a lease: what is "
                   "read, sys/wrapping/wrap and secret-ids of AppRole can");
}

/* A wrapping token may come as the caller's token. Ours goes there, so it moves to the body. */
static int body_take_token(struct str token, struct vault_pass_request *request)
{
    json_t *root = json_pack("{s:s%}", "token", token.ptr, token.len);
    char *text = root != NULL ? json_dumps(root, JSON_COMPACT) : NULL;

    json_decref(root);
    if (text == NULL) {
        return ERR_NOMEM;
    }
    request->body_bytes = text;
    request->body = str_of(text);
    return 0;
}

static bool is_wrapping_path(struct str path)
{
    static const char *const patterns[] = {"sys/wrapping/unwrap", "sys/wrapping/lookup",
                                           "sys/wrapping/rewrap"};

    return is_among(patterns, ARRAY_LEN(patterns), path);
}

/* Is it a token of the caller's own, which no issuer gets to see? */
static bool is_callers(const struct exchange *x, struct str token)
{
    return lease_token_is_one(token) || (x->claims != NULL && access_jwt_is_one(token));
}

static int body_copy(const struct vault_request *v, struct str path,
                     struct vault_pass_request *request)
{
    const struct env_request *http = v->x->request;
    struct str token = env_request_header(http, "x-vault-token");
    struct str body = str_trim(http->body);

    if (is_wrapping_path(path) && token.len > 0 && !is_callers(v->x, token) &&
        token.len <= WRAPPED_BODY_MAX_BYTES &&
        (body.len == 0 || str_eq_c(body, "{}") || str_eq_c(body, "null"))) {
        return body_take_token(token, request);
    }
    if (http->body.len == 0) {
        return 0;
    }
    request->body_bytes = mem_dup(http->body.ptr, http->body.len);
    request->body = (struct str){.ptr = request->body_bytes, .len = http->body.len};
    return request->body_bytes != NULL ? 0 : ERR_NOMEM;
}

/* --- the whole ---------------------------------------------------------------------------------
 */

static char *text_copy(struct str text)
{
    char *copy = mem_calloc(1, text.len + 1);

    if (copy != NULL && text.len > 0) {
        memcpy(copy, text.ptr, text.len);
    }
    return copy;
}

/* The path as policies see it: a folder that is listed ends in a slash, as Vault has it. */
static char *path_copy(const struct vault_path *path, uint32_t needs)
{
    struct str full = serve_vault_path_full(path);
    bool adds_slash = (needs & (ACCESS_CAN_LIST | ACCESS_CAN_SCAN)) != 0 && full.len > 0 &&
                      full.ptr[full.len - 1] != '/';
    char *copy = mem_calloc(1, full.len + 2);

    if (copy != NULL) {
        memcpy(copy, full.ptr, full.len);
        copy[full.len] = adds_slash ? '/' : '\0';
    }
    return copy;
}

static char *target_write(const struct env_request *http, const char *space)
{
    struct str path = {.ptr = http->path.ptr + strlen("/v1/"),
                       .len = http->path.len - strlen("/v1/")};
    size_t size = strlen(space) + http->path.len + http->query.len + 2;
    char *target = mem_calloc(1, size);

    if (target != NULL) {
        (void)snprintf(target, size, "/v1/%s%.*s%s%.*s", space, STR_ARG(path),
                       http->query.len > 0 ? "?" : "", STR_ARG(http->query));
    }
    return target;
}

static int texts_copy(const struct vault_request *v, struct vault_pass_request *request)
{
    const struct env_request *http = v->x->request;

    request->namespace_path =
        text_copy((struct str){.ptr = v->path->text, .len = v->path->namespace_len});
    request->path = path_copy(v->path, request->needs);
    if (request->namespace_path == NULL || request->path == NULL) {
        return ERR_NOMEM;
    }
    request->target = target_write(http, request->namespace_path);
    return request->target == NULL ? ERR_NOMEM
                                   : body_copy(v, serve_vault_path_local(v->path), request);
}

int serve_vault_pass_request_init(const struct vault_request *v,
                                  struct vault_pass_request *ret_request, struct err *e)
{
    const struct env_request *http = v->x->request;
    struct str local = serve_vault_path_local(v->path);
    struct vault_pass_request request = {.method = NULL};
    int r = method_find(http->method, &request, e);

    if (r == 0) {
        r = query_read(http->query, &request, e);
    }
    if (r == 0) {
        request.is_read =
            (request.needs & (ACCESS_CAN_READ | ACCESS_CAN_LIST | ACCESS_CAN_SCAN)) != 0;
        request.wraps = env_request_header(http, "x-vault-wrap-ttl").ptr != NULL;
        request.is_unwrap = str_eq_c(local, "sys/wrapping/unwrap");
        r = path_check(local, &request, e);
    }
    if (r == 0) {
        r = wrap_check(local, &request, e);
    }
    if (r == 0) {
        request.needs |=
            is_among(sudo_paths, ARRAY_LEN(sudo_paths), local) ? (uint32_t)ACCESS_CAN_SUDO : 0;
        verb_write(&request);
        r = texts_copy(v, &request);
    }
    if (r != 0) {
        serve_vault_pass_request_fini(&request);
        return r;
    }
    *ret_request = request;
    return 0;
}

void serve_vault_pass_request_fini(struct vault_pass_request *request)
{
    mem_free(request->target);
    mem_free(request->path);
    mem_free(request->namespace_path);
    mem_free(request->body_bytes);
}
