/* The tables of the ledger's requests and of the approvals behind them. */
#include "wire/ledger_request.h"

#include "base/str.h"

#include <stddef.h>

#define FIELD(type, name, kind)                                                                    \
    {                                                                                              \
#name, kind, offsetof(struct type, name)                                                   \
    }

static const struct ledger_field request_fields[] = {
    LEDGER_HOLDER_FIELDS(struct ledger_request),
    LEDGER_PART(struct ledger_request, holder, claims, LEDGER_TEXT),
    FIELD(ledger_request, gid, LEDGER_U32),
    FIELD(ledger_request, groups, LEDGER_TEXT),
    FIELD(ledger_request, pid, LEDGER_U32),
    FIELD(ledger_request, role, LEDGER_TEXT),
    FIELD(ledger_request, backend, LEDGER_TEXT),
    FIELD(ledger_request, duration_ms, LEDGER_U64),
    FIELD(ledger_request, reason, LEDGER_TEXT),
    FIELD(ledger_request, ticket, LEDGER_TEXT),
    FIELD(ledger_request, bindings, LEDGER_TEXT),
    FIELD(ledger_request, rule, LEDGER_TEXT),
    FIELD(ledger_request, rule_digest, LEDGER_TEXT),
    FIELD(ledger_request, policy, LEDGER_TEXT),
    FIELD(ledger_request, needed_count, LEDGER_U32),
    FIELD(ledger_request, use_within_ms, LEDGER_U64),
    FIELD(ledger_request, is_break_glass, LEDGER_BOOL),
    FIELD(ledger_request, state, LEDGER_TEXT),
    FIELD(ledger_request, review, LEDGER_TEXT),
    FIELD(ledger_request, why, LEDGER_TEXT),
    FIELD(ledger_request, grant, LEDGER_TEXT),
    LEDGER_CLOCK_FIELDS(struct ledger_request),
    FIELD(ledger_request, created_wall_ms, LEDGER_TIME),
    FIELD(ledger_request, decide_by_wall_ms, LEDGER_TIME),
    FIELD(ledger_request, use_by_wall_ms, LEDGER_TIME),
    FIELD(ledger_request, ended_wall_ms, LEDGER_TIME),
};

static const struct ledger_table request_table = {
    .version = LEDGER_REQUEST_VERSION,
    .fields = request_fields,
    .field_count = ARRAY_LEN(request_fields),
};

static const struct ledger_field approval_fields[] = {
    FIELD(ledger_approval, who, LEDGER_TEXT),
    FIELD(ledger_approval, voter, LEDGER_TEXT),
    FIELD(ledger_approval, comment, LEDGER_TEXT),
    FIELD(ledger_approval, at_wall_ms, LEDGER_TIME),
};

static const struct ledger_table approval_table = {
    .version = LEDGER_APPROVAL_VERSION,
    .fields = approval_fields,
    .field_count = ARRAY_LEN(approval_fields),
};

int ledger_request_write(const struct ledger_request *request, struct buf *out)
{
    const struct str nothing = {.len = 0};
    size_t i;
    int r = ledger_record_write(&request_table, request, nothing, out);

    CHECK(request->approval_count <= LEDGER_APPROVALS_MAX);
    for (i = 0; r == 0 && i < request->approval_count; i++) {
        r = ledger_record_write(&approval_table, &request->approvals[i], nothing, out);
    }
    return r;
}

int ledger_request_read(struct str body, struct ledger_request *ret_request, struct err *e)
{
    struct ledger_request request = {.holder.image = ""};
    struct str rest;
    int r = ledger_record_read(&request_table, body, &request, &rest, e);

    while (r == 0 && rest.len > 0) {
        if (request.approval_count == LEDGER_APPROVALS_MAX) {
            return err_set(e, ERR_INVALID, "it has too many approvals");
        }
        r = ledger_record_read(&approval_table, rest, &request.approvals[request.approval_count],
                               &rest, e);
        request.approval_count += r == 0;
    }
    if (r == 0) {
        *ret_request = request;
    }
    return r;
}
