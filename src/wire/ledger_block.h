/* What the ledger keeps of a block (who gets nothing, of what, until when), and of a drill that
 * isn't over (whose leases are being revoked). */
#ifndef LEASED_WIRE_LEDGER_BLOCK_H
#define LEASED_WIRE_LEDGER_BLOCK_H

#include "wire/ledger_record.h"

#define LEDGER_BLOCK_VERSION 1

/* Texts are never NULL; "" is none. Times are unix milliseconds. */
struct ledger_block {
    const char *match_json; /* access/match.h */
    const char *reason;
    const char *by; /* who asked for it, for people */
    int64_t created_wall_ms;
    int64_t until_wall_ms; /* 0: it is a drill, which has no end but its own */
    struct ledger_clock clock;
};

/* Appends the record. ERR_NOMEM, ERR_TOO_LARGE; ERR_INVALID when a text is no UTF-8. */
int ledger_block_write(const struct ledger_block *block, struct buf *out) ATTR_MUST_USE;

/* Texts are borrowed from `body`. ERR_INVALID with a text when it is no such record. */
int ledger_block_read(struct str body, struct ledger_block *ret_block, struct err *e) ATTR_MUST_USE;

#endif
