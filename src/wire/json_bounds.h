/* How deep and how wide a JSON text is, before anybody makes a tree of it. */
#ifndef LEASED_WIRE_JSON_BOUNDS_H
#define LEASED_WIRE_JSON_BOUNDS_H

#include "base/str.h"

/* Is it nested at most `depth_max` deep, with at most `values_max` values that commas and brackets
 * make? Looks at bytes alone and allocates nothing; what is no JSON may pass, up to where it goes
 * wrong. */
bool json_bounds_hold(struct str text, size_t depth_max, size_t values_max);

#endif
