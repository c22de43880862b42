/* Metrics in Prometheus' text format. Label values are names from the configuration. */
#include "serve/exchange.h"

#include "base/mem.h"

#include <stdio.h>
#include <string.h>

#define METRICS_CONTENT_TYPE "text/plain; version=0.0.4; charset=utf-8"
#define METRICS_NO_RULE "none"

void metrics_count_denial(struct serve *serve, const char *rule)
{
    struct str name = str_of(rule != NULL ? rule : METRICS_NO_RULE);
    struct map_entry *entry = map_find(&serve->denials, name);
    struct serve_denials *denials;

    if (entry == NULL) {
        denials = mem_calloc(1, sizeof(*denials));
        if (denials == NULL) {
            return; /* a count that is short of one beats a request that fails */
        }
        (void)snprintf(denials->rule, sizeof(denials->rule), "%.*s", STR_ARG(name));
        if (map_add(&serve->denials, &denials->entry, str_of(denials->rule)) != 0) {
            mem_free(denials);
            return;
        }
        entry = &denials->entry;
    }
    MAP_ENTRY(entry, struct serve_denials, entry)->count++;
}

static void family(struct buf *out, const char *name, const char *type, const char *help)
{
    buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void single(struct buf *out, const char *name, const char *type, const char *help,
                   uint64_t value)
{
    family(out, name, type, help);
    buf_printf(out, "%s %llu\n", name, (unsigned long long)value);
}

/* Seconds with milliseconds. */
static void seconds(struct buf *out, uint64_t ms)
{
    buf_printf(out, "%llu.%03u\n", (unsigned long long)(ms / 1000), (unsigned)(ms % 1000));
}

/* What is over is no lease any more. */
static void leases_write(const struct serve *serve, struct buf *out)
{
    const struct lease_core *core = serve->options.core;
    const struct lease_role *role = NULL;
    uint32_t counts[LEASE_STATE_FAILED + 1];
    int state;

    family(out, "leased_leases", "gauge", "Leases by backend, role and state.");
    while ((role = lease_core_next_role(core, role)) != NULL) {
        lease_core_role_counts(core, role, counts);
        for (state = LEASE_STATE_REQUESTED; state <= LEASE_STATE_REVOKING; state++) {
            buf_printf(out, "leased_leases{backend=\"%s\",role=\"%s\",state=\"%s\"} %u\n",
                       role->issuer->name, role->name, lease_state_str((enum lease_state)state),
                       counts[state]);
        }
    }
}

static void core_write(const struct serve *serve, struct buf *out)
{
    struct lease_core_stats stats;

    lease_core_stats(serve->options.core, &stats);
    leases_write(serve, out);
    single(out, "leased_grants", "gauge", "Grants held now.", stats.grants_held);
    single(out, "leased_issue_total", "counter", "Issues that were answered, well or not.",
           stats.issue_total);
    single(out, "leased_issue_failed_total", "counter", "Issues that failed, of those.",
           stats.issue_failed_total);
    single(out, "leased_renew_total", "counter", "Renewals that were answered, well or not.",
           stats.renew_total);
    single(out, "leased_renew_failed_total", "counter", "Renewals that failed, of those.",
           stats.renew_failed_total);
    single(out, "leased_rotate_total", "counter", "Successors issued.", stats.rotate_total);
    single(out, "leased_revoke_total", "counter", "Revocations that were answered, well or not.",
           stats.revoke_total);
    single(out, "leased_revoke_failed_total", "counter", "Revocations that failed, of those.",
           stats.revoke_failed_total);
    single(out, "leased_revoke_pending", "gauge", "Leases that wait for their revocation.",
           stats.revoke_pending);
    family(out, "leased_revoke_oldest_seconds", "gauge", "How long the oldest of them has waited.");
    buf_add_c(out, "leased_revoke_oldest_seconds ");
    seconds(out, stats.revoke_oldest_ms);
    single(out, "leased_sealed_bytes", "gauge", "Bytes of sealed credentials held.",
           stats.sealed_bytes);
}

static void secret_memory_write(struct buf *out)
{
    struct secret_stats stats;

    secret_memory_stats(&stats);
    family(out, "leased_secret_memory_info", "gauge", "How secret memory is protected.");
    buf_printf(out, "leased_secret_memory_info{kind=\"%s\"} 1\n", stats.kind);
    single(out, "leased_secret_memory_bytes", "gauge", "Bytes of secret memory in use.",
           stats.used_bytes);
    single(out, "leased_secret_memory_peak_bytes", "gauge", "The most that was in use at once.",
           stats.peak_bytes);
    single(out, "leased_secret_memory_limit_bytes", "gauge",
           "Bytes of secret memory that there are.", stats.total_bytes);
    single(out, "leased_secret_memory_refused_total", "counter",
           "Requests for secret memory that found no room.", stats.refused_total);
}

/* One number of each backend. */
struct backend_number {
    const char *name;
    const char *type;
    const char *help;
    uint64_t (*of)(const struct backend_status *status);
};

static uint64_t up_of(const struct backend_status *status)
{
    return status->is_up ? 1 : 0;
}

static uint64_t in_flight_of(const struct backend_status *status)
{
    return status->in_flight;
}

static uint64_t operations_of(const struct backend_status *status)
{
    return status->op_total;
}

static uint64_t timeouts_of(const struct backend_status *status)
{
    return status->op_timeout_total;
}

static uint64_t slow_calls_of(const struct backend_status *status)
{
    return status->slow_call_total;
}

static const struct backend_number backend_numbers[] = {
    {"leased_backend_up", "gauge", "Is the backend logged in and its issuer serving?", up_of},
    {"leased_backend_in_flight", "gauge", "Operations under way at the backend.", in_flight_of},
    {"leased_backend_operations_total", "counter", "Operations that were started.", operations_of},
    {"leased_backend_timeouts_total", "counter", "Operations that took too long.", timeouts_of},
    {"leased_backend_slow_calls_total", "counter", "Calls of the plugin that held the loop up.",
     slow_calls_of},
};

static void login_ends_write(const struct serve *serve, struct buf *out)
{
    uint64_t now_ms = env_now_ms(serve->options.env);
    struct backend_status status;
    size_t i;

    family(out, "leased_backend_token_expires_seconds", "gauge",
           "Life left of the backend's own login; absent when it does not expire.");
    for (i = 0; i < serve->options.backend_count; i++) {
        backend_status(serve->options.backends[i], &status);
        if (status.login_expires_ms != UINT64_MAX) {
            buf_printf(out, "leased_backend_token_expires_seconds{backend=\"%s\"} ", status.name);
            seconds(out, status.login_expires_ms > now_ms ? status.login_expires_ms - now_ms : 0);
        }
    }
}

/* What the plugins count themselves. */
static void plugin_counts_write(const struct serve *serve, struct buf *out)
{
    struct backend_status status;
    size_t i;
    size_t j;

    family(out, "leased_plugin_events_total", "counter", "What a backend's plugin counts itself.");
    for (i = 0; i < serve->options.backend_count; i++) {
        backend_status(serve->options.backends[i], &status);
        for (j = 0; j < status.metric_count; j++) {
            buf_printf(out, "leased_plugin_events_total{backend=\"%s\",event=\"%s\"} %llu\n",
                       status.name, status.metrics[j].name,
                       (unsigned long long)status.metrics[j].value);
        }
    }
}

static void backends_write(const struct serve *serve, struct buf *out)
{
    struct backend_status status;
    size_t i;
    size_t j;

    for (i = 0; i < ARRAY_LEN(backend_numbers); i++) {
        const struct backend_number *number = &backend_numbers[i];

        family(out, number->name, number->type, number->help);
        for (j = 0; j < serve->options.backend_count; j++) {
            backend_status(serve->options.backends[j], &status);
            buf_printf(out, "%s{backend=\"%s\"} %llu\n", number->name, status.name,
                       (unsigned long long)number->of(&status));
        }
    }
    login_ends_write(serve, out);
    plugin_counts_write(serve, out);
}

static void requests_write(const struct serve *serve, struct buf *out)
{
    static const char *const apis[] = {
        [SERVE_API_NATIVE] = "native",
        [SERVE_API_METRICS] = "metrics",
    };
    struct map_entry *entry;
    size_t api;
    unsigned status;

    family(out, "leased_requests_total", "counter", "Requests answered, by API and status.");
    for (api = SERVE_API_NATIVE; api < ARRAY_LEN(apis); api++) {
        for (status = 0; status < SERVE_STATUS_MAX; status++) {
            if (serve->status_counts[api][status] > 0) {
                buf_printf(out, "leased_requests_total{api=\"%s\",code=\"%u\"} %llu\n", apis[api],
                           status, (unsigned long long)serve->status_counts[api][status]);
            }
        }
    }
    family(out, "leased_denied_total", "counter", "Denials, by the rule that decided.");
    for (entry = map_first(&serve->denials); entry != NULL;
         entry = map_next(&serve->denials, entry)) {
        const struct serve_denials *denials = MAP_ENTRY(entry, struct serve_denials, entry);

        buf_printf(out, "leased_denied_total{rule=\"%s\"} %llu\n", denials->rule,
                   (unsigned long long)denials->count);
    }
}

void serve_metrics(struct exchange *x)
{
    const struct serve *serve = x->serve;
    struct env_reply reply = {.status = 200, .content_type = METRICS_CONTENT_TYPE};
    struct buf *out = &x->serve->body;

    buf_reset(out);
    core_write(serve, out);
    secret_memory_write(out);
    backends_write(serve, out);
    requests_write(serve, out);
    single(out, "leased_audit_lag_records", "gauge",
           "Audit records that the slowest sink has not confirmed.",
           audit_lag_records(serve->options.audit));
    single(out, "leased_audit_ready", "gauge", "Do all required audit sinks confirm?",
           audit_is_ready(serve->options.audit) ? 1 : 0);
    family(out, "leased_policy_info", "gauge", "The policy in force.");
    buf_printf(out, "leased_policy_info{digest=\"%s\"} 1\n",
               access_policy_digest(serve->options.policy));
    family(out, "leased_build_info", "gauge", "The version that runs.");
    buf_printf(out, "leased_build_info{version=\"%s\"} 1\n", serve->options.version);
    exchange_send(x, &reply);
    exchange_release(x);
}
