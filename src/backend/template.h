/* Templates in a role's parameters: ${identity.user}, ${identity.uid}, ${identity.unit}, ${role}
 * and
 * ${reason} inside string values. They are filled in on the parsed JSON, so no value can add a key
 * or leave its string. */
#ifndef LEASED_BACKEND_TEMPLATE_H
#define LEASED_BACKEND_TEMPLATE_H

#include "base/err.h"
#include "base/str.h"

#define TEMPLATE_PARAMS_MAX_BYTES (64U * 1024U)
#define TEMPLATE_PARAMS_MAX_DEPTH 16U

/* What stands behind the names. An empty slice: unknown for this caller. */
struct template_values {
    struct str user;
    struct str uid;
    struct str unit;
    struct str role;
    struct str reason;
};

/* The parameters (a JSON object) with their templates filled in, as JSON text (mem_free).
 * ERR_INVALID with a text: not an object, a name that doesn't exist, a value that is unknown for
 * this caller, one that isn't fit for a `path`, a `role_arn` or what stands in `policy` and
 * `policy_arns` ([A-Za-z0-9_.@-]+ without ".."), or one with a comma or a control byte. Those of a
 * reason become blanks, so that it adds nothing to a list. ERR_NOMEM.
 */
int template_fill(struct str params_json, const struct template_values *values, char **ret_json,
                  struct err *e) ATTR_MUST_USE;

/* The same with a harmless example for each value: what a plugin's check is given, and the check of
 * the names themselves. */
int template_fill_example(struct str params_json, char **ret_json, struct err *e) ATTR_MUST_USE;

#endif
