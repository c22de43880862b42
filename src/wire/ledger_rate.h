/* What the ledger keeps of what a caller has used up of a rule's `limits.issue`. */
#ifndef LEASED_WIRE_LEDGER_RATE_H
#define LEASED_WIRE_LEDGER_RATE_H

#include "wire/ledger_record.h"

#define LEDGER_RATE_VERSION 1
#define LEDGER_RATE_COUNT_MAX 1000000000U   /* grants … */
#define LEDGER_RATE_PER_MAX_MS (1ULL << 32) /* … in so long */

/* Texts are never NULL. */
struct ledger_rate {
    const char *identity; /* the caller's, access/identity.h */
    const char *rule;
    uint64_t count; /* what the rule gave when this was written: so many grants … */
    uint64_t per_ms;
    uint64_t level; /* what was left of it, in grants times per_ms; less than all */
    struct ledger_clock clock;
};

/* Appends the record. ERR_NOMEM, ERR_TOO_LARGE; ERR_INVALID when a text is no UTF-8. */
int ledger_rate_write(const struct ledger_rate *rate, struct buf *out) ATTR_MUST_USE;

/* Texts are borrowed from `body`. ERR_INVALID with a text when it is no such record. */
int ledger_rate_read(struct str body, struct ledger_rate *ret_rate, struct err *e) ATTR_MUST_USE;

#endif
