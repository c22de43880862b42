/* The table of the ledger's blocks. */
#include "wire/ledger_block.h"

#include "base/str.h"

#include <stddef.h>

static const struct ledger_field fields[] = {
    {"match", LEDGER_TEXT, offsetof(struct ledger_block, match_json)},
    {"reason", LEDGER_TEXT, offsetof(struct ledger_block, reason)},
    {"by", LEDGER_TEXT, offsetof(struct ledger_block, by)},
    {"created", LEDGER_TIME, offsetof(struct ledger_block, created_wall_ms)},
    {"until", LEDGER_TIME, offsetof(struct ledger_block, until_wall_ms)},
    LEDGER_CLOCK_FIELDS(struct ledger_block),
};

static const struct ledger_table table = {
    .version = LEDGER_BLOCK_VERSION,
    .fields = fields,
    .field_count = ARRAY_LEN(fields),
};

int ledger_block_write(const struct ledger_block *block, struct buf *out)
{
    return ledger_record_write(&table, block, (struct str){.len = 0}, out);
}

int ledger_block_read(struct str body, struct ledger_block *ret_block, struct err *e)
{
    struct ledger_block block = {.until_wall_ms = 0};
    struct str rest;
    int r = ledger_record_read(&table, body, &block, &rest, e);

    if (r == 0 && rest.len > 0) {
        r = err_set(e, ERR_INVALID, "it has something behind its end");
    }
    if (r == 0) {
        *ret_block = block;
    }
    return r;
}
