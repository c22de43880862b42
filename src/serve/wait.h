/* Waiting for what the core does with a lease or grant. Internal to serve/. */
#ifndef LEASED_SERVE_WAIT_H
#define LEASED_SERVE_WAIT_H

#include "serve/exchange.h"

/* How one kind of wait ends for its client; static. */
struct serve_wait {
    /* Answers about the lease or grant that x->id names, as it is now. `is_done`: else the time was
     * up before. */
    void (*answer)(struct exchange *x, bool is_done);
    const struct exchange_failure *failures;
};

/* Readies x->wait; the answer comes when it ends, or when `limit_ms` have passed. */
void serve_wait_begin(struct exchange *x, const struct serve_wait *how, const char *id,
                      uint64_t limit_ms);

/* The core didn't take it: there is nothing to wait for, and the exchange is to be answered. */
void serve_wait_refused(struct exchange *x);

#endif
