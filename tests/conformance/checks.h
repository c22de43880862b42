/* The checks, by the plugin's kind, and what they print. */
#ifndef LEASED_TESTS_CONFORMANCE_CHECKS_H
#define LEASED_TESTS_CONFORMANCE_CHECKS_H

#include "world.h"

struct report {
    size_t passed_count;
    size_t failed_count;
};

/* One line; `why` of a check that failed. */
void report_passed(struct report *report, const char *name, const char *what);
void report_failed(struct report *report, const char *name, const char *why);

/* A plugin that crashes is reported, and ends the program. */
void checks_catch_crashes(void);

void checks_run(const struct world_setup *setup, struct report *report);

/* --- scenarios, which checks.c runs (backend.c, sink.c): what is wrong beyond what the spy sees is
 * noted (spy_note) --- */

/* From open to close. */
void backend_life(const struct world_setup *setup, enum answers answers);
void sink_life(const struct world_setup *setup, enum answers answers);

/* What was started is cancelled. */
void backend_cancel(const struct world_setup *setup);
void sink_cancel(const struct world_setup *setup);

/* It is closed with something under way. */
void backend_close_busy(const struct world_setup *setup);
void sink_close_busy(const struct world_setup *setup);

/* The answer comes after the deadline. */
void backend_late(const struct world_setup *setup);
void sink_late(const struct world_setup *setup);

#endif
