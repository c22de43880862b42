/* Times of records in our clock. */
#include "wire/ledger_clock.h"

#include <string.h>

bool ledger_clock_is_same_boot(const struct ledger_clock *clock, const struct ledger_now *now)
{
    return clock->boot[0] != '\0' && strcmp(clock->boot, now->boot) == 0;
}

uint64_t ledger_clock_past_ms(const struct ledger_clock *clock, const struct ledger_now *now,
                              int64_t wall_ms)
{
    int64_t when_ms = ledger_clock_is_same_boot(clock, now)
                          ? clock->written_ms + (wall_ms - clock->written_wall_ms)
                          : (int64_t)now->now_ms + (wall_ms - now->wall_ms);

    return when_ms > 0 ? (uint64_t)when_ms : 0;
}

uint64_t ledger_clock_when_ms(const struct ledger_clock *clock, const struct ledger_now *now,
                              int64_t wall_ms)
{
    uint64_t when_ms = ledger_clock_past_ms(clock, now, wall_ms);

    return when_ms > now->now_ms ? when_ms : now->now_ms;
}

uint64_t ledger_clock_age_ms(const struct ledger_clock *clock, const struct ledger_now *now)
{
    int64_t age_ms = ledger_clock_is_same_boot(clock, now)
                         ? (int64_t)now->now_ms - clock->written_ms
                         : now->wall_ms - clock->written_wall_ms;

    return age_ms > 0 ? (uint64_t)age_ms : 0;
}
