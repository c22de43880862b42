/* Routes: one table from method and path to handler. Before a handler of the native API runs, the
 * guards have held: the header that no page and no SSRF sends by accident is there, no foreign
 * Origin or Host, and the caller's identity is established. The clouds' APIs have the same guards
 * with headers of their own (cloud.h), and read their queries themselves. */
#include "serve/acquire.h"
#include "serve/cloud.h"
#include "serve/job_token.h"
#include "serve/vault.h"

#include <strings.h>

#define ROUTE_NATIVE SERVE_API_NATIVE
#define ROUTE_ANY (SERVE_API_NATIVE | SERVE_API_METRICS)

#define PARAMS_OF_GRANT                                                                            \
    (PARAM_DURATION | PARAM_REASON | PARAM_TICKET | PARAM_BINDING | PARAM_MIN_REMAINING |          \
     PARAM_BREAK_GLASS)
#define PARAMS_OF_REQUEST                                                                          \
    (PARAM_ROLE | PARAM_DURATION | PARAM_REASON | PARAM_TICKET | PARAM_BINDING | PARAM_BREAK_GLASS)
#define PARAMS_OF_POLICY (PARAM_FILES | PARAM_MAIN | PARAM_REVISION | PARAM_OBSERVE)
#define PARAMS_OF_APPLY (PARAMS_OF_POLICY | PARAM_DIGEST | PARAM_MAX_ENDED | PARAM_DRAIN)

/* What listeners for metrics serve too is open to all: it needs no guard header, no identity, and
 * may be asked for by any name and through proxies, as probes do; what comes with the request isn't
 * read. Only pages of elsewhere are turned away there, too. */
struct route {
    const char *method;
    const char *path; /* "{}" stands for one segment */
    uint32_t apis;    /* listeners with any of these serve it */
    uint32_t query;   /* PARAM_* that the query string may have */
    uint32_t body;    /* … and the JSON object in the body; 0: there must be none */
    void (*handler)(struct exchange *x);
};

#define V1 "/leased/v1"
#define GCP_ACCOUNT "/computeMetadata/v1/instance/service-accounts/{}"

static const struct route routes[] = {
    {"GET", V1 "/credentials/{}", ROUTE_NATIVE, PARAMS_OF_GRANT | PARAM_WAIT, 0,
     serve_credentials_get},
    {"POST", V1 "/leases", ROUTE_NATIVE, PARAM_WAIT, PARAMS_OF_GRANT | PARAM_ROLE | PARAM_TOKEN,
     serve_leases_create},
    {"GET", V1 "/leases", ROUTE_NATIVE, PARAM_LIMIT | PARAM_CURSOR, 0, serve_leases_list},
    {"GET", V1 "/leases/{}", ROUTE_NATIVE, 0, 0, serve_leases_show},
    {"DELETE", V1 "/leases/{}", ROUTE_NATIVE, PARAM_WAIT, 0, serve_leases_delete},
    {"POST", V1 "/leases/{}/renew", ROUTE_NATIVE, PARAM_WAIT, 0, serve_leases_renew},
    {"POST", V1 "/leases/{}/rotate", ROUTE_NATIVE, PARAM_WAIT, 0, serve_leases_rotate},
    {"POST", V1 "/leases/{}/ack", ROUTE_NATIVE, PARAM_GRANT, 0, serve_leases_ack},
    {"GET", V1 "/watch", ROUTE_NATIVE, PARAM_ROLE, 0, serve_watch},
    {"GET", V1 "/grants", ROUTE_NATIVE, PARAM_LIMIT | PARAM_CURSOR, 0, serve_grants_list},
    {"GET", V1 "/grants/{}", ROUTE_NATIVE, 0, 0, serve_grants_show},
    {"DELETE", V1 "/grants/{}", ROUTE_NATIVE, PARAM_WAIT, 0, serve_grants_delete},
    {"POST", V1 "/requests", ROUTE_NATIVE, PARAM_WAIT, PARAMS_OF_REQUEST, serve_requests_create},
    {"GET", V1 "/requests", ROUTE_NATIVE, PARAM_LIMIT | PARAM_CURSOR | PARAM_STATE | PARAM_REVIEW,
     0, serve_requests_list},
    {"GET", V1 "/requests/{}", ROUTE_NATIVE, PARAM_WAIT, 0, serve_requests_show},
    {"POST", V1 "/requests/{}/approve", ROUTE_NATIVE, 0, PARAM_COMMENT, serve_requests_approve},
    {"POST", V1 "/requests/{}/deny", ROUTE_NATIVE, 0, PARAM_COMMENT, serve_requests_deny},
    {"POST", V1 "/requests/{}/withdraw", ROUTE_NATIVE, 0, PARAM_COMMENT, serve_requests_withdraw},
    {"GET", V1 "/clients/{}", ROUTE_NATIVE, PARAM_TARGET, 0, serve_clients_find},
    {"GET", V1 "/policy", ROUTE_NATIVE, 0, 0, serve_policy_show},
    {"GET", V1 "/policy/export", ROUTE_NATIVE, 0, 0, serve_policy_export},
    {"POST", V1 "/policy/plan", ROUTE_NATIVE, 0, PARAMS_OF_POLICY, serve_policy_plan},
    {"POST", V1 "/policy/apply", ROUTE_NATIVE, 0, PARAMS_OF_APPLY, serve_policy_apply},
    {"POST", V1 "/policy/explain", ROUTE_NATIVE, 0, PARAMS_OF_EXPLAIN, serve_policy_explain},
    {"POST", V1 "/reload", ROUTE_NATIVE, 0, 0, serve_reload},
    {"POST", V1 "/revoke", ROUTE_NATIVE, PARAM_WAIT, PARAM_MATCH | PARAM_BLOCK | PARAM_REASON,
     serve_revoke},
    {"GET", V1 "/blocks", ROUTE_NATIVE, PARAM_LIMIT | PARAM_CURSOR, 0, serve_blocks_list},
    {"POST", V1 "/blocks", ROUTE_NATIVE, 0, PARAM_MATCH | PARAM_BLOCK | PARAM_REASON,
     serve_blocks_create},
    {"DELETE", V1 "/blocks/{}", ROUTE_NATIVE, 0, 0, serve_blocks_delete},
    {"GET", V1 "/status", ROUTE_NATIVE, 0, 0, serve_status},
    {"GET", "/aws/credentials/{}", SERVE_API_AWS, 0, 0, serve_aws_credentials},
    {"GET", "/gcp/token/{}", SERVE_API_GCP, 0, 0, serve_gcp_token},
    {"GET", "/", SERVE_API_GCP, 0, 0, serve_gcp_ping},
    {"GET", GCP_ACCOUNT "/", SERVE_API_GCP, 0, 0, serve_gcp_account},
    {"GET", GCP_ACCOUNT "/token", SERVE_API_GCP, 0, 0, serve_gcp_access},
    {"GET", GCP_ACCOUNT "/identity", SERVE_API_GCP, 0, 0, serve_gcp_identity},
    {"GET", GCP_ACCOUNT "/email", SERVE_API_GCP, 0, 0, serve_gcp_email},
    {"GET", GCP_ACCOUNT "/scopes", SERVE_API_GCP, 0, 0, serve_gcp_scopes},
    {"GET", "/azure/token", SERVE_API_AZURE, 0, 0, serve_azure_token},
    {"GET", "/azure/token/{}", SERVE_API_AZURE, 0, 0, serve_azure_role_token},
    {"GET", "/metadata/identity/oauth2/token", SERVE_API_AZURE, 0, 0, serve_azure_token},
    {"GET", "/livez", ROUTE_ANY, 0, 0, serve_livez},
    {"GET", "/readyz", ROUTE_ANY, 0, 0, serve_readyz},
    {"GET", "/metrics", SERVE_API_METRICS, 0, 0, serve_metrics},
};

bool serve_route_at(size_t index, struct serve_route *ret_route)
{
    if (index >= ARRAY_LEN(routes)) {
        return false;
    }
    *ret_route = (struct serve_route){.method = routes[index].method,
                                      .path = routes[index].path,
                                      .query = routes[index].query,
                                      .body = routes[index].body};
    return true;
}

static bool route_is_open(const struct route *route)
{
    return (route->apis & SERVE_API_METRICS) != 0;
}

/* Does `path` fit the pattern? Then ret_arg is what stands for its "{}". */
static bool path_matches(const char *pattern, struct str path, struct str *ret_arg)
{
    struct str rest = str_of(pattern);
    struct str arg = {.ptr = NULL, .len = 0};

    while (rest.ptr != NULL || path.ptr != NULL) {
        struct str want = str_cut(&rest, '/');
        struct str have = str_cut(&path, '/');

        if (str_eq_c(want, "{}")) {
            if (have.len == 0) {
                return false;
            }
            arg = have;
        } else if (!str_eq(want, have)) {
            return false;
        }
        if ((rest.ptr == NULL) != (path.ptr == NULL)) {
            return false;
        }
    }
    *ret_arg = arg;
    return true;
}

/* The route, or NULL with the methods that the path does know in `allow` (empty if none). */
static const struct route *route_find(const struct exchange *x, struct str *ret_arg,
                                      struct buf *allow)
{
    const struct env_request *request = x->request;
    size_t i;

    for (i = 0; i < ARRAY_LEN(routes); i++) {
        if ((routes[i].apis & x->listener->apis) == 0 ||
            !path_matches(routes[i].path, request->path, ret_arg)) {
            continue;
        }
        if (str_eq_c(request->method, routes[i].method)) {
            return &routes[i];
        }
        buf_add_c(allow, allow->len > 0 ? ", " : "");
        buf_add_c(allow, routes[i].method);
    }
    return NULL;
}

static bool is_word(struct str text, const char *word)
{
    return text.len == str_of(word).len && strncasecmp(text.ptr, word, text.len) == 0;
}

/* 127.0.0.0/8. Its first part alone would let a name such as 127.0.0.1.example.com through, which
 * its owner may let point to us. */
static bool is_loopback_address(struct str name)
{
    size_t i;

    for (i = 0; i < name.len; i++) {
        if (name.ptr[i] != '.' && (name.ptr[i] < '0' || name.ptr[i] > '9')) {
            return false;
        }
    }
    return str_starts_with(name, "127.");
}

/* Is `host` (with or without port) this machine under its own name for itself? */
static bool host_is_local(struct str host)
{
    struct str name;

    if (str_starts_with(host, "[")) {
        name = str_cut(&host, ']');
        return str_eq_c(name, "[::1") && (host.len == 0 || host.ptr[0] == ':');
    }
    name = str_cut(&host, ':');
    return is_word(name, "localhost") || is_word(name, "leased") || is_loopback_address(name);
}

static bool origin_is_local(struct str origin)
{
    struct str scheme = str_cut(&origin, ':');

    return (str_eq_c(scheme, "http") || str_eq_c(scheme, "https")) &&
           str_starts_with(origin, "//") &&
           host_is_local((struct str){.ptr = origin.ptr + 2, .len = origin.len - 2});
}

/* Is it our own page, at the address under which the request came? */
static bool origin_is_host(struct str origin, struct str host)
{
    return str_starts_with(origin, "https://") && host.len > 0 &&
           str_eq((struct str){.ptr = origin.ptr + 8, .len = origin.len - 8}, host);
}

/* Does it come from a page that isn't ours? */
static bool origin_is_foreign(const struct env_request *request)
{
    struct str origin = env_request_header(request, "origin");

    if (origin.ptr == NULL) {
        return false;
    }
    return request->peer->kind == ENV_PEER_TLS
               ? !origin_is_host(origin, env_request_header(request, "host"))
               : !origin_is_local(origin);
}

static const struct serve_guard guard_origin = {403, "the request comes from a foreign Origin",
                                                "leased serves no web pages: send no Origin"};
static const struct serve_guard guard_header = {403,
                                                "the header \"X-Leased-Request: 1\" is missing",
                                                "send it with each request"};
static const struct serve_guard guard_host = {403, "the Host header names another machine",
                                              "send \"Host: localhost\""};
static const struct serve_guard guard_proxy = {
    403, "the request was forwarded",
    "ask leased itself: X-Forwarded-For and Forwarded come from a proxy"};

static const struct serve_guard guard_vault = {
    412, "missing \"X-Vault-Request\" header",
    "Vault's own clients send \"X-Vault-Request: true\""};

static bool was_forwarded(const struct env_request *request)
{
    return env_request_header(request, "x-forwarded-for").ptr != NULL ||
           env_request_header(request, "forwarded").ptr != NULL;
}

/* The same for Vault's API, which has a header of its own. */
static const struct serve_guard *vault_guard_broken(const struct env_request *request,
                                                    bool needs_header)
{
    if (origin_is_foreign(request)) {
        return &guard_origin;
    }
    if (needs_header && !str_eq_c(env_request_header(request, "x-vault-request"), "true")) {
        return &guard_vault;
    }
    return was_forwarded(request) ? &guard_proxy : NULL;
}

/* The header that the API's own clients alone send. */
static const struct serve_guard *header_broken(const struct exchange *x)
{
    if (x->api != SERVE_API_NATIVE) {
        return cloud_guard_broken(x);
    }
    return str_eq_c(env_request_header(x->request, "x-leased-request"), "1") ? NULL : &guard_header;
}

/* NULL when the guards hold. */
static const struct serve_guard *guard_broken(const struct exchange *x, bool is_open)
{
    const struct env_request *request = x->request;
    struct str host = env_request_header(request, "host");
    const struct serve_guard *header;

    if (origin_is_foreign(request)) {
        return &guard_origin;
    }
    if (is_open) {
        return NULL;
    }
    header = header_broken(x);
    if (header != NULL) {
        return header;
    }
    /* Over TCP io has compared it with what the listener is called. */
    if ((request->peer->kind == ENV_PEER_UNIX || request->peer->kind == ENV_PEER_FOREIGN) &&
        host.len > 0 && !host_is_local(host)) {
        return &guard_host;
    }
    return was_forwarded(request) ? &guard_proxy : NULL;
}

static void guard_fail(struct exchange *x, const struct serve_guard *broken)
{
    exchange_fail(x, &(struct exchange_problem){.status = broken->status,
                                                .code = "denied",
                                                .detail = broken->problem,
                                                .hint = broken->hint,
                                                .close = true});
}

bool serve_identify(struct exchange *x)
{
    struct err e;
    const struct access_identity_source source = {.env = x->serve->options.env,
                                                  .listener = x->listener->name,
                                                  .peer = x->request->peer,
                                                  .own_cgroup = x->serve->options.own_cgroup,
                                                  .containers = x->serve->containers};
    int r = access_identity_init(&x->identity, &source, &e);

    if (r != 0) {
        struct audit_record record = {.event = "grant.denied",
                                      .outcome = "denied",
                                      .listener = x->listener->name,
                                      .api = x->form->api,
                                      .request = x->request_id,
                                      .has_identity = true,
                                      .uid = x->request->peer->uid,
                                      .pid = x->request->peer->pid,
                                      .san = x->request->peer->sans,
                                      .error = e.text};

        /* Who they are isn't known, so they are one. */
        denied_note(&x->serve->denied, x->listener->name, &record);
        metrics_count_denial(x->serve, NULL);
        exchange_fail(x,
                      &(struct exchange_problem){.status = 403,
                                                 .code = "denied",
                                                 .detail = e.text,
                                                 .hint = "leased could not establish who you are",
                                                 .close = true});
        return false;
    }
    (void)access_identity_key(&x->identity, x->key);
    /* Who logs in at Vault's API is done with the token that was there before. */
    if (!(x->api == SERVE_API_VAULT && serve_vault_is_login(x)) && !job_token_take(x)) {
        return false;
    }
    x->admin = access_policy_admin(x->serve->options.policy, &x->identity);
    return true;
}

static int parse_body(struct exchange *x, const struct route *route, struct err *e)
{
    struct str body = x->request->body;

    if (route->body == PARAM_COMMENT && body.len == 0) {
        return 0; /* nothing needs to be said */
    }
    if ((route->body & PARAMS_READ_BY_HANDLER) != 0) {
        return 0;
    }
    if (route->body != 0) {
        return params_parse_json(body, route->body, &x->params, e);
    }
    return body.len == 0 ? 0 : err_set(e, ERR_INVALID, "a request like this has no body");
}

static int parse_params(struct exchange *x, const struct route *route, struct err *e)
{
    int r = params_parse_query(x->request->query, route->query, &x->params, e);

    if (r == 0) {
        r = parse_body(x, route, e);
    }
    return r;
}

static void params_fail(struct exchange *x, const struct err *e)
{
    if (e->code == ERR_NOMEM) {
        exchange_fail_nomem(x);
    } else {
        exchange_fail(
            x, &(struct exchange_problem){.status = 400, .code = "invalid", .detail = e->text});
    }
}

static void api_set(struct exchange *x, const struct route *route)
{
    static const struct {
        enum serve_api api;
        const struct serve_form *form;
    } table[] = {
        {SERVE_API_METRICS, &serve_native_form}, {SERVE_API_NATIVE, &serve_native_form},
        {SERVE_API_AWS, &serve_aws_form},        {SERVE_API_GCP, &serve_gcp_form},
        {SERVE_API_AZURE, &serve_azure_form},
    };
    size_t i = 0;

    while ((table[i].api & route->apis) == 0) {
        i++;
        CHECK(i < ARRAY_LEN(table));
    }
    x->api = table[i].api;
    x->form = table[i].form;
}

static void route_run(struct exchange *x, const struct route *route)
{
    bool is_open = route_is_open(route);
    const struct serve_guard *broken = guard_broken(x, is_open);
    struct err e = {0};

    if (broken != NULL) {
        guard_fail(x, broken);
    } else if (is_open) {
        route->handler(x);
    } else if (!serve_identify(x)) {
        return;
    } else if (x->api == SERVE_API_NATIVE && parse_params(x, route, &e) != 0) {
        params_fail(x, &e);
    } else if (x->api == SERVE_API_NATIVE && str_eq_c(x->request->method, "POST") &&
               idempotency_answer(x)) {
        return;
    } else {
        route->handler(x);
    }
}

static void route_missing(struct exchange *x, struct str allow)
{
    if (allow.len > 0) {
        exchange_fail(x, &(struct exchange_problem){.status = 405,
                                                    .code = "invalid",
                                                    .detail = "this path does not know the method",
                                                    .allow = allow});
    } else {
        exchange_fail(x, &(struct exchange_problem){.status = 404,
                                                    .code = "not_found",
                                                    .detail = "there is nothing at this path"});
    }
}

static void vault_run(struct exchange *x)
{
    const struct serve_guard *broken =
        vault_guard_broken(x->request, x->listener->vault.needs_header);

    if (broken != NULL) {
        guard_fail(x, broken);
    } else if (serve_identify(x)) {
        serve_vault_request(x);
    }
}

void serve_request_go_on(struct exchange *x)
{
    const struct route *route;
    BUF_AUTO allow;

    buf_init(&allow, 64);
    if (x->api == SERVE_API_VAULT) {
        vault_run(x);
        return;
    }
    if (x->request->unit.ptr != NULL) {
        if (serve_identify(x)) {
            serve_unit(x);
        }
        return;
    }
    route = route_find(x, &x->path_arg, &allow);
    if (route == NULL) {
        route_missing(x, buf_str(&allow));
    } else {
        api_set(x, route);
        route_run(x, route);
    }
}

void serve_request(void *user, struct env_request *request)
{
    const struct serve_listener *listener = user;
    struct exchange *x = exchange_new(listener, request);

    if (x != NULL) {
        serve_request_go_on(x);
    }
}
