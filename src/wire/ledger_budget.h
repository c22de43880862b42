/* What the ledger keeps of a role's budget of issues: how much of it was there when it was written.
 */
#ifndef LEASED_WIRE_LEDGER_BUDGET_H
#define LEASED_WIRE_LEDGER_BUDGET_H

#include "wire/ledger_record.h"

#define LEDGER_BUDGET_VERSION 1
#define LEDGER_BUDGET_PREFIX "issues:" /* of its id; the role's name follows */

struct ledger_budget {
    uint64_t thousandths; /* of issues */
    struct ledger_clock clock;
};

/* Appends the record. ERR_NOMEM, ERR_TOO_LARGE. */
int ledger_budget_write(const struct ledger_budget *budget, struct buf *out) ATTR_MUST_USE;

/* Texts are borrowed from `body`. ERR_INVALID with a text when it is no such record. */
int ledger_budget_read(struct str body, struct ledger_budget *ret_budget,
                       struct err *e) ATTR_MUST_USE;

#endif
