/* What time of ours a time of a record is, whatever became of the clocks meanwhile. */
#ifndef LEASED_WIRE_LEDGER_CLOCK_H
#define LEASED_WIRE_LEDGER_CLOCK_H

#include "wire/ledger_record.h"

#include <stdbool.h>

/* The clocks of whoever reads. */
struct ledger_now {
    uint64_t now_ms;
    int64_t wall_ms;
    const char *boot;
};

/* Is it the boot in which the record was written? */
bool ledger_clock_is_same_boot(const struct ledger_clock *clock, const struct ledger_now *now);

/* A time of a record in our clock; 0: before the boot. Within a boot its own clock counts, whatever
 * became of unix time. */
uint64_t ledger_clock_past_ms(const struct ledger_clock *clock, const struct ledger_now *now,
                              int64_t wall_ms);

/* How long ago the record was written; 0 where nobody can know: the machine has booted since, and
 * its unix time is behind the record's. */
uint64_t ledger_clock_age_ms(const struct ledger_clock *clock, const struct ledger_now *now);

/* A time of a record that is to come, in our clock: now, when it has passed. */
uint64_t ledger_clock_when_ms(const struct ledger_clock *clock, const struct ledger_now *now,
                              int64_t wall_ms);

#endif
