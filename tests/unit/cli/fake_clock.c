/* Stands in for cli/clock.c: sleeping takes no time, it moves the clock. */
#include "cli/clock.h"
#include "fake_daemon.h"

uint64_t fake_clock_now_ms = 1000000;

uint64_t clock_now_ms(void)
{
    return fake_clock_now_ms;
}

int64_t clock_wall_ms(void)
{
    return FAKE_CLOCK_WALL_MS;
}

void clock_sleep_ms(uint64_t ms)
{
    fake_clock_now_ms += ms;
}
