/* Characters in UTF-8 text that comes from outside. */
#ifndef LEASED_WIRE_UTF8_H
#define LEASED_WIRE_UTF8_H

#include "base/str.h"

#include <stdbool.h>

/* Length of the valid UTF-8 sequence at the start of `text`, which isn't empty, and its code point;
 * 0 if there is none. */
size_t utf8_decode(struct str text, uint32_t *ret_code_point);

/* Would it mislead whoever reads it in a terminal? Control characters and DEL drive it, line
 * separators forge lines, and bidi controls hide the order of what stands there. */
bool utf8_misleads(uint32_t code_point);

#endif
