/* Time. A file of its own, so that tests can put a clock that they move in its place. */
#ifndef LEASED_CLI_CLOCK_H
#define LEASED_CLI_CLOCK_H

#include <stdint.h>

/* Milliseconds that go on while the machine sleeps. */
uint64_t clock_now_ms(void);

/* Unix milliseconds. */
int64_t clock_wall_ms(void);

void clock_sleep_ms(uint64_t ms);

#endif
