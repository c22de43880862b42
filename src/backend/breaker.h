/* When to leave an issuer alone. A pure state machine: no clock, no chance, no I/O of its own.
 *
 *   closed ── BREAKER_FAILURES failures in a row ──→ open ── the back-off is over ──→ half-open
 *     ↑                                               ↑                                │     │
 *     └──────────────── the probe is served ──────────┼────────────────────────────────┘     │
 *                                                     └────────── the probe fails ───────────┘
 *
 * A failure is an issuer that can't be reached or says that it can't serve. Refusals (4xx) are
 * service. A failure that may be about one path only (a 500, an answer that never came) is a
 * doubtful one: as many of those in a row don't open the breaker but ask for a probe, which tells
 * whether the issuer as a whole is down.
 *
 * Back-off: full jitter between BREAKER_BACKOFF_LEAST_MS and 1, 2, 4, 8, then 15 s, so that an
 * issuer that comes back is noticed within 15 s, and at least what its Retry-After asks for (at
 * most BREAKER_RETRY_AFTER_MAX_MS). It begins anew once a call was served, not when a probe was:
 * an issuer that is healthy but serves nobody is asked less and less. */
#ifndef LEASED_BACKEND_BREAKER_H
#define LEASED_BACKEND_BREAKER_H

#include "base/check.h"

#include <stdbool.h>
#include <stdint.h>

#define BREAKER_FAILURES 5U
#define BREAKER_BACKOFF_LEAST_MS 500U
#define BREAKER_BACKOFF_FIRST_MS 1000U
#define BREAKER_BACKOFF_MAX_MS 15000U
#define BREAKER_RETRY_AFTER_MAX_MS 300000U
#define BREAKER_DOUBT_INTERVAL_MS 1000U /* between probes that doubtful failures ask for */

enum breaker_state {
    BREAKER_CLOSED,
    BREAKER_OPEN,
    BREAKER_HALF_OPEN,
};

/* Zero-initialised: closed. */
struct breaker {
    enum breaker_state state;
    uint32_t failure_count; /* in a row */
    uint32_t open_count;    /* openings since a call was last served */
    bool is_doubted;        /* closed, but a probe is to tell whether that is right */
    uint64_t probe_at_ms;   /* open or doubted: when a probe may go */
    uint64_t doubted_ms;    /* when a doubt was last cleared */
    uint64_t opened_total;
};

struct breaker_failure {
    bool is_doubtful;
    uint64_t retry_after_ms; /* the issuer's word; 0: none */
    uint64_t now_ms;
    uint64_t random;
};

/* An exchange has failed. */
void breaker_failed(struct breaker *breaker, const struct breaker_failure *failure);

/* An exchange was served. While the breaker is open that is worth a probe at once. */
void breaker_served(struct breaker *breaker, uint64_t now_ms);

/* A call was served: the next back-off begins anew. */
void breaker_call_served(struct breaker *breaker);

/* When a probe is due; UINT64_MAX: none is wanted, or one is under way. */
uint64_t breaker_probe_at_ms(const struct breaker *breaker);

/* A probe goes out: open → half-open. Only when one is due. */
void breaker_probe_started(struct breaker *breaker);

/* `failure` NULL: it was served. */
void breaker_probe_ended(struct breaker *breaker, const struct breaker_failure *failure,
                         uint64_t now_ms);

/* The probe was never sent, or was cancelled: it is due again at `when_ms`. */
void breaker_probe_dropped(struct breaker *breaker, uint64_t when_ms);

/* "closed", "open", "half_open". */
const char *breaker_state_str(enum breaker_state state);

/* Full jitter: LEAST to FIRST << `count`, at most MAX. */
uint64_t breaker_backoff_ms(uint32_t count, uint64_t random);

#endif
