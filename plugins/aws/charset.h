/* AWS's rules of what names may hold. */
#ifndef AWS_CHARSET_H
#define AWS_CHARSET_H

#include "common/text.h"

#define AWS_LOWER "abcdefghijklmnopqrstuvwxyz"
#define AWS_DIGITS "0123456789"
#define AWS_WORD AWS_LOWER "ABCDEFGHIJKLMNOPQRSTUVWXYZ" AWS_DIGITS "_"
#define AWS_NAME AWS_WORD "+=,.@-"  /* of sessions, and source identities */
#define AWS_TAG AWS_WORD " .:/=+-@" /* of session tags; AWS takes letters of all languages */

/* Only characters of `allowed`, and in `min` to `max` of them. */
bool aws_text_is_of(struct leased_str text, const char *allowed);
bool aws_text_fits(struct leased_str text, const char *allowed, size_t min, size_t max);

/* Makes `text` fit: each character that isn't allowed becomes "-", and what is too long is cut. A
 * character of several bytes is one. `out` has max + 1 bytes. Returns its length. */
size_t aws_text_clean(struct leased_str text, const char *allowed, size_t max, char *out);

/* One line of what AWS says, at most `out_size` - 1 bytes: up to the first line feed or other
 * control byte, because what follows in a message of a wrong signature is our own request, its
 * session token included. */
void aws_text_line(struct leased_str text, char *out, size_t out_size);

#endif
