/* Metrics of each backend. Its name is from the configuration and needs no escaping. */
#include "serve/metrics.h"

#include <stdio.h>

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

static uint64_t late_of(const struct backend_status *status)
{
    return status->op_late_total;
}

static uint64_t breaker_open_of(const struct backend_status *status)
{
    return status->is_breaker_open ? 1 : 0;
}

static uint64_t breaker_opened_of(const struct backend_status *status)
{
    return status->breaker_opened_total;
}

static uint64_t refused_of(const struct backend_status *status)
{
    return status->refused_total;
}

static uint64_t sweeps_of(const struct backend_status *status)
{
    return status->sweep_count;
}

static uint64_t forgotten_of(const struct backend_status *status)
{
    return status->sweep_forgotten_total;
}

static const struct backend_number backend_numbers[] = {
    {"leased_backend_up", "gauge", "Is the backend logged in and its issuer serving?", up_of},
    {"leased_backend_in_flight", "gauge", "Operations under way at the backend.", in_flight_of},
    {"leased_backend_operations_total", "counter", "Operations that were started.", operations_of},
    {"leased_backend_timeouts_total", "counter", "Operations that took too long.", timeouts_of},
    {"leased_backend_slow_calls_total", "counter", "Calls of the plugin that held the loop up.",
     slow_calls_of},
    {"leased_backend_late_total", "counter", "Answers that came after their operation had ended.",
     late_of},
    {"leased_breaker_open", "gauge", "Are calls kept back because the issuer can't serve?",
     breaker_open_of},
    {"leased_breaker_opened_total", "counter", "How often that began.", breaker_opened_of},
    {"leased_backend_refused_total", "counter",
     "Operations that were kept back: breaker open, or the issuer asked for a pause.", refused_of},
    {"leased_backend_sweep_pending", "gauge",
     "Credentials of late issues that wait for their revocation.", sweeps_of},
    {"leased_backend_sweep_forgotten_total", "counter",
     "Those that were given up without the issuer's confirmation.", forgotten_of},
};

static void login_ends_write(const struct serve *serve, struct buf *out)
{
    uint64_t now_ms = env_now_ms(serve->options.env);
    struct backend_status status;
    size_t i;

    metrics_family(out, "leased_backend_token_expires_seconds", "gauge",
                   "Life left of the backend's own login; absent when it does not expire.");
    for (i = 0; i < serve->options.backend_count; i++) {
        backend_status(serve->options.backends[i], &status);
        if (status.login_expires_ms != UINT64_MAX) {
            buf_printf(out, "leased_backend_token_expires_seconds{backend=\"%s\"} ", status.name);
            metrics_seconds(out,
                            status.login_expires_ms > now_ms ? status.login_expires_ms - now_ms : 0,
                            1000);
        }
    }
}

static void addresses_write(const struct serve *serve, struct buf *out)
{
    struct backend_status status;
    size_t i;
    size_t j;

    metrics_family(out, "leased_backend_address_up", "gauge",
                   "Did an address serve when it was last asked?");
    for (i = 0; i < serve->options.backend_count; i++) {
        backend_status(serve->options.backends[i], &status);
        for (j = 0; j < status.address_count; j++) {
            buf_printf(out, "leased_backend_address_up{backend=\"%s\",address=\"", status.name);
            metrics_label(out, str_of(status.addresses[j].address));
            buf_printf(out, "\"} %u\n", status.addresses[j].is_up ? 1U : 0U);
        }
    }
}

/* Outcomes that haven't happened are left out: they would be most of the text. */
static void issues_write(const struct serve *serve, struct buf *out)
{
    static const char *const outcomes[] = {
        [LEASE_OUTCOME_OK] = "ok",           [LEASE_OUTCOME_RETRY] = "retry",
        [LEASE_OUTCOME_DENIED] = "denied",   [LEASE_OUTCOME_GONE] = "gone",
        [LEASE_OUTCOME_INVALID] = "invalid", [LEASE_OUTCOME_SEALED] = "sealed",
        [LEASE_OUTCOME_LOST] = "lost",       [LEASE_OUTCOME_CANCELED] = "canceled",
    };
    struct backend_status status;
    char labels[128];
    size_t i;
    size_t j;

    metrics_family(out, "leased_issue_seconds", "histogram",
                   "How long issues took at the issuer, by how they ended.");
    for (i = 0; i < serve->options.backend_count; i++) {
        backend_status(serve->options.backends[i], &status);
        for (j = 0; j < ARRAY_LEN(outcomes); j++) {
            if (histogram_count(&status.times->issue_ms[j]) > 0 || j == LEASE_OUTCOME_OK) {
                (void)snprintf(labels, sizeof(labels), "backend=\"%s\",outcome=\"%s\"", status.name,
                               outcomes[j]);
                metrics_histogram(out, "leased_issue_seconds", labels, &status.times->issue_ms[j],
                                  &backend_issue_bounds);
            }
        }
    }
}

static void lives_write(const struct serve *serve, struct buf *out)
{
    struct backend_status status;
    struct histogram all = {0};
    size_t i;

    for (i = 0; i < serve->options.backend_count; i++) {
        backend_status(serve->options.backends[i], &status);
        histogram_merge(&all, &status.times->ttl_ms);
    }
    metrics_family(out, "leased_lease_ttl_seconds", "histogram",
                   "How long credentials live from their issue on.");
    metrics_histogram(out, "leased_lease_ttl_seconds", "", &all, &backend_ttl_bounds);
}

/* What the plugins count themselves. */
static void plugin_counts_write(const struct serve *serve, struct buf *out)
{
    struct backend_status status;
    size_t i;
    size_t j;

    metrics_family(out, "leased_plugin_events_total", "counter",
                   "What a backend's plugin counts itself.");
    for (i = 0; i < serve->options.backend_count; i++) {
        backend_status(serve->options.backends[i], &status);
        for (j = 0; j < status.metric_count; j++) {
            buf_printf(out, "leased_plugin_events_total{backend=\"%s\",event=\"%s\"} %llu\n",
                       status.name, status.metrics[j].name,
                       (unsigned long long)status.metrics[j].value);
        }
    }
}

void metrics_write_backends(const struct serve *serve, struct buf *out)
{
    struct backend_status status;
    size_t i;
    size_t j;

    for (i = 0; i < ARRAY_LEN(backend_numbers); i++) {
        const struct backend_number *number = &backend_numbers[i];

        metrics_family(out, number->name, number->type, number->help);
        for (j = 0; j < serve->options.backend_count; j++) {
            backend_status(serve->options.backends[j], &status);
            buf_printf(out, "%s{backend=\"%s\"} %llu\n", number->name, status.name,
                       (unsigned long long)number->of(&status));
        }
    }
    login_ends_write(serve, out);
    addresses_write(serve, out);
    issues_write(serve, out);
    lives_write(serve, out);
    plugin_counts_write(serve, out);
}
