/* From what a plugin reports to what the lease layer is told: classes mapped, everything checked,
 * because a plugin hands on what an issuer sent. */
#ifndef LEASED_BACKEND_RESULT_H
#define LEASED_BACKEND_RESULT_H

#include "backend/backend.h"
#include "leased/plugin.h"
#include "lease/issuer.h"

#define RESULT_FIELD_NAME_MAX_BYTES 64U
#define RESULT_FIELDS_MAX_BYTES (256U * 1024U)

enum op_kind {
    OP_ISSUE,
    OP_RENEW,
    OP_REVOKE,
    OP_HEALTH,
    OP_CLOSE,
    OP_SWEEP, /* revokes what an issue created that nobody will hold */
    OP_CALL,  /* a client's request, passed through */
};

struct result_limits {
    uint64_t now_ms;
    uint64_t started_ms; /* when the operation was handed to the plugin */
    uint64_t lifetime_max_ms;
};

struct result_mapped {
    struct lease_result result; /* slices point into the plugin's result and to `fields` */
    struct lease_field fields[LEASE_FIELDS_MAX];
    char detail[BACKEND_ERROR_MAX_BYTES];
};

/* May these bytes stand in an issuer's reference? Line feeds may. */
bool result_is_ref(struct str ref);

/* `result` may be NULL (an empty one) and may come from an older plugin (smaller size). */
void result_map(enum op_kind kind, int32_t status, const struct leased_result *result,
                const struct result_limits *limits, struct result_mapped *ret_mapped);

/* The result of a call that ended without the plugin's word. `detail` is borrowed. */
struct lease_result result_of(enum lease_outcome outcome, const char *detail);

#endif
