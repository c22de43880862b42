/* When to renew, when to replace, how long to wait before the next try. Pure functions: no state,
 * no clock.
 *
 * A life is counted from the moment its request was sent (the safe side) and is a little shorter
 * here than at the issuer
 * (`skew`). Times saturate: a deadline that doesn't fit is UINT64_MAX, which never comes. */
#ifndef LEASED_LEASE_SCHEDULE_H
#define LEASED_LEASE_SCHEDULE_H

#include "base/check.h"

#include <stdbool.h>

#define SCHEDULE_LIFE_MAX_MS (100ULL * 365 * 86400 * 1000)
#define SCHEDULE_FLOOR_MS 1000U /* nothing is tried again sooner */
#define SCHEDULE_BACKOFF_MAX_MS 300000U
#define SCHEDULE_SPLAY_PERCENT 5U /* of a life, by which a step comes earlier */
#define SCHEDULE_REPLACE_PERCENT                                                                   \
    85U /* of a life: a credential that can't be renewed is replaced                               \
         */

#define SCHEDULE_CHANGE_WINDOW_MS 600000U

struct schedule_life {
    uint64_t answered_ms;      /* when the life began: the last issue or renewal was sent */
    uint64_t expires_ms;       /* its end, all limits applied */
    uint64_t granted_ms;       /* the life that the issuer gave at first */
    uint64_t min_remaining_ms; /* the role's */
    uint32_t renew_at_percent;
    uint64_t splay_seed; /* the lease's own, so that it keeps its place in the crowd */
};

uint64_t schedule_add_ms(uint64_t a_ms, uint64_t b_ms);

/* What is left of a life; 0 when it is over. */
uint64_t schedule_left_ms(uint64_t expires_ms, uint64_t now_ms);

/* The end of a life as it counts here. The allowance for clocks takes at most a quarter of a short
 * life. */
uint64_t schedule_expiry_ms(uint64_t answered_ms, uint64_t lifetime_ms, uint64_t skew_ms);

/* What must be left at a hand-out: `min_remaining`, but no more than half of what was granted. */
uint64_t schedule_needed_ms(uint64_t min_remaining_ms, uint64_t granted_ms);

/* The last moment at which a step may start, so that what is needed is still left when it ends. */
uint64_t schedule_latest_ms(const struct schedule_life *life);

/* renew_at per cent of the life, less the splay; not after schedule_latest_ms, not sooner than the
 * floor after the last answer. */
uint64_t schedule_renew_ms(const struct schedule_life *life);

/* When a credential that can't be renewed is replaced: late, so that an issuer which refuses every
 * renewal is asked for about one credential a life, but not after schedule_latest_ms. */
uint64_t schedule_replace_ms(const struct schedule_life *life);

/* The place of a lease in a window: the same one each time, and those of many leases fill it
 * evenly.
 */
uint64_t schedule_spread_ms(uint64_t window_ms, uint64_t splay_seed);

/* When a credential whose role has changed at `since_ms` is replaced: within a while after that,
 * but no later than it would be anyway. */
uint64_t schedule_change_ms(const struct schedule_life *life, uint64_t since_ms);

/* How long the issuer may be away at the worst moment, right before a renewal (or, for what can't
 * be renewed, a replacement), until too little is left to hand out. */
uint64_t schedule_tolerance_ms(const struct schedule_life *life, bool is_renewable);

/* Full jitter: up to 2, 4, 8 … s by `failure_count` (1 after the first), at least the floor, at
 * most SCHEDULE_BACKOFF_MAX_MS. */
uint64_t schedule_backoff_ms(uint32_t failure_count, uint64_t random);

/* When to try again. Not before `retry_after_ms` has passed, but one try is made at `latest_ms` if
 * that still lies ahead. */
uint64_t schedule_retry_ms(uint64_t now_ms, uint64_t backoff_ms, uint64_t retry_after_ms,
                           uint64_t latest_ms);

/* Did a renewal give less than was asked for, or less than before? Then a maximum is near and the
 * next gives still less. `asked_ms` 0: nothing was asked. */
bool schedule_is_capped(uint64_t lifetime_ms, uint64_t asked_ms, uint64_t previous_ms);

#endif
