/* The table of who has read a lease. */
#include "wire/ledger_read.h"

#include "base/str.h"

#include <stddef.h>

static const struct ledger_field fields[] = {
    LEDGER_HOLDER_FIELDS(struct ledger_read),
    LEDGER_PART(struct ledger_read, holder, claims, LEDGER_TEXT),
    {"is_anybody", LEDGER_BOOL, offsetof(struct ledger_read, is_anybody)},
};

static const struct ledger_table table = {
    .version = LEDGER_READ_VERSION,
    .fields = fields,
    .field_count = ARRAY_LEN(fields),
};

int ledger_read_write(const struct ledger_read *read, struct buf *out)
{
    return ledger_record_write(&table, read, (struct str){.len = 0}, out);
}

int ledger_read_read(struct str body, struct ledger_read *ret_read, struct err *e)
{
    struct ledger_read read = {.holder.image = ""};
    struct str rest;
    int r = ledger_record_read(&table, body, &read, &rest, e);

    if (r == 0 && rest.len > 0) {
        r = err_set(e, ERR_INVALID, "it has something behind its end");
    }
    if (r == 0) {
        *ret_read = read;
    }
    return r;
}
