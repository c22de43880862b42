/* Characters in UTF-8 text that comes from outside. */
#ifndef LEASED_WIRE_UTF8_H
#define LEASED_WIRE_UTF8_H

#include "base/str.h"

/* Length of the valid UTF-8 sequence at the start of `text`, which isn't empty, and its code point;
 * 0 if there is none. */
size_t utf8_decode(struct str text, uint32_t *ret_code_point);

#endif
