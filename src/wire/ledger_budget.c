/* The table of the ledger's budgets. */
#include "wire/ledger_budget.h"

#include "base/str.h"

#include <stddef.h>

static const struct ledger_field fields[] = {
    {"thousandths", LEDGER_U64, offsetof(struct ledger_budget, thousandths)},
    LEDGER_CLOCK_FIELDS(struct ledger_budget),
};

static const struct ledger_table table = {
    .version = LEDGER_BUDGET_VERSION,
    .fields = fields,
    .field_count = ARRAY_LEN(fields),
};

int ledger_budget_write(const struct ledger_budget *budget, struct buf *out)
{
    return ledger_record_write(&table, budget, (struct str){.len = 0}, out);
}

int ledger_budget_read(struct str body, struct ledger_budget *ret_budget, struct err *e)
{
    struct ledger_budget budget = {.thousandths = 0};
    struct str rest;
    int r = ledger_record_read(&table, body, &budget, &rest, e);

    if (r == 0 && rest.len > 0) {
        r = err_set(e, ERR_INVALID, "it has something behind its end");
    }
    if (r == 0) {
        *ret_budget = budget;
    }
    return r;
}
