/* Routes: one table from method and path to handler. Before a handler of the native API runs, the
 * guards have held: the header that no page and no SSRF sends by accident is there, no foreign
 * Origin or Host, and the caller's identity is established. */
#include "serve/exchange.h"

#define ROUTE_NATIVE SERVE_API_NATIVE
#define ROUTE_ANY (SERVE_API_NATIVE | SERVE_API_METRICS)

struct route {
    const char *method;
    const char *path; /* "{}" stands for one segment */
    uint32_t apis;    /* listeners with any of these serve it */
    bool is_open;     /* no guard header and no identity */
    bool has_json_body;
    void (*handler)(struct exchange *x);
};

static const struct route routes[] = {
    {"GET", "/leased/v1/credentials/{}", ROUTE_NATIVE, false, false, serve_credentials_get},
    {"POST", "/leased/v1/leases", ROUTE_NATIVE, false, true, serve_leases_create},
    {"GET", "/leased/v1/leases", ROUTE_NATIVE, false, false, serve_leases_list},
    {"GET", "/leased/v1/leases/{}", ROUTE_NATIVE, false, false, serve_leases_show},
    {"DELETE", "/leased/v1/leases/{}", ROUTE_NATIVE, false, false, serve_leases_delete},
    {"POST", "/leased/v1/leases/{}/renew", ROUTE_NATIVE, false, false, serve_leases_renew},
    {"POST", "/leased/v1/leases/{}/rotate", ROUTE_NATIVE, false, false, serve_leases_rotate},
    {"GET", "/leased/v1/grants", ROUTE_NATIVE, false, false, serve_grants_list},
    {"GET", "/leased/v1/grants/{}", ROUTE_NATIVE, false, false, serve_grants_show},
    {"DELETE", "/leased/v1/grants/{}", ROUTE_NATIVE, false, false, serve_grants_delete},
    {"GET", "/leased/v1/status", ROUTE_NATIVE, false, false, serve_status},
    {"GET", "/livez", ROUTE_ANY, true, false, serve_livez},
    {"GET", "/readyz", ROUTE_ANY, true, false, serve_readyz},
    {"GET", "/metrics", SERVE_API_METRICS, true, false, serve_metrics},
};

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

/* Is `host` (with or without port) this machine under its own name for itself? */
static bool host_is_local(struct str host)
{
    struct str name;

    if (host.len > 0 && host.ptr[0] == '[') {
        return str_starts_with(host, "[::1]");
    }
    name = str_cut(&host, ':');
    return name.len == 0 || str_eq_c(name, "localhost") || str_eq_c(name, "leased") ||
           (str_starts_with(name, "127.") && name.len <= 15);
}

static bool origin_is_local(struct str origin)
{
    struct str scheme = str_cut(&origin, ':');

    return (str_eq_c(scheme, "http") || str_eq_c(scheme, "https")) && origin.len > 2 &&
           host_is_local((struct str){.ptr = origin.ptr + 2, .len = origin.len - 2});
}

/* NULL when the guards hold, else what is wrong. */
static const char *guard_problem(const struct env_request *request)
{
    struct str origin = env_request_header(request, "origin");

    if (!str_eq_c(env_request_header(request, "x-leased-request"), "1")) {
        return "the header \"X-Leased-Request: 1\" is missing";
    }
    if (!host_is_local(env_request_header(request, "host"))) {
        return "the Host header names another machine";
    }
    if (origin.ptr != NULL && !origin_is_local(origin)) {
        return "the request comes from a foreign Origin";
    }
    if (env_request_header(request, "x-forwarded-for").ptr != NULL) {
        return "the request was forwarded";
    }
    return NULL;
}

/* Establishes who asks. False when it has answered already. */
static bool identify(struct exchange *x)
{
    struct err e;
    const struct access_identity_source source = {.env = x->serve->options.env,
                                                  .listener = x->listener->name,
                                                  .peer = x->request->peer,
                                                  .own_cgroup = x->serve->options.own_cgroup};
    int r = access_identity_init(&x->identity, &source, &e);

    if (r != 0) {
        struct audit_record record = {.event = "grant.denied",
                                      .outcome = "denied",
                                      .listener = x->listener->name,
                                      .api = "native",
                                      .request = x->request_id,
                                      .has_identity = true,
                                      .uid = x->request->peer->uid,
                                      .pid = x->request->peer->pid,
                                      .error = e.text};

        audit_record_note(x->serve->options.audit, &record);
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
    x->admin = access_policy_admin(x->serve->options.policy, &x->identity);
    return true;
}

static int parse_params(struct exchange *x, const struct route *route, struct err *e)
{
    int r = params_parse_query(x->request->query, &x->params, e);

    if (r == 0 && route->has_json_body) {
        r = params_parse_json(x->request->body, &x->params, e);
    }
    if (r == 0 && env_request_header(x->request, "idempotency-key").ptr != NULL) {
        r = err_set(e, ERR_INVALID, "Idempotency-Key is not supported by this version");
    }
    return r;
}

static void route_run(struct exchange *x, const struct route *route)
{
    const char *problem = guard_problem(x->request);
    struct err e;

    if (problem != NULL) {
        exchange_fail(x, &(struct exchange_problem){.status = 403,
                                                    .code = "denied",
                                                    .detail = problem,
                                                    .hint = "see the README's section on the API",
                                                    .close = true});
        return;
    }
    if (!identify(x)) {
        return;
    }
    if (parse_params(x, route, &e) != 0) {
        exchange_fail(
            x, &(struct exchange_problem){.status = 400, .code = "invalid", .detail = e.text});
        return;
    }
    route->handler(x);
}

static void route_missing(struct exchange *x, struct str allow)
{
    struct env_reply reply = {.status = 405, .content_type = "application/problem+json"};
    struct json_out json;

    if (allow.len == 0) {
        exchange_fail(x, &(struct exchange_problem){.status = 404,
                                                    .code = "not_found",
                                                    .detail = "there is nothing at this path"});
        return;
    }
    exchange_json(x, &json);
    json_out_object_open(&json, NULL);
    json_out_string_c(&json, "type", "about:blank");
    json_out_string_c(&json, "title", "Method Not Allowed");
    json_out_u64(&json, "status", 405);
    json_out_string_c(&json, "code", "invalid");
    json_out_string_c(&json, "detail", "this path does not know the method");
    json_out_object_close(&json);
    reply.headers[reply.header_count++] =
        (struct env_request_header){.name = STR("Allow"), .value = allow};
    exchange_send(x, &reply);
    exchange_release(x);
}

void serve_request(void *user, struct env_request *request)
{
    const struct serve_listener *listener = user;
    struct exchange *x = exchange_new(listener, request);
    const struct route *route;
    BUF_AUTO allow;

    buf_init(&allow, 64);
    if (x == NULL) {
        env_request_reply(request,
                          &(struct env_reply){.status = 503,
                                              .content_type = "application/problem+json",
                                              .headers = {{STR("Retry-After"), STR("1")}},
                                              .header_count = 1,
                                              .body = STR("{\"type\":\"about:blank\",\"title\":"
                                                          "\"Service Unavailable\",\"status\":503,"
                                                          "\"code\":\"busy\",\"detail\":\"too many "
                                                          "requests are under way\"}\n")});
        return;
    }
    route = route_find(x, &x->path_arg, &allow);
    if (route == NULL) {
        route_missing(x, buf_str(&allow));
    } else if (route->is_open) {
        route->handler(x);
    } else {
        route_run(x, route);
    }
}
