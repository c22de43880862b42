/* The table of the ledger's leases: one place to read, one to extend.
 *
 * Few leases are bounded, and few holders are vouched for by an issuer; the others are written as
 * they always were. */
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
    /* Of bounded ones alone: */
    FIELD(is_forced, LEDGER_BOOL),
    FIELD(moves_wall_ms, LEDGER_TIME),
    /* Of those with a holder that is vouched for: */
    LEDGER_PART(struct ledger_lease, holder, claims, LEDGER_TEXT),
    /* Of those whose holder is in a container of a known image: */
    LEDGER_PART(struct ledger_lease, holder, image, LEDGER_TEXT),
};

#define BOUND_FIELDS 2U
#define CLAIMS_FIELDS 1U
#define IMAGE_FIELDS 1U

static const struct ledger_table table = {
    .version = LEDGER_LEASE_VERSION,
    .fields = fields,
    .field_count = ARRAY_LEN(fields) - BOUND_FIELDS - CLAIMS_FIELDS - IMAGE_FIELDS,
};

static const struct ledger_table bounded_table = {
    .version = LEDGER_LEASE_VERSION_BOUNDED,
    .fields = fields,
    .field_count = ARRAY_LEN(fields) - CLAIMS_FIELDS - IMAGE_FIELDS,
};

static const struct ledger_table claims_table = {
    .version = LEDGER_LEASE_VERSION_CLAIMS,
    .fields = fields,
    .field_count = ARRAY_LEN(fields) - IMAGE_FIELDS,
};

static const struct ledger_table image_table = {
    .version = LEDGER_LEASE_VERSION_IMAGE,
    .fields = fields,
    .field_count = ARRAY_LEN(fields),
};

static const struct ledger_table *table_of(struct str body)
{
    switch (body.len > 0 ? body.ptr[0] : 0) {
    case LEDGER_LEASE_VERSION_IMAGE:
        return &image_table;
    case LEDGER_LEASE_VERSION_CLAIMS:
        return &claims_table;
    case LEDGER_LEASE_VERSION_BOUNDED:
        return &bounded_table;
    default:
        return &table;
    }
}

static bool is_bounded(const struct ledger_lease *lease)
{
    return lease->is_forced || lease->moves_wall_ms != 0;
}

int ledger_lease_write(const struct ledger_lease *lease, struct buf *out)
{
    const struct ledger_table *written = is_bounded(lease) ? &bounded_table : &table;

    written = lease->holder.claims[0] != '\0' ? &claims_table : written;
    written = lease->holder.image[0] != '\0' ? &image_table : written;
    return ledger_record_write(written, lease, lease->sealed, out);
}

int ledger_lease_read(struct str body, struct ledger_lease *ret_lease, struct err *e)
{
    const struct ledger_table *read = table_of(body);
    struct ledger_lease lease = {.holder.claims = "", .holder.image = ""};
    int r = ledger_record_read(read, body, &lease, &lease.sealed, e);

    if (r == 0 && read == &bounded_table && !is_bounded(&lease)) {
        r = err_set(e, ERR_INVALID, "its bound is missing");
    }
    if (r == 0 && read == &image_table && lease.holder.image[0] == '\0') {
        r = err_set(e, ERR_INVALID, "its image is missing");
    }
    if (r == 0 && read == &claims_table && lease.holder.claims[0] == '\0') {
        r = err_set(e, ERR_INVALID, "its claims are missing");
    }
    if (r == 0 && lease.is_revocable && lease.issuer_ref.len == 0) {
        r = err_set(e, ERR_INVALID, "`issuer_ref` is missing");
    }
    if (r == 0) {
        *ret_lease = lease;
    }
    return r;
}
