/* The table of the ledger's leases: one place to read, one to extend. */
#include "wire/ledger_lease.h"

#include "base/str.h"

#include <stddef.h>

#define FIELD(name, type)                                                                          \
    {                                                                                              \
#name, type, offsetof(struct ledger_lease, name)                                           \
    }

static const struct ledger_field fields[] = {
    FIELD(state, LEDGER_TEXT),
    FIELD(role, LEDGER_TEXT),
    FIELD(backend, LEDGER_TEXT),
    FIELD(params_json, LEDGER_TEXT),
    FIELD(issuer_ref, LEDGER_BYTES),
    FIELD(is_renewable, LEDGER_BOOL),
    FIELD(is_revocable, LEDGER_BOOL),
    FIELD(is_capped, LEDGER_BOOL),
    FIELD(is_refused, LEDGER_BOOL),
    FIELD(issued_wall_ms, LEDGER_TIME),
    FIELD(answered_wall_ms, LEDGER_TIME),
    FIELD(own_end_wall_ms, LEDGER_TIME),
    FIELD(expires_wall_ms, LEDGER_TIME),
    FIELD(ends_wall_ms, LEDGER_TIME),
    LEDGER_CLOCK_FIELDS(struct ledger_lease),
    FIELD(granted_ms, LEDGER_U64),
    FIELD(lifetime_ms, LEDGER_U64),
    FIELD(refresh_ms, LEDGER_U64),
    FIELD(rule_ttl_ms, LEDGER_U64),
    FIELD(anchor, LEDGER_U64),
    FIELD(credential_version, LEDGER_U32),
    FIELD(renewal_count, LEDGER_U32),
    FIELD(predecessor, LEDGER_TEXT),
    LEDGER_HOLDER_FIELDS(struct ledger_lease),
};

static const struct ledger_table table = {
    .version = LEDGER_LEASE_VERSION,
    .fields = fields,
    .field_count = ARRAY_LEN(fields),
};

int ledger_lease_write(const struct ledger_lease *lease, struct buf *out)
{
    return ledger_record_write(&table, lease, lease->sealed, out);
}

int ledger_lease_read(struct str body, struct ledger_lease *ret_lease, struct err *e)
{
    struct ledger_lease lease = {.role = NULL};
    int r = ledger_record_read(&table, body, &lease, &lease.sealed, e);

    if (r == 0 && lease.is_revocable && lease.issuer_ref.len == 0) {
        r = err_set(e, ERR_INVALID, "`issuer_ref` is missing");
    }
    if (r == 0) {
        *ret_lease = lease;
    }
    return r;
}
