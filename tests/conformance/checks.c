/* Which scenarios are run, in which order, and what each has to show. */
#include "checks.h"

#include "backend/registry.h"
#include "base/mem.h"
#include "spy.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define KEY "leased_conformance"
#define ALLOCATIONS_MAX 5000U
#define SLOW_RUNS 5U
#define CRASH_LINE_MAX_BYTES 128U

struct suite {
    const struct world_setup *setup;
    struct report *report;
    bool is_sink;
};

/* --- crashes ---------------------------------------------------------------------------------- */

static const char *volatile current = "load"; /* the check that runs */

static void add_text(char *line, const char *text)
{
    size_t used = strlen(line);

    for (; *text != '\0' && used < CRASH_LINE_MAX_BYTES - 2; text++) {
        line[used++] = *text;
    }
    line[used] = '\0';
}

/* Nothing can be trusted any more: one line, and the end. */
static void on_crash(int number)
{
    static char line[CRASH_LINE_MAX_BYTES];

    (void)number;
    line[0] = '\0';
    add_text(line, "FAIL  ");
    add_text(line, current);
    add_text(line, ": the process has crashed\n");
    (void)!write(STDOUT_FILENO, line, strlen(line));
    _exit(EXIT_FAILURE);
}

void checks_catch_crashes(void)
{
#ifndef __SANITIZE_ADDRESS__ /* which says more */
    static const int numbers[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};
    struct sigaction action = {.sa_handler = on_crash};

    for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
        (void)sigaction(numbers[i], &action, NULL);
    }
#else
    (void)on_crash;
#endif
}

/* --- reporting -------------------------------------------------------------------------------- */

void report_passed(struct report *report, const char *name, const char *what)
{
    report->passed_count++;
    (void)printf("ok    %-24s %s\n", name, what);
}

void report_failed(struct report *report, const char *name, const char *why)
{
    report->failed_count++;
    (void)printf("FAIL  %-24s %s\n", name, why);
}

/* By what the spy has seen. */
static void report_seen(struct report *report, const char *name, const char *what)
{
    if (spy_violation() != NULL) {
        report_failed(report, name, spy_violation());
    } else {
        report_passed(report, name, what);
    }
}

static void life(const struct suite *suite, enum answers answers)
{
    if (suite->is_sink) {
        sink_life(suite->setup, answers);
    } else {
        backend_life(suite->setup, answers);
    }
}

/* --- configuration ---------------------------------------------------------------------------- */

typedef int (*check_fn)(const struct leased_plugin *plugin, const char *json, struct err *e);

/* `json` with one more key, which nobody knows. */
static void add_key(const char *json, char *out, size_t out_size)
{
    const char *brace = strchr(json, '{');
    const char *rest = brace != NULL ? brace + 1 + strspn(brace + 1, " \n\t") : "}";

    (void)snprintf(out, out_size, "{\"" KEY "\":1%s%s", rest[0] == '}' ? "" : ",", rest);
}

static void check_keys(const struct suite *suite, const char *name, const char *json,
                       check_fn check)
{
    static char more[64U * 1024U];
    char unknown[64];
    struct err e = {0};

    spy_begin(SPY_HOST_AS_IT_IS, 0);
    if (check(suite->setup->plugin, json, &e) != 0) {
        report_failed(suite->report, name, e.text);
        return;
    }
    report_passed(suite->report, name, "what was given is accepted");
    (void)snprintf(unknown, sizeof(unknown), "%s-unknown-key", name);
    add_key(json, more, sizeof(more));
    if (check(suite->setup->plugin, more, &e) == 0) {
        report_failed(suite->report, unknown, "a key that nobody knows (" KEY ") is accepted");
    } else {
        report_passed(suite->report, unknown, "refused");
    }
}

/* --- scenarios -------------------------------------------------------------------------------- */

static void check_answers(const struct suite *suite)
{
    for (size_t i = 0; i < ANSWERS_GIVEN; i++) {
        char name[64];

        current = answers_names[i];
        (void)snprintf(name, sizeof(name), "once-%s", answers_names[i]);
        spy_begin(SPY_HOST_AS_IT_IS, 0);
        life(suite, (enum answers)i);
        report_seen(suite->report, name, "each operation ends once, and not from inside");
    }
}

/* With the answers that were given, a credential or a write has to succeed. */
static void check_given(const struct suite *suite)
{
    current = "works";
    if (suite->setup->given_count > 0) {
        spy_begin(SPY_HOST_AS_IT_IS, 0);
        life(suite, ANSWERS_GIVEN);
        if (!spy_has_succeeded()) {
            spy_note("with the answers that were given nothing has ended with LEASED_OK");
        }
        report_seen(suite->report, "works", "with the answers that were given");
    }
}

static void check_cancel(const struct suite *suite)
{
    current = "cancel";
    spy_begin(SPY_HOST_AS_IT_IS, 0);
    if (suite->is_sink) {
        sink_cancel(suite->setup);
    } else {
        backend_cancel(suite->setup);
    }
    report_seen(suite->report, "cancel", "what is cancelled ends");
}

static void check_close(const struct suite *suite)
{
    current = "close-busy";
    spy_begin(SPY_HOST_AS_IT_IS, 0);
    if (suite->is_sink) {
        sink_close_busy(suite->setup);
    } else {
        backend_close_busy(suite->setup);
    }
    report_seen(suite->report, "close-busy", "what is under way ends before close does");
}

static void check_late(const struct suite *suite)
{
    current = "late";
    spy_begin(SPY_HOST_AS_IT_IS, 0);
    if (suite->is_sink) {
        sink_late(suite->setup);
    } else {
        backend_late(suite->setup);
    }
    report_seen(suite->report, "late", "an answer after the deadline does no harm");
}

/* Allocation after allocation fails, with two kinds of answers, until a run needs no more. */
static void check_memory(const struct suite *suite)
{
    static const enum answers kinds[] = {ANSWERS_GIVEN, ANSWERS_REFUSED};
    uint64_t count = 0;
    char text[160];

    current = "memory";
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        uint64_t failing = 0;

        do {
            failing++;
            spy_begin(SPY_HOST_AS_IT_IS, failing);
            life(suite, kinds[i]);
            count++;
            if (spy_violation() != NULL) {
                (void)snprintf(text, sizeof(text), "when allocation %" PRIu64 " fails: %s", failing,
                               spy_violation());
                report_failed(suite->report, "memory", text);
                return;
            }
        } while (spy_has_failed() && failing < ALLOCATIONS_MAX);
    }
    (void)snprintf(text, sizeof(text), "%" PRIu64 " runs, each without one allocation", count - 2);
    report_passed(suite->report, "memory", text);
}

/* --- versions --------------------------------------------------------------------------------- */

static void check_larger_host(const struct suite *suite)
{
    current = "later-host";
    spy_begin(SPY_HOST_LARGER, 0);
    life(suite, ANSWERS_GIVEN);
    report_seen(suite->report, "later-host", "works where the host's structs are longer");
}

/* Of 1.0. A plugin that needs more says so in its entry. */
static void check_oldest_host(const struct suite *suite)
{
    struct backend_registry *registry = NULL;
    struct err e = {0};

    current = "oldest-host";
    spy_begin(SPY_HOST_OLDEST, 0);
    if (backend_registry_new(&registry) != 0) {
        report_failed(suite->report, "oldest-host", "out of memory");
        return;
    }
    if (backend_registry_add_builtin(registry, spy_entry, &e) != 0) {
        report_passed(suite->report, "oldest-host", "refuses to work with it");
    } else {
        life(suite, ANSWERS_GIVEN);
        report_seen(suite->report, "oldest-host", "uses only what it has");
    }
    backend_registry_free(registry);
}

/* --- time ------------------------------------------------------------------------------------- */

/* Whatever else runs on this machine makes a call slow now and then; a plugin that blocks is slow
 * each time. */
static void check_slow(const struct suite *suite)
{
    uint64_t slow_runs = 0;
    char text[160];

    current = "slow";
    for (size_t i = 0; i < SLOW_RUNS; i++) {
        uint64_t before = world_slow_count();

        spy_begin(SPY_HOST_AS_IT_IS, 0);
        life(suite, ANSWERS_GIVEN);
        slow_runs += world_slow_count() > before ? 1 : 0;
    }
    if (slow_runs == SLOW_RUNS) {
        (void)snprintf(text, sizeof(text), "%s takes more than 5 ms: it blocks the host's loop",
                       world_slow_call());
        report_failed(suite->report, "slow", text);
    } else {
        report_passed(suite->report, "slow", "no call takes more than 5 ms");
    }
}

void checks_run(const struct world_setup *setup, struct report *report)
{
    const struct suite suite = {.setup = setup,
                                .report = report,
                                .is_sink = setup->plugin->kind == LEASED_KIND_SINK};

    check_keys(&suite, "config", setup->config_json, backend_check_config);
    if (!suite.is_sink) {
        check_keys(&suite, "params", setup->params_json, backend_check_params);
    }
    check_answers(&suite);
    check_given(&suite);
    check_cancel(&suite);
    check_close(&suite);
    check_late(&suite);
    check_memory(&suite);
    check_larger_host(&suite);
    check_oldest_host(&suite);
    check_slow(&suite);
}
