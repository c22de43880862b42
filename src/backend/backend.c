/* One configured instance of a plugin as a lease_issuer.
 *
 * Happy path: backend_open copies the options, opens the plugin's instance (which begins its login)
 * and is ready; calls go through op.c; backend_close lets the plugin end, then what it left behind,
 * then frees. Failure paths: a wrong configuration fails open with the plugin's words; a plugin
 * that doesn't finish closing is given one operation's time. */
#include "backend/backend.h"

#include "backend/backend_internal.h"
#include "backend/call.h"
#include "backend/registry.h"
#include "base/mem.h"

#include <string.h>

#define IN_FLIGHT_DEFAULT 32U
#define IN_FLIGHT_MAX 1024U
#define CONNECT_TIMEOUT_MS 5000U
#define ANSWER_DEPTH_MAX 32U
#define ANSWER_MEMORY_BYTES (8U * 1024U * 1024U)
#define TIMEOUT_DEFAULT_MS 10000U
#define LIFETIME_MAX_MS (UINT64_C(8760) * 3600U * 1000U)

static struct backend *backend_cast(void *backend)
{
    return OBJ_CAST(backend, struct backend, BACKEND_MAGIC);
}

static struct backend *of_issuer(struct lease_issuer *issuer)
{
    return backend_cast(CONTAINER_OF(issuer, struct backend, issuer));
}

struct lease_issuer *backend_issuer(struct backend *backend)
{
    return &backend->issuer;
}

/* --- calls ------------------------------------------------------------------------------------ */

static int call_start(struct lease_issuer *issuer, struct lease_call *call)
{
    struct backend *backend = of_issuer(issuer);

    if (backend->is_closing) {
        return ERR_CLOSED;
    }
    return op_start_call(&backend->ops, call);
}

static void call_cancel(struct lease_issuer *issuer, struct lease_call *call)
{
    (void)issuer;
    op_cancel(call->impl);
}

static uint64_t closed_ms(struct lease_issuer *issuer, struct err *e)
{
    const struct guard *guard = &of_issuer(issuer)->host.guard;
    uint64_t wait_ms = guard_wait_ms(guard, false);

    if (wait_ms > 0) {
        (void)err_set(e, ERR_UNAVAILABLE, "backend %s can't serve now: %.300s", issuer->name,
                      guard->last_error[0] != '\0' ? guard->last_error : "no reason is known");
    }
    return wait_ms;
}

static bool holds_anchor(struct lease_issuer *issuer, uint64_t anchor)
{
    struct backend *backend = of_issuer(issuer);
    const struct leased_backend_ops *plugin = backend->ops.plugin;
    bool is_held;

    if (backend->is_closing || anchor == 0 || !LEASED_HAS(plugin, holds_anchor) ||
        plugin->holds_anchor == NULL) {
        return false;
    }
    host_enter(&backend->host);
    is_held = plugin->holds_anchor(backend->ops.instance, anchor) == 1;
    host_leave(&backend->host, "holds_anchor");
    return is_held;
}

static const struct lease_issuer_ops issuer_ops = {
    .call_start = call_start,
    .call_cancel = call_cancel,
    .closed_ms = closed_ms,
    .holds_anchor = holds_anchor,
};

int backend_call_start(struct backend *backend, struct backend_call *call)
{
    return backend->is_closing ? ERR_CLOSED : call_start_op(&backend->ops, call);
}

/* --- anchors ---------------------------------------------------------------------------------- */

/* Keeps what has been announced and isn't over; the one that ends first gives way. */
static void anchor_remember(struct backend *backend, uint64_t anchor, uint64_t when_ms)
{
    struct bounded_anchor *place = &backend->bounded[0];

    for (size_t i = 0; i < BOUNDED_ANCHORS_MAX; i++) {
        struct bounded_anchor *known = &backend->bounded[i];

        if (known->anchor == anchor) {
            place = known;
            break;
        }
        if (known->when_ms < place->when_ms) {
            place = known;
        }
    }
    if (when_ms != UINT64_MAX) {
        *place = (struct bounded_anchor){.anchor = anchor, .when_ms = when_ms};
    } else if (place->anchor == anchor) {
        *place = (struct bounded_anchor){0};
    }
}

static void host_anchor_ends(void *user, uint64_t anchor, uint64_t when_ms, const char *reason)
{
    struct backend *backend = backend_cast(user);

    if (backend->is_closing) {
        return;
    }
    anchor_remember(backend, anchor, when_ms);
    if (backend->anchor_ends != NULL) {
        backend->anchor_ends(backend->user, backend, anchor, when_ms, reason);
    }
}

static int host_keep_state(void *user, struct str state)
{
    struct backend *backend = backend_cast(user);

    return backend->keep_state(backend->user, backend, state);
}

/* Called after an issue under `anchor` has been told to the lease layer. */
static void issued_under(void *user, uint64_t anchor)
{
    struct backend *backend = backend_cast(user);

    for (size_t i = 0; anchor != 0 && i < BOUNDED_ANCHORS_MAX; i++) {
        if (backend->bounded[i].anchor == anchor && backend->anchor_ends != NULL &&
            !backend->is_closing) {
            backend->anchor_ends(backend->user, backend, anchor, backend->bounded[i].when_ms,
                                 "the issuer's login that it hangs on ends");
            return;
        }
    }
}

/* --- health ----------------------------------------------------------------------------------- */

static void health_done(void *user, const struct lease_result *result)
{
    struct backend *backend = backend_cast(user);

    if (result != NULL) {
        guard_health_ended(&backend->host.guard, result);
    }
    if (!backend->is_closing) {
        env_timer_arm(backend->env, &backend->health_timer,
                      env_now_ms(backend->env) + backend->health_interval_ms);
    }
}

static void health_due(struct env_timer *timer)
{
    struct backend *backend = backend_cast(timer->user);

    /* While the breaker isn't closed its own probes ask, less often. */
    if (backend->host.guard.breaker.state != BREAKER_CLOSED ||
        op_start_health(&backend->ops, ADDRESS_NONE, health_done, backend) != 0) {
        health_done(backend, NULL);
    }
}

static void probe_done(void *user, const struct lease_result *result)
{
    guard_probe_ended(&backend_cast(user)->host.guard, result);
}

static int probe(void *user, size_t address)
{
    struct backend *backend = backend_cast(user);

    return op_start_health(&backend->ops, address, probe_done, backend);
}

/* --- open ------------------------------------------------------------------------------------- */

static void backend_free(struct backend *backend)
{
    env_timer_disarm(backend->env, &backend->health_timer);
    ops_fini(&backend->ops);
    if (backend->is_host_set_up) {
        host_fini(&backend->host);
    }
    for (size_t i = 0; i < backend->address_count; i++) {
        mem_free(backend->addresses[i]);
    }
    mem_free(backend->name);
    mem_free(backend->ca_file);
    mem_free(backend->cert_file);
    mem_free(backend->key_file);
    mem_free(backend->server_name);
    mem_free(backend->proxy);
    mem_free(backend->config_json);
    mem_free(backend->borrows);
    backend->magic = 0;
    mem_free(backend);
}

/* Copies `text` (may be NULL); false when out of memory. */
static bool copy_text(char **place, const char *text)
{
    *place = text != NULL ? mem_strdup(text) : NULL;
    return text == NULL || *place != NULL;
}

static int copy_options(struct backend *backend, const struct backend_options *options,
                        struct err *e)
{
    if (options->address_count > BACKEND_ADDRESSES_MAX) {
        return err_set(e, ERR_INVALID, "more than %d addresses", BACKEND_ADDRESSES_MAX);
    }
    for (size_t i = 0; i < options->address_count; i++) {
        int rc = host_check_address(options->addresses[i], e);

        if (rc != 0) {
            return rc;
        }
        if (!copy_text(&backend->addresses[i], options->addresses[i])) {
            return err_set(e, ERR_NOMEM, "out of memory");
        }
        backend->address_count = i + 1;
    }
    if (!copy_text(&backend->name, options->name) ||
        !copy_text(&backend->ca_file, options->ca_file) ||
        !copy_text(&backend->cert_file, options->cert_file) ||
        !copy_text(&backend->key_file, options->key_file) ||
        !copy_text(&backend->server_name, options->server_name) ||
        !copy_text(&backend->proxy, options->proxy) ||
        !copy_text(&backend->borrows, options->borrows) ||
        !copy_text(&backend->config_json,
                   options->config_json != NULL ? options->config_json : "{}")) {
        return err_set(e, ERR_NOMEM, "out of memory");
    }
    return 0;
}

static struct units_rate rate_or(struct units_rate rate, uint64_t per_second)
{
    return rate.count != 0 ? rate : (struct units_rate){.count = per_second, .per_ms = 1000};
}

static void set_answer_limits(struct leased_host_context *host, const struct backend_limits *limits)
{
    size_t memory_bytes =
        limits->answer_memory_bytes != 0 ? limits->answer_memory_bytes : ANSWER_MEMORY_BYTES;

    host->connect_timeout_ms =
        limits->connect_timeout_ms != 0 ? limits->connect_timeout_ms : CONNECT_TIMEOUT_MS;
    host->answer_max_bytes =
        limits->answer_max_bytes != 0 ? limits->answer_max_bytes : ENV_HTTP_REPLY_MAX_BYTES;
    host->answer_depth_max =
        limits->answer_depth_max != 0 ? limits->answer_depth_max : ANSWER_DEPTH_MAX;
    host->answer_values_max = (uint32_t)(memory_bytes / BACKEND_VALUE_BYTES);
}

static void set_limits(struct backend *backend, const struct backend_limits *limits)
{
    struct lease_issuer_limits *kept = &backend->issuer.limits;

    kept->in_flight = limits->in_flight != 0 ? limits->in_flight : IN_FLIGHT_DEFAULT;
    if (kept->in_flight > IN_FLIGHT_MAX) {
        kept->in_flight = IN_FLIGHT_MAX;
    }
    kept->issue_rate = rate_or(limits->issue_rate, 50);
    kept->renew_rate = rate_or(limits->renew_rate, 200);
    kept->revoke_rate = rate_or(limits->revoke_rate, 200);
    backend->host.timeout_ms = limits->timeout_ms != 0 ? limits->timeout_ms : TIMEOUT_DEFAULT_MS;
    backend->ops.timeout_ms = backend->host.timeout_ms;
    set_answer_limits(&backend->host, limits);
    backend->ops.lifetime_max_ms =
        limits->lifetime_max_ms != 0 ? limits->lifetime_max_ms : LIFETIME_MAX_MS;
}

int backend_set_limits(struct backend *backend, const struct backend_limits *limits,
                       uint64_t health_interval_ms)
{
    uint32_t asked = limits->in_flight != 0 ? limits->in_flight : IN_FLIGHT_DEFAULT;

    if (asked > backend->opened_in_flight) {
        return ERR_LIMIT;
    }
    set_limits(backend, limits);
    backend->ops.call_max = backend->issuer.limits.in_flight;
    backend->ops.pass_max = call_max(backend->issuer.limits.in_flight);
    /* One that is never looked at isn't looked at from now on, either: its timer doesn't run. */
    if (backend->health_interval_ms != 0 && health_interval_ms != 0) {
        backend->health_interval_ms = health_interval_ms;
    }
    return 0;
}

static int host_borrow(void *user, struct lease_loan *loan)
{
    struct backend *backend = backend_cast(user);

    if (backend->is_closing || backend->borrows == NULL) {
        return ERR_CLOSED;
    }
    loan->backend = backend->name;
    loan->role = backend->borrows;
    return backend->borrow_start(backend->user, loan);
}

static void host_return(void *user, struct lease_loan *loan)
{
    struct backend *backend = backend_cast(user);

    backend->borrow_cancel(backend->user, loan);
}

static void set_up_host(struct backend *backend)
{
    struct leased_host_context *host = &backend->host;

    host->env = backend->env;
    host->name = backend->name;
    host->addresses = (const char *const *)backend->addresses;
    host->address_count = backend->address_count;
    host->tls = (struct env_http_tls){.ca_file = backend->ca_file,
                                      .cert_file = backend->cert_file,
                                      .key_file = backend->key_file,
                                      .server_name = backend->server_name};
    host->proxy = backend->proxy;
    host->ops = &backend->ops;
    host->anchor_ends = host_anchor_ends;
    host->keep_state = backend->keep_state != NULL ? host_keep_state : NULL;
    host->borrow_start = host_borrow;
    host->borrow_cancel = host_return;
    host->user = backend;
    host_init(host);
    backend->is_host_set_up = true;
    if (LEASED_HAS(backend->ops.plugin, health) && backend->ops.plugin->health != NULL) {
        guard_set_probe(&host->guard, probe, backend);
    }
}

static int open_instance(struct backend *backend, struct err *e)
{
    const struct leased_backend_ops *plugin = backend->ops.plugin;
    struct leased_str detail = {0};
    char text[BACKEND_ERROR_MAX_BYTES];
    int32_t rc;

    host_enter(&backend->host);
    rc = plugin->open(&host_table, &backend->host, host_leased_str(str_of(backend->config_json)),
                      &backend->ops.instance, &detail);
    host_leave(&backend->host, "open");
    if (rc < 0) {
        return err_set(e, rc == -LEASED_RETRY ? ERR_NOMEM : ERR_INVALID, "%s",
                       detail.len > 0 ? host_line(detail, text, sizeof(text))
                                      : "the plugin refuses its configuration");
    }
    return 0;
}

static void host_ended(void *user);

/* A plugin may have left timers or exchanges behind; then the memory goes when those have ended. */
static void open_failed(struct backend *backend)
{
    if (backend->is_host_set_up && host_is_used(&backend->host)) {
        backend->is_closing = true;
        host_end(&backend->host, host_ended);
    } else {
        backend_free(backend);
    }
}

int backend_open(const struct backend_options *options, struct backend **ret_backend, struct err *e)
{
    struct backend *backend = mem_calloc(1, sizeof(*backend));
    int rc;

    if (backend == NULL) {
        return err_set(e, ERR_NOMEM, "out of memory");
    }
    backend->magic = BACKEND_MAGIC;
    backend->env = options->env;
    backend->plugin = options->plugin;
    backend->health_timer.fn = health_due;
    backend->health_timer.user = backend;
    backend->anchor_ends = options->anchor_ends;
    backend->keep_state = options->keep_state;
    backend->borrow_start = options->borrow_start;
    backend->borrow_cancel = options->borrow_cancel;
    backend->user = options->user;
    backend->issuer.ops = &issuer_ops;
    rc = copy_options(backend, options, e);
    if (rc != 0) {
        goto out;
    }
    backend->issuer.name = backend->name;
    backend->issuer.borrows = backend->borrows;
    set_limits(backend, &options->limits);
    backend->opened_in_flight = backend->issuer.limits.in_flight;
    backend->ops.context = &backend->host;
    backend->ops.plugin = options->plugin->ops;
    set_up_host(backend);
    backend->ops.call_max = backend->issuer.limits.in_flight;
    backend->ops.pass_max = call_max(backend->issuer.limits.in_flight);
    backend->ops.issued = issued_under;
    backend->ops.user = backend;
    rc = ops_init(&backend->ops);
    if (rc != 0) {
        (void)err_set(e, rc, "%s", err_str(rc));
        goto out;
    }
    backend->host.state = options->state;
    rc = open_instance(backend, e);
    backend->host.state = (struct str){0};
    if (rc == 0 && options->health_interval_ms != 0 && backend->host.guard.probe != NULL) {
        backend->health_interval_ms = options->health_interval_ms;
        health_done(backend, NULL);
    }
out:
    if (rc != 0) {
        open_failed(backend);
        return rc;
    }
    *ret_backend = backend;
    return 0;
}

/* --- close ------------------------------------------------------------------------------------ */

static void host_ended(void *user)
{
    struct backend *backend = backend_cast(user);
    void (*closed)(void *closed_user) = backend->closed;
    void *closed_user = backend->closed_user;

    backend_free(backend);
    if (closed != NULL) {
        closed(closed_user);
    }
}

static void close_done(void *user, const struct lease_result *result)
{
    struct backend *backend = backend_cast(user);

    (void)result;
    /* Operations that the plugin forgot end here; from now on it gets no callback any more. */
    host_end(&backend->host, host_ended);
    ops_end_all(&backend->ops);
}

void backend_close(struct backend *backend, bool logout, void (*closed)(void *user), void *user)
{
    CHECK(!backend->is_closing);
    backend->is_closing = true;
    backend->closed = closed;
    backend->closed_user = user;
    env_timer_disarm(backend->env, &backend->health_timer);
    ops_begin_close(&backend->ops);
    guard_end(&backend->host.guard);
    if (op_start_close(&backend->ops, logout ? LEASED_CLOSE_LOGOUT : 0, close_done, backend) != 0) {
        /* Without memory for the plugin's own end, end without it. */
        close_done(backend, NULL);
    }
}
