/* When to renew, when to replace, how long to wait: arithmetic on lives. */
#include "lease/schedule.h"

#define SKEW_PART 4   /* the clock allowance takes at most this part of a life */
#define CHANGE_PART 4 /* a change takes at most this part of what is left of a life */
#define LEAD_PART 20  /* how early, as a part of the life, a step starts before it must be done */
#define CAP_TOLERANCE_MS 2000U /* issuers count in whole seconds, some round twice */
#define BACKOFF_DOUBLINGS_MAX 16U

uint64_t schedule_add_ms(uint64_t a_ms, uint64_t b_ms)
{
    return a_ms > UINT64_MAX - b_ms ? UINT64_MAX : a_ms + b_ms;
}

uint64_t schedule_left_ms(uint64_t expires_ms, uint64_t now_ms)
{
    return expires_ms > now_ms ? expires_ms - now_ms : 0;
}

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t most(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

uint64_t schedule_expiry_ms(uint64_t answered_ms, uint64_t lifetime_ms, uint64_t skew_ms)
{
    uint64_t life_ms = least(lifetime_ms, SCHEDULE_LIFE_MAX_MS);

    return schedule_add_ms(answered_ms, life_ms - least(skew_ms, life_ms / SKEW_PART));
}

uint64_t schedule_needed_ms(uint64_t min_remaining_ms, uint64_t granted_ms)
{
    return least(min_remaining_ms, granted_ms / 2);
}

static uint64_t life_ms(const struct schedule_life *life)
{
    return least(schedule_left_ms(life->expires_ms, life->answered_ms), SCHEDULE_LIFE_MAX_MS);
}

uint64_t schedule_latest_ms(const struct schedule_life *life)
{
    uint64_t reserve_ms =
        schedule_needed_ms(life->min_remaining_ms, life->granted_ms) + life_ms(life) / LEAD_PART;

    return schedule_left_ms(life->expires_ms, reserve_ms);
}

uint64_t schedule_spread_ms(uint64_t window_ms, uint64_t splay_seed)
{
    return (splay_seed >> 32) * least(window_ms, UINT32_MAX) >> 32;
}

/* The same part of the splay's span for a lease, for ever: leases that were issued together drift
 * apart and stay so. */
static uint64_t splay_ms(const struct schedule_life *life)
{
    return schedule_spread_ms(life_ms(life) / 100 * SCHEDULE_SPLAY_PERCENT, life->splay_seed);
}

static uint64_t step_ms(const struct schedule_life *life, uint32_t percent)
{
    uint64_t into_ms = life_ms(life) * percent / 100;
    uint64_t when_ms =
        schedule_add_ms(life->answered_ms, schedule_left_ms(into_ms, splay_ms(life)));

    when_ms = least(when_ms, schedule_latest_ms(life));
    return most(when_ms, schedule_add_ms(life->answered_ms, SCHEDULE_FLOOR_MS));
}

uint64_t schedule_renew_ms(const struct schedule_life *life)
{
    bool is_set = life->renew_at_percent > 0 && life->renew_at_percent <= 100;

    return step_ms(life, is_set ? life->renew_at_percent : SCHEDULE_REPLACE_PERCENT);
}

uint64_t schedule_replace_ms(const struct schedule_life *life)
{
    return step_ms(life, SCHEDULE_REPLACE_PERCENT);
}

uint64_t schedule_change_ms(const struct schedule_life *life, uint64_t since_ms)
{
    uint64_t left_ms = schedule_left_ms(schedule_latest_ms(life), since_ms);
    uint64_t window_ms = least(SCHEDULE_CHANGE_WINDOW_MS, left_ms / CHANGE_PART);

    return least(schedule_replace_ms(life),
                 schedule_add_ms(since_ms, schedule_spread_ms(window_ms, life->splay_seed)));
}

uint64_t schedule_tolerance_ms(const struct schedule_life *life, bool is_renewable)
{
    struct schedule_life latest = *life;
    uint64_t needed_ms = schedule_needed_ms(life->min_remaining_ms, life->granted_ms);
    uint64_t step_at_ms;

    latest.splay_seed = 0; /* it only makes a step earlier */
    step_at_ms = is_renewable ? schedule_renew_ms(&latest) : schedule_replace_ms(&latest);
    return schedule_left_ms(schedule_left_ms(life->expires_ms, needed_ms), step_at_ms);
}

uint64_t schedule_backoff_ms(uint32_t failure_count, uint64_t random)
{
    uint64_t doublings = least(failure_count, BACKOFF_DOUBLINGS_MAX);
    uint64_t cap_ms = least((uint64_t)SCHEDULE_FLOOR_MS << doublings, SCHEDULE_BACKOFF_MAX_MS);

    return most(SCHEDULE_FLOOR_MS, random % (cap_ms + 1));
}

uint64_t schedule_retry_ms(uint64_t now_ms, uint64_t backoff_ms, uint64_t retry_after_ms,
                           uint64_t latest_ms)
{
    uint64_t when_ms = schedule_add_ms(now_ms, most(backoff_ms, retry_after_ms));

    if (latest_ms > now_ms) {
        when_ms = least(when_ms, latest_ms);
    }
    return most(when_ms, schedule_add_ms(now_ms, SCHEDULE_FLOOR_MS));
}

bool schedule_is_capped(uint64_t lifetime_ms, uint64_t asked_ms, uint64_t previous_ms)
{
    return schedule_add_ms(lifetime_ms, CAP_TOLERANCE_MS) < most(asked_ms, previous_ms);
}
