/* Texts with credentials in them: ${field}, ${role.field}, each with a filter where it stands in a
 * language of its own, ${field|json}; $${ is the text ${. Everything else stands for itself, and so
 * does the value without a filter. An unknown name is an error with its line and column. */
#ifndef LEASED_WIRE_FORMAT_TEMPLATE_H
#define LEASED_WIRE_FORMAT_TEMPLATE_H

#include "wire/format.h"

#define FORMAT_TEMPLATE_MAX_BYTES (1024U * 1024U)

/* Appends the text with the credentials' values. ${field} is the first credential's, ${role.field}
 * that of the one whose role it is. 0; ERR_INVALID with "line:column: …" (no name, a name or filter
 * that isn't known, no } behind it; never a value), ERR_TOO_LARGE (the text). After a failure `out`
 * may hold a part. */
int format_template_render(struct str text, const struct format_credential *credentials,
                           size_t count, struct buf *out, struct err *e) ATTR_MUST_USE;

/* The first role that the text names and that isn't among the credentials; empty: none. Borrowed
 * from the text. Errors of the text's own as above; whether names are fields isn't looked at. */
int format_template_missing_role(struct str text, const struct format_credential *credentials,
                                 size_t count, struct str *ret_role, struct err *e) ATTR_MUST_USE;

#endif
