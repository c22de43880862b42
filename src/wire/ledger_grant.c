/* The table of the ledger's grants.
 *
 * Few hang on cgroups, few holders are vouched for by an issuer or in a container, few were
 * approved by somebody, and few end with a window; the others are written as they always were. */
#include "wire/ledger_grant.h"

#include "base/str.h"

#include <stddef.h>

#define FIELD(name, type)                                                                          \
    {                                                                                              \
#name, type, offsetof(struct ledger_grant, name)                                           \
    }

static const struct ledger_field fields[] = {
    FIELD(lease, LEDGER_TEXT),
    LEDGER_HOLDER_FIELDS(struct ledger_grant),
    FIELD(gid, LEDGER_U32),
    FIELD(groups, LEDGER_TEXT),
    FIELD(pid, LEDGER_U32),
    FIELD(bindings, LEDGER_TEXT),
    FIELD(processes, LEDGER_TEXT),
    FIELD(has_connection, LEDGER_BOOL),
    LEDGER_CLOCK_FIELDS(struct ledger_grant),
    FIELD(created_wall_ms, LEDGER_TIME),
    FIELD(until_wall_ms, LEDGER_TIME),
    FIELD(duration_ms, LEDGER_U64),
    FIELD(reason, LEDGER_TEXT),
    FIELD(ticket, LEDGER_TEXT),
    FIELD(policy, LEDGER_TEXT),
    FIELD(rule, LEDGER_TEXT),
    FIELD(read_count, LEDGER_U64),
    FIELD(is_read, LEDGER_BOOL),
    FIELD(is_delivered, LEDGER_BOOL),
    /* Of those that hang on cgroups alone: */
    FIELD(cgroups, LEDGER_TEXT),
    /* Of those with a holder that is vouched for: */
    LEDGER_PART(struct ledger_grant, holder, claims, LEDGER_TEXT),
    /* Of those that were approved: */
    FIELD(approval, LEDGER_TEXT),
    /* Of those whose holder is in a container of a known image: */
    LEDGER_PART(struct ledger_grant, holder, image, LEDGER_TEXT),
    /* Of those that end with a window: */
    FIELD(window_wall_ms, LEDGER_TIME),
    FIELD(own_until_wall_ms, LEDGER_TIME),
};

#define CGROUP_FIELDS 1U
#define CLAIMS_FIELDS 1U
#define APPROVAL_FIELDS 1U
#define IMAGE_FIELDS 1U
#define WINDOW_FIELDS 2U
#define FIELDS_WITH_IMAGE (ARRAY_LEN(fields) - WINDOW_FIELDS)
#define FIELDS_WITH_APPROVAL (FIELDS_WITH_IMAGE - IMAGE_FIELDS)
#define FIELDS_WITH_CLAIMS (FIELDS_WITH_APPROVAL - APPROVAL_FIELDS)
#define FIELDS_WITH_CGROUPS (FIELDS_WITH_CLAIMS - CLAIMS_FIELDS)

static const struct ledger_table table = {
    .version = LEDGER_GRANT_VERSION,
    .fields = fields,
    .field_count = FIELDS_WITH_CGROUPS - CGROUP_FIELDS,
};

static const struct ledger_table cgroups_table = {
    .version = LEDGER_GRANT_VERSION_CGROUPS,
    .fields = fields,
    .field_count = FIELDS_WITH_CGROUPS,
};

static const struct ledger_table claims_table = {
    .version = LEDGER_GRANT_VERSION_CLAIMS,
    .fields = fields,
    .field_count = FIELDS_WITH_CLAIMS,
};

static const struct ledger_table approval_table = {
    .version = LEDGER_GRANT_VERSION_APPROVAL,
    .fields = fields,
    .field_count = FIELDS_WITH_APPROVAL,
};

static const struct ledger_table image_table = {
    .version = LEDGER_GRANT_VERSION_IMAGE,
    .fields = fields,
    .field_count = FIELDS_WITH_IMAGE,
};

static const struct ledger_table window_table = {
    .version = LEDGER_GRANT_VERSION_WINDOW,
    .fields = fields,
    .field_count = ARRAY_LEN(fields),
};

static const struct ledger_table *table_of(struct str body)
{
    switch (body.len > 0 ? body.ptr[0] : 0) {
    case LEDGER_GRANT_VERSION_WINDOW:
        return &window_table;
    case LEDGER_GRANT_VERSION_IMAGE:
        return &image_table;
    case LEDGER_GRANT_VERSION_APPROVAL:
        return &approval_table;
    case LEDGER_GRANT_VERSION_CLAIMS:
        return &claims_table;
    case LEDGER_GRANT_VERSION_CGROUPS:
        return &cgroups_table;
    default:
        return &table;
    }
}

/* The first table that has room for all of it. */
static const struct ledger_table *table_for(const struct ledger_grant *grant)
{
    if (grant->window_wall_ms != 0) {
        return &window_table;
    }
    if (grant->holder.image[0] != '\0') {
        return &image_table;
    }
    if (grant->approval[0] != '\0') {
        return &approval_table;
    }
    if (grant->holder.claims[0] != '\0') {
        return &claims_table;
    }
    return grant->cgroups[0] != '\0' ? &cgroups_table : &table;
}

int ledger_grant_write(const struct ledger_grant *grant, struct buf *out)
{
    return ledger_record_write(table_for(grant), grant, (struct str){.len = 0}, out);
}

int ledger_grant_read(struct str body, struct ledger_grant *ret_grant, struct err *e)
{
    const struct ledger_table *read = table_of(body);
    struct ledger_grant grant = {
        .cgroups = "", .holder.claims = "", .holder.image = "", .approval = ""};
    struct str rest;
    int r = ledger_record_read(read, body, &grant, &rest, e);

    if (r == 0 && read == &cgroups_table && grant.cgroups[0] == '\0') {
        r = err_set(e, ERR_INVALID, "its cgroups are missing");
    }
    if (r == 0 && read == &claims_table && grant.holder.claims[0] == '\0') {
        r = err_set(e, ERR_INVALID, "its claims are missing");
    }
    if (r == 0 && read == &approval_table && grant.approval[0] == '\0') {
        r = err_set(e, ERR_INVALID, "its approval is missing");
    }
    if (r == 0 && read == &image_table && grant.holder.image[0] == '\0') {
        r = err_set(e, ERR_INVALID, "its image is missing");
    }
    if (r == 0 && read == &window_table && grant.window_wall_ms == 0) {
        r = err_set(e, ERR_INVALID, "its window is missing");
    }
    if (r == 0 && rest.len > 0) {
        r = err_set(e, ERR_INVALID, "it has something behind its end");
    }
    if (r == 0) {
        *ret_grant = grant;
    }
    return r;
}
