/* The process, under the names that Prometheus' own client libraries use, and its loop. */
#include "serve/metrics.h"

#include "env/usage.h"

#define US_PER_SECOND 1000000U
#define MS_PER_SECOND 1000U

void metrics_write_process(const struct serve *serve, struct buf *out)
{
    struct env_usage usage;

    env_usage(serve->options.env, &usage);
    metrics_single(out, "leased_clients", "gauge", "Clients that are connected.",
                   usage.connections);
    metrics_single(out, "leased_connections_refused_total", "counter",
                   "Connections that were refused because a limit was reached.",
                   usage.connections_refused);
    metrics_family(out, "leased_loop_lag_seconds", "gauge",
                   "The longest that events had to wait for the loop, within the last minute.");
    buf_add_c(out, "leased_loop_lag_seconds ");
    metrics_seconds(out, usage.loop_lag_us, US_PER_SECOND);
    metrics_family(out, "process_cpu_seconds_total", "counter",
                   "Total user and system CPU time spent in seconds.");
    buf_add_c(out, "process_cpu_seconds_total ");
    metrics_seconds(out, usage.cpu_us, US_PER_SECOND);
    metrics_single(out, "process_open_fds", "gauge", "Number of open file descriptors.",
                   usage.open_fds);
    metrics_single(out, "process_max_fds", "gauge", "Maximum number of open file descriptors.",
                   usage.max_fds);
    metrics_single(out, "process_resident_memory_bytes", "gauge", "Resident memory size in bytes.",
                   usage.resident_bytes);
    metrics_single(out, "process_virtual_memory_bytes", "gauge", "Virtual memory size in bytes.",
                   usage.virtual_bytes);
    metrics_family(out, "process_start_time_seconds", "gauge",
                   "Start time of the process since unix epoch in seconds.");
    buf_add_c(out, "process_start_time_seconds ");
    metrics_seconds(out, usage.start_wall_ms > 0 ? (uint64_t)usage.start_wall_ms : 0,
                    MS_PER_SECOND);
}
