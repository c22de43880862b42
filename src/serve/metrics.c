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

static void core_write(const struct serve *serve, struct buf *out)
{
    struct lease_core_stats stats;
    int state;

    lease_core_stats(serve->options.core, &stats);
    family(out, "leased_leases", "gauge", "Leases by state.");
    for (state = LEASE_STATE_REQUESTED; state <= LEASE_STATE_REVOKING; state++) {
        buf_printf(out, "leased_leases{state=\"%s\"} %llu\n",
                   lease_state_str((enum lease_state)state),
                   (unsigned long long)stats.leases_by_state[state]);
    }
    single(out, "leased_grants", "gauge", "Grants held now.", stats.grants_held);
    single(out, "leased_issue_total", "counter", "Credentials issued.", stats.issue_total);
    single(out, "leased_issue_failed_total", "counter", "Issues that failed.",
           stats.issue_failed_total);
    single(out, "leased_renew_total", "counter", "Leases renewed.", stats.renew_total);
    single(out, "leased_renew_failed_total", "counter", "Renewals that failed.",
           stats.renew_failed_total);
    single(out, "leased_rotate_total", "counter", "Successors issued.", stats.rotate_total);
    single(out, "leased_revoke_total", "counter", "Revocations that the issuer confirmed.",
           stats.revoke_total);
    single(out, "leased_revoke_failed_total", "counter", "Attempts to revoke that failed.",
           stats.revoke_failed_total);
    single(out, "leased_revoke_pending", "gauge", "Leases that wait for their revocation.",
           stats.revoke_pending);
    family(out, "leased_revoke_oldest_seconds", "gauge", "How long the oldest of them has waited.");
    buf_add_c(out, "leased_revoke_oldest_seconds ");
    seconds(out, stats.revoke_oldest_ms);
    single(out, "leased_secret_memory_bytes", "gauge", "Bytes of credentials held.",
           stats.secret_bytes);
}

static void backends_write(const struct serve *serve, struct buf *out)
{
    uint64_t now_ms = env_now_ms(serve->options.env);
    struct backend_status status;
    size_t i;

    family(out, "leased_backend_up", "gauge", "Is the backend logged in and its issuer serving?");
    for (i = 0; i < serve->options.backend_count; i++) {
        backend_status(serve->options.backends[i], &status);
        buf_printf(out, "leased_backend_up{backend=\"%s\"} %d\n", status.name,
                   status.is_up ? 1 : 0);
    }
    family(out, "leased_backend_token_expires_seconds", "gauge",
           "Life left of the backend's own login; absent when it does not expire.");
    for (i = 0; i < serve->options.backend_count; i++) {
        backend_status(serve->options.backends[i], &status);
        if (status.login_expires_ms != UINT64_MAX) {
            buf_printf(out, "leased_backend_token_expires_seconds{backend=\"%s\"} ", status.name);
            seconds(out, status.login_expires_ms > now_ms ? status.login_expires_ms - now_ms : 0);
        }
    }
    family(out, "leased_backend_in_flight", "gauge", "Operations under way at the backend.");
    for (i = 0; i < serve->options.backend_count; i++) {
        backend_status(serve->options.backends[i], &status);
        buf_printf(out, "leased_backend_in_flight{backend=\"%s\"} %u\n", status.name,
                   status.in_flight);
    }
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
