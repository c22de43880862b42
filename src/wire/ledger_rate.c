/* The table of what callers have used up. */
#include "wire/ledger_rate.h"

#include "base/str.h"

#include <stdbool.h>
#include <stddef.h>

#define FIELD(name, type)                                                                          \
    {                                                                                              \
#name, type, offsetof(struct ledger_rate, name)                                            \
    }

static const struct ledger_field fields[] = {
    FIELD(identity, LEDGER_TEXT), FIELD(rule, LEDGER_TEXT), FIELD(count, LEDGER_U64),
    FIELD(per_ms, LEDGER_U64),    FIELD(level, LEDGER_U64), LEDGER_CLOCK_FIELDS(struct ledger_rate),
};

static const struct ledger_table table = {
    .version = LEDGER_RATE_VERSION,
    .fields = fields,
    .field_count = ARRAY_LEN(fields),
};

/* The product of the two stays below 2^64. */
static bool is_rate(const struct ledger_rate *rate)
{
    return rate->count > 0 && rate->count <= LEDGER_RATE_COUNT_MAX && rate->per_ms > 0 &&
           rate->per_ms <= LEDGER_RATE_PER_MAX_MS && rate->level < rate->count * rate->per_ms;
}

int ledger_rate_write(const struct ledger_rate *rate, struct buf *out)
{
    return ledger_record_write(&table, rate, (struct str){.len = 0}, out);
}

int ledger_rate_read(struct str body, struct ledger_rate *ret_rate, struct err *e)
{
    struct ledger_rate rate = {.identity = ""};
    struct str rest;
    int r = ledger_record_read(&table, body, &rate, &rest, e);

    if (r == 0 && rest.len > 0) {
        r = err_set(e, ERR_INVALID, "it has something behind its end");
    }
    if (r == 0 && !is_rate(&rate)) {
        r = err_set(e, ERR_INVALID, "its numbers are no rate");
    }
    if (r == 0) {
        *ret_rate = rate;
    }
    return r;
}
