/* What the ledger keeps of a shared lease beside itself: who has read it. */
#ifndef LEASED_WIRE_LEDGER_READ_H
#define LEASED_WIRE_LEDGER_READ_H

#include "wire/ledger_record.h"

#include <stdbool.h>

#define LEDGER_READ_VERSION 1

struct ledger_read {
    struct ledger_holder holder;
    bool is_anybody; /* there were too many to be listed: it may have been anybody */
};

/* Appends the record. ERR_NOMEM, ERR_TOO_LARGE; ERR_INVALID when a text is no UTF-8. */
int ledger_read_write(const struct ledger_read *read, struct buf *out) ATTR_MUST_USE;

/* Texts are borrowed from `body`. ERR_INVALID with a text when it is no such record. */
int ledger_read_read(struct str body, struct ledger_read *ret_read, struct err *e) ATTR_MUST_USE;

#endif
