/* The breaker's states and its back-off. Each function is one event; what an event doesn't concern
 * (a failure of an old exchange while the breaker is open) changes nothing. */
#include "backend/breaker.h"

#define DOUBLINGS_MAX 5U

uint64_t breaker_backoff_ms(uint32_t count, uint64_t random)
{
    uint64_t most_ms = (uint64_t)BREAKER_BACKOFF_FIRST_MS
                       << (count < DOUBLINGS_MAX ? count : DOUBLINGS_MAX);

    if (most_ms > BREAKER_BACKOFF_MAX_MS) {
        most_ms = BREAKER_BACKOFF_MAX_MS;
    }
    return BREAKER_BACKOFF_LEAST_MS + random % (most_ms - BREAKER_BACKOFF_LEAST_MS + 1);
}

/* The one place that changes the state. */
static void set_state(struct breaker *breaker, enum breaker_state state)
{
    breaker->state = state;
    breaker->is_doubted = false;
    if (state == BREAKER_CLOSED) {
        breaker->failure_count = 0;
    }
}

static void open_again(struct breaker *breaker, const struct breaker_failure *failure)
{
    uint64_t delay_ms = breaker_backoff_ms(breaker->open_count, failure->random);
    uint64_t asked_ms = failure->retry_after_ms < BREAKER_RETRY_AFTER_MAX_MS
                            ? failure->retry_after_ms
                            : BREAKER_RETRY_AFTER_MAX_MS;

    set_state(breaker, BREAKER_OPEN);
    breaker->probe_at_ms = failure->now_ms + (delay_ms > asked_ms ? delay_ms : asked_ms);
    if (breaker->open_count < DOUBLINGS_MAX) {
        breaker->open_count++;
    }
}

void breaker_failed(struct breaker *breaker, const struct breaker_failure *failure)
{
    uint64_t doubt_at_ms = breaker->doubted_ms + BREAKER_DOUBT_INTERVAL_MS;

    if (breaker->state != BREAKER_CLOSED) {
        return;
    }
    if (breaker->failure_count < BREAKER_FAILURES) {
        breaker->failure_count++;
    }
    if (breaker->failure_count < BREAKER_FAILURES) {
        return;
    }
    if (!failure->is_doubtful) {
        breaker->opened_total++;
        open_again(breaker, failure);
    } else if (!breaker->is_doubted) {
        breaker->is_doubted = true;
        breaker->probe_at_ms = doubt_at_ms > failure->now_ms && breaker->doubted_ms != 0
                                   ? doubt_at_ms
                                   : failure->now_ms;
    }
}

void breaker_served(struct breaker *breaker, uint64_t now_ms)
{
    if (breaker->state == BREAKER_CLOSED) {
        breaker->failure_count = 0;
        breaker->is_doubted = false;
    } else if (breaker->state == BREAKER_OPEN && breaker->probe_at_ms > now_ms) {
        breaker->probe_at_ms = now_ms;
    }
}

void breaker_call_served(struct breaker *breaker)
{
    if (breaker->state == BREAKER_CLOSED) {
        breaker->open_count = 0;
    }
}

uint64_t breaker_probe_at_ms(const struct breaker *breaker)
{
    bool is_wanted = breaker->state == BREAKER_OPEN || breaker->is_doubted;

    return is_wanted ? breaker->probe_at_ms : UINT64_MAX;
}

void breaker_probe_started(struct breaker *breaker)
{
    CHECK(breaker_probe_at_ms(breaker) != UINT64_MAX);
    if (breaker->state == BREAKER_OPEN) {
        set_state(breaker, BREAKER_HALF_OPEN);
    } else {
        breaker->probe_at_ms = UINT64_MAX;
    }
}

void breaker_probe_ended(struct breaker *breaker, const struct breaker_failure *failure,
                         uint64_t now_ms)
{
    if (breaker->state == BREAKER_OPEN ||
        (breaker->state == BREAKER_CLOSED && !breaker->is_doubted)) {
        return; /* something else has decided meanwhile */
    }
    if (failure == NULL) {
        breaker->doubted_ms = now_ms;
        set_state(breaker, BREAKER_CLOSED);
        return;
    }
    if (breaker->state == BREAKER_CLOSED) {
        breaker->opened_total++;
    }
    open_again(breaker, failure);
}

void breaker_probe_dropped(struct breaker *breaker, uint64_t when_ms)
{
    if (breaker->state == BREAKER_HALF_OPEN) {
        set_state(breaker, BREAKER_OPEN);
        breaker->probe_at_ms = when_ms;
    } else if (breaker->is_doubted) {
        breaker->probe_at_ms = when_ms;
    }
}

const char *breaker_state_str(enum breaker_state state)
{
    static const char *const texts[] = {
        [BREAKER_CLOSED] = "closed",
        [BREAKER_OPEN] = "open",
        [BREAKER_HALF_OPEN] = "half_open",
    };

    return texts[state];
}
