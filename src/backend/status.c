/* What is shown of a backend. */
#include "backend/backend.h"

#include "backend/backend_internal.h"
#include "backend/registry.h"
#include "env/run.h"

#include <string.h>

/* From a cache to a database that hangs. */
const struct histogram_bounds backend_issue_bounds = {
    .per_second = 1000,
    .count = 12,
    .upper = {5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000, 30000},
};

/* From a minute to a month. */
const struct histogram_bounds backend_ttl_bounds = {
    .per_second = 1000,
    .count = 11,
    .upper = {60000, 300000, 900000, 1800000, 3600000, 14400000, 28800000, 86400000, 259200000,
              604800000, 2592000000},
};

static void addresses_fill(const struct guard *guard, uint64_t now_ms,
                           struct backend_status *status)
{
    const struct addresses *addresses = &guard->addresses;
    size_t preferred = addresses_pick(addresses, 0, now_ms);

    for (size_t i = 0; i < addresses->count; i++) {
        const struct address *address = &addresses->items[i];
        bool is_waiting = address->is_failing && address->probe_at_ms != UINT64_MAX;

        status->addresses[i] = (struct backend_address){
            .address = address->text,
            .is_up = !address->is_failing,
            .is_preferred = i == preferred,
            .last_error = address->last_error,
            .probe_at_ms = is_waiting ? address->probe_at_ms : 0,
        };
    }
    status->address_count = addresses->count;
}

static void guard_fill(const struct guard *guard, uint64_t now_ms, struct backend_status *status)
{
    const struct breaker *breaker = &guard->breaker;

    status->last_error = guard->last_error;
    status->last_error_ms = guard->last_error_ms;
    status->breaker = breaker_state_str(breaker->state);
    status->is_breaker_open = breaker->state != BREAKER_CLOSED;
    status->probe_at_ms = breaker->state == BREAKER_OPEN ? breaker->probe_at_ms : 0;
    status->pause_until_ms = guard->pause_until_ms > now_ms ? guard->pause_until_ms : 0;
    status->breaker_opened_total = breaker->opened_total;
    status->refused_total = guard->refused_total;
    addresses_fill(guard, now_ms, status);
}

static void ops_fill(const struct ops *ops, struct backend_status *status)
{
    status->in_flight = (uint32_t)ops_count(ops);
    status->op_total = ops->op_total;
    status->op_late_total = ops->late_total;
    status->op_timeout_total = ops->timeout_total;
    status->warning_dropped_total = ops->warnings.dropped_total;
    status->times = &ops->times;
    status->sweep_count = ops->sweeps.count;
    status->sweep_oldest_ms = sweeps_oldest_ms(&ops->sweeps);
    status->sweep_total = ops->sweeps.begun_total;
    status->sweep_forgotten_total = ops->sweeps.forgotten_total;
}

/* Where programs can't be run, what needs them can't serve. */
static void run_fill(const struct backend *backend, struct backend_status *status)
{
    const char *problem =
        backend_runs_programs(backend->plugin) ? env_run_problem(backend->env) : NULL;

    if (problem != NULL) {
        status->is_up = false;
        status->last_error = problem;
    }
}

void backend_status(const struct backend *backend, struct backend_status *ret_status)
{
    const struct leased_host_context *host = &backend->host;
    uint64_t now_ms = env_now_ms(backend->env);

    *ret_status = (struct backend_status){
        .name = backend->name,
        .plugin = host_str(backend->plugin->name).ptr,
        .login_expires_ms = host->login_expires_ms,
        .http_in_flight = (uint32_t)handles_count(&host->https),
        .slow_call_total = host->slow_call_total,
        .is_skew_known = host->skew.is_known,
        .is_skew_large = host->skew.is_large,
        .clock_skew_ms = host->skew.ms,
        .metric_count = host->metric_count,
        .warnings = host->warnings,
        .warning_count = host->warning_count,
    };
    guard_fill(&host->guard, now_ms, ret_status);
    ops_fill(&backend->ops, ret_status);
    ret_status->is_up =
        host->guard.is_serving && !ret_status->is_breaker_open && host->login_expires_ms > now_ms;
    run_fill(backend, ret_status);
    memcpy(ret_status->metrics, host->metrics, sizeof(host->metrics));
}
