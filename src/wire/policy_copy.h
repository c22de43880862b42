/* The policies that leased keeps: what counts, what is observed beside it, and who applied it when.
 *
 *   {"v": 1, "id": "…", "applied_at_ms": …, "applied_by": "…", "texts": "<digest of the bundle>",
 *    "files": […], "revision": …, "observed": null, or the same three members}
 *
 * Without `files` what counts is what the configuration says. */
#ifndef LEASED_WIRE_POLICY_COPY_H
#define LEASED_WIRE_POLICY_COPY_H

#include "wire/policy_bundle.h"

#define POLICY_COPY_MAX_BYTES POLICY_BUNDLE_JSON_MAX_BYTES
#define POLICY_COPY_ID_BYTES 32U
#define POLICY_COPY_BY_MAX_BYTES 127U

struct policy_copy {
    struct policy_bundle *bundle;                  /* owned; NULL when a seed was read */
    bool is_seed;                                  /* it is the configuration's, and isn't kept */
    struct policy_bundle *observed;                /* owned; NULL: nothing is */
    char id[POLICY_COPY_ID_BYTES + 1];             /* of the last change; "": there was none */
    int64_t applied_wall_ms;                       /* of `bundle`; 0: of a seed */
    char applied_by[POLICY_COPY_BY_MAX_BYTES + 1]; /* "": of a seed */
};

/* `bundle` is taken on success. NULL: out of memory. */
ATTR_MUST_USE struct policy_copy *policy_copy_new(struct policy_bundle *bundle);

/* NULL is fine. */
void policy_copy_free(struct policy_copy *copy);

/* ERR_NOMEM, ERR_TOO_LARGE (it couldn't be read again). `out` may be as large as
 * POLICY_COPY_MAX_BYTES. */
int policy_copy_write(const struct policy_copy *copy, struct buf *out) ATTR_MUST_USE;

/* The way back. ERR_INVALID with a text: it is damaged; ERR_NOMEM. */
int policy_copy_read(struct str text, struct policy_copy **ret_copy, struct err *e) ATTR_MUST_USE;

#endif
