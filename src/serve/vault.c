/* Where a request of Vault's API goes.
 *
 * A path that Vault answers about its caller's token, a lease, or itself is answered here, because
 * the token behind us is ours and the leases are known by our ids. A role's path is leased, as if
 * its role had been asked for by name. All else is passed on. */
#include "serve/acquire.h"
#include "serve/vault.h"

#include "base/mem.h"
#include "lease/token.h"
#include "serve/decide.h"

#include <stdio.h>
#include <string.h>

#define READS "GET"
#define WRITES "POST PUT"

struct vault_route {
    const char *methods;
    const char *path; /* ends in "/": whatever follows is its argument */
    void (*handler)(struct vault_request *v);
};

static const struct vault_route routes[] = {
    {WRITES, "sys/leases/lookup", serve_vault_leases_lookup},
    {WRITES, "sys/leases/renew", serve_vault_leases_renew},
    {WRITES, "sys/leases/renew/", serve_vault_leases_renew},
    {WRITES, "sys/renew", serve_vault_leases_renew},
    {WRITES, "sys/renew/", serve_vault_leases_renew},
    {WRITES, "sys/leases/revoke", serve_vault_leases_revoke},
    {WRITES, "sys/leases/revoke/", serve_vault_leases_revoke},
    {WRITES, "sys/revoke", serve_vault_leases_revoke},
    {WRITES, "sys/revoke/", serve_vault_leases_revoke},
    {READS " " WRITES, "auth/token/lookup-self", serve_vault_token_lookup},
    {WRITES, "auth/token/renew-self", serve_vault_token_renew},
    {WRITES, "auth/token/revoke-self", serve_vault_token_revoke},
    {READS " HEAD", "sys/health", serve_vault_health},
    {READS, "sys/seal-status", serve_vault_seal_status},
    {READS, "sys/leader", serve_vault_leader},
    {READS, "sys/init", serve_vault_init},
    {READS, "sys/internal/ui/mounts/", serve_vault_mounts},
    {WRITES, "sys/capabilities-self", serve_vault_capabilities},
};

bool serve_vault_is_path(struct str path)
{
    return str_starts_with(path, "/v1/");
}

static bool word_is_among(const char *words, struct str word)
{
    struct str rest = str_of(words);

    while (rest.ptr != NULL) {
        if (str_eq(str_cut(&rest, ' '), word)) {
            return true;
        }
    }
    return false;
}

static bool route_fits(const struct vault_route *route, struct str path, struct str *ret_arg)
{
    size_t len = strlen(route->path);

    if (route->path[len - 1] != '/') {
        *ret_arg = (struct str){.ptr = NULL, .len = 0};
        return str_eq_c(path, route->path);
    }
    *ret_arg = (struct str){.ptr = path.ptr + len, .len = path.len - (path.len > len ? len : 0)};
    return path.len > len && str_starts_with(path, route->path);
}

/* auth/MOUNT/login and auth/MOUNT/login/NAME, at whatever mount. */
static bool is_login(struct str path)
{
    struct str last = {.ptr = NULL, .len = 0};
    struct str before = last;
    size_t count = 0;
    struct str rest = path;

    while (rest.ptr != NULL) {
        before = last;
        last = str_cut(&rest, '/');
        count++;
    }
    return str_starts_with(path, "auth/") &&
           ((count >= 3 && str_eq_c(last, "login")) || (count >= 4 && str_eq_c(before, "login")));
}

/* What the request is about. ERR_INVALID with a text. */
static int path_read(const struct exchange *x, struct vault_path *ret_path, struct err *e)
{
    return serve_vault_path_parse(x->request->path,
                                  env_request_header(x->request, "x-vault-namespace"),
                                  x->listener->vault.namespace_path, ret_path, e);
}

bool serve_vault_is_login(const struct exchange *x)
{
    struct vault_path path;

    return path_read(x, &path, NULL) == 0 && is_login(serve_vault_path_local(&path)) &&
           word_is_among(WRITES, x->request->method);
}

static void method_unknown(struct exchange *x)
{
    serve_vault_fail(x, 405, "unsupported operation", NULL);
}

/* True: it has been answered. */
static bool answer_locally(struct vault_request *v)
{
    struct str path = serve_vault_path_local(v->path);
    struct str method = v->x->request->method;
    size_t i;

    for (i = 0; i < ARRAY_LEN(routes); i++) {
        if (!route_fits(&routes[i], path, &v->arg)) {
            continue;
        }
        if (word_is_among(routes[i].methods, method)) {
            routes[i].handler(v);
        } else {
            method_unknown(v->x);
        }
        return true;
    }
    if (is_login(path) && word_is_among(WRITES, method)) {
        serve_vault_login(v);
        return true;
    }
    return false;
}

/* --- paths of roles ----------------------------------------------------------------------------
 */

/* Does a POST to such a path create a credential? To any other it writes. */
static bool is_issued_by_post(struct str path)
{
    static const char words[] =
        "creds issue sign sign-verbatim sts datakey check-out roleset static-account token key";
    struct str rest = path;

    (void)str_cut(&rest, '/'); /* the mount */
    while (rest.ptr != NULL) {
        if (word_is_among(words, str_cut(&rest, '/'))) {
            return true;
        }
    }
    return false;
}

/* A read with a query (an older version of a secret, a list) asks for something else than what the
 * role's holders have. */
static bool asks_for_credential(const struct vault_request *v)
{
    const struct env_request *request = v->x->request;

    if (is_issued_by_post(serve_vault_path_full(v->path))) {
        return word_is_among(READS " " WRITES, request->method);
    }
    return str_eq_c(request->method, "GET") && request->query.len == 0;
}

/* Is a value that came with the request the one that the role's parameters have anyway? */
static bool value_is(json_t *own, json_t *value)
{
    char *a = json_dumps(own, JSON_ENCODE_ANY | JSON_SORT_KEYS | JSON_COMPACT);
    char *b = json_dumps(value, JSON_ENCODE_ANY | JSON_SORT_KEYS | JSON_COMPACT);
    bool is_same = a != NULL && b != NULL && strcmp(a, b) == 0;

    mem_free(a);
    mem_free(b);
    return is_same;
}

/* The name of a parameter that the role doesn't have with this value; NULL: all are the role's. It
 * is borrowed from `body`. */
static const char *foreign_param(const struct lease_role *role, json_t *body)
{
    json_t *params = json_loads(role->params_json, 0, NULL);
    json_t *own = json_object_get(params, "params");
    const char *foreign = NULL;
    const char *key;
    json_t *value;

    json_object_foreach (body, key, value) {
        if (foreign == NULL && !value_is(json_object_get(own, key), value)) {
            foreign = key;
        }
    }
    json_decref(params);
    return foreign;
}

/* Whoever sends parameters means them: they are never left out without a word. */
static bool params_are_the_roles(struct exchange *x, const struct lease_role *role)
{
    json_t *body = serve_vault_body(x);
    const char *foreign;
    char detail[256];

    if (body == NULL) {
        return false;
    }
    foreign = foreign_param(role, body);
    if (foreign != NULL) {
        (void)snprintf(detail, sizeof(detail),
                       "this path is leased by role %s, whose parameters are those of the "
                       "configuration: %.60s can't be chosen",
                       role->name, foreign);
        serve_vault_fail(x, 400, detail,
                         "ask without it, or have an operator define a role with it");
    } else if (x->request->query.len > 0) {
        serve_vault_fail(x, 400, "a path that is leased by a role takes no query",
                         "an operator can define a role with it in `params`");
    } else if (env_request_header(x->request, "x-vault-wrap-ttl").ptr != NULL) {
        serve_vault_fail(x, 400, "a leased credential isn't wrapped: it ends with its holder",
                         "ask without X-Vault-Wrap-TTL (-wrap-ttl, VAULT_WRAP_TTL)");
    } else {
        json_decref(body);
        return true;
    }
    json_decref(body);
    return false;
}

/* Does the caller's grant token name a grant of this role? */
static bool is_named(const struct exchange *x, const struct lease_role *role)
{
    struct grant_view named = {.role = NULL};

    if (x->named != NULL) {
        grant_view(x->named, &named);
    }
    return named.role == role;
}

/* Of several roles the one whose grant the caller's token names, else the first in file order that
 * policy allows; where it allows none, the first one says why. NULL: the path is no role's. */
static const struct lease_role *role_of_path(const struct vault_request *v)
{
    struct exchange *x = v->x;
    struct lease_core *core = x->serve->options.core;
    struct str path = serve_vault_path_full(v->path);
    const struct lease_role *first = NULL;
    const struct lease_role *allowed = NULL;
    const struct lease_role *role;
    size_t at = 0;

    while ((role = serve_vault_roles_next(&x->serve->vault_roles, core, x->listener->vault.backend,
                                          path, &at)) != NULL) {
        if (is_named(x, role)) {
            return role;
        }
        if (allowed == NULL && decide_may_have(x, role)) {
            allowed = role;
        }
        first = first != NULL ? first : role;
    }
    return allowed != NULL ? allowed : first;
}

static void lease(struct exchange *x, const struct lease_role *role)
{
    if (!params_are_the_roles(x, role)) {
        return; /* answered */
    }
    acquire_start(x, role, false);
}

/* --- the way -----------------------------------------------------------------------------------
 */

void serve_vault_request(struct exchange *x)
{
    const struct lease_role *role;
    struct str token = env_request_header(x->request, "x-vault-token");
    struct vault_path path;
    struct vault_request v = {.x = x, .path = &path};
    struct err e = {0};

    if (path_read(x, &path, &e) != 0) {
        serve_vault_fail(x, 400, e.text, NULL);
        return;
    }
    if (lease_token_is_one(token) && !acquire_name_grant(x, token)) {
        return; /* answered */
    }
    if (answer_locally(&v)) {
        return;
    }
    role = asks_for_credential(&v) ? role_of_path(&v) : NULL;
    if (role != NULL) {
        lease(x, role);
    } else {
        serve_vault_pass(&v, true);
    }
}
