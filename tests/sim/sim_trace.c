/* What has happened, line by line: kept for the report of a failure, and as a hash for the
 * comparison of two runs. */
#include "sim.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#define HASH_PRIME 0x100000001b3U /* FNV-1a */

static struct sim *watched;

void sim_trace(struct sim *sim, const char *format, ...)
{
    char *line = sim->trace[sim->trace_count++ % SIM_TRACE_LINES];
    va_list args;
    size_t i;
    int len;

    len = snprintf(line, SIM_TRACE_LINE_MAX_BYTES, "%llu ",
                   (unsigned long long)(sim->now_ms - SIM_START_MS));
    CHECK(len > 0 && len < SIM_TRACE_LINE_MAX_BYTES);
    va_start(args, format);
    (void)vsnprintf(line + len, SIM_TRACE_LINE_MAX_BYTES - (size_t)len, format, args);
    va_end(args);
    for (i = 0; line[i] != '\0'; i++) {
        sim->hash = (sim->hash ^ (unsigned char)line[i]) * HASH_PRIME;
    }
    if (sim->is_traced) {
        (void)fprintf(stderr, "%s\n", line);
    }
}

static void report(const struct sim *sim)
{
    uint64_t first = sim->trace_count > SIM_TRACE_LINES ? sim->trace_count - SIM_TRACE_LINES : 0;

    if (!sim->is_traced) {
        for (uint64_t i = first; i < sim->trace_count; i++) {
            (void)fprintf(stderr, "%s\n", sim->trace[i % SIM_TRACE_LINES]);
        }
    }
    (void)fprintf(stderr, "SEED=%llu STEP=%llu virtual ms %llu\n", (unsigned long long)sim->seed,
                  (unsigned long long)sim->step_count,
                  (unsigned long long)(sim->now_ms - SIM_START_MS));
}

void sim_fail(struct sim *sim, const char *format, ...)
{
    va_list args;

    report(sim);
    (void)fputs("does not hold: ", stderr);
    va_start(args, format);
    (void)vfprintf(stderr, format, args);
    va_end(args);
    (void)fputc('\n', stderr);
    (void)fflush(stdout);
    _Exit(1);
}

/* The program ends here anyway, so that printing from a signal handler does no harm. */
static void aborted(int signal_number)
{
    if (watched != NULL) {
        report(watched);
    }
    (void)signal(signal_number, SIG_DFL);
}

void sim_watch_aborts(struct sim *sim)
{
    watched = sim;
    (void)signal(SIGABRT, sim != NULL ? aborted : SIG_DFL);
}
