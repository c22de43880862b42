/* Metrics in Prometheus' text format. Label values are names from the configuration. */
#include "serve/metrics.h"

#include "base/mem.h"

#include <stdio.h>
#include <string.h>

#define METRICS_CONTENT_TYPE "text/plain; version=0.0.4; charset=utf-8"
#define METRICS_NO_RULE "none"

/* From a cached credential to one that a database takes its time for. */
const struct histogram_bounds metrics_request_bounds = {
    .per_second = 1000000,
    .count = 14,
    .upper = {50, 100, 250, 500, 1000, 2500, 5000, 10000, 25000, 100000, 500000, 2500000, 10000000,
              60000000},
};

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

/* What is over is no lease any more. */
static void leases_write(const struct serve *serve, struct buf *out)
{
    const struct lease_core *core = serve->options.core;
    const struct lease_role *role = NULL;
    uint32_t counts[LEASE_STATE_FAILED + 1];
    int state;

    metrics_family(out, "leased_leases", "gauge", "Leases by backend, role and state.");
    while ((role = lease_core_next_role(core, role)) != NULL) {
        lease_core_role_counts(core, role, counts);
        for (state = LEASE_STATE_REQUESTED; state <= LEASE_STATE_REVOKING; state++) {
            buf_printf(out, "leased_leases{backend=\"%s\",role=\"%s\",state=\"%s\"} %u\n",
                       role->issuer->name, role->name, lease_state_str((enum lease_state)state),
                       counts[state]);
        }
    }
}

static void tolerances_write(const struct serve *serve, struct buf *out)
{
    const struct lease_core *core = serve->options.core;
    const struct lease_role *role = NULL;

    metrics_family(out, "leased_outage_tolerance_seconds", "gauge",
                   "How long the issuer may be away, right before a renewal is due, until a role's "
                   "credentials are no longer handed out.");
    while ((role = lease_core_next_role(core, role)) != NULL) {
        uint64_t tolerance_ms = lease_core_role_tolerance_ms(role);

        if (tolerance_ms != UINT64_MAX) {
            buf_printf(out, "leased_outage_tolerance_seconds{role=\"%s\"} ", role->name);
            metrics_seconds(out, tolerance_ms, 1000);
        }
    }
}

static void hooks_write(const struct serve *serve, struct buf *out)
{
    struct hooks_stats stats;

    hooks_stats(serve->options.hooks, &stats);
    metrics_single(out, "leased_notify_total", "counter", "Events that somebody was told of.",
                   stats.sent_count);
    metrics_single(out, "leased_notify_failed_total", "counter", "Tries to tell that failed.",
                   stats.failed_count);
    metrics_single(out, "leased_notify_lost_total", "counter",
                   "Events that somebody was not told of, after all tries.", stats.lost_count);
    metrics_single(out, "leased_notify_waiting", "gauge", "Events that wait to be told.",
                   stats.waiting_count);
}

static void core_write(const struct serve *serve, struct buf *out)
{
    struct lease_core_stats stats;

    lease_core_stats(serve->options.core, &stats);
    leases_write(serve, out);
    tolerances_write(serve, out);
    metrics_single(out, "leased_grants", "gauge", "Grants held now.", stats.grants_held);
    metrics_single(out, "leased_issue_total", "counter", "Issues that were answered, well or not.",
                   stats.issue_total);
    metrics_single(out, "leased_issue_failed_total", "counter", "Issues that failed, of those.",
                   stats.issue_failed_total);
    metrics_single(out, "leased_renew_total", "counter",
                   "Renewals that were answered, well or not.", stats.renew_total);
    metrics_single(out, "leased_renew_failed_total", "counter", "Renewals that failed, of those.",
                   stats.renew_failed_total);
    metrics_single(out, "leased_rotate_total", "counter", "Successors issued.", stats.rotate_total);
    metrics_single(out, "leased_verify_total", "counter",
                   "New credentials that were tried out before their hand-out, well or not.",
                   stats.verify_total);
    metrics_single(out, "leased_verify_failed_total", "counter",
                   "New credentials that didn't work in time, of those.",
                   stats.verify_failed_total);
    metrics_single(out, "leased_revoke_total", "counter",
                   "Revocations that were answered, well or not.", stats.revoke_total);
    metrics_single(out, "leased_revoke_failed_total", "counter",
                   "Revocations that failed, of those.", stats.revoke_failed_total);
    metrics_single(out, "leased_revoke_pending", "gauge", "Leases that wait for their revocation.",
                   stats.revoke_pending);
    metrics_single(out, "leased_unconfirmed_total", "counter",
                   "Leases whose end their issuer never confirmed.", stats.unconfirmed_total);
    metrics_family(out, "leased_revoke_oldest_seconds", "gauge",
                   "How long the oldest of them has waited.");
    buf_add_c(out, "leased_revoke_oldest_seconds ");
    metrics_seconds(out, stats.revoke_oldest_ms, 1000);
    if (serve->options.requests != NULL) {
        metrics_single(out, "leased_requests_pending", "gauge",
                       "Requests that wait for an approval.",
                       requests_pending_count(serve->options.requests));
        metrics_single(out, "leased_requests_review", "gauge",
                       "Broken glass that nobody has reviewed yet.",
                       requests_review_count(serve->options.requests));
    }
    if (serve->options.hooks != NULL) {
        hooks_write(serve, out);
    }
    metrics_single(out, "leased_ledger_left", "gauge",
                   "Leases that the start has left in the ledger, which nobody revokes.",
                   serve->options.left != NULL ? serve->options.left->total : 0);
    metrics_single(out, "leased_sealed_bytes", "gauge", "Bytes of sealed credentials held.",
                   stats.sealed_bytes);
}

static void secret_memory_write(struct buf *out)
{
    struct secret_stats stats;

    secret_memory_stats(&stats);
    metrics_family(out, "leased_secret_memory_info", "gauge", "How secret memory is protected.");
    buf_printf(out, "leased_secret_memory_info{kind=\"%s\"} 1\n", stats.kind);
    metrics_single(out, "leased_secret_memory_bytes", "gauge", "Bytes of secret memory in use.",
                   stats.used_bytes);
    metrics_single(out, "leased_secret_memory_peak_bytes", "gauge",
                   "The most that was in use at once.", stats.peak_bytes);
    metrics_single(out, "leased_secret_memory_limit_bytes", "gauge",
                   "Bytes of secret memory that there are.", stats.total_bytes);
    metrics_single(out, "leased_secret_memory_refused_total", "counter",
                   "Requests for secret memory that found no room.", stats.refused_total);
}

static void requests_write(const struct serve *serve, struct buf *out)
{
    static const char *const apis[SERVE_API_COUNT] = {"native", "metrics", "aws",    "gcp",
                                                      "azure",  "vault",   "systemd"};
    struct map_entry *entry;
    size_t api;
    unsigned status;

    metrics_family(out, "leased_requests_total", "counter",
                   "Requests answered, by API and status.");
    for (api = 0; api < ARRAY_LEN(apis); api++) {
        for (status = 0; status < SERVE_STATUS_MAX; status++) {
            if (serve->status_counts[api][status] > 0) {
                buf_printf(out, "leased_requests_total{api=\"%s\",code=\"%u\"} %llu\n", apis[api],
                           status, (unsigned long long)serve->status_counts[api][status]);
            }
        }
    }
    metrics_family(out, "leased_request_seconds", "histogram",
                   "From a whole request to its answer, waiting for the issuer included.");
    metrics_histogram(out, "leased_request_seconds", "", &serve->request_us,
                      &metrics_request_bounds);
    metrics_family(out, "leased_denied_total", "counter", "Denials, by the rule that decided.");
    for (entry = map_first(&serve->denials); entry != NULL;
         entry = map_next(&serve->denials, entry)) {
        const struct serve_denials *denials = MAP_ENTRY(entry, struct serve_denials, entry);

        buf_printf(out, "leased_denied_total{rule=\"%s\"} %llu\n", denials->rule,
                   (unsigned long long)denials->count);
    }
}

static void audit_write(const struct serve *serve, struct buf *out)
{
    const char *path;
    uint64_t lag;

    metrics_family(out, "leased_audit_lag_records", "gauge",
                   "Audit records that a sink has not confirmed.");
    for (size_t i = 0; (path = audit_sink_at(serve->options.audit, i, &lag)) != NULL; i++) {
        buf_add_c(out, "leased_audit_lag_records{sink=\"file:");
        metrics_label(out, str_of(path));
        buf_printf(out, "\"} %llu\n", (unsigned long long)lag);
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
    metrics_write_backends(serve, out);
    metrics_write_process(serve, out);
    requests_write(serve, out);
    audit_write(serve, out);
    files_metrics_write(&serve->files, out);
    metrics_single(out, "leased_audit_ready", "gauge",
                   "Do the ledger and all required audit sinks confirm?",
                   audit_is_ready(serve->options.audit) ? 1 : 0);
    metrics_family(out, "leased_policy_info", "gauge", "The policy in force.");
    buf_printf(out, "leased_policy_info{digest=\"%s\"} 1\n",
               access_policy_digest(serve->options.policy));
    metrics_family(out, "leased_build_info", "gauge", "The version that runs.");
    buf_printf(out, "leased_build_info{version=\"%s\"} 1\n", serve->options.version);
    exchange_send(x, &reply);
    exchange_release(x);
}
